"""Cancel, kill, pause, resume: to an invocation in every status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio import (
    CancelledError,
    CancelScope,
    Context,
    InvocationRetryPolicy,
    ObjectContext,
    Service,
    TerminalError,
    UsageError,
    VirtualObject,
    move_on_after,
    sleep,
    wait_first,
)
from durable_trio.abc import InvocationStatus, TimerKind
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore, Timer

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class App:
    """Handlers that wait, fail, call each other and clean up."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.broken = True
        self.service = service = Service(
            "Work", retry_policy=InvocationRetryPolicy(initial_interval=60)
        )
        self.tree = tree = VirtualObject("Tree")
        log = self.events.append

        @service.handler
        async def wait(ctx: Context) -> str:
            try:
                await ctx.signal("go", str)
            finally:
                with CancelScope(shield=True):
                    await ctx.run(log, "cleanup", on_thread=False)
            return "went"

        @service.handler
        async def fail(ctx: Context) -> str:
            try:
                if self.broken:
                    raise RuntimeError("broken")
                await sleep(0)
            finally:
                log("failed" if self.broken else "mended")
            return "mended"

        @service.handler(
            retry_policy=InvocationRetryPolicy(max_attempts=1, on_max_attempts="pause")
        )
        async def fail_once(ctx: Context) -> str:
            return await fail(ctx)

        @service.handler
        async def stuck(ctx: Context) -> None:
            import anyio

            await ctx.run(anyio.sleep_forever)

        @service.handler
        async def nap(ctx: Context) -> None:
            with move_on_after(5000):
                await ctx.timer(1000)
            await ctx.signal("go")

        @tree.handler
        async def grow(ctx: ObjectContext, depth: int) -> str:
            if depth:
                await ctx.call(grow, depth - 1, key=f"{ctx.key}.{depth}")
            else:
                # The same key: it waits for itself.
                await ctx.call(grow, 0, key=ctx.key)
            return "grown"

        @tree.handler
        async def touch(ctx: ObjectContext) -> str:
            return "touched"

        @tree.handler
        async def plant(ctx: ObjectContext) -> str:
            ctx.send(grow, 0, key="sent")
            await ctx.call(grow, 1, key="called")
            return "planted"

        self.wait, self.fail, self.fail_once, self.stuck = wait, fail, fail_once, stuck
        self.nap, self.grow, self.touch, self.plant = nap, grow, touch, plant

    def runtime(
        self, store: JournalStore, clock: VirtualClock, unload_after: float = 1000.0
    ) -> LocalRuntime:
        return LocalRuntime(
            [self.service, self.tree], store, clock=clock, unload_after=unload_after
        )


async def status_of(runtime: LocalRuntime, invocation_id: str) -> InvocationStatus:
    """Where an invocation stands."""
    return (await runtime.invocation(invocation_id)).status


async def timers_left(store: JournalStore, clock: VirtualClock) -> list[Timer]:
    """Timers of invocations that have not completed."""
    timers = await store.timers(due_by=clock.time + 1e6, limit=100)
    return [timer for timer in timers if timer.kind is not TimerKind.EXPIRE]


@pytest.mark.parametrize("unload_after", [0.0, 1000.0])
async def test_an_explicit_handler_decides_how_it_ends(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """CANCEL ends what it waits for; its callee is cancelled, its own value is the result."""
    app = App()

    @app.service.handler(explicit_cancellation=True)
    async def listen(ctx: Context) -> str:
        index, _ = await wait_first(ctx.call(app.wait), ctx.cancellation())
        return f"heard {index}"

    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(listen)
        await clock.settle()
        await runtime.cancel(receipt.invocation_id)

        assert await runtime.attach(receipt.invocation_id, str) == "heard 1"
        await clock.settle()
        assert app.events == ["cleanup"]


@pytest.mark.parametrize("unload_after", [0.0, 1000.0])
async def test_a_cancelled_handler_unwinds(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Its shielded cleanup runs, and it ends with 409."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.wait)
        await clock.settle()
        await runtime.cancel(receipt.invocation_id)
        with pytest.raises(CancelledError):
            await runtime.attach(receipt.invocation_id)

        assert app.events == ["cleanup"]
        assert (await runtime.invocation(receipt.invocation_id)).cancelled
        await runtime.cancel(receipt.invocation_id)


async def test_what_has_not_started_is_cancelled_without_running(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A pending and a scheduled one; those behind them in the queue are not disturbed."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        holder = await runtime.send(app.grow, 0, key="k")
        pending = await runtime.send(app.touch, key="k")
        behind = await runtime.send(app.touch, key="k")
        scheduled = await runtime.send(app.wait, delay=3600)
        for receipt in (pending, scheduled):
            await runtime.cancel(receipt.invocation_id)
            with pytest.raises(CancelledError):
                await runtime.attach(receipt.invocation_id)
        assert await timers_left(store, clock) == []
        await runtime.kill(holder.invocation_id)

        assert await runtime.attach(behind.invocation_id, str) == "touched"
        assert await store.queued("Tree", "k") is None
        await clock.advance(3600)
        assert app.events == []


async def test_cancelling_wakes_one_that_backs_off(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Its next attempt is now."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.fail)
        await clock.settle()
        before = await status_of(runtime, receipt.invocation_id)
        app.broken = False
        await runtime.cancel(receipt.invocation_id)
        with pytest.raises(CancelledError):
            await runtime.attach(receipt.invocation_id)

        assert await timers_left(store, clock) == []
        assert before is InvocationStatus.BACKING_OFF
        assert app.events == ["failed", "mended"]
        assert clock.elapsed == 0


async def test_cancelling_wakes_one_that_is_paused(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Also in another process."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.fail_once)
        await clock.settle()
        assert await status_of(runtime, receipt.invocation_id) is InvocationStatus.PAUSED
    app.broken = False
    async with app.runtime(store, clock) as runtime:
        await clock.settle()
        assert await status_of(runtime, receipt.invocation_id) is InvocationStatus.PAUSED
        await runtime.cancel(receipt.invocation_id)
        with pytest.raises(CancelledError):
            await runtime.attach(receipt.invocation_id)


async def test_a_paused_invocation_is_resumed(store: JournalStore, clock: VirtualClock) -> None:
    """It goes on, and its retries start anew."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.fail_once)
        await clock.settle()
        paused = await runtime.invocation(receipt.invocation_id)
        app.broken = False
        await runtime.resume(receipt.invocation_id)

        assert paused.status is InvocationStatus.PAUSED
        assert paused.last_failure is not None
        assert "broken" in paused.last_failure.message
        assert await runtime.attach(receipt.invocation_id, str) == "mended"


async def test_pausing_stops_what_runs(store: JournalStore, clock: VirtualClock) -> None:
    """A body is cancelled; nothing wakes the invocation until it is resumed."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        body = await runtime.send(app.stuck)
        waiting = await runtime.send(app.wait)
        await clock.settle()
        for receipt in (body, waiting):
            await runtime.pause(receipt.invocation_id)
            await runtime.pause(receipt.invocation_id)
            assert await status_of(runtime, receipt.invocation_id) is InvocationStatus.PAUSED
        await runtime.resolve_signal(waiting.invocation_id, "go", "on")
        await clock.settle()

        assert await status_of(runtime, waiting.invocation_id) is InvocationStatus.PAUSED
        assert app.events == []
        await runtime.resume(waiting.invocation_id)
        assert await runtime.attach(waiting.invocation_id, str) == "went"
        assert app.events == ["cleanup"]


async def test_only_what_has_started_is_paused(store: JournalStore, clock: VirtualClock) -> None:
    """And only that is resumed."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        await runtime.send(app.grow, 0, key="k")
        pending = await runtime.send(app.touch, key="k")
        scheduled = await runtime.send(app.wait, delay=3600)
        done = await runtime.send(app.touch, key="other")
        await runtime.attach(done.invocation_id)
        for receipt, status in (
            (pending, "pending"),
            (scheduled, "scheduled"),
            (done, "completed"),
        ):
            with pytest.raises(UsageError, match=f"is {status}: only one that has started"):
                await runtime.pause(receipt.invocation_id)
            with pytest.raises(UsageError, match=f"is {status}: only one that has started"):
                await runtime.resume(receipt.invocation_id)


@pytest.mark.parametrize("unload_after", [0.0, 1000.0])
async def test_a_kill_reaches_all_that_was_called(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """And frees their keys; what was sent goes on."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        root = await runtime.send(app.plant, key="root")
        await clock.settle()
        await runtime.kill(root.invocation_id)
        with pytest.raises(TerminalError, match="killed") as caught:
            await runtime.attach(root.invocation_id)

        assert caught.value.code == 409
        for key in ("root", "called", "called.1"):
            assert await runtime.call(app.touch, key=key) == "touched"
        unfinished = {
            record.key
            for record in await store.invocations()
            if record.status is not InvocationStatus.COMPLETED
        }
        assert unfinished == {"sent"}
        await runtime.kill(root.invocation_id)


async def test_a_kill_ends_a_body(store: JournalStore, clock: VirtualClock) -> None:
    """For real."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.stuck)
        await clock.settle()
        await runtime.kill(receipt.invocation_id)

        with pytest.raises(TerminalError, match="killed"):
            await runtime.attach(receipt.invocation_id)


async def test_killing_at_once_is_fine(store: JournalStore, clock: VirtualClock) -> None:
    """Whatever an invocation is about to do when the kill arrives."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        for _ in range(10):
            receipt = await runtime.send(app.plant, key="root")
            await runtime.kill(receipt.invocation_id)
            with pytest.raises(TerminalError, match="killed"):
                await runtime.attach(receipt.invocation_id)
        assert await runtime.call(app.touch, key="root") == "touched"


async def test_no_timer_is_left_of_a_killed_invocation(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Nor of one that has left its deadlines behind."""
    app = App()
    clock.stopped = True
    async with app.runtime(store, clock) as runtime:
        killed = await runtime.send(app.nap)
        await clock.settle()
        assert len(await timers_left(store, clock)) == 2
        await runtime.kill(killed.invocation_id)
        assert await timers_left(store, clock) == []

        done = await runtime.send(app.nap)
        await clock.settle()
        await clock.advance(1000)
        assert await timers_left(store, clock) == []
        await runtime.resolve_signal(done.invocation_id, "go")
        assert await runtime.attach(done.invocation_id) is None
