"""What was begun and never awaited ends with its branch, and that is told (C5)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    Context,
    TerminalError,
    as_completed,
    gather,
    move_on_after,
    open_nursery,
    remote,
    sleep,
    wait_first,
)

from .world import World, service_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def told(
    handler: Callable[[Context], Awaitable[object]],
    backend: str,
    caplog: pytest.LogCaptureFixture,
    **world: Any,
) -> list[str]:
    """What is logged of a handler, in one attempt."""
    with caplog.at_level(logging.WARNING, "durable_trio"):
        World(service_handler(handler), **world).play(backend)
    return [record.getMessage() for record in caplog.records if record.name == "durable_trio"]


async def a_step(ctx: Context) -> None:
    ctx.run(give, 1)


async def a_call(ctx: Context) -> None:
    ctx.call(PEER, "x")


async def a_timer(ctx: Context) -> None:
    ctx.timer(60)


async def in_a_scope(ctx: Context) -> None:
    with move_on_after(60):
        ctx.run(give, 1)
        await sleep(1)


async def in_a_branch(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(a_step, ctx)


@pytest.mark.parametrize(
    ("handler", "what"),
    [
        (a_step, "'give' of the handler"),
        (a_call, "'Peer/handle' of the handler"),
        (a_timer, "'sleep' of the handler"),
        (in_a_branch, "'a_step[0]/give' of 'a_step[0]'"),
    ],
)
def test_what_nobody_awaits_is_told(
    handler: Callable[[Context], Awaitable[object]],
    what: str,
    backend: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without it a step that never ran would look like one that did."""
    (message,) = told(handler, backend, caplog)

    assert message.startswith(f"S/{handler.__name__} (inv_1): nobody has awaited {what}, ")
    assert "`await`" in message


def test_a_step_that_has_ended_meanwhile_is_done(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It has had its effect."""
    assert [] == told(in_a_scope, backend, caplog)


async def detached(ctx: Context) -> None:
    ctx.call(PEER, "x").detach()


async def cancelled(ctx: Context) -> None:
    ctx.call(PEER, "x").cancel()


async def sent(ctx: Context) -> None:
    ctx.send(PEER, "x")


async def lost(ctx: Context) -> None:
    await wait_first(ctx.run(give, 1), ctx.call(PEER, "x"))


async def left(ctx: Context) -> None:
    async for _ in as_completed(ctx.run(give, 1), ctx.call(PEER, "x")):
        break


async def in_vain(ctx: Context) -> None:
    call = ctx.call(PEER, "x")
    with move_on_after(1):
        await gather(call, ctx.awakeable(str).future)


async def out_of_time(ctx: Context) -> None:
    with move_on_after(1):
        ctx.call(PEER, "x")
        await sleep(60)


async def failed(ctx: Context) -> None:
    ctx.call(PEER, "x")
    raise TerminalError("no")


async def events(ctx: Context) -> None:
    ctx.awakeable(str)


@pytest.mark.parametrize(
    "handler",
    [detached, cancelled, sent, lost, left, in_vain, out_of_time, failed, events],
)
def test_what_was_waited_for_or_is_meant_is_not_told(
    handler: Callable[[Context], Awaitable[object]],
    backend: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A race's losers are given up on purpose."""
    assert [] == told(handler, backend, caplog)


def test_a_replay_does_not_tell_it_again(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """It was told when it happened."""
    world = World(service_handler(a_call))
    world.play(backend)
    caplog.clear()

    assert [] == told(a_call, backend, caplog, recorded=world.entries)
