"""Whoever runs an attempt may cancel it, and interrupts pass through it."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest
import trio

from durable_trio import CancelScope, Event, checkpoint, open_nursery, remote, sleep, sleep_forever
from durable_trio.abc import Call, Input, Output

from .world import World, service_handler, unanswered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def cancelled_after(world: World, turns: int, backend: str) -> bool:
    """Run a world, cancel it natively after some turns; whether it was cancelled."""

    async def main() -> bool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()

                group.start_soon(cancel)
                await world.run()
        return scope.cancelled_caught

    cancelled = anyio.run(main, backend=backend)
    assert [] == world.ends
    return cancelled


async def plain_checkpoints(ctx: Context) -> None:
    while True:
        await anyio.lowlevel.checkpoint()
        await ctx.run(give, 1)


async def replay_without_end(ctx: Context) -> None:
    while True:
        await checkpoint()
        Event().set()


async def nested(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(sleep_forever)
        with CancelScope(shield=True):
            await ctx.run(anyio.sleep_forever)


WAITS: list[Callable[[Any], Awaitable[object]]] = [
    lambda ctx: ctx.run(anyio.sleep_forever),
    nested,
    plain_checkpoints,
    replay_without_end,
]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 50])
def test_cancelling_the_attempt_from_outside_is_silent(
    backend: str, turns: int, wait: Callable[[Any], Awaitable[object]]
) -> None:
    """The handler sees no error, nothing is journaled for it, and the scope outside catches."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await wait(ctx)
            seen.append("went on")
        except Exception as error:
            seen.append(repr(error))
        finally:
            seen.append("finally")

    world = World(service_handler(handler))

    assert cancelled_after(world, turns, backend)
    assert seen in (["finally"], [])
    assert not [entry for entry in world.entries if isinstance(entry, Output)]


def test_no_cleanup_is_journaled_when_the_host_cancels(backend: str) -> None:
    """It is a crash, not a cancellation: callees are not signalled."""

    async def handler(ctx: Context) -> None:
        try:
            call = ctx.call(PEER, "x")
            await call.invocation_id()
            await ctx.run(anyio.sleep_forever)
        finally:
            with CancelScope(shield=True):
                await ctx.run(give, 1, name="cleanup")

    world = World(service_handler(handler), answer=unanswered)

    assert cancelled_after(world, 100, backend)
    assert ["Call", "Run sleep_forever"] == world.names


@pytest.mark.parametrize("checkpoints", [1, 3])
def test_a_cancellation_that_meets_a_plain_checkpoint_is_silent(
    backend: str, checkpoints: int
) -> None:
    """The handler is at a harmless checkpoint of the host's when it is cancelled."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            while True:
                for _ in range(checkpoints):
                    await anyio.lowlevel.checkpoint()
                Event().set()
        except Exception as error:
            seen.append(repr(error))
        finally:
            seen.append("finally")
            await anyio.lowlevel.checkpoint()

    world = World(service_handler(handler))

    assert cancelled_after(world, 7, backend)
    assert ["finally"] == seen
    assert [Input(b"")] == world.entries


def test_a_native_cancel_of_asyncio_s_passes_through() -> None:
    """``Task.cancel()``, which anyio does not know of, ends the attempt as cancelled."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await ctx.run(anyio.sleep_forever)
        except Exception as error:
            seen.append(repr(error))
        finally:
            seen.append("finally")

    async def main() -> bool:
        task = asyncio.create_task(World(service_handler(handler)).run())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert ["finally"] == seen


def test_a_native_cancel_that_meets_a_plain_checkpoint_passes_through() -> None:
    """It comes once, and must not be lost in the handler's checkpoint."""

    async def handler(ctx: Context) -> None:
        while True:
            await asyncio.sleep(0)
            Event().set()

    async def main() -> bool:
        task = asyncio.create_task(World(service_handler(handler)).run())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


def test_a_native_cancel_during_the_unwinding_is_not_lost() -> None:
    """A suspension is being unwound when the task is cancelled: the task ends as cancelled."""
    unwinding = asyncio.Event()

    async def handler(ctx: Context) -> None:
        try:
            await ctx.awakeable().future
        finally:
            unwinding.set()
            for _ in range(20):
                await asyncio.sleep(0)

    async def main() -> bool:
        world = World(service_handler(handler), suspending=True)
        task = asyncio.create_task(world.run())
        await unwinding.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())


class Interrupt(BaseException):
    """As KeyboardInterrupt, which would stop the event loop itself."""


async def interrupt() -> None:
    raise Interrupt


def interrupt_at_once() -> None:
    raise Interrupt


async def in_a_child(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(interrupt)
        await ctx.call(PEER, "x")


async def in_a_group(ctx: Context) -> None:
    await ctx.run(give, 1)
    raise BaseExceptionGroup("both", [Interrupt(), ValueError()])


async def in_the_handler(ctx: Context) -> None:
    call = ctx.call(PEER, "x")
    await call.invocation_id()
    await interrupt()


INTERRUPTED: list[Callable[[Any], Awaitable[object]]] = [
    in_the_handler,
    in_a_child,
    in_a_group,
    lambda ctx: ctx.run(interrupt),
    lambda ctx: ctx.run(interrupt_at_once, on_thread=False),
]


@pytest.mark.parametrize("interrupted", INTERRUPTED)
def test_an_interrupt_passes_through(
    backend: str, interrupted: Callable[[Any], Awaitable[object]]
) -> None:
    """It leaves ``Attempt.run`` as it is; for the journal it is a crash."""

    async def handler(ctx: Context) -> None:
        ctx.call(PEER, "left")
        await interrupted(ctx)

    world = World(service_handler(handler), answer=unanswered)
    with pytest.raises(BaseException) as raised:
        world.play(backend)

    assert Interrupt in leaves(raised.value)
    assert not [entry for entry in world.entries if isinstance(entry, Output)]
    assert {"Call", "Run"} >= {name.partition(" ")[0] for name in world.names}


def leaves(error: BaseException) -> set[type]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return {leaf for inner in group.exceptions for leaf in leaves(inner)}

    return {type(error)}


def test_a_keyboard_interrupt_in_a_trio_program_ends_it() -> None:
    """trio's own: the interrupt of a handler ends ``trio.run``."""

    async def handler(ctx: Context) -> None:
        await ctx.run(give, 1)
        raise KeyboardInterrupt

    with pytest.raises(BaseException) as raised:
        trio.run(World(service_handler(handler)).run)

    assert {KeyboardInterrupt} == leaves(raised.value)


@pytest.mark.parametrize("wait", [trio.lowlevel.checkpoint, trio.sleep_forever, Event().wait])
def test_a_keyboard_interrupt_that_trio_held_back_is_not_lost(
    wait: Callable[[], Awaitable[object]],
) -> None:
    """It comes at the next checkpoint of the main task, whatever the handler waits for there."""

    @trio.lowlevel.enable_ki_protection
    def press() -> None:
        signal.raise_signal(signal.SIGINT)

    async def handler(ctx: Context) -> None:
        press()
        await wait()

    with pytest.raises(BaseException) as raised:
        trio.run(World(service_handler(handler)).run)

    assert {KeyboardInterrupt} == leaves(raised.value)


def test_an_interrupt_while_an_attempt_is_left_passes_through(backend: str) -> None:
    """In a ``finally`` block of an attempt that has failed already."""

    async def cleanup() -> None:
        try:
            await sleep_forever()
        finally:
            raise Interrupt

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(cleanup)
            await checkpoint()
            await anyio.sleep(1)

    with pytest.raises(BaseException) as raised:
        World(service_handler(handler)).play(backend)

    assert Interrupt in leaves(raised.value)


def test_an_attempt_in_a_scope_that_is_cancelled_already_journals_only_what_it_does_at_once(
    backend: str,
) -> None:
    """The handler runs up to its first wait, as in any cancelled host scope."""

    async def handler(ctx: Context) -> None:
        ctx.call(PEER, "x")
        await sleep(1)

    world = World(service_handler(handler))

    async def main() -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await world.run()
        return scope.cancelled_caught

    assert anyio.run(main, backend=backend)
    assert isinstance(world.entries[1], Call)
