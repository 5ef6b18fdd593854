"""Names as paths: Restate's, which the embedded runtime's ingress has as well.

Owns percent-encoding, the table of paths, and what is described in a body instead.

 1. A name is one segment of a path, whatever is in it: slashes, dots, spaces, percent signs.
 2. An empty name has no path: a server would read another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import quote

from durable_trio._exceptions import UsageError
from durable_trio._journal._entries import InvocationTarget, WorkflowTarget

if TYPE_CHECKING:
    from durable_trio._journal._entries import Target

Look: TypeAlias = Literal["attach", "output"]
Completion: TypeAlias = Literal["resolve", "reject"]

_DOTS: Final = {".": "%2E", "..": "%2E%2E"}
"""A dot is no character that is encoded, and yet such a segment would vanish."""


def segment(name: str, what: str) -> str:
    """``name`` as one segment. ``UsageError`` that says ``what`` it is if it can be none."""
    if not name:
        raise UsageError(f"{what} is empty: pass a string that is not")

    try:
        return _DOTS.get(name) or quote(name, safe="")
    except UnicodeEncodeError as exc:
        raise UsageError(f"{what} is no valid Unicode ({exc.reason}): {name!r}") from exc


def handler_path(
    service: str, handler: str, key: str | None, *, scope: str | None = None, send: bool = False
) -> str:
    """Where a handler is called, or sent to."""
    parts = [segment(service, "the service's name")]
    if key is not None:
        parts.append(segment(key, f"the key of {service}/{handler}"))
    parts.append(segment(handler, "the handler's name"))
    path = "/" + "/".join(parts)
    if scope is not None:
        return f"/restate/scope/{segment(scope, 'the scope')}/{'send' if send else 'call'}{path}"

    return f"{path}/send" if send else path


def result_path(invocation_id: str, look: Look) -> str:
    """Where the result of the invocation with this id is."""
    return f"/restate/invocation/{segment(invocation_id, 'the invocation id')}/{look}"


def look_at(target: Target, look: Look) -> tuple[str, dict[str, str] | None]:
    """Where the result of an invocation is, and the body that says which one where the path cannot.

    A Restate server (1.7) does not decode idempotency keys in paths, and has none for scopes.
    """
    if isinstance(target, InvocationTarget):
        return result_path(target.invocation_id, look), None

    if isinstance(target, WorkflowTarget):
        if target.scope is None:
            name = segment(target.workflow, "the name of the workflow")
            key = segment(target.key, "the key of the workflow")
            return f"/restate/workflow/{name}/{key}/{look}", None

        fields = {"target": "workflow", "workflowName": target.workflow, "workflowKey": target.key}
    else:
        fields = {
            "target": "idempotentInvocation",
            "service": target.service,
            "handler": target.handler,
            "idempotencyKey": target.idempotency_key,
        }
        fields |= {} if target.key is None else {"key": target.key}
    fields |= {} if target.scope is None else {"scope": target.scope}
    return f"/restate/{look}", fields


def awakeable_path(awakeable_id: str, completion: Completion) -> str:
    """Where an awakeable is completed."""
    return f"/restate/awakeables/{segment(awakeable_id, 'the awakeable id')}/{completion}"


def signal_path(invocation_id: str, name: str, completion: Completion) -> str:
    """Where a named signal is sent to."""
    invocation = segment(invocation_id, "the invocation id")
    return f"/restate/signals/{invocation}/{segment(name, 'the name of the signal')}/{completion}"


def deployment_path(deployment_id: str) -> str:
    """Where a deployment is described, and deleted."""
    return f"/deployments/{segment(deployment_id, 'the deployment id')}"


def invocation_path(invocation_id: str, action: str) -> str:
    """Where an operator acts on an invocation."""
    return f"/invocations/{segment(invocation_id, 'the invocation id')}/{action}"
