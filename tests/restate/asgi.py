"""An ASGI server in a few lines: one request at a time, both directions open.

Owns the web server's side of a request. Bytes go in and come out as the test says.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from durable_trio_restate._frames import FrameBuffer, encode_frame

from .peer import read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from durable_trio_restate import Endpoint
    from durable_trio_restate._asgi import Message, Scope


@attrs.define(eq=False)
class Request:
    """A request under way. ``write``, ``end`` and ``disconnect`` are the client's side."""

    scope: Scope
    status: int | None = None
    headers: dict[str, str] = attrs.field(factory=dict[str, str])
    body: bytes = b""
    ended: bool = False
    """Whether the response has ended."""
    writes: int = 0
    """How many pieces of body were sent."""
    on_send: Any = None
    _incoming: deque[dict[str, Any]] = attrs.field(factory=deque[Any])
    _changed: anyio.Event = attrs.field(factory=anyio.Event)
    _read: int = 0

    def write(self, data: bytes) -> None:
        """Send a piece of body."""
        self._arrive({"type": "http.request", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        """Send the last piece of body."""
        self._arrive({"type": "http.request", "body": data, "more_body": False})

    def disconnect(self) -> None:
        """Go away."""
        self._arrive({"type": "http.disconnect"})

    async def receive(self) -> Message:
        while not self._incoming:
            await self._changed.wait()
        return self._incoming.popleft()

    async def send(self, message: Message) -> None:
        if self.on_send is not None:
            await self.on_send()
        if message["type"] == "http.response.start":
            assert self.status is None
            self.status = message["status"]
            self.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            assert self.status is not None
            assert not self.ended
            self.body += message["body"]
            self.writes += bool(message["body"])
            self.ended = not message.get("more_body", False)
        self._wake()

    async def messages(self, count: int, version: int = 6) -> list[Any]:
        """The next messages of the endpoint's, as many as that."""
        while True:
            buffer, whole, size = FrameBuffer(), 0, 0
            buffer.feed(self.body[self._read :])
            while whole < count and (frame := buffer.next()) is not None:
                whole, size = whole + 1, size + len(encode_frame(frame.type, frame.payload))
            if whole == count:
                start, self._read = self._read, self._read + size
                return read(self.body[start : self._read], version)

            await self._changed.wait()

    async def until_ended(self) -> None:
        """Return when the response has ended."""
        while not self.ended:
            await self._changed.wait()

    def _arrive(self, message: dict[str, Any]) -> None:
        self._incoming.append(message)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def request_of(
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    http_version: str = "2",
) -> Request:
    """A request that was not sent yet."""
    return Request(
        {
            "type": "http",
            "http_version": http_version,
            "method": method,
            "path": path,
            "root_path": "",
            "headers": [(key.encode(), value.encode()) for key, value in headers],
        }
    )


async def respond(app: Endpoint, request: Request) -> Request:
    """Send a request without a body and wait for the whole response."""
    request.end()
    with anyio.fail_after(10):
        await app(request.scope, request.receive, request.send)
    assert request.ended
    return request


@asynccontextmanager
async def invoked(
    app: Endpoint, target: str, *, version: int = 6, request: Request | None = None
) -> AsyncGenerator[Request]:
    """An invocation's stream; the application has returned when the block is left."""
    media = f"application/vnd.restate.invocation.v{version}"
    request = request or request_of("POST", f"/invoke/{target}", [("content-type", media)])
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(app, request.scope, request.receive, request.send)
            yield request
