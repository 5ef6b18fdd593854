"""``asyncio.current_task().cancel()`` where all branches share one host task: an error at its line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import UsageError, open_nursery, sleep
from durable_trio.abc import AttemptEnd, AttemptFailed

from .world import World, service_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context


def cancel_this_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def cancel_and_fail() -> None:
    cancel_this_task()
    raise ValueError("and more")


async def give(value: Any) -> Any:
    return value


async def in_front_of_a_wait(ctx: Context) -> None:
    cancel_this_task()
    await sleep(5)


async def after_a_step(ctx: Context) -> None:
    await ctx.run(give, 1)
    cancel_this_task()
    await ctx.run(give, 2)


async def at_the_end(ctx: Context) -> None:
    cancel_this_task()


async def in_front_of_a_plain_checkpoint(ctx: Context) -> None:
    cancel_this_task()
    await asyncio.sleep(0)


async def with_a_cleanup_that_waits(ctx: Context) -> None:
    try:
        await in_front_of_a_wait(ctx)
    finally:
        await asyncio.sleep(0)


async def in_a_branch(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(sleep, 1)
        nursery.start_soon(in_front_of_a_wait, ctx)
        nursery.start_soon(sleep, 1)


def played(handler: Callable[[Context], Awaitable[object]]) -> tuple[AttemptEnd, int]:
    """How the attempt ends, and how many requests the host task is left with."""

    async def main() -> tuple[AttemptEnd, int]:
        end = await World(service_handler(handler)).run()
        task = asyncio.current_task()
        assert task is not None
        requests = task.cancelling()
        await asyncio.sleep(0)  # nothing is to come, either
        return end, requests

    return anyio.run(main, backend="asyncio")


@pytest.mark.parametrize(
    ("handler", "culprit"),
    [
        (in_front_of_a_wait, in_front_of_a_wait),
        (after_a_step, after_a_step),
        (at_the_end, at_the_end),
        (in_front_of_a_plain_checkpoint, in_front_of_a_plain_checkpoint),
        (with_a_cleanup_that_waits, in_front_of_a_wait),
        (in_a_branch, in_front_of_a_wait),
    ],
)
def test_a_handler_that_cancels_its_host_task(
    handler: Callable[..., Any], culprit: Callable[..., Any]
) -> None:
    """It fails the attempt, and whoever runs it is not cancelled."""
    end, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    path, line, rest = str(end.error).split(":", 2)
    first = culprit.__code__.co_firstlineno
    assert __file__ == path
    assert int(line) in range(first, first + 6)
    assert "asyncio.current_task().cancel()" in rest
    assert 0 == requests


@pytest.mark.parametrize("body", [cancel_this_task, cancel_and_fail])
def test_an_inline_body_that_cancels_its_host_task(body: Callable[[], None]) -> None:
    """It has no other task than the handler's."""

    async def handler(ctx: Context) -> None:
        await ctx.run(body, on_thread=False)

    end, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert f"{__file__}:{body.__code__.co_firstlineno}: the run {body.__name__!r}" in str(end.error)
    assert 0 == requests
