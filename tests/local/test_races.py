"""What happens while somebody waits for the answer of the store."""

from __future__ import annotations

import math
from functools import partial

import anyio
import pytest

from durable_trio import (
    CancelledError,
    Context,
    InvocationRetryPolicy,
    ObjectContext,
    Service,
    StoreError,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime

from .slow_store import SlowStore
from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

DAY = 86_400.0


class App:
    """Handlers that look somebody up, on a store that is slow to answer."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.attempts = 0
        self.fails = False
        self.store = SlowStore()
        self.clock = VirtualClock(self.store)
        self.clock.stopped = True
        self.service = service = Service(
            "Svc", retry_policy=InvocationRetryPolicy(initial_interval=1)
        )
        self.object = box = VirtualObject("Box")
        self.workflow = workflow = Workflow("Flow")
        log = self.ran.append

        @service.handler
        async def work(ctx: Context, name: str) -> str:
            await ctx.run(log, name, on_thread=False)
            return name

        @service.handler
        async def send_and_go(ctx: Context) -> None:
            ctx.send(work, "sent", idempotency_key="k")

        @service.handler
        async def call(ctx: Context) -> str:
            return await ctx.call(work, "called", idempotency_key="k")

        @service.handler
        async def start(ctx: Context) -> str:
            self.attempts += 1
            call = ctx.call(main, key="w")
            await ctx.run(log, "before", on_thread=False)
            if self.fails and self.attempts == 1:
                raise RuntimeError("first attempt")
            return await call

        @service.handler
        async def wait(ctx: Context) -> str:
            return await ctx.signal("go", str)

        @workflow.main
        async def main(ctx: WorkflowContext) -> str:
            await ctx.run(log, "main", on_thread=False)
            return "main"

        @box.handler
        async def hold(ctx: ObjectContext) -> None:
            await ctx.signal("go")

        @box.handler
        async def touch(ctx: ObjectContext, name: str) -> str:
            await ctx.run(log, name, on_thread=False)
            return name

        self.work, self.send_and_go, self.call = work, send_and_go, call
        self.start, self.wait = start, wait
        self.main, self.hold, self.touch = main, hold, touch

    def runtime(self, unload_after: float = 1000.0) -> LocalRuntime:
        return LocalRuntime(
            [self.service, self.object, self.workflow],
            self.store,
            clock=self.clock,
            unload_after=unload_after,
        )


async def test_a_send_is_not_lost_with_its_sender() -> None:
    """Who has returned has not completed before all that it sent has been found or created."""
    app = App()

    async def process() -> None:
        async with app.runtime() as runtime:
            app.store.hold("find")
            receipt = await runtime.send(app.send_and_go)
            await app.store.held("find")
            await app.clock.settle()
            assert (await runtime.invocation(receipt.invocation_id)).result is None
            app.store.crash()
            await anyio.sleep_forever()

    with pytest.raises(StoreError):
        await process()
    app.store.let_go("find")
    assert app.ran == []
    async with app.runtime():
        await app.clock.settle()
    assert app.ran == ["sent"]


async def test_a_failed_attempt_leaves_its_calls_under_way() -> None:
    """The next one does not make them a second time, and waits until they are made."""
    app = App()
    app.fails = True
    async with app.runtime() as runtime:
        app.store.hold("find")
        receipt = await runtime.send(app.start)
        await app.store.held("find")
        await app.clock.settle()
        await app.clock.advance(1)
        assert app.attempts == 1
        app.store.let_go("find")
        await app.clock.settle()
        await app.clock.advance(1)

        assert await runtime.attach(receipt.invocation_id, str) == "main"
        assert app.attempts == 2


async def test_calls_under_way_are_not_made_by_a_resumed_invocation() -> None:
    """Those of a paused one are still under way when it is loaded again."""
    app = App()
    async with app.runtime() as runtime:
        app.store.hold("find")
        receipt = await runtime.send(app.start)
        await app.store.held("find")
        await runtime.pause(receipt.invocation_id)
        await runtime.resume(receipt.invocation_id)
        await app.clock.settle()
        assert app.attempts == 2
        app.store.let_go("find")

        assert await runtime.attach(receipt.invocation_id, str) == "main"


async def test_a_cancel_that_comes_with_a_failure_is_not_backed_off() -> None:
    """The next attempt sees it at once."""
    app = App()
    app.fails = True
    async with app.runtime() as runtime:
        app.store.hold("find")
        receipt = await runtime.send(app.start)
        await app.store.held("find")
        await app.clock.settle()
        await runtime.cancel(receipt.invocation_id)
        app.store.let_go("find")

        with pytest.raises(CancelledError):
            await runtime.attach(receipt.invocation_id)
        assert app.attempts == 2
        assert app.clock.elapsed == 0


async def test_two_handlers_with_one_key_make_one_call() -> None:
    """Only one of them looks at a time."""
    app = App()
    async with app.runtime() as runtime:
        app.store.hold("find")
        receipts = [await runtime.send(app.call) for _ in range(2)]
        await app.store.held("find")
        await app.clock.settle()

        assert app.store.let_go("find") == 1
        for receipt in receipts:
            assert await runtime.attach(receipt.invocation_id, str) == "called"
        assert app.ran == ["called"]


async def test_two_callers_with_one_key_make_one_call() -> None:
    """From outside as well."""
    app = App()
    async with app.runtime() as runtime:
        app.store.hold("find")
        async with anyio.create_task_group() as group:
            for name in "ab":
                group.start_soon(partial(runtime.call, app.work, name, idempotency_key="k"))
            await app.store.held("find")
            await app.clock.settle()
            assert app.store.let_go("find") == 1
        assert len(app.ran) == 1


async def test_pausing_waits_for_whoever_decides() -> None:
    """One that is just being woken is stopped, not woken after all."""
    app = App()
    async with app.runtime(unload_after=0) as runtime:
        receipt = await runtime.send(app.wait)
        await app.clock.settle()
        assert (
            await runtime.invocation(receipt.invocation_id)
        ).status is InvocationStatus.SUSPENDED
        async with anyio.create_task_group() as group:
            app.store.hold("invocation")
            group.start_soon(runtime.resolve_signal, receipt.invocation_id, "other", "x")
            await app.store.held("invocation")
            app.store.let_go("invocation")
            app.store.hold("invocation", calls=1)
            await app.store.held("invocation")
            group.start_soon(runtime.pause, receipt.invocation_id)
            await app.clock.settle()
            app.store.let_go("invocation")
        await app.clock.settle()

        record = await runtime.invocation(receipt.invocation_id)
        assert record.status is InvocationStatus.PAUSED


@pytest.mark.parametrize("kill", [False, True])
async def test_who_leaves_a_queue_is_not_next(kill: bool) -> None:
    """Even if it was found as next just before."""
    app = App()
    async with app.runtime() as runtime:
        holder = await runtime.send(app.hold, key="k")
        leaver = await runtime.send(app.touch, "leaver", key="k")
        behind = await runtime.send(app.touch, "behind", key="k")
        app.store.hold("queued")
        await runtime.resolve_signal(holder.invocation_id, "go")
        await app.store.held("queued")
        stop = runtime.kill if kill else runtime.cancel
        await stop(leaver.invocation_id)
        await app.clock.settle()
        app.store.let_go("queued")

        assert await runtime.attach(behind.invocation_id, str) == "behind"
        with pytest.raises(TerminalError if kill else CancelledError):
            await runtime.attach(leaver.invocation_id, str)
        assert app.ran == ["behind"]


async def test_nobody_is_started_by_a_runtime_that_stops() -> None:
    """Who is next on a key stays so for the next process."""
    app = App()
    async with app.runtime() as runtime:
        holder = await runtime.send(app.hold, key="k")
        pending = await runtime.send(app.touch, "next", key="k")
        app.store.hold("queued")
        await runtime.resolve_signal(holder.invocation_id, "go")
        await app.store.held("queued")
        await runtime.drain()
        app.store.let_go("queued")
        await app.clock.settle()

        assert (await runtime.invocation(pending.invocation_id)).status is InvocationStatus.PENDING
    async with app.runtime() as runtime:
        assert await runtime.attach(pending.invocation_id, str) == "next"


async def test_a_kill_does_not_wait_for_a_call_that_is_under_way() -> None:
    """And the call is not made any more."""
    app = App()
    async with app.runtime() as runtime:
        app.store.hold("find")
        receipt = await runtime.send(app.call)
        await app.store.held("find")
        await runtime.kill(receipt.invocation_id)
        app.store.let_go("find")
        await app.clock.settle()

        assert app.ran == []
        with pytest.raises(TerminalError, match="killed"):
            await runtime.attach(receipt.invocation_id)


async def test_who_is_found_is_not_purged_before_it_is_attached_to() -> None:
    """Purging waits for whoever has found it under its key."""
    app = App()
    async with app.runtime() as runtime:
        receipt = await runtime.send(app.work, "once", idempotency_key="k")
        assert await runtime.attach(receipt.invocation_id, str) == "once"
        results: list[str] = []

        async def call() -> None:
            results.append(await runtime.call(app.work, "again", idempotency_key="k"))

        app.store.hold("find")
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await app.store.held("find")
            group.start_soon(runtime.purge, receipt.invocation_id)
            await app.clock.settle()
            app.store.let_go("find")

        assert results == ["once"]
        assert await app.store.invocation(receipt.invocation_id) is None


async def test_who_is_purged_while_it_expires_leaves_no_timer() -> None:
    """Whoever is second to forget it finds nothing, and takes its timer away."""
    app = App()
    async with app.runtime() as runtime:
        receipt = await runtime.send(app.work, "once")
        assert await runtime.attach(receipt.invocation_id, str) == "once"
        app.store.hold("invocation", calls=1)
        app.clock.time += DAY
        async with anyio.create_task_group() as group:
            group.start_soon(app.clock.settle)
            await app.store.held("invocation")
            await runtime.purge(receipt.invocation_id)
            app.store.let_go("invocation")
        await app.clock.settle()

        assert not await app.store.timers(due_by=math.inf, limit=10)
