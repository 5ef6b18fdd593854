"""Awaiting what is not durable is found at its line, on the first run (S9)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import trio

from durable_trio import (
    CancelScope,
    ForeignAwaitError,
    NotDurableTaskError,
    checkpoint,
    open_nursery,
    sleep_forever,
)
from durable_trio.abc import AttemptCompleted, AttemptFailed, Input, Value

from .world import World, error, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context


async def give(value: Any) -> Any:
    return value


async def anyio_sleep(ctx: Context) -> None:
    await anyio.sleep(1)


async def anyio_event(ctx: Context) -> None:
    await anyio.Event().wait()


async def anyio_thread(ctx: Context) -> None:
    await anyio.to_thread.run_sync(int)


async def anyio_group(ctx: Context) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1)


async def a_library(ctx: Context) -> None:
    send, receive = anyio.create_memory_object_stream[int](0)
    with send, receive:
        await receive.receive()


async def trio_sleep(ctx: Context) -> None:
    await trio.sleep(1)


async def trio_nursery(ctx: Context) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 1)


async def trio_lock(ctx: Context) -> None:
    lock = trio.Event()
    await lock.wait()


async def asyncio_sleep(ctx: Context) -> None:
    await asyncio.sleep(1)


async def asyncio_task(ctx: Context) -> None:
    await asyncio.create_task(asyncio.sleep(0))


async def asyncio_gather(ctx: Context) -> None:
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))


async def asyncio_future(ctx: Context) -> None:
    await asyncio.get_running_loop().create_future()


async def asyncio_wait_for(ctx: Context) -> None:
    await asyncio.wait_for(asyncio.sleep(0.01), 1)


ANYIO = [anyio_sleep, anyio_event, anyio_thread, anyio_group, a_library]
TRIO = [trio_sleep, trio_nursery, trio_lock]
ASYNCIO = [asyncio_sleep, asyncio_task, asyncio_gather, asyncio_future, asyncio_wait_for]
FOREIGN = [
    *((backend, wait) for backend in ("trio", "asyncio") for wait in ANYIO),
    *(("trio", wait) for wait in TRIO),
    *(("asyncio", wait) for wait in ASYNCIO),
]


def line_of(function: Callable[..., object], text: str) -> str:
    """The place of a line of a function, as an error names it."""
    lines, first = inspect.getsourcelines(function)
    number = next(index for index, line in enumerate(lines) if text in line)
    return f"{inspect.getsourcefile(function)}:{first + number}"


@pytest.mark.parametrize(("backend", "wait"), FOREIGN)
def test_a_foreign_await_is_named_by_file_and_line(
    backend: str, wait: Callable[[Any], Awaitable[None]]
) -> None:
    """Whatever is awaited, and however deep in a library: the user's own line is shown."""
    found = error(service_handler(wait), backend)

    assert isinstance(found, ForeignAwaitError)
    lines, first = inspect.getsourcelines(wait)
    places = [f"{__file__}:{first + index}: " for index in range(1, len(lines))]
    assert [place for place in places if str(found).startswith(place)]
    assert "ctx.run" in str(found)


def test_it_is_the_line_of_the_await(backend: str) -> None:
    """Not that of the function, and not one after it."""

    async def handler(ctx: Context) -> None:
        await ctx.run(give, 1)
        await anyio.sleep(1)
        await ctx.run(give, 2)

    found = error(service_handler(handler), backend)

    assert str(found).startswith(line_of(handler, "anyio.sleep(1)"))


def test_a_foreign_await_in_a_child_is_found(backend: str) -> None:
    """In any branch."""

    async def child() -> None:
        await checkpoint()
        await anyio.sleep(1)

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)
            nursery.start_soon(child)

    found = error(service_handler(handler), backend)

    assert isinstance(found, ForeignAwaitError)
    assert str(found).startswith(line_of(child, "anyio.sleep(1)"))


def test_a_foreign_await_in_a_finally_is_found(backend: str) -> None:
    """Also in the cleanup of a cancelled scope."""

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            finally:
                await anyio.sleep(1)

    found = error(service_handler(handler), backend)

    assert isinstance(found, ForeignAwaitError)
    assert str(found).startswith(line_of(handler, "anyio.sleep(1)"))


def test_a_foreign_await_that_is_swallowed_still_fails_the_attempt(backend: str) -> None:
    """``except BaseException`` does not hide it, and nothing is journaled after it."""

    async def handler(ctx: Context) -> str:
        with contextlib.suppress(BaseException):
            await anyio.sleep(1)
        ctx.run(give, 1)
        return "swallowed"

    world = World(service_handler(handler))
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, ForeignAwaitError)
    assert [Input(b"")] == world.entries


def test_a_foreign_task_that_answers_its_cancellation_with_an_error_is_unwound() -> None:
    """asyncio throws that error into the handler, which goes on to its end."""
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("instead")

    async def handler(ctx: Context) -> None:
        try:
            await asyncio.create_task(stubborn())
        except ValueError as raised:
            seen.append(str(raised))

    found = error(service_handler(handler), "asyncio")

    assert isinstance(found, ForeignAwaitError)
    assert ["instead"] == seen


def test_a_loop_that_swallows_foreign_awaits_is_given_up(backend: str) -> None:
    """The attempt ends all the same."""

    async def handler(ctx: Context) -> None:
        while True:
            try:
                await anyio.sleep(1)
            except GeneratorExit:
                raise
            except BaseException:
                pass

    assert isinstance(error(service_handler(handler), backend), ForeignAwaitError)


def test_a_foreign_await_during_a_replay_is_found_there(backend: str) -> None:
    """At the same line, before anything new is done."""

    async def handler(ctx: Context) -> None:
        if await ctx.run(give, True):
            await anyio.sleep(1)

    world = World(service_handler(handler))
    world.play(backend)
    again = World(service_handler(handler), recorded=world.entries)
    end = again.play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, ForeignAwaitError)


def test_the_siblings_of_a_foreign_await_see_nothing(backend: str) -> None:
    """They are torn down, and their cleanup journals nothing."""
    seen: list[str] = []

    async def sibling(ctx: Context) -> None:
        try:
            await sleep_forever()
        except Exception as error:
            seen.append(repr(error))
        finally:
            seen.append("finally")
            with CancelScope(shield=True):
                await ctx.run(give, 1)
            seen.append("went on")

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sibling, ctx)
            await checkpoint()
            await anyio.sleep(1)

    world = World(service_handler(handler))
    world.play(backend)

    assert ["finally"] == seen
    assert [] == world.names


def test_plain_checkpoints_are_harmless(backend: str) -> None:
    """The host's own checkpoints wait for nothing."""

    async def handler(ctx: Context) -> int:
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.cancel_shielded_checkpoint()
        await anyio.lowlevel.checkpoint_if_cancelled()
        first = await ctx.run(give, 1)
        await anyio.lowlevel.checkpoint()
        return first  # type: ignore[no-any-return]

    assert value(service_handler(handler), backend) == 1


def test_trio_s_checkpoint_is_harmless() -> None:
    """As trio spells it."""

    async def handler(ctx: Context) -> int:
        await trio.lowlevel.checkpoint()
        return await ctx.run(give, 1)

    assert AttemptCompleted(Value(b"1")) == World(service_handler(handler)).play("trio")


def test_asyncio_s_checkpoint_is_harmless() -> None:
    """``asyncio.sleep(0)``."""

    async def handler(ctx: Context) -> int:
        await asyncio.sleep(0)
        return await ctx.run(give, 1)

    assert AttemptCompleted(Value(b"1")) == World(service_handler(handler)).play("asyncio")


def test_a_checkpoint_of_the_host_lets_no_other_branch_run(backend: str) -> None:
    """It is no durable wait: the baton is kept, so the order is that of the journal."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def child() -> None:
            order.append("child")

        async with open_nursery() as nursery:
            nursery.start_soon(child)
            await anyio.lowlevel.checkpoint()
            order.append("parent")
        return order

    assert value(service_handler(handler), backend) == ["parent", "child"]


def test_a_durable_operation_in_a_host_task_says_what_to_do() -> None:
    """A coroutine that ends up in ``asyncio.create_task`` cannot use the context."""
    found: list[Exception] = []

    async def operate(ctx: Context) -> None:
        try:
            await ctx.run(give, 1)
        except NotDurableTaskError as error:
            found.append(error)

    async def handler(ctx: Context) -> None:
        await asyncio.create_task(operate(ctx))

    assert isinstance(error(service_handler(handler), "asyncio"), ForeignAwaitError)
    assert "open_nursery().start_soon()" in str(found[0])
