"""From a path to what is asked for: Restate's paths, and nothing about carrying them out.

Owns the table of paths and the operations they name.

| path                                                       | operation               |
| ---------------------------------------------------------- | ----------------------- |
| ``/{svc}[/{key}]/{handler}[/send]``                        | ``Invoke``              |
| ``/restate/call|send/{svc}[/{key}]/{handler}``             | ``Invoke``              |
| ``/restate/attach|output/{id}``                            | ``Attach``, ``Output``  |
| ``/restate/invocation/{id}/attach|output``                 | ``Attach``, ``Output``  |
| ``/restate/invocation/{svc}[/{key}]/{h}/{idem}/attach|output`` | ``Attach``, ``Output`` |
| ``/restate/workflow/{name}/{key}/attach|output``           | ``Attach``, ``Output``  |
| ``/restate/attach|output|lookup`` with a body              | ``ByBody``              |
| ``/restate/awakeables|a/{id}/resolve|reject``              | ``CompleteAwakeable``   |
| ``/restate/signals/{id}/{name}/resolve|reject``            | ``CompleteSignal``      |
| ``/restate/health``                                        | ``Health``              |
| ``/invocations/{id}/cancel|kill|pause|resume|purge``       | ``Administer``          |

 1. A path is cut at its slashes first and decoded then: a key may contain any character.
 2. Whether there is a key in the path is decided by the kind of the service.
 3. ``/restate/signals`` is ours; Restate delivers named signals between handlers only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote_to_bytes

import attrs

from durable_trio._exceptions import TerminalError, UnknownServiceError, UsageError
from durable_trio._journal._entries import IdempotentTarget, InvocationTarget, WorkflowTarget
from durable_trio._names import did_you_mean, known
from durable_trio._services import ServiceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from durable_trio._journal._entries import Target
    from durable_trio._services import ServiceDefinition


@attrs.frozen
class Invoke:
    """Call a handler, or send to it."""

    service: str
    handler: str
    key: str | None = None
    send: bool = False


@attrs.frozen
class Attach:
    """Wait for the result of an invocation."""

    target: Target


@attrs.frozen
class Output:
    """The result of an invocation, if it has one."""

    target: Target


@attrs.frozen
class ByBody:
    """Attach, output or look up the invocation that the body describes."""

    verb: str


@attrs.frozen
class CompleteAwakeable:
    """Resolve or reject an awakeable with the body."""

    awakeable_id: str
    reject: bool


@attrs.frozen
class CompleteSignal:
    """Resolve or reject a named signal of an invocation with the body."""

    invocation_id: str
    name: str
    reject: bool


@attrs.frozen
class Health:
    """Which services are served."""


@attrs.frozen
class Administer:
    """What an operator does to an invocation."""

    invocation_id: str
    action: str


Operation: TypeAlias = (
    Invoke | Attach | Output | ByBody | CompleteAwakeable | CompleteSignal | Health | Administer
)

METHODS: Final[dict[type[Operation], tuple[str, ...]]] = {
    Invoke: ("POST", "GET"),
    Attach: ("GET",),
    Output: ("GET",),
    ByBody: ("POST",),
    CompleteAwakeable: ("POST",),
    CompleteSignal: ("POST",),
    Health: ("GET",),
    Administer: ("PATCH",),
}
"""By which methods an operation is asked for."""

ACTIONS: Final = ("cancel", "kill", "pause", "resume", "purge")
_SQL: Final = "SQL and deployments are a Restate server's; the embedded runtime has its services from its process and a journal that can be read: durable-trio ls, FileJournalReader"
_STATE: Final = "services and their state are administered like this on a Restate server; the embedded runtime is asked in its process: LocalRuntime.get_state, set_state"
_ELSEWHERE: Final = {
    "query": _SQL,
    "deployments": _SQL,
    "services": _STATE,
    "version": "it is a Restate server's; this is the embedded runtime",
}
"""What the admin port of a Restate server has, and where it is found here."""
_COMPLETIONS: Final = ("resolve", "reject")
_LOOKS: Final = ("attach", "output")


def parse_path(method: str, path: str, services: Mapping[str, ServiceDefinition]) -> Operation:
    """The operation that a path names. The method decides only what a service's name could be.

    ``TerminalError`` 404 for a path that names nothing, ``UnknownServiceError`` for a
    service that is not served, ``UsageError`` for a path that is not complete.
    """
    segments = path.rstrip("/").split("/")[1:]
    match segments:
        case ["restate", "health"]:
            return Health()
        case ["restate", "call" | "send" as verb, *rest]:
            return _invoke(rest, services, send=verb == "send")
        case ["restate", "attach" | "output" as verb, invocation_id]:
            return _look(verb, InvocationTarget(_decoded(invocation_id)))
        case ["restate", "attach" | "output" | "lookup" as verb]:
            return ByBody(verb)
        case ["restate", "invocation", *rest]:
            return _invocation(rest, services)
        case ["restate", "workflow", *rest]:
            return _workflow(rest)
        case ["restate", "awakeables" | "a", *rest]:
            return _awakeable(rest)
        case ["restate", "signals", *rest]:
            return _signal(rest)
        case ["restate", "scope", *_]:
            raise UsageError(
                "scopes are a feature of a Restate server; the embedded runtime has none: leave "
                "out /scope/..."
            )
        case ["restate", *_] | []:
            raise TerminalError(f"there is nothing at {path}", 404)
        case ["invocations", invocation_id, action] if (
            method == "PATCH" or "invocations" not in services
        ):
            if action not in ACTIONS:
                raise TerminalError(
                    f"the embedded runtime has no action {action!r}; it has {', '.join(ACTIONS)}",
                    404,
                )

            return Administer(_decoded(invocation_id), action)
        case [name, *_] if name in _ELSEWHERE and name not in services:
            raise TerminalError(
                f"there is nothing at {path}: {_ELSEWHERE[name]}",
                404,
            )
        case [*rest, "send"] if len(rest) == _width(rest, services):
            return _invoke(rest, services, send=True)
        case _:
            return _invoke(segments, services, send=False)


def _definition(name: str, services: Mapping[str, ServiceDefinition]) -> ServiceDefinition:
    definition = services.get(name)
    if definition is None:
        raise UnknownServiceError(
            f"no service {name!r} is served here.{did_you_mean(name, services)} "
            f"Served are: {known(services, 'none')}."
        )

    return definition


def _is_keyed(definition: ServiceDefinition) -> bool:
    return definition.kind is not ServiceKind.SERVICE


def _width(segments: Sequence[str], services: Mapping[str, ServiceDefinition]) -> int:
    """How many segments name a handler of this service."""
    definition = services.get(segments[0]) if segments else None
    return 0 if definition is None else 2 + _is_keyed(definition)


def _invoke(
    segments: Sequence[str], services: Mapping[str, ServiceDefinition], *, send: bool
) -> Invoke:
    definition = _definition(segments[0] if segments else "", services)
    match segments:
        case [service, handler] if not _is_keyed(definition):
            return Invoke(service, handler, send=send)
        case [service, key, handler] if _is_keyed(definition):
            return Invoke(service, handler, _decoded(key), send)
        case _:
            shape = "/{key}/{handler}" if _is_keyed(definition) else "/{handler}"
            raise UsageError(
                f"bad path: the handlers of {definition!r} are called at /{definition.name}{shape} "
                "and sent to with /send behind it"
            )


def _look(verb: str, target: Target) -> Attach | Output:
    return Attach(target) if verb == "attach" else Output(target)


def _invocation(
    segments: Sequence[str], services: Mapping[str, ServiceDefinition]
) -> Attach | Output:
    match segments:
        case [invocation_id, "attach" | "output" as verb]:
            return _look(verb, InvocationTarget(_decoded(invocation_id)))
        case [service, *rest, "attach" | "output" as verb]:
            keyed = _is_keyed(_definition(service, services))
            match rest:
                case [handler, idempotency_key] if not keyed:
                    target = IdempotentTarget(service, handler, _decoded(idempotency_key))
                    return _look(verb, target)
                case [key, handler, idempotency_key] if keyed:
                    target = IdempotentTarget(
                        service, handler, _decoded(idempotency_key), _decoded(key)
                    )
                    return _look(verb, target)
                case _:
                    pass
        case _:
            pass
    raise UsageError(
        "bad path: expected /restate/invocation/{id}/attach or /output, or "
        "/restate/invocation/{service}[/{key}]/{handler}/{idempotency key}/attach or /output"
    )


def _workflow(segments: Sequence[str]) -> Attach | Output:
    match segments:
        case [name, key, verb] if verb in _LOOKS:
            return _look(verb, WorkflowTarget(name, _decoded(key)))
        case _:
            raise UsageError("bad path: expected /restate/workflow/{name}/{key}/attach or /output")


def _awakeable(segments: Sequence[str]) -> CompleteAwakeable:
    match segments:
        case [awakeable_id, verb] if verb in _COMPLETIONS:
            return CompleteAwakeable(_decoded(awakeable_id), verb == "reject")
        case _:
            raise UsageError("bad path: expected /restate/awakeables/{id}/resolve or /reject")


def _signal(segments: Sequence[str]) -> CompleteSignal:
    match segments:
        case [invocation_id, name, verb] if verb in _COMPLETIONS:
            return CompleteSignal(_decoded(invocation_id), _decoded(name), verb == "reject")
        case _:
            raise UsageError(
                "bad path: expected /restate/signals/{invocation id}/{name}/resolve or /reject"
            )


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as exc:
        raise UsageError(f"bad path: {segment!r} is no percent-encoded UTF-8") from exc
