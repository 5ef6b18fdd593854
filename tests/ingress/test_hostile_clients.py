"""Clients that mean no good, or do not know better."""

from __future__ import annotations

import random
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from durable_trio import Context, Service
from durable_trio.local.http import HttpIngress, Limits

from .served import Served, serving

HEALTH = b"GET /restate/health HTTP/1.1\r\nhost: localhost\r\n\r\n"
HEAD = b"POST /Store/keep HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def store() -> Service:
    service = Service("Store")

    @service.handler
    async def keep(ctx: Context, text: str) -> int:
        return len(text)

    @service.handler
    async def give(ctx: Context, size: int) -> str:
        return "x" * size

    return service


async def is_well(served: Served) -> bool:
    async with served.wire() as wire:
        await wire.send(HEALTH)
        head, _body = await wire.answer()
        return head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00" * 100 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        HEALTH.replace(b"host", b"ho st"),
        HEALTH.replace(b"\r\n\r\n", b"\r\nx: a\x00b\r\n\r\n"),
        HEALTH.replace(b"\r\n\r\n", b"\r\nhost: two\r\n\r\n"),
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 0x10\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",
        HEAD + b"content-length: 999999999999999999999999999\r\n\r\n",
        HEAD + b"transfer-encoding: gzip\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b'transfer-encoding: chunked\r\n\r\n2\r\n""x\r\n',
    ],
)
def test_garbage_is_answered_and_the_connection_closed(backend: str, garbage: bytes) -> None:
    """An error of the 4xx or 5xx kind in JSON, then the end; the ingress is well."""

    async def main() -> None:
        async with serving(store()) as served:
            async with served.wire() as wire:
                await wire.send(garbage)
                answer = await wire.rest()
            well = await is_well(served)

        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
        assert b"connection: close" in answer.lower()
        assert b'"source":"ingress"' in answer
        assert well

    anyio.run(main, backend=backend)


def test_random_bytes_never_hurt(backend: str) -> None:
    """Whatever comes, the connection ends and the next client is served."""

    async def main() -> None:
        dice = random.Random(7)
        limits = Limits(head_timeout=0.05, body_timeout=0.05, linger_timeout=0.05)
        async with serving(store(), limits=limits) as served:
            for _ in range(30):
                async with served.wire() as wire:
                    prefix = dice.choice([b"", b"GET ", HEAD, HEAD + b"content-length: 50\r\n\r\n"])
                    try:
                        await wire.send(prefix + dice.randbytes(dice.randrange(1, 2_000)))
                        if dice.random() < 0.5:
                            await wire.stream.send_eof()
                        await wire.rest()
                    except anyio.BrokenResourceError:
                        pass
            well = await is_well(served)

        assert well

    anyio.run(main, backend=backend)


def test_endless_headers_end(backend: str) -> None:
    """431 as soon as they are too large, whether in one header or in many."""

    async def main() -> None:
        async with serving(store(), limits=Limits(linger_timeout=0.05)) as served:
            answers: list[bytes] = []
            for piece in (b"x" * 1_000, b"x: y\r\n" * 200):
                async with served.wire() as wire:
                    await wire.send(HEAD + b"a: ")
                    try:
                        while True:
                            await wire.send(piece)
                    except anyio.BrokenResourceError:
                        pass
                    answers.append(await wire.rest())
            well = await is_well(served)

        # A client that never stops sending may miss the answer, but not the end.
        assert all(answer.startswith(b"HTTP/1.1 431 ") or not answer for answer in answers)
        assert well

    anyio.run(main, backend=backend)


def test_headers_that_are_too_large_are_told_so(backend: str) -> None:
    """A client that waits for the answer gets it."""

    async def main() -> None:
        async with serving(store()) as served, served.wire() as wire:
            await wire.send(HEAD + b"a: " + b"x" * 40_000)
            answer = await wire.rest()

        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")

    anyio.run(main, backend=backend)


def test_slow_headers_time_out(backend: str) -> None:
    """408 if the headers do not end in time."""

    async def main() -> None:
        limits = Limits(head_timeout=0.05, linger_timeout=0.05)
        async with serving(store(), limits=limits) as served, served.wire() as wire:
            await wire.send(HEAD)
            answer = await wire.rest()

        assert answer.startswith(b"HTTP/1.1 408 ")

    anyio.run(main, backend=backend)


def test_a_stalled_body_times_out(backend: str) -> None:
    """408 if nothing comes for too long, and nothing was invoked."""

    async def main() -> None:
        async with serving(
            store(), limits=Limits(body_timeout=0.05, linger_timeout=0.05)
        ) as served:
            async with served.wire() as wire:
                await wire.send(HEAD + b'content-length: 10\r\n\r\n"a')
                answer = await wire.rest()
            kept = await served.store.invocations()

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert [] == list(kept)

    anyio.run(main, backend=backend)


def test_a_dripping_body_times_out(backend: str) -> None:
    """A body that always makes a little progress does not hold the connection for ever."""

    async def main() -> None:
        heads: list[bytes] = []
        limits = Limits(body_timeout=0.1, min_body_rate=1_000_000)
        async with serving(store(), limits=limits) as served, served.wire() as wire:
            await wire.send(HEAD + b"content-length: 1000000\r\n\r\n")

            async def drip() -> None:
                try:
                    while True:
                        await wire.send(b"x")
                        await anyio.lowlevel.checkpoint()
                except anyio.BrokenResourceError:
                    pass

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(drip)
                heads.append(await wire.until(b"\r\n\r\n"))
                tasks.cancel_scope.cancel()

        assert heads[0].startswith(b"HTTP/1.1 408 ")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused(backend: str, announced: bool) -> None:
    """413: at once if its length is announced, as soon as it is too long otherwise."""

    async def main() -> None:
        async with serving(
            store(), limits=Limits(max_body_size=1_000, linger_timeout=0.05)
        ) as served:
            async with served.wire() as wire:
                if announced:
                    await wire.send(HEAD + b"content-length: 99999999999\r\n\r\n")
                else:
                    await wire.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
                    await wire.send(b"3e9\r\n" + b"x" * 1_001 + b"\r\n")
                answer = await wire.rest()
            kept = await served.store.invocations()

        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 1000 bytes" in answer
        assert [] == list(kept)

    anyio.run(main, backend=backend)


def test_a_refused_client_sees_the_end(backend: str) -> None:
    """What it has sent already does not turn the end into a reset that could take the answer along."""

    async def main() -> None:
        limits = Limits(max_body_size=1_000)
        async with serving(store(), limits=limits) as served, served.wire() as wire:
            await wire.send(HEAD + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            head, _body = await wire.answer()
            with pytest.raises(anyio.EndOfStream):
                await wire.stream.receive()

        assert head.startswith(b"HTTP/1.1 413 ")

    anyio.run(main, backend=backend)


def test_a_body_of_the_largest_size_is_taken(backend: str) -> None:
    """The limit is a limit, not one less."""

    async def main() -> None:
        async with serving(store(), limits=Limits(max_body_size=1_000)) as served:
            response = await served.client.post("/Store/keep", json="x" * 998)

        assert 998 == response.json()

    anyio.run(main, backend=backend)


def test_a_client_that_does_not_read_is_left(backend: str) -> None:
    """Its connection is cut, and makes room for somebody else."""

    async def main() -> None:
        limits = Limits(send_timeout=0.05, max_connections=1)
        async with serving(store(), limits=limits) as served, served.wire() as wire:
            body = b"20000000"
            await wire.send(
                HEAD.replace(b"keep", b"give") + b"content-length: %d\r\n\r\n" % len(body) + body
            )
            # A busy machine may be too late even for the head.
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await wire.until(b"\r\n\r\n")
            while not await is_well(served):
                pass
            rest = await wire.rest()

        assert len(rest) < 20_000_000

    anyio.run(main, backend=backend)


def test_an_idle_connection_makes_room(backend: str) -> None:
    """With all connections taken, the one that has been idle for longest is closed."""

    async def main() -> None:
        async with (
            serving(store(), limits=Limits(max_connections=2)) as served,
            served.wire() as first,
            served.wire() as second,
        ):
            for wire in (first, second):
                await wire.send(HEALTH)
                await wire.answer()
            well = await is_well(served)
            assert b"" == await first.rest()
            await second.send(HEALTH)
            still, _body = await second.answer()

        assert well
        assert still.startswith(b"HTTP/1.1 200 ")

    anyio.run(main, backend=backend)


def test_too_many_connections_are_told_so(backend: str) -> None:
    """503 if nobody can be asked to leave."""

    async def main() -> None:
        async with (
            serving(store(), limits=Limits(max_connections=1)) as served,
            served.wire() as busy,
        ):
            await busy.send(HEAD + b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n")
            await busy.until(b"\r\n\r\n")
            async with served.wire() as wire:
                answer = await wire.rest()
            await busy.send(b'"abcdefg"')
            _head, body = await busy.answer()

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"too many connections" in answer
        assert b"7" == body

    anyio.run(main, backend=backend)


def test_a_message_that_is_no_unicode_is_answered(backend: str) -> None:
    """An error's text may be anything; the answer is JSON all the same."""

    async def main() -> None:
        service = Service("Odd")

        @service.handler
        async def fail(ctx: Context) -> None:
            from durable_trio import TerminalError

            raise TerminalError("\ud800 is odd", 444)

        async with serving(service) as served:
            response = await served.client.post("/Odd/fail")

        assert 444 == response.status_code
        assert "odd" in response.json()["message"]

    anyio.run(main, backend=backend)


def test_the_limits_are_positive() -> None:
    """A limit of zero would refuse everything."""
    from durable_trio import UsageError

    with pytest.raises(UsageError, match="max_body_size must be > 0"):
        Limits(max_body_size=0)


def test_a_port_that_is_taken_is_said_so(backend: str) -> None:
    """The error names host and port, and what to do."""
    from durable_trio import UsageError

    async def main() -> None:
        async with serving(store()) as served:
            with pytest.raises(UsageError, match=f"port {served.ingress.port}: .*Choose another"):
                async with HttpIngress(served.runtime, port=served.ingress.port):
                    pass

    anyio.run(main, backend=backend)
