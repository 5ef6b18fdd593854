"""HTTP/1.1, without I/O: messages (by h11), and what a client may not do.

Owns one connection's requests, of which there is one at a time. ``_protocol.py`` says what
the application is told and may do.

 1. A request that comes before the last one's response has ended waits for it.
 2. A response may end before its request: what still comes is dropped, within limits.
 3. A client that breaks the protocol is told so once, and then the connection is closed.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import h11

from durable_trio_restate._http import TEXT, RequestHead

from ._output import OutputBuffer
from ._protocol import BodyEnded, BodyReceived, RequestReceived, StreamLost

if TYPE_CHECKING:
    from durable_trio_restate._http import RawHeaders

    from ._limits import ServerLimits
    from ._protocol import Event

_log = logging.getLogger("durable_trio.restate.server")

_VERSIONS: Final = frozenset({b"1.0", b"1.1"})
_LEFT_OVER: Final = 1024 * 1024
"""Bytes of a request that was answered early, that are read so that the connection can go on."""
_AHEAD: Final = 64 * 1024
"""Bytes that a client may send before it is its turn."""
_PIECE: Final = 256 * 1024
"""Bytes of output at a time, about."""


class Http1Connection:
    """See the module's docstring."""

    def __init__(self, limits: ServerLimits, now: float) -> None:
        self._limits = limits
        self._now = now
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_header_size)
        self._stream = 0
        """The number of the last request."""
        self._method = b""
        self._taking = False
        """Whether somebody takes its body."""
        self._answering = False
        """Whether its response is not complete."""
        self._received = 0
        self._waiting_since: float | None = None
        """Since when the client has to send more of a head or of a body."""
        self._idle_since: float | None = now
        self._output = OutputBuffer()
        self._draining = False
        self._closed = False

    # -- the client

    def receive(self, data: bytes) -> list[Event]:
        if self._closed:
            return []

        self._h11.receive_data(data)
        if self._answering and len(self._h11.trailing_data[0]) > _AHEAD:
            _log.debug("a client sent too much before it was its turn")
            return self._end_all()

        if self._waiting_since is None and not self._answering:
            # The first bytes of a request.
            self._waiting_since = self._now
            self._idle_since = None
        elif self._taking and self._waiting_since is not None:
            self._waiting_since = self._now
        return self._advance()

    def receive_eof(self) -> list[Event]:
        events: list[Event] = []
        if not self._closed and self._h11.their_state in {h11.IDLE, h11.SEND_BODY}:
            # Bytes that do not make a request are told so, as those that cannot.
            self._h11.receive_data(b"")
            events = self._advance()
        return events + self._end_all()

    def resume(self) -> list[Event]:
        done = self._h11.our_state is self._h11.their_state is h11.DONE
        if self._closed or not done:
            return []

        self._h11.start_next_cycle()
        self._waiting_since, self._idle_since = None, self._now
        if self._h11.trailing_data[0]:
            self._waiting_since, self._idle_since = self._now, None
        return self._advance()

    def tick(self, now: float) -> list[Event]:
        self._now = now
        limits = self._limits
        since, idle = self._waiting_since, self._idle_since
        if self._closed:
            return []

        if idle is not None:
            return self._end_all() if now - idle >= limits.idle_timeout else []

        if since is None:
            return []

        waited = now - since
        if self._h11.our_state is h11.DONE:
            return self._end_all() if waited >= limits.linger_timeout else []

        if self._h11.their_state is h11.IDLE:
            return self._refuse(408, "too slow") if waited >= limits.handshake_timeout else []

        return self._refuse(408, "too slow") if waited >= limits.body_timeout else []

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        while not self._closed:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                _log.debug("a client broke HTTP/1.1: %s", error)
                # Beyond a colon h11 quotes the client.
                reason = str(error).partition(":")[0]
                events += self._refuse(error.error_status_hint, reason)
                break

            if event is h11.NEED_DATA or event is h11.PAUSED:
                break

            self._take(event, events)
        return events

    def _take(self, event: object, events: list[Event]) -> None:
        if isinstance(event, h11.Request):
            self._method = event.method
            if event.http_version not in _VERSIONS:
                events += self._refuse(505, "HTTP/1.1 and HTTP/2 are spoken here")
                return

            self._stream += 1
            self._taking, self._answering, self._received = False, True, 0
            self._waiting_since, self._idle_since = self._now, None
            events.append(RequestReceived(self._stream, _head(event)))
        elif isinstance(event, h11.Data):
            self._data(bytes(event.data), events)
        elif isinstance(event, h11.EndOfMessage):
            self._waiting_since = None
            if self._answering:
                events.append(BodyEnded(self._stream))
        else:
            assert isinstance(event, h11.ConnectionClosed)
            events += self._end_all()

    def _data(self, data: bytes, events: list[Event]) -> None:
        self._received += len(data)
        if self._received > self._limits.max_body_size:
            _log.warning("a request's body is larger than %d bytes", self._limits.max_body_size)
            events += self._refuse(413, "the body is too large")
        elif self._answering:
            events.append(BodyReceived(self._stream, data, len(data)))
        elif self._received > _LEFT_OVER:
            self._closed = True

    # -- the application

    def accept(self, stream: int) -> None:
        if stream != self._stream or self._closed:
            return

        self._taking = True
        if self._h11.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))

    def credit(self, stream: int, size: int) -> None:
        pass

    def begin(self, stream: int) -> None:
        if stream == self._stream:
            self._waiting_since = None

    def respond(self, stream: int, status: int, headers: RawHeaders) -> None:
        if stream != self._stream or not self._answering:
            return

        extra = [(b"connection", b"close")] if self._draining else []
        self._start(status, [*headers, *extra])

    def write(self, stream: int, data: bytes) -> None:
        if stream == self._stream and self._answering and data and self._method != b"HEAD":
            self._send(h11.Data(data=data))

    def finish(self, stream: int) -> None:
        if stream != self._stream or not self._answering:
            return

        self._send(h11.EndOfMessage())
        self._answering = False
        if self._h11.our_state in {h11.MUST_CLOSE, h11.CLOSED}:
            self._closed = True
        elif self._h11.their_state is h11.SEND_BODY:
            self._waiting_since = self._now

    def reset(self, stream: int) -> None:
        if stream == self._stream and self._answering:
            self._end_all()

    def drain(self, patience: float) -> None:  # noqa: ARG002  # one request at a time
        self._draining = True
        if self._idle_since is not None:
            self._closed = True

    # -- the socket

    def take_output(self) -> bytes:
        return self._output.take(_PIECE)

    @property
    def has_output(self) -> bool:
        return self._output.size > 0

    @property
    def congested(self) -> bool:
        return False

    @property
    def idle_since(self) -> float | None:
        return self._idle_since

    @property
    def closed(self) -> bool:
        return self._closed

    def _start(self, status: int, headers: RawHeaders) -> None:
        reason = HTTPStatus(status).phrase.encode()
        self._send(h11.Response(status_code=status, headers=list(headers), reason=reason))

    def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        if data:
            self._output.write(data)

    # -- the end

    def _refuse(self, status: int, reason: str) -> list[Event]:
        """Close, after an answer if none was begun."""
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = reason.encode()
            headers = [
                (b"content-type", TEXT.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            self._start(status, headers)
            if self._method != b"HEAD":
                self._send(h11.Data(data=body))
            self._send(h11.EndOfMessage())
        return self._end_all()

    def _end_all(self) -> list[Event]:
        self._closed = True
        lost: list[Event] = [StreamLost(self._stream)] if self._answering else []
        self._answering = False
        return lost


def _head(request: h11.Request) -> RequestHead:
    target = request.target.decode("latin-1")
    if not target.startswith("/"):
        # The absolute form, as a proxy gets it: http://host/path.
        _scheme, _separator, rest = target.partition("://")
        target = "/" + rest.partition("/")[2]
    path = target.partition("?")[0]
    version = request.http_version.decode("latin-1")
    method = request.method.decode("latin-1")
    return RequestHead(
        method, unquote(path) if "%" in path else path, version, list(request.headers)
    )
