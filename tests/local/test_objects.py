"""Objects: one exclusive invocation per key at a time, shared ones beside it, and state."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    Service,
    TerminalError,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class App:
    """A queue of letters: ``write`` takes time, ``read`` does not wait."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.box = box = VirtualObject("Box")
        self.service = service = Service("Plain")
        self.flow = flow = Workflow("Flow")
        events = self.events

        @box.handler
        async def write(ctx: ObjectContext, letter: str) -> list[str]:
            letters: list[str] = await ctx.get("letters", list[str], default=list[str]())
            ctx.set("letters", [*letters, letter])
            await ctx.run(lambda: events.append(f"{ctx.key}+{letter}"), on_thread=False)
            await ctx.timer(10)
            await ctx.run(lambda: events.append(f"{ctx.key}-{letter}"), on_thread=False)
            return [*letters, letter]

        @box.handler
        async def write_and_fail(ctx: ObjectContext, letter: str) -> None:
            ctx.set("letters", [letter])
            raise TerminalError("afterwards")

        @box.handler
        async def forget(ctx: ObjectContext) -> list[str]:
            ctx.set("other", 1)
            names = await ctx.keys()
            ctx.clear("other")
            ctx.clear_all()
            return [*names, *await ctx.keys()]

        @box.shared
        async def read(ctx: ObjectSharedContext) -> list[str]:
            return await ctx.get("letters", list[str], default=list[str]())

        @service.handler
        async def nothing(ctx: Context) -> None:
            return None

        @flow.main
        async def main(ctx: WorkflowContext) -> None:
            return None

        self.write, self.write_and_fail, self.forget, self.read = (
            write,
            write_and_fail,
            forget,
            read,
        )

    def runtime(self, store: JournalStore, clock: VirtualClock) -> LocalRuntime:
        return LocalRuntime([self.box, self.service, self.flow], store, clock=clock)


async def test_one_at_a_time_in_order_of_arrival(store: JournalStore, clock: VirtualClock) -> None:
    """Each sees what the one before it wrote; the rest is pending."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        receipts = [await runtime.send(app.write, letter, key="k") for letter in "abc"]
        records = [await runtime.invocation(receipt.invocation_id) for receipt in receipts]

        assert [record.status for record in records] == [
            InvocationStatus.RUNNING,
            InvocationStatus.PENDING,
            InvocationStatus.PENDING,
        ]

        clock.stopped = False
        assert await runtime.attach(receipts[2].invocation_id, list[str]) == ["a", "b", "c"]
        assert app.events == ["k+a", "k-a", "k+b", "k-b", "k+c", "k-c"]


async def test_keys_do_not_wait_for_each_other(store: JournalStore, clock: VirtualClock) -> None:
    """Two keys are two queues."""
    app = App()
    async with app.runtime(store, clock) as runtime, anyio.create_task_group() as group:
        for key in "xy":
            group.start_soon(partial(runtime.call, app.write, "a", key=key))

    assert set(app.events[:2]) == {"x+a", "y+a"}


async def test_a_shared_handler_runs_at_once(store: JournalStore, clock: VirtualClock) -> None:
    """It sees what the exclusive one, which still runs, has written."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.write, "a", key="k")
        await clock.settle()

        assert await runtime.call(app.read, key="k") == ["a"]
        record = await runtime.invocation(receipt.invocation_id)
        assert record.status is not InvocationStatus.COMPLETED
        clock.stopped = False


async def test_state_written_before_a_failure_stays(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A terminal failure undoes nothing."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(TerminalError, match="afterwards"):
            await runtime.call(app.write_and_fail, "a", key="k")

        assert await runtime.get_state("Box", "k", list[str]) == {"letters": ["a"]}


async def test_state_is_listed_and_cleared(store: JournalStore, clock: VirtualClock) -> None:
    """One entry, and all of them."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        await runtime.call(app.write, "a", key="k")

        assert await runtime.call(app.forget, key="k") == ["letters", "other"]
        assert await runtime.get_state("Box", "k") == {}


async def test_a_delayed_send_queues_when_it_is_due(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Whoever came in the meantime goes first."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.write, "late", key="k", delay=5)
        first = await runtime.send(app.write, "first", key="k")
        second = await runtime.send(app.write, "second", key="k")

        assert await runtime.attach(first.invocation_id, list[str]) == ["first"]
        assert await runtime.attach(second.invocation_id, list[str]) == ["first", "second"]
        assert await runtime.attach(receipt.invocation_id, list[str]) == ["first", "second", "late"]


async def test_state_is_replaced_between_two_invocations(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A change from outside waits for the one that runs and goes before those that wait."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        first = await runtime.send(app.write, "first", key="k")
        second = await runtime.send(app.write, "second", key="k")
        await runtime.set_state("Box", "k", {"letters": ["new"]}, list[str])

        assert await runtime.attach(first.invocation_id, list[str]) == ["first"]
        assert await runtime.attach(second.invocation_id, list[str]) == ["new", "second"]


async def test_a_change_of_state_that_is_given_up_blocks_nobody(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Before its turn, or just as it comes."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        first = await runtime.send(app.write, "first", key="k")
        second = await runtime.send(app.write, "second", key="k")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: runtime.set_state("Box", "k", {"letters": b"[]"}))
            await clock.settle()
            group.cancel_scope.cancel()
        clock.stopped = False

        assert await runtime.attach(first.invocation_id, list[str]) == ["first"]
        assert await runtime.attach(second.invocation_id, list[str]) == ["first", "second"]
        await runtime.set_state("Box", "k", {})
        assert await runtime.get_state("Box", "k") == {}


async def test_only_objects_have_state_to_change(store: JournalStore, clock: VirtualClock) -> None:
    """A service has none, a workflow's is its own."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(UsageError, match="no keys and no state"):
            await runtime.get_state("Plain", "k")
        with pytest.raises(UsageError, match="main handler only"):
            await runtime.set_state("Flow", "k", {})
        with pytest.raises(UsageError, match=r"no service 'Bax' .* Box"):
            await runtime.get_state("Bax", "k")


async def test_a_queue_outlives_the_process(store: JournalStore, clock: VirtualClock) -> None:
    """Who held the key goes on, and the others follow in their order."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        receipts = [await runtime.send(app.write, letter, key="k") for letter in "abc"]
    clock.stopped = False
    async with app.runtime(store, clock) as runtime:
        last = await runtime.send(app.write, "d", key="k")

        assert await runtime.attach(last.invocation_id, list[str]) == ["a", "b", "c", "d"]
        assert await runtime.output(receipts[0].invocation_id, list[str]) == ["a"]
    assert [event for event in app.events if "+" in event] == ["k+a", "k+b", "k+c", "k+d"]
