"""Workflows: once per key, promises between their handlers, and the end of it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio import (
    NOT_READY,
    Context,
    Service,
    TerminalError,
    UsageError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    WorkflowTarget,
)
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

DAY = 86_400.0


class App:
    """A workflow that waits for an approval."""

    def __init__(self) -> None:
        self.flow = flow = Workflow("Order")
        self.caller = caller = Service("Caller")
        self.started: list[str] = []

        @flow.main(workflow_retention=2 * DAY, journal_retention=DAY)
        async def run(ctx: WorkflowContext, item: str) -> str:
            await ctx.run(lambda: self.started.append(item), on_thread=False)
            ctx.set("item", item)
            answer = await ctx.promise("approval", str)
            return f"{item} {answer}"

        @flow.shared
        async def approve(ctx: WorkflowSharedContext, answer: str) -> None:
            await ctx.promise("approval", str).resolve(answer)

        @flow.shared
        async def reject(ctx: WorkflowSharedContext, reason: str) -> None:
            await ctx.promise("approval", str).reject(reason, code=451)

        @flow.shared
        async def look(ctx: WorkflowSharedContext) -> str:
            answer = await ctx.promise("approval", str).peek()
            return "not yet" if answer is NOT_READY else str(answer)

        @flow.shared
        async def wait(ctx: WorkflowSharedContext) -> str:
            return await ctx.promise("approval", str)

        @caller.handler
        async def start_twice(ctx: Context, key: str) -> tuple[str, bool]:
            first = await ctx.send(run, "tea", key=key).invocation_id()
            second = await ctx.send(run, "tea", key=key).invocation_id()
            try:
                await ctx.call(run, "tea", key=key)
            except TerminalError as error:
                return error.message, first == second and error.code == 409
            return "", False

        @caller.handler
        async def attach(ctx: Context, key: str) -> str:
            return await ctx.invocation(WorkflowTarget("Order", key)).attach(str)

        self.run, self.approve, self.reject, self.look, self.wait = run, approve, reject, look, wait
        self.start_twice, self.attach = start_twice, attach

    def runtime(self, store: JournalStore, clock: VirtualClock) -> LocalRuntime:
        return LocalRuntime([self.flow, self.caller], store, clock=clock)


async def test_a_promise_is_handed_over(store: JournalStore, clock: VirtualClock) -> None:
    """The main handler waits, a shared one resolves."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.run, "tea", key="k")

        assert await runtime.call(app.look, key="k") == "not yet"
        await runtime.call(app.approve, "yes", key="k")
        assert await runtime.call(app.look, key="k") == "yes"
        assert await runtime.attach(receipt.invocation_id, str) == "tea yes"


async def test_a_promise_may_come_first(store: JournalStore, clock: VirtualClock) -> None:
    """It is kept for a workflow that has not started."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        await runtime.call(app.approve, "early", key="k")

        assert await runtime.call(app.run, "tea", key="k") == "tea early"


async def test_a_promise_completes_once(store: JournalStore, clock: VirtualClock) -> None:
    """The second time fails where it is made, and changes nothing."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        await runtime.call(app.approve, "yes", key="k")
        with pytest.raises(TerminalError, match="'approval' is completed already") as caught:
            await runtime.call(app.reject, "no", key="k")

        assert caught.value.code == 409
        assert await runtime.call(app.look, key="k") == "yes"


async def test_a_rejected_promise_raises(store: JournalStore, clock: VirtualClock) -> None:
    """In everybody who waits for it."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        main = await runtime.send(app.run, "tea", key="k")
        shared = await runtime.send(app.wait, key="k")
        await runtime.call(app.reject, "no", key="k")

        for receipt in (main, shared):
            with pytest.raises(TerminalError, match="no") as caught:
                await runtime.attach(receipt.invocation_id, str)
            assert caught.value.code == 451


async def test_a_workflow_runs_once_per_key(store: JournalStore, clock: VirtualClock) -> None:
    """A second call is told to attach, a second send is told of the first."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        first = await runtime.send(app.run, "tea", key="k")
        second = await runtime.send(app.run, "coffee", key="k")
        with pytest.raises(TerminalError, match="runs once per key: attach") as caught:
            await runtime.call(app.run, "coffee", key="k")
        await runtime.call(app.approve, "yes", key="k")

        assert caught.value.code == 409
        assert caught.value.metadata == {"invocation_id": first.invocation_id}
        assert second.invocation_id == first.invocation_id
        assert second.previously_accepted
        assert await runtime.attach(WorkflowTarget("Order", "k"), str) == "tea yes"
        assert app.started == ["tea"]
        with pytest.raises(UsageError, match="its key is its identity"):
            await runtime.call(app.run, "tea", key="other", idempotency_key="x")


async def test_handlers_start_a_workflow_once(store: JournalStore, clock: VirtualClock) -> None:
    """They are told the same as anybody else."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        message, same = await runtime.call(app.start_twice, "k")
        waiting = await runtime.send(app.attach, "k")
        await runtime.call(app.approve, "yes", key="k")

        assert "attach" in message
        assert same
        assert await runtime.attach(waiting.invocation_id, str) == "tea yes"


async def test_a_key_is_free_after_its_retention(store: JournalStore, clock: VirtualClock) -> None:
    """State and promises are gone with the result; the journal goes before them."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        await runtime.call(app.approve, "yes", key="k")
        receipt = await runtime.send(app.run, "tea", key="k")
        await runtime.attach(receipt.invocation_id)
        await clock.advance(DAY)

        assert await store.journal(receipt.invocation_id) == ()
        assert await runtime.output(receipt.invocation_id, str) == "tea yes"

        await clock.advance(DAY)

        assert await store.invocation(receipt.invocation_id) is None
        assert await runtime.get_state("Order", "k") == {}
        assert not (await runtime.send(app.run, "coffee", key="k")).previously_accepted
        assert await runtime.call(app.look, key="k") == "not yet"


async def test_purging_frees_the_key_at_once(store: JournalStore, clock: VirtualClock) -> None:
    """But only once the workflow has completed."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.run, "tea", key="k")
        with pytest.raises(UsageError, match="only one that has completed can be purged"):
            await runtime.purge(receipt.invocation_id)
        await runtime.call(app.approve, "yes", key="k")
        await runtime.attach(receipt.invocation_id, str)
        await runtime.purge(receipt.invocation_id)

        assert await runtime.get_state("Order", "k") == {}
        assert not (await runtime.send(app.run, "tea", key="k")).previously_accepted
        assert await runtime.call(app.look, key="k") == "not yet"


async def test_a_promise_survives_the_process(store: JournalStore, clock: VirtualClock) -> None:
    """As does whoever waits for it."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.run, "tea", key="k")
        await clock.settle()
    async with app.runtime(store, clock) as runtime:
        await runtime.call(app.approve, "yes", key="k")

        assert await runtime.attach(receipt.invocation_id, str) == "tea yes"
