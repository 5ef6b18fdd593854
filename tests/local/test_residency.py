"""Who is in memory, and what it costs those who are not."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import anyio
import pytest
import sniffio
import trio

from durable_trio import Context, Service, gather
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class App:
    """A tree of calls, and a handler that notes each of its attempts."""

    def __init__(self) -> None:
        self.attempts = 0
        self.service = service = Service("Tree")

        @service.handler
        async def grow(ctx: Context, depth: int) -> int:
            if not depth:
                await ctx.timer(1)
                return 1
            return sum(await gather(*(ctx.call(grow, depth - 1) for _ in range(3))))

        @service.handler
        async def nap(ctx: Context, seconds: float) -> int:
            self.attempts += 1
            await ctx.timer(seconds)
            return await ctx.run(lambda: self.attempts, on_thread=False)

        @service.handler
        async def toil(ctx: Context) -> int:
            self.attempts += 1
            await ctx.run(self.may_finish.wait)
            await ctx.timer(3)
            return await ctx.run(lambda: self.attempts, on_thread=False)

        self.may_finish = anyio.Event()
        self.grow, self.nap, self.toil = grow, nap, toil


async def test_an_idle_invocation_leaves_memory(store: JournalStore, clock: VirtualClock) -> None:
    """After a while, and comes back when there is something for it."""
    app = App()
    async with LocalRuntime([app.service], store, clock=clock, unload_after=5) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.nap, 60)
        await clock.settle()
        assert (await runtime.invocation(receipt.invocation_id)).status is InvocationStatus.RUNNING
        await clock.advance(4)
        assert (await runtime.invocation(receipt.invocation_id)).status is InvocationStatus.RUNNING
        await clock.advance(1)
        assert (
            await runtime.invocation(receipt.invocation_id)
        ).status is InvocationStatus.SUSPENDED
        clock.stopped = False

        assert await runtime.attach(receipt.invocation_id, int) == 2


async def test_nobody_has_to_leave(store: JournalStore, clock: VirtualClock) -> None:
    """``math.inf`` is never, unless another one needs the place."""
    app = App()
    async with LocalRuntime(
        [app.service], store, clock=clock, unload_after=math.inf, max_active=2
    ) as runtime:
        assert await runtime.call(app.nap, 7000) == 1
        assert await runtime.call(app.grow, 2) == 9


async def test_a_busy_one_stays(store: JournalStore, clock: VirtualClock) -> None:
    """It is not replayed if it does not wait for long."""
    app = App()
    async with LocalRuntime([app.service], store, clock=clock, unload_after=5) as runtime:
        assert await runtime.call(app.nap, 4) == 1


async def test_a_body_keeps_its_invocation_in_memory(
    store: JournalStore, clock: VirtualClock
) -> None:
    """For as long as it takes."""
    app = App()
    async with LocalRuntime([app.service], store, clock=clock, unload_after=5) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.toil)
        await clock.settle()
        await clock.advance(100)
        app.may_finish.set()
        await clock.settle()
        clock.stopped = False

        assert await runtime.attach(receipt.invocation_id, int) == 1


@pytest.mark.parametrize("places", [1, 2, 5])
async def test_few_places_are_enough(store: JournalStore, clock: VirtualClock, places: int) -> None:
    """Those that wait for others make room for them, however long they may stay otherwise."""
    app = App()
    async with LocalRuntime(
        [app.service], store, clock=clock, max_active=places, unload_after=10_000
    ) as runtime:
        assert await runtime.call(app.grow, 3) == 27


async def test_many_sleep_and_all_wake(store: JournalStore, clock: VirtualClock) -> None:
    """More than there are places, all at the same time."""
    app = App()
    async with LocalRuntime(
        [app.service], store, clock=clock, max_active=8, unload_after=0
    ) as runtime:
        receipts = [await runtime.send(app.nap, 100) for _ in range(50)]
        for receipt in receipts:
            await runtime.attach(receipt.invocation_id)

    assert 100 <= clock.elapsed < 110


async def test_who_waits_takes_no_task(store: JournalStore, clock: VirtualClock) -> None:
    """However many wait: what is in memory of them is what the store has, and nothing runs."""
    service = Service("Patient")

    @service.handler
    async def wait(ctx: Context) -> int:
        return await ctx.signal("go", int)

    async with LocalRuntime([service], store, clock=clock, unload_after=0) as runtime:
        await clock.settle()
        before = host_tasks()
        receipts = [await runtime.send(wait) for _ in range(500)]
        await clock.settle()

        assert host_tasks() == before
        waiting = await store.invocations(status=frozenset({InvocationStatus.SUSPENDED}))
        assert len(waiting) == len(receipts)
        for number, receipt in enumerate(receipts):
            await runtime.resolve_signal(receipt.invocation_id, "go", number)
        for number, receipt in enumerate(receipts):
            assert await runtime.attach(receipt.invocation_id, int) == number


def host_tasks() -> int:
    """How many tasks the event loop has."""
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())
