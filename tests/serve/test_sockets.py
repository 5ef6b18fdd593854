"""The server on real sockets, on both hosts: attempts, disconnects, draining, TLS."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import ssl
from typing import TYPE_CHECKING

import anyio
import anyio.abc
import anyio.lowlevel
import h2.events
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from durable_trio import UsageError
from durable_trio.abc import AwaitKind, AwaitTree, Completion, Input, Output, Value
from durable_trio_restate import ServerLimits, endpoint, serve, tls_context
from durable_trio_restate._entries import encode_notification
from durable_trio_restate._messages import EndMessage
from durable_trio_restate._server._listeners import open_sockets

from .certificate import write_certificate
from .pair import parse
from .served import Http2Client, gates, greeter, read, served, start_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEDIA = [("content-type", "application/vnd.restate.invocation.v6")]
SLEEPING = AwaitTree(AwaitKind.FIRST_COMPLETED, (1,), (1,))


async def http1(port: int, request: bytes) -> bytes:
    """All that comes back on a connection of its own."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        return b"".join([piece async for piece in stream])


def invocation(handler: str, body: bytes, *, chunked: bool = False) -> bytes:
    """A request of HTTP/1.1 for a handler."""
    head = f"POST /invoke/Greeter/{handler} HTTP/1.1\r\nhost: me\r\nconnection: close\r\n"
    head += f"content-type: {MEDIA[0][1]}\r\n"
    if chunked:
        return (
            f"{head}transfer-encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n"
        )

    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def test_an_attempt_over_http2(backend: str) -> None:
    """Input in, output and End out, and the response ends by itself."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            client = await Http2Client.over(await server.connect())
            stream = await client.request(
                "POST", "/invoke/Greeter/greet", MEDIA, body=start_of(Input(b'"you"')), end=False
            )
            await client.until_ended(stream)
            assert client.status(stream) == "200"
            assert read(client.bodies[stream]) == [Output(Value(b'"hello you"')), EndMessage()]
            await client.write(stream, b"", end=True)
            health = await client.request("GET", "/any/where/health")
            await client.until_ended(health)
            assert client.bodies[health] == b"ok"

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_attempt_over_http1(backend: str, chunked: bool) -> None:
    """The same over HTTP/1.1, on the same port, whether the request ends or not."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            request = invocation("greet", start_of(Input(b'"you"')), chunked=chunked)
            head, _, rest = (await http1(server.port, request)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"hello you" in rest
            assert rest.endswith(b"\r\n0\r\n\r\n")

    anyio.run(main, backend=backend)


def test_a_request_that_ends_within_a_message(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In one piece with its journal: nothing runs, and the answer says what is wrong."""

    async def main() -> None:
        body = start_of() + b"\x80\x11\0\0"
        async with served(endpoint([greeter])) as server:
            client = await Http2Client.over(await server.connect())
            stream = await client.request("POST", "/invoke/Greeter/work", MEDIA, body=body)
            await client.until_ended(stream)
            _, _, rest = (await http1(server.port, invocation("work", body))).partition(b"\r\n\r\n")
            assert client.status(stream) == "200"
        [error] = read(client.bodies[stream])
        assert (error.code, error.message) == (571, "the server closed its stream within a message")
        assert b"the server closed its stream within a message" in rest

    anyio.run(main, backend=backend)
    assert [] == caplog.records


def test_an_endpoint_that_is_served_again(backend: str) -> None:
    """It drains when a server ends, and not for ever."""

    async def main() -> None:
        app = endpoint([greeter])
        for _ in range(2):
            gates.update(started=anyio.Event(), go=anyio.Event(), aborted=anyio.Event())
            gates["go"].set()
            async with served(app) as server:
                client = await Http2Client.over(await server.connect())
                stream = await client.request(
                    "POST", "/invoke/Greeter/work", MEDIA, body=start_of(), end=False
                )
                while b"done" not in client.bodies.get(stream, b""):
                    await client.read()
                result = encode_notification(Completion(1, Value(b'"done"')))
                await client.write(stream, result, end=True)
                await client.until_ended(stream)
                assert read(client.bodies[stream])[-1] == EndMessage()

    anyio.run(main, backend=backend)


def test_a_response_that_begins_before_there_is_anything_to_say(backend: str) -> None:
    """An attempt that only waits has a response all the same."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            client = await Http2Client.over(await server.connect())
            stream = await client.request(
                "POST", "/invoke/Greeter/wait", MEDIA, body=start_of(), end=False
            )
            while not any(isinstance(e, h2.events.ResponseReceived) for e in client.events):
                await client.read()
            assert client.status(stream) == "200"
            await client.write(stream, b"", end=True)
            await client.until_ended(stream)

    anyio.run(main, backend=backend)


def test_large_bodies(backend: str) -> None:
    """Requests and responses many times larger than any window."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            client = await Http2Client.over(await server.connect())
            name = b'"' + b"y" * 3_000_000 + b'"'
            body = start_of(Input(name))
            stream = await client.request("POST", "/invoke/Greeter/greet", MEDIA, end=False)
            while body:
                size = min(client.http.local_flow_control_window(stream), 16_384)
                if size:
                    await client.write(stream, body[:size], end=len(body) == size)
                    body = body[size:]
                else:
                    await client.read()
            await client.until_ended(stream)
            assert read(client.bodies[stream])[0] == Output(Value(b'"hello ' + name[1:]))

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("how", ["connection", "stream"])
def test_a_client_that_goes_away(backend: str, how: str) -> None:
    """When its stream or its connection is gone an attempt is torn down, run bodies and all."""

    async def main() -> None:
        gates.update(started=anyio.Event(), go=anyio.Event(), aborted=anyio.Event())
        app = endpoint([greeter])
        async with served(app) as server:
            client = await Http2Client.over(await server.connect())
            stream = await client.request(
                "POST", "/invoke/Greeter/work", MEDIA, body=start_of(), end=False
            )
            await gates["started"].wait()
            if how == "connection":
                await client.stream.aclose()
            else:
                client.http.reset_stream(stream, ErrorCodes.CANCEL)
                await client.flush()
            await gates["aborted"].wait()
            await app.drain()

    anyio.run(main, backend=backend)


def test_draining(backend: str) -> None:
    """Attempts that wait suspend, those at work end first; then the connection is closed."""

    async def main() -> None:
        gates.update(started=anyio.Event(), go=anyio.Event(), aborted=anyio.Event())
        async with served(endpoint([greeter])) as server:
            client = await Http2Client.over(await server.connect())
            body = start_of()
            nap, work = [
                await client.request("POST", f"/invoke/Greeter/{name}", MEDIA, body=body)
                for name in ("nap", "work")
            ]
            await client.until_ended(nap)
            waiting = await client.request(
                "POST", "/invoke/Greeter/nap", MEDIA, body=body, end=False
            )
            await client.until_body(waiting, 1)
            await gates["started"].wait()
            server.stop.set()

            data, ended_waiting = b"", False
            async for piece in client.stream:
                data += piece
                gates["go"].set()
                if waiting in ended(data) and not ended_waiting:
                    ended_waiting = True
                    await client.write(waiting, b"", end=True)
            frames = parse(data)
            goodbyes = [each.last_stream_id for each in frames if isinstance(each, GoAwayFrame)]
            assert goodbyes == [waiting]
            assert ended(data) == {work, waiting}
            said = [each.data for each in frames if each.stream_id == waiting]
            assert read(b"".join(said)) == [SLEEPING]

    def ended(data: bytes) -> set[int]:
        return {each.stream_id for each in parse(data) if "END_STREAM" in each.flags}

    anyio.run(main, backend=backend)


def test_the_end_of_patience(backend: str) -> None:
    """What has not ended within the shutdown's timeout is cut."""

    async def main() -> None:
        gates.update(started=anyio.Event(), go=anyio.Event(), aborted=anyio.Event())
        async with served(endpoint([greeter]), shutdown_timeout=0.01) as server:
            client = await Http2Client.over(await server.connect())
            await client.request("POST", "/invoke/Greeter/work", MEDIA, body=start_of())
            await gates["started"].wait()
            server.stop.set()
            await server.stopped.wait()
            assert gates["aborted"].is_set()

    anyio.run(main, backend=backend)


def test_too_many_connections(backend: str) -> None:
    """One more takes the place of an idle one; with none idle it is closed."""

    async def main() -> None:
        async with served(endpoint([greeter]), limits=ServerLimits(max_connections=1)) as server:
            idle = await Http2Client.over(await server.connect())
            await idle.until_ended(await idle.request("GET", "/health"))
            busy = await Http2Client.over(await server.connect())
            nap = await busy.request(
                "POST", "/invoke/Greeter/nap", MEDIA, body=start_of(), end=False
            )
            await busy.until_body(nap, 1)
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await idle.stream.receive()
            third = await server.connect()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await third.receive()

    anyio.run(main, backend=backend)


def test_a_connection_that_is_gone_when_it_is_accepted(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket has no options any more to set; the server takes the next one."""

    def gone(accepted: socket.socket) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            with monkeypatch.context() as patch:
                patch.setattr("durable_trio_restate._server._server.prepare", gone)
                first = await server.connect()
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await first.receive()
            second = await Http2Client.over(await server.connect())
            await second.until_ended(await second.request("GET", "/health"))

    anyio.run(main, backend=backend)


def test_garbage(backend: str) -> None:
    """Clients that speak something else are closed, and the server goes on."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            for data in (
                b"\0" * 100,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 99,
                b"PRI \r\n",
            ):
                stream = await server.connect()
                await stream.send(data)
                await stream.send_eof()
                try:
                    async for _ in stream:
                        pass
                except anyio.BrokenResourceError:
                    pass
            assert b"\r\n\r\nok" in await http1(
                server.port, b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n"
            )

    anyio.run(main, backend=backend)


class Noted(logging.Handler):
    """Calls a function when something is logged."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__()
        self._function = function

    def emit(self, record: logging.LogRecord) -> None:
        self._function()


def test_without_file_descriptors_connections_wait(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Who connects while the process has none left is served when there are some again."""
    log = logging.getLogger("durable_trio.restate.server")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        warned = anyio.Event()
        noted = Noted(warned.set)
        async with served(endpoint([greeter])) as server, await server.connect() as early:
            await early.send(b"GET /health HTTP/1.1\r\nhost: me\r\n\r\n")
            await early.receive()
            client = socket.socket()
            lowest = os.dup(0)
            os.close(lowest)
            log.addHandler(noted)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
                client.connect(("127.0.0.1", server.port))
                await warned.wait()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                log.removeHandler(noted)
            async with await anyio.abc.SocketStream.from_socket(client) as stream:
                await stream.send(b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n")
                assert (b"".join([piece async for piece in stream])).endswith(b"ok")

    anyio.run(main, backend=backend)

    assert "cannot accept connections: Too many open files" in caplog.text


# -- TLS and listening


@pytest.mark.parametrize("protocols", [["h2"], ["http/1.1"], []])
def test_tls(backend: str, protocols: list[str], tmp_path: Path) -> None:
    """Over TLS the same is served, HTTP/2 if the client offers it."""
    certificate, key = write_certificate(tmp_path)

    async def main() -> None:
        async with served(endpoint([greeter]), tls=tls_context(certificate, key)) as server:
            context = ssl.create_default_context(cafile=str(certificate))
            if protocols:
                context.set_alpn_protocols(protocols)
            stream = await server.connect(context)
            if protocols == ["h2"]:
                client = await Http2Client.over(stream)
                health = await client.request("GET", "/health")
                await client.until_ended(health)
                assert client.bodies[health] == b"ok"
            else:
                await stream.send(b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n")
                assert (b"".join([piece async for piece in stream])).endswith(b"ok")
            plain = await server.connect()
            await plain.send(b"GET /health HTTP/1.1\r\nhost: me\r\n\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                while True:
                    await plain.receive()

    anyio.run(main, backend=backend)


def test_clients_that_have_to_show_a_certificate(backend: str, tmp_path: Path) -> None:
    """With ``client_ca`` only those whom one of these authorities has signed are served."""
    certificate, key = write_certificate(tmp_path)
    health = b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n"

    async def main() -> None:
        tls = tls_context(certificate, key, client_ca=certificate)
        async with served(endpoint([greeter]), tls=tls) as server:
            known = ssl.create_default_context(cafile=str(certificate))
            known.load_cert_chain(certificate, key)
            stream = await server.connect(known)
            await stream.send(health)
            assert (b"".join([piece async for piece in stream])).endswith(b"ok")
            unknown = ssl.create_default_context(cafile=str(certificate))
            with pytest.raises((ssl.SSLError, anyio.EndOfStream, anyio.BrokenResourceError)):
                # With TLS 1.3 a client is told only after its handshake.
                stream = await server.connect(unknown)
                await stream.send(health)
                await stream.receive()

    anyio.run(main, backend=backend)


def test_a_name_with_several_addresses() -> None:
    """All of them are listened on, on one port, also if any free one is asked for."""
    opened = open_sockets("localhost:0")
    try:
        assert 1 == len({each.getsockname()[1] for each in opened})
        assert len(opened) == len({each.family for each in opened})
    finally:
        for each in opened:
            each.close()


def test_wrong_certificates(tmp_path: Path) -> None:
    """Files that are no certificate, or are not there, are a usage error that names them."""
    (tmp_path / "junk.pem").write_text("junk")
    for name in ("junk.pem", "absent.pem"):
        with pytest.raises(UsageError, match=name):
            tls_context(tmp_path / name)


def test_a_unix_socket(backend: str, tmp_path: Path) -> None:
    """``unix:PATH`` listens there."""
    path = tmp_path / "socket"

    async def main() -> None:
        stop = anyio.Event()

        async def ask() -> None:
            async with await anyio.connect_unix(path) as stream:
                await stream.send(b"GET /health HTTP/1.1\r\nhost: me\r\nconnection: close\r\n\r\n")
                assert (b"".join([piece async for piece in stream])).endswith(b"ok")
            stop.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                await serve(
                    endpoint([greeter]),
                    f"unix:{path}",
                    until=stop.wait,
                    started=lambda: group.start_soon(ask),
                )

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "bind",
    ["nonsense", "localhost", "localhost:x", "localhost:99999999", "unix:/nowhere/to/be/found"],
)
def test_addresses_that_are_none(bind: str) -> None:
    """An address that cannot be listened on is a usage error that says so."""

    async def main() -> None:
        with pytest.raises(UsageError, match=bind):
            await serve(endpoint([greeter]), bind)

    anyio.run(main)


def test_a_path_that_cannot_be_had_is_not_taken_for_a_port() -> None:
    """What helps is another path."""

    async def main() -> None:
        with pytest.raises(UsageError, match="Choose a path in a directory that is there"):
            await serve(endpoint([greeter]), "unix:/nowhere/to/be/found")

    anyio.run(main)


def test_a_port_in_use(backend: str) -> None:
    """A port that somebody has is a usage error."""

    async def main() -> None:
        async with served(endpoint([greeter])) as server:
            with pytest.raises(UsageError, match=r"in use.*Choose another port"):
                await serve(endpoint([greeter]), f"127.0.0.1:{server.port}")

    anyio.run(main, backend=backend)


def test_an_end_before_the_beginning(backend: str) -> None:
    """A server that is stopped before it has begun ends without a word."""

    async def main() -> None:
        await serve(endpoint([greeter]), "127.0.0.1:0", until=anyio.lowlevel.checkpoint)
        gone = anyio.Event()
        gone.set()
        await serve(endpoint([greeter]), "127.0.0.1:0", until=gone.wait)

    anyio.run(main, backend=backend)


def test_whoever_cancels_it_gets_the_port_back(backend: str) -> None:
    """Nothing listens any more, however it ends."""

    async def main() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            with anyio.CancelScope() as scope:
                await serve(endpoint([greeter]), [listening], started=scope.cancel)
            assert -1 == listening.fileno()

    anyio.run(main, backend=backend)
