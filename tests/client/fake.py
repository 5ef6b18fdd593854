"""A server that answers as a test says: it reads requests with h11, and writes any bytes.

Owns one listener on loopback. Each request takes the next of the answers.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import anyio
import attrs
import h11
from anyio.abc import SocketAttribute

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import SocketStream

    Answer: TypeAlias = bytes | Callable[[SocketStream], Awaitable[None]]


@attrs.frozen
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@attrs.define
class FakeServer:
    """What was asked, and where."""

    url: str = ""
    seen: list[Seen] = attrs.field(factory=list[Seen])
    connections: int = 0
    result: str = ""
    """For whoever keeps it: what came of asking."""
    closed: anyio.Event = attrs.field(factory=anyio.Event)
    """A connection has ended."""


class Whole(bytes):
    """An answer after which the connection can go on."""


def answer(status: int, body: bytes = b"", *headers: str) -> Whole:
    """An answer that is well-formed."""
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", *headers]
    return Whole("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


@asynccontextmanager
async def answering(*answers: Answer) -> AsyncGenerator[FakeServer]:
    """A server that gives these answers, one a request; after the last it closes."""
    fake, rest = FakeServer(), list(answers)
    problem: Exception | None = None

    async def serve(stream: SocketStream) -> None:
        async with stream:
            fake.connections += 1
            connection = h11.Connection(h11.SERVER)
            try:
                while (request := await _request(connection, stream)) is not None:
                    fake.seen.append(request)
                    if not rest:
                        break

                    given = rest.pop(0)
                    if callable(given):
                        await given(stream)
                        break

                    await stream.send(given)
                    if not isinstance(given, Whole):
                        break

                    connection.send(
                        h11.Response(status_code=200, headers=[("content-length", "0")])
                    )
                    connection.send(h11.EndOfMessage())
                    connection.start_next_cycle()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            finally:
                fake.closed.set()

    with anyio.fail_after(30):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            port = listener.extra(SocketAttribute.local_port)
            fake.url = f"http://127.0.0.1:{port}"
            group.start_soon(listener.serve, serve)
            try:
                yield fake
            except Exception as exc:  # to leave as it came, in no group
                problem = exc
            group.cancel_scope.cancel()
    if problem is not None:
        raise problem


async def _request(connection: h11.Connection, stream: SocketStream) -> Seen | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.receive())
            except anyio.EndOfStream:
                return None
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Seen(
                head.method.decode(),
                head.target.decode(),
                {name.decode(): value.decode() for name, value in head.headers},
                body,
            )
        else:
            return None
