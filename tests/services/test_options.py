"""Options: where they may be given and how they fall back."""

from __future__ import annotations

import contextlib
import functools
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_type_hints

import attrs
import pytest

from durable_trio._exceptions import DefinitionError, TerminalError
from durable_trio._options import (
    HandlerArguments,
    KeyedServiceArguments,
    Place,
    ServiceArguments,
    ServiceOptions,
    options_of,
    resolve,
)
from durable_trio._retry import InvocationRetryPolicy, RetryPolicy
from durable_trio.serde import serde_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from durable_trio._run import RunInfo

SERVICES = {Place.SERVICE, Place.OBJECT, Place.WORKFLOW}
HANDLERS = set(Place) - SERVICES - {Place.DEFAULTS}


@contextlib.asynccontextmanager
async def around() -> AsyncGenerator[None]:
    """Surround nothing."""
    yield


@contextlib.asynccontextmanager
async def around_run(_run: RunInfo) -> AsyncGenerator[None]:
    """Surround nothing."""
    yield


def as_terminal_error(error: Exception) -> TerminalError | None:
    """Take a lookup error for final."""
    return TerminalError("gone", 404) if isinstance(error, LookupError) else None


EVERY_OPTION: dict[str, Any] = {
    "description": "Builds reports",
    "metadata": {"team": "reports"},
    "inactivity_timeout": 1.0,
    "abort_timeout": 2.0,
    "journal_retention": 3.0,
    "idempotency_retention": 4.0,
    "workflow_retention": 5.0,
    "ingress_private": True,
    "lazy_state": True,
    "retry_policy": InvocationRetryPolicy(max_attempts=3),
    "on_journal_mismatch": "pause",
    "check_payloads": False,
    "explicit_cancellation": True,
    "on_usage_error": "fail",
    "as_terminal_error": as_terminal_error,
    "contexts": (around,),
    "run_contexts": (around_run,),
    "serde": serde_for,
    "accept": "text/plain",
    "content_type": "text/html",
    "input_serde": serde_for(bytes),
    "output_serde": serde_for(bytes),
}

RESTRICTED = {
    "description": SERVICES | HANDLERS,
    "metadata": SERVICES | HANDLERS,
    "serde": SERVICES,
    "accept": HANDLERS,
    "content_type": HANDLERS,
    "input_serde": HANDLERS,
    "output_serde": HANDLERS,
    "idempotency_retention": set(Place) - {Place.WORKFLOW_MAIN},
    "workflow_retention": {Place.WORKFLOW_MAIN},
    "lazy_state": set(Place) - {Place.SERVICE, Place.SERVICE_HANDLER},
}


def test_every_option_is_tested() -> None:
    """The examples of this module cover all options."""
    assert {field.name for field in attrs.fields(ServiceOptions)} == set(EVERY_OPTION)


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (ServiceArguments, {Place.SERVICE}),
        (KeyedServiceArguments, {Place.OBJECT, Place.WORKFLOW}),
        (HandlerArguments, HANDLERS),
    ],
)
def test_type_checkers_know_the_options_that_may_be_given(arguments: Any, places: Any) -> None:
    """What can be given at runtime is what the keyword types allow."""
    allowed = {name for name in EVERY_OPTION if RESTRICTED.get(name, set(Place)) & places}

    assert allowed | ({"name"} & set(arguments.__annotations__)) == set(arguments.__annotations__)


@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("name", EVERY_OPTION)
def test_an_option_is_taken_where_it_means_something(name: str, place: Place) -> None:
    """It is kept where it belongs and refused, with a remedy, where it does not."""
    if place in RESTRICTED.get(name, set(Place)):
        options = options_of(place, {name: EVERY_OPTION[name]})
        assert EVERY_OPTION[name] == getattr(options, name)
    else:
        with pytest.raises(DefinitionError, match=f"{name} is no option of {place.value}: \\w"):
            options_of(place, {name: EVERY_OPTION[name]})


def test_a_misspelt_option_names_the_one_that_was_meant() -> None:
    """An unknown option is an error that helps."""
    with pytest.raises(DefinitionError, match="Did you mean 'abort_timeout'"):
        options_of(Place.SERVICE, {"abort_timout": 3})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("description", "", "a string that is not empty"),
        ("metadata", {"a": 1}, "a mapping of strings to strings"),
        ("metadata", ["a"], "a mapping of strings to strings"),
        ("inactivity_timeout", "1m", "a number of seconds or a timedelta"),
        ("ingress_private", "yes", "True or False"),
        ("retry_policy", RetryPolicy(), "an InvocationRetryPolicy"),
        ("on_journal_mismatch", "ignore", "'retry', 'pause' or 'fail'"),
        ("on_usage_error", "ignore", "'retry', 'pause' or 'fail'"),
        ("as_terminal_error", TerminalError("gone"), "a function"),
        ("contexts", around, "a list of functions"),
        ("contexts", [around()], "a list of functions"),
        ("run_contexts", [None], "a list of functions"),
        ("serde", serde_for(int), "a function"),
        ("input_serde", int, "a Serde"),
        ("input_serde", type(serde_for(int)), "a Serde"),
        ("accept", 3, "a string that is not empty"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_definition_error(
    name: str, value: Any, message: str
) -> None:
    """The error names the option, what it must be and what it was."""
    arguments: dict[str, Any] = {name: value}

    with pytest.raises(DefinitionError, match=f"{name} must be {message}"):
        ServiceOptions(**arguments)


def test_durations_are_kept_as_float_seconds() -> None:
    """A timedelta is a float when read."""
    assert ServiceOptions(abort_timeout=timedelta(minutes=1)).abort_timeout == 60.0


def test_options_do_not_change_with_the_mapping_they_came_from() -> None:
    """Metadata is copied."""
    metadata = {"team": "reports"}
    options = ServiceOptions(metadata=metadata)
    metadata["team"] = "users"

    assert options.metadata == {"team": "reports"}


def test_the_nearest_option_holds() -> None:
    """A handler's own comes before the service's, that before the default."""
    defaults = ServiceOptions(abort_timeout=1, journal_retention=1, inactivity_timeout=1)
    service = ServiceOptions(abort_timeout=2, journal_retention=2)
    handler = ServiceOptions(abort_timeout=0)

    resolved = resolve(handler, service, defaults, Place.SERVICE_HANDLER)

    assert (
        resolved.abort_timeout,
        resolved.journal_retention,
        resolved.inactivity_timeout,
    ) == (0.0, 2.0, 1.0)


def test_what_nobody_gave_is_not_given() -> None:
    """Resolving invents no values."""
    empty = ServiceOptions()

    assert empty == resolve(empty, empty, empty, Place.OBJECT_HANDLER)


def test_false_is_an_answer() -> None:
    """A handler can take back what its service asks for."""
    resolved = resolve(
        ServiceOptions(ingress_private=False),
        ServiceOptions(ingress_private=True),
        ServiceOptions(),
        Place.SERVICE_HANDLER,
    )

    assert resolved.ingress_private is False


def test_what_describes_a_service_does_not_describe_its_handlers() -> None:
    """Description and metadata are not inherited."""
    resolved = resolve(
        ServiceOptions(metadata={"a": "handler"}),
        ServiceOptions(description="a service", metadata={"a": "service"}),
        ServiceOptions(),
        Place.SERVICE_HANDLER,
    )

    assert resolved.description is None
    assert resolved.metadata == {"a": "handler"}


def test_the_retry_policy_falls_back_field_by_field() -> None:
    """Who sets only the attempts keeps the service's intervals."""
    resolved = resolve(
        ServiceOptions(retry_policy=InvocationRetryPolicy(max_attempts=1)),
        ServiceOptions(retry_policy=InvocationRetryPolicy(max_attempts=2, max_interval=5)),
        ServiceOptions(retry_policy=InvocationRetryPolicy(on_max_attempts="kill", max_interval=6)),
        Place.SERVICE_HANDLER,
    )

    assert resolved.retry_policy == InvocationRetryPolicy(
        max_attempts=1, max_interval=5, on_max_attempts="kill"
    )


@pytest.mark.parametrize("name", ["contexts", "run_contexts"])
def test_context_managers_add_up_outermost_first(name: str) -> None:
    """Those of the defaults surround those of the service, which surround the handler's."""

    def options(factory: object) -> ServiceOptions:
        arguments: dict[str, Any] = {name: [factory]}
        return ServiceOptions(**arguments)

    inner, middle, outer = (functools.partial(around) for _ in range(3))

    resolved = resolve(options(inner), options(middle), options(outer), Place.SERVICE_HANDLER)

    assert (outer, middle, inner) == getattr(resolved, name)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("lazy_state", Place.SERVICE_HANDLER),
        ("idempotency_retention", Place.WORKFLOW_MAIN),
    ],
)
def test_an_inherited_option_without_meaning_is_dropped(name: str, place: Place) -> None:
    """A default for all handlers is no error for those that it means nothing for."""
    arguments: dict[str, Any] = {name: EVERY_OPTION[name]}

    resolved = resolve(ServiceOptions(), ServiceOptions(), ServiceOptions(**arguments), place)

    assert getattr(resolved, name) is None


def test_the_keyword_types_can_be_evaluated() -> None:
    """Tools that read annotations at runtime can read those of the options."""
    assert get_type_hints(HandlerArguments)["name"] is str
