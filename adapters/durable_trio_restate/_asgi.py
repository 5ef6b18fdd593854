"""ASGI as it is used here: its types, whole answers, and attempts.

Owns moving bytes between an ASGI server and an exchange, and the order in which a stream is
closed.

 1. The request is read all the time until it ends: a web server that cannot hand over its
    bytes stops reading for all the streams of that connection.
 2. The response is closed after the request, and no later than ``_LEAVE`` seconds after all of
    it was sent: closing it first would have the web server reset the stream.
 3. When the other side is gone, the attempt is torn down. Web servers may say so by an
    ``OSError`` of ``send``, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio

if TYPE_CHECKING:
    from ._exchange import Exchange
    from ._http import Answer, RawHeaders

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_LEAVE: Final = 5.0
"""Seconds; as long as the server waits for the end of the stream."""


async def send_answer(answer: Answer, receive: Receive, send: Send) -> None:
    """A whole response, and the request's body, which is read and dropped.

    A Restate server that streams waits for the one before it ends the other: for a whole minute.
    """
    with suppress(OSError):
        await _start(send, answer.status, answer.headers)
        await _body(send, answer.body, more=True)
        with anyio.move_on_after(_LEAVE):
            while (message := await receive()).get("more_body", False):
                pass
            if message["type"] != "http.request":
                return

        await _body(send, b"", more=False)


async def serve_exchange(
    exchange: Exchange, headers: RawHeaders, receive: Receive, send: Send
) -> None:
    """Run an attempt while bytes move in both directions, until its stream is closed."""
    await _Stream(exchange, receive, send).serve(headers)


class _Stream:
    """One exchange over ASGI."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send_on = send
        self._gone = anyio.CancelScope()
        self._input_ended = anyio.Event()
        self._output = anyio.Event()
        exchange.set_on_output(self._on_output)

    async def serve(self, headers: RawHeaders) -> None:
        exchange = self._exchange
        while not (exchange.ready or exchange.over):
            if not await self._read_once():
                return

        with self._gone:
            await _start(self._send, 200, [(b"content-type", exchange.content_type), *headers])
            await self._run()

    async def _run(self) -> None:
        exchange = self._exchange
        async with anyio.create_task_group() as group:
            group.start_soon(self._read)
            written = anyio.Event()
            group.start_soon(self._write, written)
            if exchange.ready:
                await exchange.run()
            await written.wait()
            with anyio.move_on_after(_LEAVE):
                await self._input_ended.wait()
            await _body(self._send, b"", more=False)
            group.cancel_scope.cancel()

    async def _send(self, message: Message) -> None:
        try:
            await self._send_on(message)
        except OSError:
            self._gone.cancel()

    async def _read_once(self) -> bool:
        message: Any = await self._receive()
        if message["type"] != "http.request":
            return False

        body = message.get("body", b"")
        if body:
            self._exchange.receive(body)
        if not message.get("more_body", False):
            self._exchange.receive_eof()
            self._input_ended.set()
        return True

    async def _read(self) -> None:
        while await self._read_once():
            pass

        self._gone.cancel()

    async def _write(self, written: anyio.Event) -> None:
        exchange = self._exchange
        while True:
            output = exchange.take_output()
            if output:
                await _body(self._send, output, more=True)
            elif exchange.over:
                break
            else:
                self._output = anyio.Event()
                await self._output.wait()
        written.set()

    def _on_output(self) -> None:
        self._output.set()


async def _start(send: Send, status: int, headers: RawHeaders) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _body(send: Send, data: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})
