"""One connection: a socket, its reader and its writer, and the attempts that it carries.

Owns the tasks, and what becomes of an attempt when its stream or its connection ends. What
the bytes mean is said by ``_http2.py`` and ``_http1.py``, which of them by the first bytes.

 1. What the endpoint answers is written by one task, once everything that can run has run:
    one write for all attempts that have something to say.
 2. Whatever a client does ends in a closed connection at most, never in an error here.
 3. An attempt has one task, from when its journal is complete until its last message.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.tls import TLSStream

from durable_trio_restate._http import Answer

from ._http1 import Http1Connection
from ._http2 import PREFACE, Http2Connection
from ._protocol import BodyEnded, BodyReceived, RequestReceived

if TYPE_CHECKING:
    from anyio.abc import ByteStream

    from durable_trio._host import Host, TaskGroup, Tasks
    from durable_trio_restate._endpoint import Endpoint
    from durable_trio_restate._exchange import Exchange

    from ._limits import ServerLimits
    from ._protocol import Event, HttpConnection

_log = logging.getLogger("durable_trio.restate.server")

_CHUNK: Final = 64 * 1024
"""Bytes that are read at a time."""


class Serving:
    """An attempt that a connection carries."""

    __slots__ = ("_connection", "begun", "exchange", "responded", "stream")

    def __init__(self, connection: Connection, stream: int, exchange: Exchange) -> None:
        self._connection = connection
        self.stream = stream
        self.exchange = exchange
        self.begun = False
        """Whether it has a task."""
        self.responded = False
        exchange.set_on_output(self._on_output)

    def _on_output(self) -> None:
        self._connection.has_said(self)


class Connection:
    """See the module's docstring."""

    def __init__(
        self, stream: ByteStream, endpoint: Endpoint, limits: ServerLimits, host: Host, now: float
    ) -> None:
        self._stream = stream
        self._endpoint = endpoint
        self._limits = limits
        self._host = host
        self._now = self._opened = now
        self._http: HttpConnection | None = None
        self._servings: dict[int, Serving] = {}
        self._said: dict[Serving, None] = {}
        """Attempts whose output was not taken yet, in the order in which they spoke."""
        self._output = anyio.Event()
        self._written = anyio.Event()
        self._said_all = anyio.Event()
        """All that will be said was sent."""
        self._sending_since: float | None = None
        self._closed_at: float | None = None
        self._group: TaskGroup
        self._attempts: Tasks
        self._scope = host.new_scope()

    async def serve(self) -> None:
        """Return when the connection has ended; its attempts have then, too."""
        try:
            with self._scope:
                async with self._host.open_group() as group, self._host.open_tasks() as attempts:
                    self._group, self._attempts = group, attempts
                    await self._read()
                    self._scope.cancel()
        finally:
            for serving in tuple(self._servings.values()):
                serving.exchange.close()
            await anyio.aclose_forcefully(self._stream)

    def drain(self, patience: float) -> None:
        """Close when all requests have been answered, see ``HttpConnection.drain``."""
        if self._http is None:
            self.cut()
        else:
            self._http.drain(patience)
            self._output.set()

    def cut(self) -> None:
        """Close it now, whatever goes on."""
        self._scope.cancel()

    def tick(self, now: float) -> None:
        """Time has passed: see to what takes too long."""
        self._now = now
        limits = self._limits
        if self._http is None:
            if now - self._opened >= limits.handshake_timeout:
                self.cut()
            return

        if self._sending_since is not None and now - self._sending_since >= limits.send_timeout:
            self.cut()
        elif self._closed_at is not None:
            if now - self._closed_at >= limits.linger_timeout:
                self.cut()
        else:
            self._handle(self._http, self._http.tick(now))

    @property
    def idle_since(self) -> float | None:
        """Since when there has been no request; None while there is one."""
        return self._opened if self._http is None else self._http.idle_since

    def has_said(self, serving: Serving) -> None:
        """This attempt has output."""
        self._said[serving] = None
        self._output.set()

    # -- reading

    async def _read(self) -> None:
        data = await self._receive()
        ended = data is None
        while data is not None and len(data) < len(PREFACE) and PREFACE.startswith(data):
            more = await self._receive()
            if more is None:
                ended = True
                break

            data += more
        if data is None:
            return

        kind = Http2Connection if data.startswith(PREFACE) else Http1Connection
        http = self._http = kind(self._limits, self._now)
        self._group.start_soon(self._write, http)
        while data is not None:
            self._handle(http, http.receive(data))
            while http.congested and not http.closed:
                # Until the writer has sent something: it has what to send.
                await self._written.wait()
            data = None if ended else await self._receive()
        self._handle(http, http.receive_eof())
        # There may be a last word, for a client that only ceased to send.
        await self._said_all.wait()

    async def _receive(self) -> bytes | None:
        """What the client sent; None if nothing more comes, or is wanted."""
        try:
            data = await self._stream.receive(_CHUNK)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None

        # It may have arrived with the cut. An attempt that began now would execute bodies up to
        # their first checkpoint, and their results would be lost.
        return None if self._scope.cancel_called else data

    def _handle(self, http: HttpConnection, events: list[Event]) -> None:
        while True:
            for event in events:
                try:
                    self._take(http, event)
                except Exception:
                    _log.exception("a request broke; its stream is reset")
                    http.reset(event.stream)
                    self._forget(event.stream)
            # Also if nothing has happened: what came may be the rest of a request that was answered
            # before, and the next one behind it.
            events = http.resume()
            if not events:
                break

        if http.has_output or http.closed:
            self._output.set()

    def _take(self, http: HttpConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._begin(http, event)
            return

        serving = self._servings.get(event.stream)
        if serving is None:
            return

        if isinstance(event, BodyReceived):
            serving.exchange.receive(event.data)
            http.credit(event.stream, event.size)
            self._advance(http, serving)
        elif isinstance(event, BodyEnded):
            serving.exchange.receive_eof()
            self._advance(http, serving)
        else:
            self._forget(event.stream)

    def _begin(self, http: HttpConnection, event: RequestReceived) -> None:
        answer = self._endpoint.respond(event.head)
        if isinstance(answer, Answer):
            http.respond(event.stream, answer.status, answer.headers)
            http.write(event.stream, answer.body)
            http.finish(event.stream)
        else:
            self._servings[event.stream] = Serving(self, event.stream, answer)
            http.accept(event.stream)

    def _advance(self, http: HttpConnection, serving: Serving) -> None:
        """Start the attempt if its journal is complete."""
        if not serving.begun and serving.exchange.ready:
            http.begin(serving.stream)
            serving.begun = True
            self._attempts.start_soon(self._run, http, serving)

    # -- attempts

    async def _run(self, http: HttpConnection, serving: Serving) -> None:
        try:
            await serving.exchange.run()
        except Exception:
            _log.exception("an attempt broke; its stream is reset")
            http.reset(serving.stream)
            self._forget(serving.stream)
            self._output.set()

    def _forget(self, stream: int) -> None:
        """Nobody takes what the attempt of this stream says any more."""
        serving = self._servings.get(stream)
        if serving is not None:
            self._end(serving)

    def _end(self, serving: Serving) -> None:
        del self._servings[serving.stream]
        self._said.pop(serving, None)
        serving.exchange.close()

    # -- writing

    async def _write(self, http: HttpConnection) -> None:
        try:
            while True:
                self._collect(http)
                data = http.take_output()
                if data:
                    self._sending_since = self._now
                    await self._stream.send(data)
                    self._sending_since = None
                    self._written.set()
                    self._written = anyio.Event()
                elif http.closed:
                    break
                else:
                    self._output = anyio.Event()
                    await self._output.wait()
            self._closed_at = self._now
            await self._end_sending()
            self._said_all.set()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            self.cut()

    def _collect(self, http: HttpConnection) -> None:
        """Hand what the attempts have said to their streams."""
        while self._said:
            said, self._said = self._said, {}
            for serving in said:
                exchange = serving.exchange
                if not serving.responded:
                    serving.responded = True
                    http.respond(
                        serving.stream,
                        200,
                        [(b"content-type", exchange.content_type), *self._endpoint.headers],
                    )
                output = exchange.take_output()
                if output:
                    http.write(serving.stream, output)
                if exchange.over:
                    http.finish(serving.stream)
                    self._end(serving)
            self._handle(http, http.resume())

    async def _end_sending(self) -> None:
        """Say so; the client is read on until it has seen everything, or for a moment."""
        stream = self._stream
        await (stream.transport_stream if isinstance(stream, TLSStream) else stream).send_eof()
