"""``IngressClient``: handlers called over HTTP.

Owns names, types and errors of what can be asked of an ingress; each method is one request.

 1. Values are encoded and decoded here and nowhere below.
 2. A body has a content type and no body has none: a server refuses either mistake.
 3. A request is safe to repeat if it changes nothing, or if it has an idempotency key.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from durable_trio import _json
from durable_trio._duration import to_seconds
from durable_trio._exceptions import BadAnswerError, SerializationError, UsageError
from durable_trio._handler import Handler
from durable_trio._journal._entries import InvocationTarget
from durable_trio._not_ready import NOT_READY, NotReady
from durable_trio._receipt import SendReceipt
from durable_trio._target import check_key
from durable_trio.serde import serde_for

from ._answers import INGRESS_UNAVAILABLE
from ._answers import NOT_READY as NOT_READY_STATUS
from ._headers import checked_headers, idempotency_header, limit_header
from ._paths import awakeable_path, handler_path, look_at, signal_path
from ._transport import MAX_BODY_SIZE, Transport

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import httpx

    from durable_trio._duration import Duration
    from durable_trio._journal._entries import Headers, Target
    from durable_trio._retry import RetryPolicy
    from durable_trio._target import Argument, CallTarget

    from ._answers import Answer
    from ._paths import Look

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")


class IngressClient:
    """Calls handlers at the ingress of a Restate server or of the embedded runtime.

    An async context manager, for trio and asyncio. ``headers`` go with every request
    (authentication, say). ``timeout`` bounds every request that does not wait for an
    invocation's end (default 30 s; None: nothing does); ``call`` and ``attach`` wait for as
    long as it takes unless they are told otherwise. With ``retry`` a request that got no
    answer, or that the server could not answer now, is made again if that is safe: reading
    results, and calls and sends with an idempotency key. ``max_body_size`` bounds answers, in
    bytes. ``http`` is an ``httpx.AsyncClient`` to use, for proxies, certificates or HTTP/2; it is
    not closed.

    Beside ``UsageError`` for what can never be asked for, all methods raise ``RefusedError`` (a
    ``TerminalError``) for what the server refuses, and a ``RequestError`` if there is no answer
    that counts. ``UsageError`` for a ``url`` that is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8080",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = 30.0,
        retry: RetryPolicy | None = None,
        max_body_size: int = MAX_BODY_SIZE,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._timeout = None if timeout is None else to_seconds(timeout, "timeout")
        self._transport = Transport(
            url,
            headers=headers,
            retry=retry,
            max_body_size=max_body_size,
            http=http,
            unavailable=INGRESS_UNAVAILABLE,
        )

    @property
    def url(self) -> str:
        """Where the ingress is."""
        return self._transport.url

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.__aexit__(*exc_info)

    # -- calling handlers

    @overload
    async def call(
        self,
        target: CallTarget[[], O],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> O: ...
    @overload
    async def call(
        self,
        target: CallTarget[[I], O],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> O: ...
    async def call(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> Any:
        """Call a handler and wait for its output: ``await ingress.call(reports.build, 3)``.

        With an ``idempotency_key`` a second call of the same handler and key gets the
        result of the first. Raises the ``TerminalError`` that the handler ended with (409
        for a second start of a workflow). Neither cancelling the wait nor a ``timeout``
        (``RequestTimeoutError``) cancels the invocation. ``InvocationPausedError`` if the
        embedded runtime pauses it; a Restate server lets one wait. ``scope`` and ``limit_key`` are a
        Restate server's, if it has them switched on.
        """
        check_key(target, key)
        body = target.encode_input(*argument)
        answer = await self._post(
            handler_path(target.service_name, target.handler_name, key, scope=scope),
            body,
            [
                *_content_type(_accepted(target), body),
                *checked_headers((headers or {}).items()),
                *limit_header(limit_key),
            ],
            idempotency_key,
            timeout,
        )
        with self._output_of(f"{target.service_name}/{target.handler_name}"):
            return target.decode_output(answer.body)

    @overload
    async def send(
        self,
        target: CallTarget[[], Any],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> SendReceipt: ...
    @overload
    async def send(
        self,
        target: CallTarget[[I], Any],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> SendReceipt: ...
    async def send(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> SendReceipt:
        """Start a handler, ``delay`` from now, and return as soon as that is durable.

        A send with the idempotency key, or to the workflow key, of an earlier one starts
        nothing; its receipt names the earlier invocation and says so. So this is how a
        workflow is submitted. ``scope`` and ``limit_key`` as for ``call``.
        """
        check_key(target, key)
        body = target.encode_input(*argument)
        return await self._send(
            handler_path(target.service_name, target.handler_name, key, scope=scope, send=True),
            body,
            [
                *_content_type(_accepted(target), body),
                *checked_headers((headers or {}).items()),
                *limit_header(limit_key),
            ],
            idempotency_key,
            delay,
        )

    async def invoke(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Headers = (),
        timeout: Duration | None = None,
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> bytes:
        """``call`` by name, with an encoded input and output.

        A body that is no JSON needs a ``content-type`` among the ``headers``.
        """
        answer = await self._post(
            handler_path(service, handler, key, scope=scope),
            body,
            [*_with_content_type(body, headers), *limit_header(limit_key)],
            idempotency_key,
            timeout,
        )
        return answer.body

    async def submit(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Headers = (),
        scope: str | None = None,
        limit_key: str | None = None,
    ) -> SendReceipt:
        """``send`` by name, with an encoded input. Headers as for ``invoke``."""
        return await self._send(
            handler_path(service, handler, key, scope=scope, send=True),
            body,
            [*_with_content_type(body, headers), *limit_header(limit_key)],
            idempotency_key,
            delay,
        )

    # -- results

    @overload
    async def attach(
        self, target: Target | str, type: type[T], *, timeout: Duration | None = None
    ) -> T: ...
    @overload
    async def attach(
        self, target: Target | str, type: Any = ..., *, timeout: Duration | None = None
    ) -> Any: ...
    async def attach(
        self,
        target: Target | str,
        type: Any = Any,  # noqa: A002
        *,
        timeout: Duration | None = None,
    ) -> Any:
        """Wait for the result of an invocation: an id, ``IdempotentTarget`` or ``WorkflowTarget``.

        The output is decoded as ``type`` (``bytes``: not at all). Raises the
        ``TerminalError`` it ended with; 404 if it is unknown. ``InvocationPausedError`` as
        for ``call``.
        """
        answer = await self._look(target, "attach", timeout)
        with self._output_of(str(target)):
            return serde_for(type).deserialize(answer.body)

    @overload
    async def output(self, target: Target | str, type: type[T]) -> T | NotReady: ...
    @overload
    async def output(self, target: Target | str, type: Any = ...) -> Any: ...
    async def output(self, target: Target | str, type: Any = Any) -> Any:  # noqa: A002
        """The result of an invocation, or ``NOT_READY``, without waiting. Otherwise as ``attach``."""
        answer = await self._look(target, "output", self._timeout)
        if answer.status == NOT_READY_STATUS:
            return NOT_READY

        with self._output_of(str(target)):
            return serde_for(type).deserialize(answer.body)

    # -- events

    async def resolve_awakeable(
        self,
        awakeable_id: str,
        value: object = None,
        *,
        type: Any = Any,  # noqa: A002
    ) -> None:
        """Complete an awakeable with a value, encoded as ``type``. A second time has no effect."""
        await self._resolve(awakeable_path(awakeable_id, "resolve"), value, type)

    async def reject_awakeable(self, awakeable_id: str, message: str) -> None:
        """Complete an awakeable with a failure: its wait raises a ``TerminalError``, code 500."""
        await self._reject(awakeable_path(awakeable_id, "reject"), message)

    async def resolve_signal(
        self,
        invocation_id: str,
        name: str,
        value: object = None,
        *,
        type: Any = Any,  # noqa: A002
    ) -> None:
        """Send an invocation its signal ``name`` with a value, encoded as ``type``.

        At the embedded runtime's ingress only: on a Restate server signals come from other
        handlers (``ctx.invocation(id).resolve_signal``), and this is a ``RefusedError`` 404.
        """
        await self._resolve(signal_path(invocation_id, name, "resolve"), value, type)

    async def reject_signal(self, invocation_id: str, name: str, message: str) -> None:
        """Send an invocation its signal ``name`` as a failure. Otherwise as ``resolve_signal``."""
        await self._reject(signal_path(invocation_id, name, "reject"), message)

    # -- requests

    @contextmanager
    def _output_of(self, what: str) -> Generator[None]:
        """Whose output it is that cannot be decoded in the block."""
        try:
            yield
        except SerializationError as exc:
            raise SerializationError(
                f"the output of {what}, as {self.url} has it, is not what was expected: {exc}. "
                "Name its type, or is this another server, or another version of the handler?"
            ) from exc

    async def _post(
        self,
        path: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        idempotency_key: str | None,
        timeout: Duration | None,
    ) -> Answer:
        return await self._transport.request(
            "POST",
            path,
            body=body,
            headers=[*headers, *idempotency_header(idempotency_key)],
            timeout=timeout,
            safe=idempotency_key is not None,
        )

    async def _send(
        self,
        path: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
        idempotency_key: str | None,
        delay: Duration,
    ) -> SendReceipt:
        seconds = to_seconds(delay, "delay")
        # Whole milliseconds, and never earlier than what was asked for.
        query = f"?delay={-int(-seconds * 1000 // 1)}ms" if seconds else ""
        answer = await self._post(f"{path}{query}", body, headers, idempotency_key, self._timeout)
        return _receipt(answer)

    async def _look(self, target: Target | str, look: Look, timeout: Duration | None) -> Answer:
        named = InvocationTarget(target) if isinstance(target, str) else target
        path, body = look_at(named, look)
        if body is None:
            return await self._transport.request("GET", path, timeout=timeout, safe=True)

        return await self._transport.request(
            "POST",
            path,
            body=_json.write(body),
            headers=[("content-type", "application/json")],
            timeout=timeout,
            safe=True,
        )

    async def _resolve(self, path: str, value: object, type: Any) -> None:  # noqa: A002
        serde = serde_for(type)
        body = serde.serialize(value)
        await self._complete(path, body, _content_type(serde.content_type, body))

    async def _reject(self, path: str, message: str) -> None:
        try:
            body = message.encode()
        except UnicodeEncodeError as exc:
            raise UsageError(
                f"the message {message!r} is no valid Unicode ({exc.reason}): pass one without "
                "lone surrogates"
            ) from exc

        await self._complete(path, body, [("content-type", "text/plain; charset=utf-8")])

    async def _complete(self, path: str, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
        await self._transport.request(
            "POST", path, body=body, headers=headers, timeout=self._timeout, safe=False
        )


def _accepted(target: CallTarget[..., Any]) -> str:
    """What an input is said to be: what the handler takes, where that is one thing."""
    if isinstance(target, Handler) and "*" not in target.accept:
        return target.accept

    return target.input_serde.content_type


def _content_type(content_type: str, body: bytes) -> list[tuple[str, str]]:
    return [("content-type", content_type)] if body else []


def _with_content_type(body: bytes, headers: Headers) -> list[tuple[str, str]]:
    checked = checked_headers(headers)
    if any(name == "content-type" for name, _ in checked):
        return checked

    return [*_content_type("application/json", body), *checked]


def _receipt(answer: Answer) -> SendReceipt:
    fields = answer.fields()
    invocation_id, start = fields.get("invocationId"), fields.get("executionTime")
    try:
        time = None if start is None else datetime.fromisoformat(start).timestamp()
    except (TypeError, ValueError):
        time = None
    if not isinstance(invocation_id, str):
        raise BadAnswerError(
            f"a send was answered without an invocation id: {fields}. Is this the URL of an ingress?"
        )

    return SendReceipt(invocation_id, fields.get("status") == "PreviouslyAccepted", time)
