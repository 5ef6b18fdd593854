"""What the ingress does with a request: operations on the runtime, and their answers.

Owns the way from an operation to an answer and which status an error has. It knows
neither sockets nor bytes on the wire.

 1. What creates or changes something is shielded: a client that goes away while it is
    done cancels nothing. Only waiting for a result ends when the client is gone.
 2. An invocation's failure is its answer and says ``source: invocation``; what is raised
    before there is one says ``source: ingress``.
 3. Clients are told what is wrong, but not where the server keeps its files.
 4. When the ingress stops, those who still wait are told the id to attach to later.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from durable_trio._exceptions import (
    ClosedResourceError,
    DurableTrioError,
    InvocationPausedError,
    StoreError,
    TerminalError,
    UnknownServiceError,
    UsageError,
)
from durable_trio._journal._entries import (
    Failure,
    InvocationTarget,
    Value,
)
from durable_trio._records import InvocationStatus
from durable_trio.local._calling import awakeable_signal

from ._delays import parse_delay
from ._inputs import check_input, check_target, forwarded, target_of
from ._messages import (
    NOT_READY,
    Response,
    failure_response,
    json_response,
    refusal,
    timestamp,
    without_directories,
)
from ._paths import (
    METHODS,
    Administer,
    Attach,
    ByBody,
    CompleteAwakeable,
    CompleteSignal,
    Health,
    Invoke,
    Output,
    parse_path,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import Target
    from durable_trio._records import InvocationRecord
    from durable_trio.local import LocalRuntime
    from durable_trio.local._observers import Observer

    from ._messages import Request
    from ._paths import Operation

T = TypeVar("T")

_log = logging.getLogger("durable_trio.local.http")

_ACCEPTED: Final = 202


class Application:
    """See the module's docstring."""

    __slots__ = ("_perform", "_runtime", "_waits", "stopping")

    def __init__(self, runtime: LocalRuntime) -> None:
        self._runtime = runtime
        self._waits: set[anyio.CancelScope] = set()
        self.stopping = False
        """Whether those who wait are told to come back later."""
        self._perform: dict[type[Operation], Callable[[Any, Request, bytes], Awaitable[Response]]]
        self._perform = {
            Invoke: self._invoke,
            Attach: self._attach,
            Output: self._output,
            ByBody: self._by_body,
            CompleteAwakeable: self._complete_awakeable,
            CompleteSignal: self._complete_signal,
            Health: self._health,
            Administer: self._administer,
        }

    def stop(self) -> None:
        """Answer everybody who waits for a result."""
        self.stopping = True
        for scope in self._waits:
            scope.cancel()

    def route(self, request: Request, *, local: bool) -> Operation | Response:
        """What is asked for, from the head alone. ``local``: from this machine."""
        try:
            operation = parse_path(request.method, request.path, self._runtime.services)
        except DurableTrioError as error:
            return error_response(error)

        methods = METHODS[type(operation)]
        if request.method not in methods:
            return refusal(
                405, f"{request.method} is not allowed at {request.path}: use {methods[0]}"
            ).with_headers(("allow", ", ".join(methods)))

        if isinstance(operation, Administer) and not local:
            return refusal(403, "invocations are administered from the ingress's machine only")

        return operation

    async def answer(self, request: Request, operation: Operation, body: bytes) -> Response:
        """Do it. Raises nothing but the host's cancelled exception."""
        try:
            return await self._perform[type(operation)](operation, request, body)
        except DurableTrioError as error:
            if isinstance(error, StoreError):
                _log.error("%s %s failed: %s", request.method, request.path, error)
            return error_response(error)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return refusal(500, "the ingress failed unexpectedly; its log says more")

    # -- invocations

    async def _invoke(self, operation: Invoke, request: Request, body: bytes) -> Response:
        client, delay = self._runtime.client, request.parameter("delay")
        if delay is not None and not operation.send:
            raise UsageError("a call cannot be delayed: send it, with /send behind the handler")

        if request.header("x-restate-limit-key") is not None:
            raise UsageError("limit keys are a feature of a Restate server: leave the header out")

        prepared = client.request(
            operation.service,
            operation.handler,
            body,
            key=operation.key,
            idempotency_key=request.header("idempotency-key"),
            headers=forwarded(request),
            delay=0.0 if delay is None else parse_delay(delay),
        )
        check_input(prepared.handler, request.header("content-type"), body)
        if operation.send:
            receipt = await _shielded(client.submit(prepared))
            answer: dict[str, Any] = {"invocationId": receipt.invocation_id}
            if receipt.execution_time is not None:
                answer["executionTime"] = timestamp(receipt.execution_time)
            accepted = "PreviouslyAccepted" if receipt.previously_accepted else "Accepted"
            answer["status"] = accepted
            return json_response(_ACCEPTED, answer).with_headers(
                ("x-restate-id", receipt.invocation_id)
            )

        try:
            observer = await _shielded(client.begin(prepared))
        except TerminalError as error:
            # The workflow has been started before: its answer, not ours.
            failure = Failure(error.code, error.message, tuple(error.metadata.items()))
            return failure_response(failure).with_headers(
                ("x-restate-id", error.metadata.get("invocation_id"))
            )

        return await self._result(observer, prepared.handler, kept=prepared.identity is not None)

    async def _attach(self, operation: Attach, _request: Request, _body: bytes) -> Response:
        return await self._attached(operation.target)

    async def _attached(self, target: Target) -> Response:
        observer = await _shielded(self._runtime.client.observe(check_target(target)))
        record = await _shielded(self._record(observer.invocation_id))
        handler = None if record is None else self._handler(record)
        kept = record is not None and record.idempotency_key is not None
        return await self._result(observer, handler, kept=kept)

    async def _output(self, operation: Output, _request: Request, _body: bytes) -> Response:
        return await self._output_of(operation.target)

    async def _output_of(self, target: Target) -> Response:
        record = await self._runtime.client.record(check_target(target))
        if record.result is None:
            return refusal(
                NOT_READY, "the invocation exists but has not completed yet"
            ).with_headers(("x-restate-id", record.id))

        expires = record.expires_at if record.idempotency_key is not None else None
        return _outcome(record.result, record.id, self._handler(record), expires)

    async def _result(
        self, observer: Observer, handler: AnyHandler | None, *, kept: bool
    ) -> Response:
        """Wait for the result of what is observed. ``kept``: under an identity, until it expires."""
        invocation_id = observer.invocation_id
        result: Value | Failure | None = None
        scope = anyio.CancelScope()
        self._waits.add(scope)
        try:
            with scope:
                if self.stopping:
                    scope.cancel()
                result = await self._runtime.client.wait(observer)
        except (ClosedResourceError, InvocationPausedError, StoreError) as error:
            # The runtime that failed, or paused the invocation, has logged the whole of it.
            return error_response(error).with_headers(("x-restate-id", invocation_id))
        finally:
            self._waits.discard(scope)
        if result is None:
            return refusal(
                503, f"the server stops and the invocation goes on: attach to {invocation_id} later"
            ).with_headers(("x-restate-id", invocation_id))

        record = await self._record(invocation_id) if kept else None
        return _outcome(
            result, invocation_id, handler, None if record is None else record.expires_at
        )

    async def _by_body(self, operation: ByBody, _request: Request, body: bytes) -> Response:
        target = target_of(body)
        if operation.verb == "attach":
            return await self._attached(target)

        if operation.verb == "output":
            return await self._output_of(target)

        record = await self._runtime.client.record(check_target(target))
        return json_response(200, {"invocationId": record.id})

    # -- events

    async def _complete_awakeable(
        self, operation: CompleteAwakeable, _request: Request, body: bytes
    ) -> Response:
        target, signal = awakeable_signal(operation.awakeable_id)
        return await self._signal(target, signal, body, reject=operation.reject)

    async def _complete_signal(
        self, operation: CompleteSignal, _request: Request, body: bytes
    ) -> Response:
        return await self._signal(
            operation.invocation_id, operation.name, body, reject=operation.reject
        )

    async def _signal(
        self, target: str, signal: int | str, body: bytes, *, reject: bool
    ) -> Response:
        result = Failure(500, body.decode(errors="replace")) if reject else Value(body)
        await _shielded(self._runtime.control.signal(target, signal, result))
        return Response(_ACCEPTED)

    # -- the rest

    async def _health(self, _operation: Health, _request: Request, _body: bytes) -> Response:
        return json_response(200, {"services": list(self._runtime.services)})

    async def _administer(self, operation: Administer, _request: Request, _body: bytes) -> Response:
        control, invocation_id, action = (
            self._runtime.control,
            operation.invocation_id,
            operation.action,
        )
        record = await control.record(invocation_id)
        if record.status is InvocationStatus.COMPLETED and action in {"cancel", "kill"}:
            return refusal(409, f"the invocation {invocation_id} has already completed")

        acts = {
            "cancel": (control.cancel, _ACCEPTED),
            "kill": (control.kill, 200),
            "pause": (control.pause, _ACCEPTED),
            "resume": (control.resume, 200),
            "purge": (control.purge, 200),
        }
        act, status = acts[action]
        try:
            await _shielded(act(invocation_id))
        except UsageError as error:
            return refusal(409, str(error))

        return Response(status)

    async def _record(self, invocation_id: str) -> InvocationRecord | None:
        try:
            return await self._runtime.client.record(InvocationTarget(invocation_id))
        except (TerminalError, ClosedResourceError, StoreError):
            return None

    def _handler(self, record: InvocationRecord) -> AnyHandler | None:
        definition = self._runtime.services.get(record.service)
        return None if definition is None else definition.handlers.get(record.handler)


async def _shielded(act: Awaitable[T]) -> T:
    """Do it to its end, whoever goes away meanwhile."""
    result: list[T] = []
    with anyio.CancelScope(shield=True):
        result.append(await act)
    return result[0]  # a shield that nobody cancels swallows nothing


def error_response(error: DurableTrioError) -> Response:
    """The answer to what was refused or cannot be done."""
    match error:
        case TerminalError():
            return refusal(error.code, error.message)
        case UnknownServiceError():
            return refusal(404, str(error))
        case UsageError():
            return refusal(400, str(error))
        case InvocationPausedError():
            # Asking again is no use before somebody resumes it.
            message = without_directories(str(error))
            return refusal(503, message, status=InvocationStatus.PAUSED.value)
        case _:
            return refusal(503, without_directories(str(error)))


def _outcome(
    result: Value | Failure,
    invocation_id: str,
    handler: AnyHandler | None,
    expires_at: float | None,
) -> Response:
    if isinstance(result, Failure):
        response = failure_response(result)
    else:
        content_type = "application/json" if handler is None else handler.content_type
        response = Response(200, result.content).with_headers(
            ("content-type", content_type if result.content else None)
        )
    return response.with_headers(
        ("x-restate-id", invocation_id),
        ("idempotency-expires", None if expires_at is None else timestamp(expires_at)),
    )
