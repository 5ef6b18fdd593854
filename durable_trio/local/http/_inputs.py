"""What a request carries to an invocation: a body that fits, headers, a description of a target.

Owns the checks that are made before anything is journaled.

 1. A body that the handler cannot take is refused here, with its reason: a send would
    otherwise be accepted and fail where nobody looks.
 2. A handler gets the headers that are about its request, not those about the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from durable_trio import _json
from durable_trio._exceptions import InvalidInputError, UsageError
from durable_trio._journal._entries import IdempotentTarget, InvocationTarget, WorkflowTarget
from durable_trio.local._ids import to_raw

if TYPE_CHECKING:
    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import Headers, Target

    from ._messages import Request

_NOT_FORWARDED: Final = frozenset(
    {
        "connection",
        "expect",
        "host",
        "idempotency-expires",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def check_input(handler: AnyHandler, content_type: str | None, body: bytes) -> None:
    """``TerminalError`` 400 for an input that the handler cannot take, before it is journaled."""
    name = f"{handler.service_name}/{handler.name}"
    if body and handler.has_input and not _matches(handler.accept, content_type):
        found = "no content-type" if content_type is None else f"content-type {content_type!r}"
        curl = " (curl: --json)" if handler.accept == "application/json" else ""
        raise InvalidInputError(
            f"{name} takes {handler.accept}, and the request has {found}: say what the body is, with "
            f"the header `content-type: {handler.accept}`{curl}"
        )

    try:
        handler.decode_input(body)
    except InvalidInputError:
        raise
    except Exception:  # noqa: S110  # a serde that fails otherwise is the attempt's to report
        pass


def check_target(target: Target) -> Target:
    """The target. ``UsageError`` if it is an id that no invocation can have."""
    if isinstance(target, InvocationTarget):
        to_raw(target.invocation_id)
    return target


def target_of(body: bytes) -> Target:
    """The invocation that a JSON body describes. ``UsageError`` if it describes none."""
    try:
        raw = _json.read(body)
    except ValueError as exc:
        raise UsageError(f"the body is no JSON: {exc}") from exc

    match raw:
        case {"scope": scope} if scope is not None:
            raise UsageError("scopes are a feature of a Restate server: leave out 'scope'")
        case {"target": "invocation", "invocationId": str(invocation_id)}:
            return InvocationTarget(invocation_id)
        case {"target": "workflow", "workflowName": str(name), "workflowKey": str(key)}:
            return WorkflowTarget(name, key)
        case {
            "target": "idempotentInvocation",
            "service": str(service),
            "handler": str(handler),
            "idempotencyKey": str(idempotency_key),
        } if isinstance(raw.get("key"), str | None):
            return IdempotentTarget(service, handler, idempotency_key, raw.get("key"))
        case _:
            raise UsageError(
                'expected {"target": "invocation", "invocationId"}, {"target": "workflow", '
                '"workflowName", "workflowKey"} or {"target": "idempotentInvocation", "service", '
                '"key"?, "handler", "idempotencyKey"}'
            )


def forwarded(request: Request) -> Headers:
    """The headers of the invocation. ``UsageError`` for one that is not ASCII."""
    for name, value in request.headers:
        if not value.isascii():
            raise UsageError(f"bad header {name}: its value is not ASCII")

    path = ("x-restate-ingress-path", request.target)
    return (path, *(pair for pair in request.headers if pair[0] not in _NOT_FORWARDED))


def _matches(accept: str, content_type: str | None) -> bool:
    if accept == "*/*":
        return True

    if content_type is None:
        return False

    found = content_type.partition(";")[0].strip().lower()
    expected = accept.partition(";")[0].strip().lower()
    return found == expected or (
        expected.endswith("/*") and found.startswith(expected.removesuffix("*"))
    )
