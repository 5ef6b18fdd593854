"""Native timeouts and scopes around a durable wait depend on the wall clock: they are found (S9)."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import trio

from durable_trio import (
    CancelScope,
    ForeignAwaitError,
    ForeignDeadlineError,
    checkpoint,
    open_nursery,
    sleep,
    sleep_forever,
)
from durable_trio.abc import AttemptCompleted, AttemptFailed, Value

from .world import World, error, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context
    from durable_trio.abc import AttemptEnd


async def give(value: Any) -> Any:
    return value


async def anyio_move_on_after(ctx: Context) -> None:
    with anyio.move_on_after(60):
        await ctx.run(give, 1)


async def anyio_fail_after(ctx: Context) -> None:
    with anyio.fail_after(60):
        await ctx.run(give, 1)


async def anyio_scope(ctx: Context) -> None:
    with anyio.CancelScope():
        await ctx.run(give, 1)


async def anyio_shield(ctx: Context) -> None:
    with anyio.CancelScope(shield=True):
        await sleep(1)


async def anyio_stack(ctx: Context) -> None:
    with ExitStack() as stack:
        stack.enter_context(anyio.CancelScope())
        await ctx.run(give, 1)


async def trio_move_on_after(ctx: Context) -> None:
    with trio.move_on_after(60):
        await ctx.run(give, 1)


async def trio_fail_after(ctx: Context) -> None:
    with trio.fail_after(60):
        await ctx.run(give, 1)


async def trio_scope(ctx: Context) -> None:
    with trio.CancelScope():
        await ctx.run(give, 1)


DEADLINES = [
    *(
        (backend, function)
        for backend in ("trio", "asyncio")
        for function in (
            anyio_move_on_after,
            anyio_fail_after,
            anyio_scope,
            anyio_shield,
            anyio_stack,
        )
    ),
    ("trio", trio_move_on_after),
    ("trio", trio_fail_after),
    ("trio", trio_scope),
]


@pytest.mark.parametrize(("backend", "function"), DEADLINES)
def test_a_native_scope_around_a_durable_wait_is_found_at_the_wait(
    backend: str, function: Callable[[Any], Awaitable[None]]
) -> None:
    """Whether it has expired or not; the message says what to use instead."""
    found = error(service_handler(function), backend)

    assert isinstance(found, ForeignDeadlineError)
    assert str(found).startswith(f"{__file__}:")
    assert "durable" in str(found)


@pytest.mark.parametrize("backend_name", ["trio", "asyncio"])
def test_a_native_nursery_around_a_durable_wait_is_found(backend_name: str) -> None:
    """It is told to use a durable nursery."""

    async def handler(ctx: Context) -> None:
        async with anyio.create_task_group():
            await ctx.run(give, 1)

    found = error(service_handler(handler), backend_name)

    assert isinstance(found, ForeignAwaitError)
    assert "durable_trio.open_nursery()" in str(found)


def test_a_trio_nursery_around_a_durable_wait_is_found() -> None:
    """As trio spells it."""

    async def handler(ctx: Context) -> None:
        async with trio.open_nursery():
            await ctx.run(give, 1)

    found = error(service_handler(handler), "trio")

    assert isinstance(found, ForeignAwaitError)
    assert "open_nursery" in str(found)


def test_a_native_scope_in_a_child_is_found_when_the_baton_passes(backend: str) -> None:
    """Before any other branch runs inside of it."""
    seen: list[str] = []

    async def child() -> None:
        with anyio.move_on_after(60):
            await checkpoint()
            seen.append("child went on")

    async def other() -> None:
        await checkpoint()
        seen.append("other went on")

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(child)
            nursery.start_soon(other)

    assert isinstance(error(service_handler(handler), backend), ForeignDeadlineError)
    assert [] == seen


def test_a_native_scope_around_a_durable_nursery_is_found(backend: str) -> None:
    """The parent waits in the nursery's exit while the child is stepped."""

    async def handler(ctx: Context) -> None:
        with anyio.move_on_after(60):
            async with open_nursery() as nursery:
                nursery.start_soon(lambda: ctx.run(give, 1))

    assert isinstance(error(service_handler(handler), backend), ForeignDeadlineError)


def test_a_native_scope_without_a_wait_is_nobody_s_business(backend: str) -> None:
    """What is left before the next durable wait decides nothing."""

    async def handler(ctx: Context) -> int:
        with anyio.move_on_after(60):
            await anyio.lowlevel.checkpoint()
        return await ctx.run(give, 1)

    assert value(service_handler(handler), backend) == 1


def test_an_expired_native_scope_around_plain_checkpoints_is_found(backend: str) -> None:
    """The wall clock has decided: the attempt fails, and does not end as cancelled."""

    async def handler(ctx: Context) -> str:
        with anyio.move_on_after(-1):
            await anyio.lowlevel.checkpoint()
            return "went on"
        return await ctx.run(give, "given up")

    assert isinstance(error(service_handler(handler), backend), ForeignDeadlineError)


def test_an_expired_native_scope_that_was_entered_by_hand_is_found(backend: str) -> None:
    """Even if no frame shows which one it is."""

    async def handler(ctx: Context) -> str:
        scope = anyio.CancelScope()
        scope.__enter__()
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            scope.__exit__(None, None, None)
        return "went on"

    assert isinstance(error(service_handler(handler), backend), ForeignDeadlineError)


@pytest.mark.parametrize("shield", [False, True])
@pytest.mark.parametrize("waits", ["in a step", "in a child", "nowhere"])
def test_a_native_scope_that_was_entered_by_hand_and_never_left_is_found(
    backend: str, waits: str, shield: bool
) -> None:
    """The host finds its own scopes in order afterwards."""
    held: list[anyio.CancelScope] = []

    async def enter() -> None:
        scope = anyio.CancelScope(shield=shield)
        scope.__enter__()
        held.append(scope)

    async def handler(ctx: Context) -> str:
        if waits == "in a child":
            async with open_nursery() as nursery:
                nursery.start_soon(enter)
        else:
            await enter()
        if waits == "in a step":
            await ctx.run(give, "given up")
        return "went on"

    async def main() -> object:
        world = World(service_handler(handler))
        with anyio.CancelScope() as outer:
            await world.run()
            outer.cancel()
            await anyio.sleep_forever()
        [end] = world.ends
        assert isinstance(end, AttemptFailed)
        return end.error

    found = anyio.run(main, backend=backend)

    assert isinstance(found, ForeignDeadlineError)
    assert "test_foreign_deadlines.py" in str(found)


def test_a_native_scope_that_expires_during_a_long_replay_is_found(backend: str) -> None:
    """The driver's own checkpoint meets it."""

    async def handler(ctx: Context) -> None:
        with anyio.move_on_after(-1):
            for _ in range(2000):
                await checkpoint()

    assert isinstance(error(service_handler(handler), backend), ForeignDeadlineError)


def test_asyncio_timeout_is_found_at_the_wait() -> None:
    """Long before it expires: an attempt that left memory until then would never meet it."""
    executed: list[str] = []

    async def handler(ctx: Context) -> None:
        await ctx.run(give, 1)
        async with asyncio.timeout(3600):
            await ctx.run(lambda: executed.append("body"), on_thread=False)

    found = error(service_handler(handler), "asyncio")

    assert isinstance(found, ForeignDeadlineError)
    assert f"{__file__}:{handler.__code__.co_firstlineno + 3}" in str(found)
    assert executed == []


def test_asyncio_timeout_that_was_left_is_nobody_s_business() -> None:
    """What is over before the next durable wait decides nothing."""

    async def handler(ctx: Context) -> int:
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)
        return await ctx.run(give, 1)

    assert AttemptCompleted(Value(b"1")) == World(service_handler(handler)).play("asyncio")


def test_asyncio_timeout_is_found_when_it_expires() -> None:
    """asyncio's timeout cancels the task that drives the attempt: nobody else asked for that."""

    async def handler(ctx: Context) -> None:
        async with asyncio.timeout(0):
            await ctx.run(anyio.sleep_forever)

    found = error(service_handler(handler), "asyncio")

    assert isinstance(found, ForeignDeadlineError)
    assert "asyncio.Timeout" in str(found)
    assert "durable_trio.fail_after()" in str(found)


def test_asyncio_timeout_in_a_child_is_found() -> None:
    """The branch that is inside of it is named, not the one that runs."""

    async def child() -> None:
        async with asyncio.timeout(0):
            await sleep_forever()

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(child)
            await ctx.run(anyio.sleep_forever)

    found = error(service_handler(handler), "asyncio")

    assert isinstance(found, ForeignDeadlineError)
    assert f"{__file__}:{child.__code__.co_firstlineno + 2}" in str(found)


def test_asyncio_timeout_around_plain_checkpoints_is_found() -> None:
    """It cancels the task at a checkpoint of the handler's."""

    async def handler(ctx: Context) -> None:
        async with asyncio.timeout(0):
            for _ in range(100):
                await asyncio.sleep(0)

    assert isinstance(error(service_handler(handler), "asyncio"), ForeignDeadlineError)


def test_asyncio_task_group_that_fails_is_found() -> None:
    """A child of asyncio's own cancels the driver."""

    async def fail() -> None:
        raise ValueError

    async def handler(ctx: Context) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await ctx.run(anyio.sleep_forever)

    found = error(service_handler(handler), "asyncio")

    assert isinstance(found, (ForeignAwaitError, ForeignDeadlineError))
    assert "TaskGroup" in str(found)


def test_asyncio_wait_for_a_durable_future_is_found() -> None:
    """It moves the wait into a task of its own, or surrounds it with a timeout."""

    async def wait(ctx: Context) -> None:
        await ctx.run(give, 1)

    async def handler(ctx: Context) -> None:
        await asyncio.wait_for(wait(ctx), 60)

    kind = ForeignDeadlineError if sys.version_info >= (3, 12) else ForeignAwaitError
    assert isinstance(error(service_handler(handler), "asyncio"), kind)


def test_a_foreign_deadline_that_is_swallowed_still_fails_the_attempt(backend: str) -> None:
    """Catching everything does not hide it."""

    async def handler(ctx: Context) -> str:
        try:
            with anyio.move_on_after(60):
                await ctx.run(give, 1)
        except BaseException:
            pass
        return "swallowed"

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, ForeignDeadlineError)


def test_native_scopes_around_the_whole_attempt_are_the_caller_s_own(backend: str) -> None:
    """Whoever runs an attempt may do so inside of a timeout."""

    async def handler(ctx: Context) -> str:
        with CancelScope():
            await sleep(5)
        return await ctx.run(give, "done")

    ends: list[AttemptEnd] = []

    async def main() -> None:
        with anyio.fail_after(60):
            async with anyio.create_task_group():
                ends.append(await World(service_handler(handler)).run())

    anyio.run(main, backend=backend)

    assert "done" in repr(ends)
