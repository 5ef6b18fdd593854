"""One connection: HTTP/1.1 between a socket and the application.

Owns framing (by h11), timeouts towards the client, keep-alive and the way a connection
ends. What is asked and answered is the application's.

 1. One request at a time, answered in order; what a client sends ahead waits.
 2. Whatever a client does ends in an answer, a timeout or a closed connection; it never
    ends the ingress.
 3. A refusal is sent before the connection is closed, and the client is read on for a
    moment, so that the answer is not lost with a reset.
"""

from __future__ import annotations

import logging
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

import anyio
import h11
from anyio.abc import SocketAttribute

from ._inbound import CHUNK, Inbound
from ._messages import Request, Response, refusal
from ._origins import is_loopback

if TYPE_CHECKING:
    from anyio.abc import SocketStream

    from ._application import Application
    from ._limits import Limits
    from ._origins import Origins

_log = logging.getLogger("durable_trio.local.http")

_VERSIONS: Final = frozenset({b"1.0", b"1.1"})
_LEFT_OVER: Final = 256 * 1024
"""Bytes of a refused body that are read so that the connection can be used on."""


class _Gone(Exception):  # never leaves this module
    """The client is not there any more, or not worth waiting for."""


class _Refused(Exception):  # never leaves this module
    """The request cannot be read; the answer says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = refusal(status, message)


class Connection:
    """See the module's docstring."""

    __slots__ = (
        "_application",
        "_closing",
        "_http",
        "_inbound",
        "_limits",
        "_origins",
        "_scope",
        "_stream",
        "_waiting",
        "idle_since",
    )

    def __init__(
        self, stream: SocketStream, application: Application, origins: Origins, limits: Limits
    ) -> None:
        self._stream = stream
        self._application = application
        self._origins = origins
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_head_size)
        self._inbound = Inbound(stream, self._ended)
        self._waiting: anyio.CancelScope | None = None
        self._scope = anyio.CancelScope(shield=True)
        self._closing = False
        self.idle_since: float | None = time.monotonic()
        """Since when it waits for a request; None while there is one."""

    async def serve(self) -> None:
        """Answer requests until the connection ends, or is cut.

        Shielded: when the runtime fails, its block is cancelled, and clients are still told.
        """
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._inbound.run)
                    try:
                        while await self._exchange():
                            pass
                    except _Gone:
                        pass
                    tasks.cancel_scope.cancel()
        finally:
            await anyio.aclose_forcefully(self._stream)

    def close_if_idle(self) -> None:
        """Close it now if it waits for a request, after the present one otherwise."""
        self._closing = True
        if self.idle_since is not None:
            self.cut()

    def cut(self) -> None:
        """Close it now, whatever goes on."""
        self._scope.cancel()

    # -- one request

    async def _exchange(self) -> bool:
        """Answer one request. False: the connection is to be closed."""
        try:
            request = await self._head()
            if request is None:
                return False

            response = await self._response(request)
        except _Refused as refused:
            return await self._send(None, refused.response, close=True)

        return await self._send(request, response, close=False)

    async def _response(self, request: Request) -> Response:
        origins = self._origins
        refused = origins.refuse(request) or origins.preflight(request)
        if refused is not None:
            return origins.finish(request, refused)

        operation = self._application.route(request, local=self._is_local())
        if isinstance(operation, Response):
            return origins.finish(request, operation)

        body = await self._body(request)
        with anyio.CancelScope() as scope:
            self._waiting = scope
            if self._inbound.ended:
                self._leave()
            try:
                response = await self._application.answer(request, operation, body)
            finally:
                self._waiting = None
            return origins.finish(request, response)

        raise _Gone

    async def _head(self) -> Request | None:
        """The head of the next request; None if there is none."""
        limits = self._limits
        if self._http.trailing_data[0] or not self._inbound.empty:
            self.idle_since = None
        elif not await self._first_bytes():
            return None

        with anyio.move_on_after(limits.head_timeout):
            event = await self._next_event()
            if not isinstance(event, h11.Request):
                return None

            if event.http_version not in _VERSIONS:
                version = event.http_version.decode("ascii")
                raise _Refused(505, f"HTTP/{version} is not spoken here: use HTTP/1.1")

            return _request(event)

        raise _Refused(408, f"the headers took longer than {limits.head_timeout:g} s")

    async def _first_bytes(self) -> bool:
        """Wait for a request to begin."""
        self.idle_since = time.monotonic()
        with anyio.move_on_after(self._limits.idle_timeout):
            data = await self._inbound.receive()
            self.idle_since = None
            self._http.receive_data(data)
            return True

        return False

    async def _body(self, request: Request) -> bytes:
        limits = self._limits
        announced = request.header("content-length")
        if announced is not None and int(announced) > limits.max_body_size:
            raise self._too_large()

        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            await self._write(self._http.send(go_on) or b"")
        chunks: list[bytes] = []
        size, began = 0, anyio.current_time()
        while True:
            deadline = began + limits.body_timeout + size / limits.min_body_rate
            with anyio.CancelScope(
                deadline=min(deadline, anyio.current_time() + limits.body_timeout)
            ):
                event = await self._next_event()
                if isinstance(event, h11.EndOfMessage):
                    return b"".join(chunks)

                if not isinstance(event, h11.Data):
                    raise _Gone

                chunks.append(bytes(event.data))
                size += len(event.data)
                if size > limits.max_body_size:
                    raise self._too_large()

                continue

            raise _Refused(408, "the body takes too long")

    def _too_large(self) -> _Refused:
        return _Refused(413, f"the body is larger than {self._limits.max_body_size} bytes")

    async def _next_event(self) -> h11.Event | None:
        """What the client sent next; None: nothing of this request any more."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise _Refused(error.error_status_hint, f"bad request: {error}") from error

            if isinstance(event, h11.Event):
                return event

            if event is h11.PAUSED:
                return None

            self._http.receive_data(await self._inbound.receive())

    # -- the answer

    async def _send(self, request: Request | None, response: Response, *, close: bool) -> bool:
        """Send an answer. False: the connection is to be closed."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return False

        close = close or self._closing
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-length", str(len(response.body))),
            *response.headers,
        ]
        if response.status == 204:
            del headers[1]
        if close:
            headers.append(("connection", "close"))
        head = h11.Response(
            status_code=response.status, headers=headers, reason=response.reason.encode()
        )
        if request is not None:
            _log.debug("%s %s: %d", request.method, request.path, response.status)
        data = self._http.send(head) or b""
        if request is None or request.method != "HEAD":
            data += self._http.send(h11.Data(data=response.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)
        if not await self._finish_reading(closing=close or self._closing):
            return False

        self._http.start_next_cycle()
        return True

    async def _finish_reading(self, *, closing: bool) -> bool:
        """Read what the client still sends of its request, within reason. True: go on."""
        http, left = self._http, _LEFT_OVER
        with anyio.move_on_after(self._limits.linger_timeout):
            try:
                while http.their_state is h11.SEND_BODY and left > 0:
                    event = await self._next_event()
                    if isinstance(event, h11.Data):
                        left -= len(event.data)
            except _Refused:
                pass
            if not closing and http.our_state is http.their_state is h11.DONE:
                return True

            # The client may not have seen the answer yet: closing now could reset it away.
            await self._end_sending()
            while await self._inbound.receive():
                pass
        return False

    async def _end_sending(self) -> None:
        try:
            await self._stream.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise _Gone from error

    async def _write(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), CHUNK):
                with anyio.fail_after(self._limits.send_timeout):
                    await self._stream.send(data[start : start + CHUNK])
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError) as error:
            raise _Gone from error

    # -- the client

    def _is_local(self) -> bool:
        address = self._stream.extra(SocketAttribute.remote_address, None)  # noqa: S610  # no Django
        return address is None or isinstance(address, str) or is_loopback(str(address[0]))

    def _ended(self) -> None:
        if self._waiting is not None:
            self._leave()

    def _leave(self) -> None:
        """The client sends no more: give up the request, at once or after a while."""
        scope = self._waiting
        assert scope is not None
        if self._inbound.broken:
            scope.cancel()
        else:
            scope.deadline = anyio.current_time() + self._limits.half_closed_timeout


def _request(event: h11.Request) -> Request:
    target = event.target.decode("ascii")
    if not target.startswith("/"):
        # The absolute form, as a proxy gets it: http://host/path.
        _scheme, _separator, rest = target.partition("://")
        target = "/" + rest.partition("/")[2]
    path, _mark, query = target.partition("?")
    headers = tuple(
        (name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers
    )
    return Request(event.method.decode("ascii"), path, query, headers)
