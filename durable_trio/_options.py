"""How a service or a handler is run and described: every option there is.

Owns the options, where each of them may be given, and how they fall back. It enforces
none of them: that is done by whoever runs the handler.

 1. None means "not given". A handler falls back to its service, the service to the
    defaults of the runtime or endpoint, those to whatever serves it.
 2. An option given where it can mean nothing is a ``DefinitionError`` that says where it
    belongs. One that is only *inherited* by a handler for which it means nothing is dropped.
 3. Durations are seconds or ``timedelta`` when given and float seconds when read.
"""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, NoReturn, TypeAlias, TypedDict, cast

import attrs
from attrs.validators import optional

from ._duration import Duration, check_seconds, optional_seconds
from ._exceptions import DefinitionError, TerminalError
from ._names import did_you_mean, known
from ._retry import InvocationRetryPolicy
from ._run import RunInfo
from .abc import Serde

ErrorMapping: TypeAlias = Callable[[Exception], TerminalError | None]
"""Says which errors are final: a ``TerminalError`` in place of the given one, or None to retry."""

ContextFactory: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Makes the async context manager that surrounds one attempt of a handler."""

RunContextFactory: TypeAlias = Callable[[RunInfo], AbstractAsyncContextManager[object]]
"""Makes the async context manager that surrounds one try of a run's body, told which one."""

OnJournalMismatch: TypeAlias = Literal["retry", "pause", "fail"]
"""What becomes of an invocation whose code no longer does what its journal records."""

OnUsageError: TypeAlias = Literal["retry", "pause", "fail"]
"""What becomes of an invocation whose handler uses durable_trio wrongly."""


class Place(enum.Enum):
    """Where options are given."""

    DEFAULTS = "the defaults of a runtime or endpoint"
    SERVICE = "a Service"
    OBJECT = "a VirtualObject"
    WORKFLOW = "a Workflow"
    SERVICE_HANDLER = "a handler of a Service"
    OBJECT_HANDLER = "a handler of a VirtualObject"
    WORKFLOW_MAIN = "the main handler of a Workflow"
    WORKFLOW_SHARED = "a shared handler of a Workflow"


_EVERYWHERE: Final = frozenset(Place)
_SERVICES: Final = frozenset({Place.SERVICE, Place.OBJECT, Place.WORKFLOW})
_HANDLERS: Final = _EVERYWHERE - _SERVICES - {Place.DEFAULTS}

# Options that are missing here may be given everywhere.
_PLACES: Final[Mapping[str, tuple[frozenset[Place], str]]] = {
    "description": (_SERVICES | _HANDLERS, "describe the service or the handler itself"),
    "metadata": (_SERVICES | _HANDLERS, "give it to the service or to the handler itself"),
    "serde": (
        _SERVICES,
        "give it to a service, or input_serde= and output_serde= to one of its handlers",
    ),
    "accept": (_HANDLERS, "give it to the handler's decorator"),
    "content_type": (_HANDLERS, "give it to the handler's decorator"),
    "input_serde": (_HANDLERS, "give it to the handler's decorator, or serde= to the service"),
    "output_serde": (_HANDLERS, "give it to the handler's decorator, or serde= to the service"),
    "idempotency_retention": (
        _EVERYWHERE - {Place.WORKFLOW_MAIN},
        "a workflow runs once per key and knows no idempotency keys; give workflow_retention=",
    ),
    "workflow_retention": (
        frozenset({Place.WORKFLOW_MAIN}),
        "give it to @workflow.main; idempotency_retention= is what other handlers have",
    ),
    "lazy_state": (
        _EVERYWHERE - {Place.SERVICE, Place.SERVICE_HANDLER},
        "a Service has no state; leave it out, or make the service a VirtualObject",
    ),
}

# What describes a service does not describe its handlers.
_NOT_INHERITED: Final = frozenset({"description", "metadata"})


class CommonArguments(TypedDict, total=False):
    """The options of services and handlers alike. Each is explained in ``ServiceOptions``."""

    description: str
    metadata: Mapping[str, str]
    inactivity_timeout: Duration
    abort_timeout: Duration
    journal_retention: Duration
    idempotency_retention: Duration
    ingress_private: bool
    retry_policy: InvocationRetryPolicy
    on_journal_mismatch: OnJournalMismatch
    check_payloads: bool
    explicit_cancellation: bool
    on_usage_error: OnUsageError
    as_terminal_error: ErrorMapping
    contexts: Iterable[ContextFactory]
    run_contexts: Iterable[RunContextFactory]


class ServiceArguments(CommonArguments, total=False):
    """The options of a ``Service``. Each is explained in ``ServiceOptions``."""

    serde: Callable[[Any], Serde[Any]]


class KeyedServiceArguments(ServiceArguments, total=False):
    """The options of a ``VirtualObject`` or ``Workflow``. Each is explained in ``ServiceOptions``."""

    lazy_state: bool


class HandlerArguments(CommonArguments, total=False):
    """The options of a handler: ``name``, and those explained in ``ServiceOptions``."""

    name: str
    accept: str
    content_type: str
    input_serde: Serde[Any]
    output_serde: Serde[Any]
    lazy_state: bool
    workflow_retention: Duration


def _invalid(
    instance: object, attribute: attrs.Attribute[Any], expected: str, value: object
) -> NoReturn:
    raise DefinitionError(
        f"{type(instance).__name__}: {attribute.name} must be {expected}, got {value!r}"
    )


def _check_text(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        _invalid(instance, attribute, "a string that is not empty", value)


def _check_bool(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        _invalid(instance, attribute, "True or False", value)


def _check_metadata(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not _are_labels(value):
        _invalid(instance, attribute, "a mapping of strings to strings", value)


def _are_labels(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False

    items = cast("Mapping[object, object]", value).items()
    return all(isinstance(text, str) for item in items for text in item)


def _check_serde(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, type) or not isinstance(value, Serde):
        _invalid(instance, attribute, "a Serde (an instance, not a class)", value)


def _check_callable(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        _invalid(instance, attribute, "a function", value)


def _check_retry_policy(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, InvocationRetryPolicy):
        _invalid(instance, attribute, "an InvocationRetryPolicy (a RetryPolicy is for runs)", value)


def _check_on_fault(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("retry", "pause", "fail"):
        _invalid(instance, attribute, "'retry', 'pause' or 'fail'", value)


def _check_factories(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not _are_functions(value):
        expected = "a list of functions, each of which makes an async context manager"
        _invalid(instance, attribute, expected, value)


def _are_functions(value: object) -> bool:
    # A context manager made by contextlib is callable too, and can be entered only once.
    return isinstance(value, tuple) and all(
        callable(factory) and not isinstance(factory, AbstractAsyncContextManager)
        for factory in cast("tuple[object, ...]", value)
    )


def _as_dict(value: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return dict(value) if isinstance(value, Mapping) else value


def _as_tuple(value: Iterable[Any] | None) -> tuple[Any, ...] | None:
    # A single function is the likely mistake; the validator names it.
    return tuple(value) if isinstance(value, Iterable) else value


@attrs.frozen(kw_only=True)
class ServiceOptions:
    """How a service or a handler is run and described. Everything may be left out.

    Give options to a ``Service``, ``VirtualObject`` or ``Workflow`` and to the decorators
    of their handlers as keywords; give ``ServiceOptions(...)`` to a runtime or endpoint
    as defaults for all of its services. A handler's own options come first, then those of
    its service, then those defaults. Durations are seconds or ``timedelta``.
    """

    description: str | None = attrs.field(default=None, validator=optional(_check_text))
    """What it is for, for people. Default of a handler: its docstring. Not inherited."""
    metadata: Mapping[str, str] | None = attrs.field(
        default=None, converter=_as_dict, validator=optional(_check_metadata)
    )
    """Labels for tools. Not inherited."""
    inactivity_timeout: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """How long an invocation may wait before it is asked to suspend. For a Restate server; the
    embedded runtime goes by its own ``unload_after``."""
    abort_timeout: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """How long it has to suspend once it was asked; then its attempt is aborted. For a Restate
    server."""
    journal_retention: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """How long the journal of a completed invocation is kept: a day, unless the runtime or
    server says otherwise."""
    idempotency_retention: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """How long the result under an idempotency key is kept, by default a day. Not for
    ``@workflow.main``."""
    workflow_retention: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """How long the result, state and promises of a workflow are kept after its end, by default a
    day. ``@workflow.main`` only."""
    ingress_private: bool | None = attrs.field(default=None, validator=optional(_check_bool))
    """Whether only other handlers may call it, and nobody from outside."""
    lazy_state: bool | None = attrs.field(default=None, validator=optional(_check_bool))
    """Whether state is fetched when asked for, not sent along. For a Restate server. Not for a
    ``Service``."""
    retry_policy: InvocationRetryPolicy | None = attrs.field(
        default=None, validator=optional(_check_retry_policy)
    )
    """When a failed attempt is followed by another. Falls back field by field."""
    on_journal_mismatch: OnJournalMismatch | None = attrs.field(
        default=None, validator=optional(_check_on_fault)
    )
    """After a ``NonDeterminismError``: ``"retry"`` as the policy says, ``"pause"`` until the code
    may be another (it is resumed, or the runtime is opened again), or ``"fail"`` for good. The
    embedded runtime pauses, a Restate server retries; it knows the others from protocol 7 on."""
    on_usage_error: OnUsageError | None = attrs.field(
        default=None, validator=optional(_check_on_fault)
    )
    """The same after a ``UsageError``, and with the same defaults."""
    check_payloads: bool | None = attrs.field(default=None, validator=optional(_check_bool))
    """Whether a replay compares what is written (arguments of calls, state, promises, awakeables,
    the output) as bytes. False for a serde that encodes one value differently each time, as
    encryption does; everything else is compared nevertheless. By default it does."""
    explicit_cancellation: bool | None = attrs.field(default=None, validator=optional(_check_bool))
    """Whether CANCEL ends ``ctx.cancellation()`` and nothing else, so that the handler decides what
    becomes of it. By default CANCEL unwinds the handler, and its outcome is 409."""
    as_terminal_error: ErrorMapping | None = attrs.field(
        default=None, validator=optional(_check_callable)
    )
    """Maps an error that leaves the handler, or the body of a run, to the ``TerminalError`` it
    means, or to None for one that is retried. It is not asked about a ``TerminalError``."""
    contexts: tuple[ContextFactory, ...] | None = attrs.field(
        default=None, converter=_as_tuple, validator=optional(_check_factories)
    )
    """Async context managers around every attempt of the handler, the first one outermost.
    Those of the defaults surround those of the service, which surround the handler's.
    They run again on every replay."""
    run_contexts: tuple[RunContextFactory, ...] | None = attrs.field(
        default=None, converter=_as_tuple, validator=optional(_check_factories)
    )
    """The same around every try of a run's body, told which one it is (a ``RunInfo``). A replayed
    run executes nothing."""
    serde: Callable[[Any], Serde[Any]] | None = attrs.field(
        default=None, validator=optional(_check_callable)
    )
    """Makes the serde for an annotation; default ``durable_trio.serde.serde_for``. Services
    only: payloads look the same whoever serves them."""
    accept: str | None = attrs.field(default=None, validator=optional(_check_text))
    """The media type that callers may send. Default: that of the input's serde. Handlers only."""
    content_type: str | None = attrs.field(default=None, validator=optional(_check_text))
    """The media type of the output. Default: that of the output's serde. Handlers only."""
    input_serde: Serde[Any] | None = attrs.field(default=None, validator=optional(_check_serde))
    """Decodes the input. Default: what ``serde`` makes of its annotation. Handlers only."""
    output_serde: Serde[Any] | None = attrs.field(default=None, validator=optional(_check_serde))
    """Encodes the output. Default: what ``serde`` makes of its annotation. Handlers only."""

    def check(self, place: Place) -> ServiceOptions:
        """These options, or a ``DefinitionError`` if one of them cannot be given at ``place``."""
        for name, (places, remedy) in _PLACES.items():
            if place not in places and getattr(self, name) is not None:
                raise DefinitionError(f"{name} is no option of {place.value}: {remedy}")

        return self


def options_of(place: Place, arguments: Mapping[str, Any]) -> ServiceOptions:
    """The options given as keywords at ``place``. ``DefinitionError`` for one that is unknown."""
    names = [field.name for field in attrs.fields(ServiceOptions)]
    for name in arguments:
        if name not in names:
            raise DefinitionError(
                f"{name} is no option of {place.value}.{did_you_mean(name, names)} "
                f"The options are: {known(names, 'none')}."
            )

    return ServiceOptions(**arguments).check(place)


def resolve(
    handler: ServiceOptions, service: ServiceOptions, defaults: ServiceOptions, place: Place
) -> ServiceOptions:
    """The options that hold for a handler at ``place``. What nobody gave is still None."""
    resolved = {
        field.name: _fall_back(
            field.name,
            getattr(handler, field.name),
            getattr(service, field.name),
            getattr(defaults, field.name),
        )
        for field in attrs.fields(ServiceOptions)
        if field.name not in _NOT_INHERITED
    }
    for name, (places, _remedy) in _PLACES.items():
        if place not in places:
            resolved[name] = None
    return ServiceOptions(**resolved | {name: getattr(handler, name) for name in _NOT_INHERITED})


def _fall_back(name: str, *nearest_first: Any) -> Any:
    given = [value for value in nearest_first if value is not None]
    if not given:
        return None

    if name == "retry_policy":
        return functools.reduce(InvocationRetryPolicy.or_else, given)

    if name in {"contexts", "run_contexts"}:
        return tuple(itertools.chain.from_iterable(reversed(given)))

    return given[0]
