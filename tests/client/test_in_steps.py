"""A client in a handler: in a step, where what is final fails it and everything else is retried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    Context,
    RetryPolicy,
    Service,
    TerminalError,
    move_on_after,
)
from durable_trio.client import IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

from .fake import answer, answering
from .services import greet

if TYPE_CHECKING:
    from anyio.abc import SocketStream

    from .fake import Answer, FakeServer

BUSY = answer(503, b'{"message": "busy"}', "x-restate-error-source: ingress")
FAILED = answer(422, b'{"code": 422, "message": "no"}', "x-restate-error-source: invocation")
AT_ONCE = RetryPolicy(initial_interval=0)


def called(backend: str, *answers: Answer, deadline: float = 60) -> FakeServer:
    """The server after a handler has called it in a step."""
    caller = Service("Caller")

    async def main() -> FakeServer:
        async with answering(*answers) as fake, IngressClient(fake.url) as ingress:

            @caller.handler
            async def ask(ctx: Context) -> str:
                with move_on_after(deadline):
                    return await ctx.run(ingress.call, greet, retry=AT_ONCE, name="ask")
                return "given up"

            async with LocalRuntime([caller], MemoryStore()) as runtime:
                fake.result = await runtime.call(ask)
            if fake.result == "given up":
                await fake.closed.wait()
            return fake

    return anyio.run(main, backend=backend)


def test_what_is_not_decided_is_retried(backend: str) -> None:
    """By the step's policy, without any of the client's."""
    fake = called(backend, BUSY, BUSY, answer(200, b'"hello"'))

    assert (3, "hello") == (len(fake.seen), fake.result)


@pytest.mark.parametrize(("final", "code"), [(FAILED, 422), (answer(404, b"{}"), 404)])
def test_what_is_final_fails_the_step(backend: str, final: bytes, code: int) -> None:
    """A failure and a refusal alike, at once."""
    with pytest.raises(TerminalError) as caught:
        called(backend, final)
    assert code == caught.value.code


def test_a_deadline_of_the_handler_ends_the_request(backend: str) -> None:
    """The connection is closed with the step."""

    async def silence(stream: SocketStream) -> None:
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()

    assert "given up" == called(backend, silence, deadline=0.05).result
