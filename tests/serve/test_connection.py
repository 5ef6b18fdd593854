"""A connection's tasks, on a stream that the test holds in its hands."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from durable_trio._host import current_host
from durable_trio.abc import Input, Output, Value
from durable_trio_restate import ServerLimits, endpoint
from durable_trio_restate._messages import EndMessage
from durable_trio_restate._server._connection import Connection
from durable_trio_restate._server._server import Server

from .served import greeter, read, start_of

if TYPE_CHECKING:
    from durable_trio_restate import Endpoint

MEDIA = ("content-type", "application/vnd.restate.invocation.v6")


@attrs.define(eq=False)
class FakeStream:
    """A socket's two ends. ``writes`` are what the server sent, one by one."""

    writes: list[bytes] = attrs.field(factory=list[bytes])
    ended: bool = False
    closed: bool = False
    stuck: bool = False
    """Whether a write never returns."""
    open: bool = False
    """Whether the client goes on after the server has ended."""
    gone: bool = False
    """Whether the client is not there any more, which is not known yet."""
    _incoming: list[bytes] = attrs.field(factory=list[bytes])
    _changed: anyio.Event = attrs.field(factory=anyio.Event)

    def arrive(self, data: bytes) -> None:
        """Bytes from the client; none at its end."""
        self._incoming.append(data)
        self._changed.set()

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        assert max_bytes >= 65_536
        while not self._incoming:
            self._changed = anyio.Event()
            await self._changed.wait()
        data = self._incoming.pop(0)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if self.stuck:
            await anyio.sleep_forever()
        self.writes.append(item)

    async def send_eof(self) -> None:
        self.ended = True
        if self.gone:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

        if not self.open:
            self.arrive(b"")

    async def aclose(self) -> None:
        self.closed = True
        await anyio.lowlevel.checkpoint()


def client() -> H2Connection:
    """A client that has not been heard of yet."""
    made = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    made.initiate_connection()
    return made


def invoke(connection: H2Connection, handler: str, body: bytes) -> int:
    """Have a client ask for an attempt."""
    stream = connection.get_next_available_stream_id()
    pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "me")]
    path = (":path", f"/invoke/Greeter/{handler}")
    connection.send_headers(stream, [*pseudo, path, MEDIA])
    connection.send_data(stream, body)
    return stream


def connection_on(stream: Any, app: Endpoint | None = None) -> Connection:
    """A connection that does not run yet."""
    return Connection(stream, app or endpoint([greeter]), ServerLimits(), current_host(), 0.0)


def test_one_write_for_all(backend: str) -> None:
    """What 20 attempts have to say leaves in one write, heads and ends included."""

    async def main() -> None:
        stream = FakeStream()
        peer = client()
        stream.arrive(peer.data_to_send())
        async with anyio.create_task_group() as group:
            group.start_soon(connection_on(stream).serve)
            await anyio.wait_all_tasks_blocked()
            for written in stream.writes:
                peer.receive_data(written)
            stream.writes.clear()
            numbers = [invoke(peer, "greet", start_of(Input(b'"you"'))) for _ in range(20)]
            stream.arrive(peer.data_to_send())
            await anyio.wait_all_tasks_blocked()
            (written,) = stream.writes
            events = peer.receive_data(written)
            assert {e.stream_id for e in events if isinstance(e, h2.events.StreamEnded)} == set(
                numbers
            )
            bodies = [e.data for e in events if isinstance(e, h2.events.DataReceived)]
            assert [read(body) for body in bodies] == [
                [Output(Value(b'"hello you"')), EndMessage()]
            ] * 20
            stream.arrive(b"")
        assert stream.closed

    anyio.run(main, backend=backend)


def test_a_client_that_does_not_read(backend: str) -> None:
    """A write that does not come to an end has the connection closed, and its attempts."""

    async def main() -> None:
        stream = FakeStream(stuck=True)
        peer = client()
        stream.arrive(peer.data_to_send())
        app = endpoint([greeter])
        connection = connection_on(stream, app)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(connection.serve)
                invoke(peer, "nap", start_of())
                stream.arrive(peer.data_to_send())
                await anyio.wait_all_tasks_blocked()
                connection.tick(59.0)
                await anyio.wait_all_tasks_blocked()
                assert not stream.closed
                connection.tick(60.0)
            await app.drain()
        assert stream.closed

    anyio.run(main, backend=backend)


def test_a_flood_that_nobody_reads(backend: str) -> None:
    """While answers to pings pile up nothing is read; then the connection is closed."""

    async def main() -> None:
        stream = FakeStream(stuck=True)
        peer = client()
        connection = connection_on(stream)
        async with anyio.create_task_group() as group:
            group.start_soon(connection.serve)
            stream.arrive(peer.data_to_send())
            for _ in range(10):
                for _ in range(1_000):
                    peer.ping(b"12345678")
                stream.arrive(peer.data_to_send())
            await anyio.wait_all_tasks_blocked()
            assert 0 < len(stream._incoming) < 9
            connection.tick(60.0)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("first", [b"", b"PRI * HTTP/2", b"P"])
def test_a_client_that_says_nothing(backend: str, first: bytes) -> None:
    """Ten seconds until one knows what it speaks; draining does not wait for that."""

    async def main() -> None:
        patient, drained = FakeStream(), FakeStream()
        connections = [connection_on(patient), connection_on(drained)]
        async with anyio.create_task_group() as group:
            for stream, connection in zip((patient, drained), connections, strict=True):
                if first:
                    stream.arrive(first)
                group.start_soon(connection.serve)
            await anyio.wait_all_tasks_blocked()
            connections[0].tick(9.9)
            connections[1].drain(5.0)
            await anyio.wait_all_tasks_blocked()
            assert (patient.closed, drained.closed) == (False, True)
            connections[0].tick(10.0)
        assert patient.closed

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("data", [b"garbage", b"PRI * HTTP/2", b"POST /invoke/a/b HTTP/1.1"])
def test_a_client_that_only_ceased_to_send(backend: str, data: bytes) -> None:
    """What is no request is answered before the connection is closed."""

    async def main() -> None:
        stream = FakeStream()
        stream.arrive(data)
        stream.arrive(b"")
        await connection_on(stream).serve()
        assert b"".join(stream.writes).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert stream.ended
        assert stream.closed

    anyio.run(main, backend=backend)


def test_a_client_that_left_first(backend: str) -> None:
    """There is nobody to be told of the end: that is no error."""

    async def main() -> None:
        stream = FakeStream(gone=True)
        stream.arrive(client().data_to_send())
        connection = connection_on(stream)
        async with anyio.create_task_group() as group:
            group.start_soon(connection.serve)
            await anyio.wait_all_tasks_blocked()
            connection.drain(0.0)
            for second in (1.0, 2.0, 3.0):
                connection.tick(second)
                await anyio.wait_all_tasks_blocked()
            assert stream.ended
            stream.arrive(b"")
        assert stream.closed

    anyio.run(main, backend=backend)


def test_a_connection_that_came_while_the_server_drains(backend: str) -> None:
    """It was accepted a moment before: it is closed, and nothing of it is read."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            server = Server(endpoint([greeter]), ServerLimits(), None)
            await server._drain(0.0)
            with anyio.fail_after(5):
                await server._serve(ours)

            assert theirs.recv(1) == b""

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("apart", [False, True])
def test_a_request_behind_one_that_was_answered_early(backend: str, *, apart: bool) -> None:
    """Over HTTP/1.1: the end of a body comes after its response, and the next request behind it."""

    async def main() -> None:
        body = start_of(Input(b'"you"'))
        chunk = b"%x\r\n%s\r\n" % (len(body), body)
        head = (
            b"POST /invoke/Greeter/greet HTTP/1.1\r\nHost: me\r\n"
            b"Content-Type: application/vnd.restate.invocation.v6\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        stream = FakeStream()
        async with anyio.create_task_group() as group:
            group.start_soon(connection_on(stream).serve)
            stream.arrive(head + chunk)
            await anyio.wait_all_tasks_blocked()
            for answered in (1, 2, 3):
                assert b"".join(stream.writes).count(b"HTTP/1.1 200") == answered
                rest = [b"0\r\n\r\n", head + chunk]
                for data in rest if apart else [b"".join(rest)]:
                    stream.arrive(data)
                    await anyio.wait_all_tasks_blocked()
            stream.arrive(b"")

    anyio.run(main, backend=backend)


def test_first_bytes_that_come_with_the_cut(backend: str) -> None:
    """No attempt begins of which nothing could be told: its bodies would execute twice."""

    async def main() -> None:
        stream, asked = FakeStream(), list[Any]()
        app: Any = endpoint([greeter])
        respond = app.respond

        def listening(head: Any) -> Any:
            asked.append(head)
            return respond(head)

        app.respond = listening
        connection = connection_on(stream, app)
        peer = client()
        invoke(peer, "greet", start_of(Input(b'"you"')))
        async with anyio.create_task_group() as group:
            group.start_soon(connection.serve)
            await anyio.wait_all_tasks_blocked()
            stream.arrive(peer.data_to_send())
            connection.drain(5.0)
        assert stream.closed
        assert asked == []

    anyio.run(main, backend=backend)


def test_a_client_that_stays_on(backend: str) -> None:
    """After the end of a connection its client has five seconds to see it."""

    async def main() -> None:
        stream = FakeStream(open=True)
        connection = connection_on(stream)
        async with anyio.create_task_group() as group:
            group.start_soon(connection.serve)
            stream.arrive(b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n")
            await anyio.wait_all_tasks_blocked()
            assert stream.ended
            stream.arrive(b"anything")
            connection.tick(4.9)
            await anyio.wait_all_tasks_blocked()
            assert not stream.closed
            connection.tick(5.0)
        assert stream.closed

    anyio.run(main, backend=backend)


def test_an_endpoint_that_breaks(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """An error where none is expected is logged and ends its stream, not the others."""

    async def main() -> None:
        app: Any = endpoint([greeter])
        respond = app.respond

        def broken(head: Any) -> Any:
            if head.path.endswith("nap"):
                raise LookupError("a bug")
            return respond(head)

        app.respond = broken
        stream = FakeStream()
        peer = client()
        stream.arrive(peer.data_to_send())
        async with anyio.create_task_group() as group:
            group.start_soon(connection_on(stream, app).serve)
            bad = invoke(peer, "nap", start_of())
            good = invoke(peer, "greet", start_of(Input(b'"you"')))
            stream.arrive(peer.data_to_send())
            await anyio.wait_all_tasks_blocked()
            events = peer.receive_data(b"".join(stream.writes))
            reset = [e.stream_id for e in events if isinstance(e, h2.events.StreamReset)]
            ended = [e.stream_id for e in events if isinstance(e, h2.events.StreamEnded)]
            assert (reset, ended) == ([bad], [good])
            stream.arrive(b"")

    anyio.run(main, backend=backend)
    assert "a bug" in caplog.text
