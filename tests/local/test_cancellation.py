"""What is cancelled ends: across services, in steps, and in what the store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    CancelledError,
    CancelScope,
    Context,
    InvocationTimeoutError,
    ObjectContext,
    OnCancel,
    Service,
    VirtualObject,
    fail_after,
    move_on_after,
    open_nursery,
    race,
)
from durable_trio.abc import Failure, InvocationStatus, TimerKind
from durable_trio.local import LocalRuntime

from .virtual_time import START

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("unload_after", [0.0, 1000.0])]


class App:
    """Callers whose callees and steps would go on for ever."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.service = service = Service("Caller")
        self.objects = objects = VirtualObject("Leaf")
        log = self.events.append

        async def endless() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                log("body aborted")

        @objects.handler
        async def hold(ctx: ObjectContext) -> None:
            try:
                await ctx.signal("never")
            finally:
                with CancelScope(shield=True):
                    await ctx.run(log, f"undo {ctx.key}", on_thread=False)

        @objects.handler
        async def quick(ctx: ObjectContext) -> str:
            return "quick"

        @service.handler
        async def middle(ctx: Context, name: str) -> None:
            async with open_nursery() as nursery:
                for number in range(2):
                    nursery.start_soon(lambda key: ctx.call(hold, key=key), f"{name}{number}")

        @service.handler
        async def root(ctx: Context) -> None:
            async with open_nursery() as nursery:
                for name in ("a", "b"):
                    nursery.start_soon(ctx.call, middle, name)

        @service.handler
        async def racing(ctx: Context) -> str:
            async def callee() -> str:
                await ctx.call(hold, key="loser")
                return "held"

            async def step() -> str:
                await ctx.run(endless)
                return "stepped"

            async def winner() -> str:
                await ctx.timer(1)
                return await ctx.call(quick, key="winner")

            won = await race(callee, step, winner)
            await ctx.timer(1)
            await ctx.run(log, "goes on", on_thread=False)
            return won

        @service.handler
        async def too_slow(ctx: Context) -> None:
            with fail_after(5):
                async with open_nursery() as nursery:
                    nursery.start_soon(lambda: ctx.call(hold, key="slow"))
                    nursery.start_soon(ctx.run, endless)

        @service.handler
        async def moves_on(ctx: Context) -> str:
            with move_on_after(5):
                ctx.run(endless)
                await ctx.call(hold, key="slow")
            await ctx.timer(1)
            await ctx.run(log, "goes on", on_thread=False)
            return "moved on"

        @service.handler
        async def leaves(ctx: Context, on_cancel: OnCancel) -> None:
            with move_on_after(5):
                await ctx.call(hold, key="left", on_cancel=on_cancel)
            await ctx.run(log, "left", on_thread=False)

        self.hold, self.quick, self.leaves = hold, quick, leaves
        self.root, self.racing, self.too_slow, self.moves_on = root, racing, too_slow, moves_on

    def runtime(
        self, store: JournalStore, clock: VirtualClock, unload_after: float
    ) -> LocalRuntime:
        return LocalRuntime(
            [self.service, self.objects], store, clock=clock, unload_after=unload_after
        )


async def check_nothing_is_left(store: JournalStore, clock: VirtualClock) -> None:
    """Nothing runs, is suspended, waits for a key or for a time."""
    await clock.settle()
    for record in await store.invocations():
        assert record.status is InvocationStatus.COMPLETED, f"{record.service}/{record.key}"
    timers = await store.timers(due_by=clock.time + 1e9, limit=100)
    assert [timer for timer in timers if timer.kind is not TimerKind.EXPIRE] == []
    assert list(await store.unfinished()) == []
    assert list(await store.holders()) == []


async def code_of(store: JournalStore, key: str) -> int | None:
    """The code that the object's invocation failed with."""
    (record,) = [record for record in await store.invocations() if record.key == key]
    return record.result.code if isinstance(record.result, Failure) else None


async def test_cancelling_unwinds_a_tree_of_calls(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Down to its leaves, each of which compensates once; every key is free afterwards."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.root)
        await clock.settle()
        await runtime.cancel(receipt.invocation_id)
        with pytest.raises(CancelledError):
            await runtime.attach(receipt.invocation_id)
        await check_nothing_is_left(store, clock)

        assert sorted(app.events) == ["undo a0", "undo a1", "undo b0", "undo b1"]
        assert [await code_of(store, key) for key in ("a0", "a1", "b0", "b1")] == [409] * 4
        assert await runtime.call(app.quick, key="a0") == "quick"


async def test_the_losers_of_a_race_end(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """The callee is cancelled and compensates, the step's body is aborted; the winner goes on."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        assert await runtime.call(app.racing) == "quick"
        await check_nothing_is_left(store, clock)

        assert sorted(app.events[:2]) == ["body aborted", "undo loser"]
        assert app.events[2:] == ["goes on"]
        assert await code_of(store, "loser") == 409


@pytest.mark.parametrize("raises", [True, False])
async def test_a_timeout_ends_callees_and_bodies(
    store: JournalStore, clock: VirtualClock, unload_after: float, *, raises: bool
) -> None:
    """For real, at its time, whether the handler goes on or fails with 408."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        if raises:
            with pytest.raises(InvocationTimeoutError) as caught:
                await runtime.call(app.too_slow)
            assert caught.value.code == 408
        else:
            assert await runtime.call(app.moves_on) == "moved on"
        await check_nothing_is_left(store, clock)

        assert sorted(app.events[:2]) == ["body aborted", "undo slow"]
        assert app.events[2:] == ([] if raises else ["goes on"])
        assert await code_of(store, "slow") == 409
        (caller,) = [each for each in await store.invocations() if each.service == "Caller"]
        assert caller.completed_at == START + (5 if raises else 6)


@pytest.mark.parametrize("on_cancel", ["request", "wait", "abandon"])
async def test_a_call_says_what_becomes_of_its_callee(
    store: JournalStore, clock: VirtualClock, unload_after: float, on_cancel: OnCancel
) -> None:
    """It is cancelled, waited for as well, or left alone."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        await runtime.call(app.leaves, on_cancel)
        await clock.settle()
        if on_cancel == "abandon":
            assert app.events == ["left"]
            (left,) = [each for each in await store.invocations() if each.key == "left"]
            assert left.status is not InvocationStatus.COMPLETED
            await runtime.cancel(left.id)
        elif on_cancel == "wait":
            assert app.events == ["undo left", "left"]
        await check_nothing_is_left(store, clock)

        assert sorted(app.events) == ["left", "undo left"]
        assert await code_of(store, "left") == 409
