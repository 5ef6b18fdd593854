"""One request of the server's: an attempt, run while bytes move in both directions.

Owns the tasks of one attempt (the handler's, a reader, a writer) and the order in which
its stream is closed. What the bytes mean is the connection's business.

 1. The request is read all the time until it ends: a web server that cannot hand over its
    bytes stops reading for all the streams of that connection.
 2. The response is closed after the request, and no later than ``_LEAVE`` seconds after the
    attempt has ended: closing it first would have the web server reset the stream.
 3. When the other side is gone, the attempt is torn down; the server makes another one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import anyio

from durable_trio._attempt import Attempt
from durable_trio.abc import AttemptFailed

from ._connection import Connection
from ._versions import protocol_type

if TYPE_CHECKING:
    from durable_trio._handler import AnyHandler
    from durable_trio._options import ServiceOptions
    from durable_trio.abc import Clock, Headers

    from ._asgi import Receive, Send

_log = logging.getLogger("durable_trio.restate")

_LEAVE: Final = 5.0
"""Seconds; as long as the server waits for the end of the stream."""


class Exchange:
    """See the module's docstring. Runs once."""

    def __init__(
        self,
        handler: AnyHandler,
        options: ServiceOptions,
        clock: Clock,
        *,
        version: int,
        headers: Headers,
        max_message_size: int,
        receive: Receive,
        send: Send,
    ) -> None:
        self._handler = handler
        self._options = options
        self._clock = clock
        self._version = version
        self._receive = receive
        self._send = send
        self._drained = False
        self._attempt: Attempt | None = None
        self._input_ended = anyio.Event()
        self._output = anyio.Event()
        self._connection = Connection(
            version,
            handler.service_name,
            handler.name,
            headers=headers,
            on_mismatch=options.on_journal_mismatch,
            max_message_size=max_message_size,
            on_output=self._on_output,
        )

    def drain(self) -> None:
        """Suspend as soon as no run body executes."""
        self._drained = True
        if self._attempt is not None:
            self._attempt.close_input()

    async def run(self, response_headers: list[tuple[bytes, bytes]]) -> None:
        """Answer the request. Raises nothing but what the host raises."""
        connection = self._connection
        if not await self._buffer():
            return

        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", protocol_type(self._version).encode()),
                    *response_headers,
                ],
            }
        )
        async with anyio.create_task_group() as group:
            group.start_soon(self._read, group.cancel_scope)
            written = anyio.Event()
            group.start_soon(self._write, written)
            if connection.start is not None:
                attempt = self._attempt = Attempt(
                    connection.start, self._handler, connection, self._clock, self._options
                )
                connection.attach(attempt)
                if self._drained:
                    attempt.close_input()
                end = await attempt.run()
                if isinstance(end, AttemptFailed):
                    _log.warning(
                        "%s/%s of %s failed and is to be retried",
                        self._handler.service_name,
                        self._handler.name,
                        connection.start.invocation_id,
                        exc_info=end.error,
                    )
                connection.finish(end)
            await written.wait()
            with anyio.move_on_after(_LEAVE):
                await self._input_ended.wait()
            await self._body(b"", more=False)
            group.cancel_scope.cancel()

    async def _buffer(self) -> bool:
        """Read until the attempt can start or has failed; False if the other side is gone."""
        while self._connection.start is None and not self._connection.closed:
            if not await self._read_once():
                return False

        return True

    async def _read_once(self) -> bool:
        message: Any = await self._receive()
        if message["type"] != "http.request":
            return False

        body = message.get("body", b"")
        if body:
            self._connection.receive(body)
        if not message.get("more_body", False):
            self._connection.receive_eof()
            self._input_ended.set()
        return True

    async def _read(self, scope: anyio.CancelScope) -> None:
        while await self._read_once():
            pass

        scope.cancel()

    async def _write(self, written: anyio.Event) -> None:
        connection = self._connection
        while True:
            output = connection.take_output()
            if output:
                await self._body(output, more=True)
            elif connection.closed:
                break
            else:
                self._output = anyio.Event()
                await self._output.wait()
        written.set()

    async def _body(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def _on_output(self) -> None:
        self._output.set()
