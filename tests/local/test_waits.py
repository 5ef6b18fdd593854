"""What is stored because somebody waits is gone with the wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio import (
    Context,
    Service,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    WorkflowTarget,
    move_on_after,
    sleep,
    sleep_forever,
)
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

PROMISE = ("Order", "k", "approval")


class App:
    """A workflow that never ends by itself, and those who wait for it and its promise."""

    def __init__(self) -> None:
        self.flow = flow = Workflow("Order")
        self.service = service = Service("Service")

        @flow.main
        async def run(_ctx: WorkflowContext) -> str:
            await sleep_forever()
            return "never"

        @flow.shared
        async def hurried(ctx: WorkflowSharedContext) -> str:
            with move_on_after(3.0):
                await ctx.promise("approval", str)
            await sleep(10.0)
            return "gave up"

        @flow.shared
        async def at_once(ctx: WorkflowSharedContext) -> str:
            with move_on_after(3.0) as scope:
                ctx.promise("approval", str).get()
                scope.cancel()
                await sleep(0)
            await sleep(10.0)
            return "gave up"

        @flow.shared
        async def careless(ctx: WorkflowSharedContext) -> str:
            ctx.promise("approval", str).get()
            return "never looked"

        @flow.shared
        async def patient(ctx: WorkflowSharedContext) -> str:
            return await ctx.promise("approval", str)

        @flow.shared
        async def approve(ctx: WorkflowSharedContext) -> None:
            await ctx.promise("approval", str).resolve("yes")

        @service.handler
        async def attach(ctx: Context) -> str:
            with move_on_after(3.0):
                await ctx.invocation(WorkflowTarget("Order", "k")).attach(str)
            await sleep(10.0)
            return "gave up"

        self.run, self.attach, self.patient, self.approve = run, attach, patient, approve
        self.hurried, self.at_once, self.careless = hurried, at_once, careless

    def runtime(
        self, store: JournalStore, clock: VirtualClock, unload_after: float
    ) -> LocalRuntime:
        return LocalRuntime(
            [self.flow, self.service], store, clock=clock, unload_after=unload_after
        )


@pytest.fixture(params=[1.0, 1_000.0], ids=["unloaded", "in memory"])
def unload_after(request: pytest.FixtureRequest) -> float:
    """Whether those who wait leave memory meanwhile."""
    seconds: float = request.param
    return seconds


async def test_a_wait_that_is_given_up_leaves_nothing(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Neither while its invocation goes on, nor when that is replayed later."""
    app, clock.stopped = App(), True
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.hurried, key="k")
        await clock.settle()
        await clock.advance(1.5)
        waiters = await store.promise_waiters(*PROMISE)

        assert [waiter.invocation_id for waiter in waiters] == [receipt.invocation_id]
        await clock.advance(2.0)
        assert list(await store.promise_waiters(*PROMISE)) == []
        assert (await runtime.invocation(receipt.invocation_id)).result is None

    async with app.runtime(store, clock, unload_after) as runtime:
        await runtime.resume(receipt.invocation_id)
        await clock.settle()
        assert list(await store.promise_waiters(*PROMISE)) == []
        await clock.advance(11.0)
        assert await runtime.attach(receipt.invocation_id, str) == "gave up"


async def test_a_wait_is_given_up_before_it_is_stored(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The place is taken first and left then."""
    app, clock.stopped = App(), True
    async with app.runtime(store, clock, 1_000.0) as runtime:
        receipt = await runtime.send(app.at_once, key="k")
        await clock.settle()

        assert list(await store.promise_waiters(*PROMISE)) == []
        assert (await runtime.invocation(receipt.invocation_id)).result is None


async def test_a_wait_ends_with_its_invocation(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Whether it returned without having looked, or was killed."""
    app, clock.stopped = App(), True
    async with app.runtime(store, clock, unload_after) as runtime:
        assert await runtime.call(app.careless, key="k") == "never looked"
        await clock.settle()
        assert list(await store.promise_waiters(*PROMISE)) == []

        receipt = await runtime.send(app.patient, key="k")
        await clock.settle()
        await clock.advance(1.5)
        assert len(await store.promise_waiters(*PROMISE)) == 1
        await runtime.kill(receipt.invocation_id)
        assert list(await store.promise_waiters(*PROMISE)) == []


async def test_who_attaches_no_longer_is_nobody_s_waiter(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """The invocation that it waited for has nobody to answer."""
    app, clock.stopped = App(), True
    async with app.runtime(store, clock, unload_after) as runtime:
        target = await runtime.send(app.run, key="k")
        caller = await runtime.send(app.attach)
        await clock.settle()
        await clock.advance(1.5)
        waiters = await store.waiters(target.invocation_id)

        assert [waiter.invocation_id for waiter in waiters] == [caller.invocation_id]
        await clock.advance(2.0)
        assert list(await store.waiters(target.invocation_id)) == []


async def test_a_wait_goes_on_after_a_restart(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """With one place, not two, and its answer."""
    app, clock.stopped = App(), True
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.patient, key="k")
        await clock.settle()
        await clock.advance(1.5)

    async with app.runtime(store, clock, unload_after) as runtime:
        await runtime.resume(receipt.invocation_id)
        await clock.settle()
        assert len(await store.promise_waiters(*PROMISE)) == 1
        await runtime.call(app.approve, key="k")
        assert await runtime.attach(receipt.invocation_id, str) == "yes"
        assert list(await store.promise_waiters(*PROMISE)) == []
