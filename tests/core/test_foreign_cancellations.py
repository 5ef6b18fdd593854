"""``asyncio.current_task().cancel()`` where all branches share one host task: an error at its line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import Event, UsageError, checkpoint, open_nursery, sleep
from durable_trio.abc import AttemptCompleted, AttemptEnd, AttemptFailed, Output

from .world import World, service_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def cancel_this_task() -> None:
    this_task().cancel()


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


async def twice(ctx: Context) -> None:
    cancel_this_task()
    cancel_this_task()
    await ctx.run(give, 2)


async def at_the_end(ctx: Context) -> None:
    cancel_this_task()


async def in_front_of_an_error(ctx: Context) -> None:
    cancel_and_fail()


async def in_front_of_a_plain_checkpoint(ctx: Context) -> None:
    cancel_this_task()
    await asyncio.sleep(0)


async def in_front_of_a_foreign_await(ctx: Context) -> None:
    cancel_this_task()
    await asyncio.sleep(1)


async def with_a_cleanup_that_waits(ctx: Context) -> None:
    try:
        await in_front_of_a_wait(ctx)
    finally:
        await asyncio.sleep(0)


async def while_many_steps_are_taken(ctx: Context) -> None:
    cancel_this_task()
    while True:
        Event().set()
        await checkpoint()


async def in_a_branch(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(after_a_step, ctx)
        nursery.start_soon(sleep, 1)


def played(
    handler: Callable[[Context], Awaitable[object]],
) -> tuple[AttemptEnd, World, int]:
    """How the attempt ends, what was journaled, and the requests that the host task is left with."""
    world = World(service_handler(handler))

    async def main() -> tuple[AttemptEnd, World, int]:
        end = await world.run()
        requests = this_task().cancelling()
        await asyncio.sleep(0)  # nothing is to come, either
        return end, world, requests

    return anyio.run(main, backend="asyncio")


@pytest.mark.parametrize(
    ("handler", "culprit"),
    [
        (in_front_of_a_wait, in_front_of_a_wait),
        (after_a_step, after_a_step),
        (twice, twice),
        (at_the_end, at_the_end),
        (in_front_of_an_error, in_front_of_an_error),
        (in_front_of_a_plain_checkpoint, in_front_of_a_plain_checkpoint),
        (in_front_of_a_foreign_await, in_front_of_a_foreign_await),
        (with_a_cleanup_that_waits, in_front_of_a_wait),
        (while_many_steps_are_taken, while_many_steps_are_taken),
        (in_a_branch, after_a_step),
    ],
)
def test_a_handler_that_cancels_its_host_task(
    handler: Callable[..., Any], culprit: Callable[..., Any]
) -> None:
    """It fails the attempt, and whoever runs it is not cancelled."""
    end, world, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    path, line, rest = str(end.error).split(":", 2)
    first = culprit.__code__.co_firstlineno
    assert __file__ == path
    assert int(line) in range(first, first + 6)
    assert "asyncio.current_task().cancel()" in rest
    assert 0 == requests
    assert not [entry for entry in world.entries if isinstance(entry, Output)]


def test_several_branches_that_may_have_done_it_are_all_named() -> None:
    """Which of them it was, nobody has seen."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
            nursery.start_soon(in_front_of_a_wait, ctx)

    end, _, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    line = in_front_of_a_wait.__code__.co_firstlineno + 2
    places = str(end.error).partition(": by then this handler")[0].split(", ")
    assert f"{__file__}:{line}" in places
    assert len(places) == 3
    assert 0 == requests


def test_a_branch_that_has_ended_may_have_done_it() -> None:
    """Then nobody may be left to be named."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:

            async def child() -> None:
                await ctx.run(give, 1)
                cancel_this_task()

            nursery.start_soon(sleep, 1)
            nursery.start_soon(child)

    end, _, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert "in a branch that has ended: by then this handler" in str(end.error)
    assert 0 == requests


@pytest.mark.parametrize("body", [cancel_this_task, cancel_and_fail])
def test_an_inline_body_that_cancels_its_host_task(body: Callable[[], None]) -> None:
    """It has no other task than the handler's. Its result is not journaled, or it would be the last word."""
    executed: list[int] = []

    async def handler(ctx: Context) -> None:
        wrong = ctx.run(body, on_thread=False)
        ctx.run(executed.append, 1, on_thread=False)
        await wrong

    end, world, requests = played(handler)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert f"{__file__}:{body.__code__.co_firstlineno}: the run {body.__name__!r}" in str(end.error)
    assert 0 == requests
    assert not world.proposed
    assert [] == executed


@pytest.mark.parametrize(
    "handler",
    [
        in_front_of_a_wait,
        at_the_end,
        in_front_of_a_plain_checkpoint,
        with_a_cleanup_that_waits,
        while_many_steps_are_taken,
    ],
)
def test_a_cancellation_from_outside_at_the_same_time_wins(handler: Callable[..., Any]) -> None:
    """The attempt is torn down, and the request from outside is still there."""

    async def both(ctx: Context) -> None:
        asyncio.get_running_loop().call_soon(this_task().cancel)
        await handler(ctx)

    async def main() -> tuple[bool, int]:
        world = World(service_handler(both))
        task = asyncio.create_task(world.run())
        await asyncio.wait([task])
        assert not [entry for entry in world.entries if isinstance(entry, Output)]
        return task.cancelled(), task.cancelling()

    assert asyncio.run(main()) == (True, 1)


@pytest.mark.parametrize(
    "handler", [in_front_of_a_wait, in_front_of_a_plain_checkpoint, at_the_end]
)
def test_a_scope_around_it_that_is_cancelled_at_the_same_time_wins(
    handler: Callable[..., Any],
) -> None:
    """And catches what is its own."""

    async def main() -> tuple[bool, int]:
        with anyio.CancelScope() as scope:

            async def both(ctx: Context) -> None:
                scope.cancel()
                await handler(ctx)

            await World(service_handler(both)).run()
        await asyncio.sleep(0)
        return scope.cancelled_caught, this_task().cancelling()

    assert anyio.run(main, backend="asyncio") == (True, 0)


def test_a_task_that_was_told_before_is_no_news() -> None:
    """Whoever runs the attempt in a task that has swallowed a cancellation may do so."""

    async def handler(ctx: Context) -> int:
        await sleep(1)
        return this_task().cancelling()

    async def main() -> AttemptEnd:
        cancel_this_task()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        return await World(service_handler(handler)).run()

    end = asyncio.run(main())

    assert isinstance(end, AttemptCompleted)
