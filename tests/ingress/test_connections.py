"""HTTP/1.1 on the wire: keep-alive, pipelining, framing, and clients that go away."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from durable_trio import Context, Service
from durable_trio.local.http import Limits
from durable_trio.local.http._application import Application
from durable_trio.local.http._messages import Request
from durable_trio.local.http._paths import Invoke

from .served import Wire, serving

if TYPE_CHECKING:
    from collections.abc import Callable

HEALTH = b"GET /restate/health HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Echo:
    """A service that answers with its input, at once or when the test says so."""

    def __init__(self) -> None:
        self.service = Service("Echo")
        self.open = anyio.Event()
        self.reached = anyio.Event()
        self.ended = anyio.Event()

        @self.service.handler
        async def echo(ctx: Context, word: str) -> str:
            return word

        @self.service.handler
        async def later(ctx: Context, word: str) -> str:
            await ctx.run(self._wait, name="wait")
            return word

    async def _wait(self) -> None:
        self.reached.set()
        await self.open.wait()
        self.ended.set()


def post(body: bytes, *headers: bytes, path: bytes = b"/Echo/echo", length: int = -1) -> bytes:
    return b"\r\n".join(
        [
            b"POST " + path + b" HTTP/1.1",
            b"host: localhost",
            b"content-type: application/json",
            b"content-length: %d" % (len(body) if length < 0 else length),
            *headers,
            b"",
            body,
        ]
    )


def test_a_connection_is_kept(backend: str) -> None:
    """Several requests, one after the other, on one connection."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            bodies: list[bytes] = []
            for word in (b'"a"', b'"b"', b'"c"'):
                await wire.send(post(word))
                bodies.append((await wire.answer())[1])

        assert [b'"a"', b'"b"', b'"c"'] == bodies

    anyio.run(main, backend=backend)


def test_pipelined_requests_are_answered_in_order(backend: str) -> None:
    """What was sent ahead waits for its turn, also behind a slow one."""

    async def main() -> None:
        echo = Echo()
        async with serving(echo.service) as served, served.wire() as wire:
            await wire.send(
                post(b'"1"', path=b"/Echo/later") + post(b'"2"') + HEALTH + post(b'"3"')
            )
            await echo.reached.wait()
            echo.open.set()
            bodies = [(await wire.answer())[1] for _ in range(4)]

        assert [b'"1"', b'"2"', b'{"services":["Echo"]}', b'"3"'] == bodies

    anyio.run(main, backend=backend)


def test_pipelining_is_bounded(backend: str) -> None:
    """A client that sends on and on while it waits is made to wait, and is answered."""

    async def main() -> None:
        echo = Echo()
        many = 400
        async with serving(echo.service) as served, served.wire() as wire:
            sizes: list[int] = []
            large = post(b'"' + b"x" * 2_000 + b'"')

            async def send() -> None:
                await wire.send(post(b'"first"', path=b"/Echo/later") + large * many)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                await echo.reached.wait()
                echo.open.set()
                sizes.extend([len((await wire.answer())[1]) for _ in range(many + 1)])

        assert [7] + [2_002] * many == sizes

    anyio.run(main, backend=backend)


def test_a_body_may_come_in_chunks(backend: str) -> None:
    """Transfer-Encoding: chunked, in as many pieces as it likes."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            request = (
                b"POST /Echo/echo HTTP/1.1\r\nhost: localhost\r\n"
                b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
                b'2\r\n"a\r\n3;x=y\r\nbc"\r\n0\r\ntrailer: 1\r\n\r\n'
            )
            for byte in request:
                await wire.send(bytes([byte]))
            _head, body = await wire.answer()

        assert b'"abc"' == body

    anyio.run(main, backend=backend)


def test_a_client_that_asks_first_is_told_to_go_on(backend: str) -> None:
    """Expect: 100-continue is answered before the body is sent, and only if it will be read."""

    async def main() -> None:
        async with (
            serving(Echo().service, limits=Limits(max_body_size=100)) as served,
            served.wire() as wire,
        ):
            expect = b"expect: 100-continue"
            await wire.send(post(b"", expect, length=5))
            go_on = await wire.until(b"\r\n\r\n")
            await wire.send(b'"abc"')
            _head, body = await wire.answer()
            await wire.send(post(b"", expect, length=101))
            refused, _body = await wire.answer()

        assert go_on.startswith(b"HTTP/1.1 100 ")
        assert b'"abc"' == body
        assert refused.startswith(b"HTTP/1.1 413 ")

    anyio.run(main, backend=backend)


def test_a_client_that_wants_to_close_is_closed(backend: str) -> None:
    """Connection: close, and HTTP/1.0, end the connection after the answer."""

    async def main() -> None:
        async with serving(Echo().service) as served:
            answers: list[bytes] = []
            for request in (
                HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
                b"GET /restate/health HTTP/1.0\r\n\r\n",
            ):
                async with served.wire() as wire:
                    await wire.send(request)
                    answers.append(await wire.rest())

        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert answer.endswith(b'{"services":["Echo"]}')

    anyio.run(main, backend=backend)


def test_a_head_request_has_no_body(backend: str) -> None:
    """It is not allowed anywhere, and its answer has a length and nothing else."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            await wire.send(HEALTH.replace(b"GET", b"HEAD"))
            head = await wire.until(b"\r\n\r\n")
            await wire.send(HEALTH)
            _head, body = await wire.answer()

        assert head.startswith(b"HTTP/1.1 405 ")
        assert b'{"services":["Echo"]}' == body

    anyio.run(main, backend=backend)


def test_the_absolute_form_of_a_target_is_understood(backend: str) -> None:
    """As a client of a proxy sends it."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            await wire.send(HEALTH.replace(b"/restate", b"http://localhost:80/restate"))
            _head, body = await wire.answer()

        assert b'{"services":["Echo"]}' == body

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("method", [b"CONNECT example.com:80", b"OPTIONS *", b"POST /Echo/echo"])
def test_no_other_protocol_is_spoken(backend: str, method: bytes) -> None:
    """A tunnel or an upgrade is answered as any request, and the connection stays HTTP."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            await wire.send(
                method + b" HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n"
                b"connection: upgrade\r\n\r\n"
            )
            head, _body = await wire.answer()
            await wire.send(HEALTH)
            again, _body = await wire.answer()

        assert head.startswith(b"HTTP/1.1 4")
        assert again.startswith(b"HTTP/1.1 200 ")

    anyio.run(main, backend=backend)


def test_a_client_that_goes_away_cancels_nothing(backend: str) -> None:
    """The invocation goes on, and its result is there for whoever asks."""

    async def main() -> None:
        echo = Echo()
        async with serving(echo.service) as served:
            async with served.wire() as wire:
                await wire.send(post(b'"on"', b"idempotency-key: once", path=b"/Echo/later"))
                await echo.reached.wait()
            echo.open.set()
            attached = await served.client.get("/restate/invocation/Echo/later/once/attach")

        assert "on" == attached.json()

    anyio.run(main, backend=backend)


def test_a_client_that_goes_away_is_not_waited_for(backend: str) -> None:
    """Its connection makes room while the invocation is still at work."""

    async def main() -> None:
        echo = Echo()
        limits = Limits(max_connections=1, half_closed_timeout=0.01)
        async with serving(echo.service, limits=limits) as served:
            async with served.wire() as wire:
                await wire.send(post(b'"on"', path=b"/Echo/later"))
                await echo.reached.wait()
            while (await served.client.get("/restate/health")).status_code == 503:
                await served.client.aclose()
                served.client = type(served.client)(base_url=served.ingress.url)
            assert not echo.ended.is_set()
            await served.client.aclose()
            echo.open.set()

    anyio.run(main, backend=backend)


def test_a_half_closed_client_is_answered(backend: str) -> None:
    """Whoever sends and closes only its sending side still reads."""

    async def main() -> None:
        echo = Echo()
        async with serving(echo.service) as served, served.wire() as wire:
            await wire.send(post(b'"1"') + post(b'"2"', path=b"/Echo/later"))
            await wire.stream.send_eof()
            _head, first = await wire.answer()
            await echo.reached.wait()
            echo.open.set()
            _head, second = await wire.answer()
            rest = await wire.rest()

        assert (b'"1"', b'"2"', b"") == (first, second, rest)

    anyio.run(main, backend=backend)


def test_a_half_closed_client_is_not_waited_for_for_ever(backend: str) -> None:
    """It may well be gone: after a while its connection is closed, and the invocation goes on."""

    async def main() -> None:
        echo = Echo()
        limits = Limits(half_closed_timeout=0.05)
        async with serving(echo.service, limits=limits) as served, served.wire() as wire:
            await wire.send(post(b'"1"') + post(b'"2"', path=b"/Echo/later"))
            await wire.stream.send_eof()
            _head, first = await wire.answer()
            await echo.reached.wait()
            rest = await wire.rest()
            ended = echo.ended.is_set()
            echo.open.set()

        assert (b'"1"', b"", False) == (first, rest, ended)

    anyio.run(main, backend=backend)


def test_an_idle_connection_is_closed(backend: str) -> None:
    """Without an answer: nothing was asked."""

    async def main() -> None:
        limits = Limits(idle_timeout=0.01)
        async with serving(Echo().service, limits=limits) as served, served.wire() as wire:
            assert b"" == await wire.rest()

    anyio.run(main, backend=backend)


def test_a_refused_requests_body_does_not_spoil_the_connection(backend: str) -> None:
    """What follows a request that was refused early is read past."""

    async def main() -> None:
        async with serving(Echo().service) as served, served.wire() as wire:
            await wire.send(post(b"x" * 100_000, path=b"/Nobody/echo"))
            refused, _body = await wire.answer()
            await wire.send(post(b'"on"'))
            _head, body = await wire.answer()

        assert refused.startswith(b"HTTP/1.1 404 ")
        assert b'"on"' == body

    anyio.run(main, backend=backend)


def test_what_was_asked_for_is_done_although_nobody_waits(backend: str) -> None:
    """A client that is gone before its request is admitted cancels neither a send nor a call."""

    async def main() -> None:
        echo = Echo()
        echo.open.set()
        async with serving(echo.service) as served:
            application = Application(served.runtime)
            for send in (True, False):
                # With a key there is something to wait for before it is admitted.
                headers = (("content-type", "application/json"), ("idempotency-key", str(send)))
                request = Request("POST", "/Echo/echo", headers=headers)
                with anyio.CancelScope() as gone:
                    gone.cancel()
                    await application.answer(request, Invoke("Echo", "echo", send=send), b'"on"')
            kept = await served.store.invocations()

        assert 2 == len(kept)

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
    log = logging.getLogger("durable_trio.local.http")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        warned = anyio.Event()
        noted = Noted(warned.set)
        async with serving(Echo().service) as served:
            client = socket.socket()
            lowest = os.dup(0)
            os.close(lowest)
            log.addHandler(noted)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
                client.connect(("127.0.0.1", served.ingress.port))
                await warned.wait()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                log.removeHandler(noted)
            wire = Wire(await anyio.abc.SocketStream.from_socket(client))
            async with wire.stream:
                await wire.send(post(b'"late"'))
                assert b'"late"' == (await wire.answer())[1]

    anyio.run(main, backend=backend)

    assert "cannot accept connections: Too many open files" in caplog.text


def test_a_connection_that_breaks_before_it_is_accepted_ends_nothing(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one is accepted, without a word."""

    class Listener:
        """Its connections come to nothing, one after the other."""

        def __init__(self) -> None:
            self.errors = deque(
                [OSError(errno.ECONNABORTED, "aborted"), anyio.ClosedResourceError()]
            )

        async def accept(self) -> Any:
            await anyio.lowlevel.checkpoint()
            raise self.errors.popleft()

    async def main() -> None:
        listener: Any = Listener()
        async with serving(Echo().service) as served:
            await served.ingress._accept(listener)

        assert not listener.errors

    anyio.run(main, backend=backend)

    assert [] == [each for each in caplog.records if each.name.startswith("durable_trio")]
