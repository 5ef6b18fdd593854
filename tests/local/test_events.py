"""Awakeables and signals, to invocations in memory and to those that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio import Context, Service, TerminalError, UsageError, gather, wait_first
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class App:
    """Handlers that wait for events, and one that causes them."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.service = service = Service("Events")

        @service.handler
        async def awakeable(ctx: Context) -> int:
            event = ctx.awakeable(int)
            await ctx.run(lambda: self.ids.append(event.id), on_thread=False)
            value: int = await event.future
            return value

        @service.handler
        async def signals(ctx: Context) -> tuple[int, ...]:
            await ctx.signal("go", int)
            return await gather(*(ctx.signal("next", int) for _ in range(3)))

        @service.handler
        async def resolve(ctx: Context, ids: list[str]) -> None:
            for number, awakeable_id in enumerate(ids):
                ctx.resolve_awakeable(awakeable_id, number)

        @service.handler
        async def send_signals(ctx: Context, target: str) -> None:
            invocation = ctx.invocation(target)
            for number in range(3):
                invocation.signal("next", number)
            invocation.signal("go", 0)

        @service.handler
        async def to_itself(ctx: Context) -> int:
            # Both are journaled in one go: whatever is first then is first for ever.
            signal = ctx.signal("own", int)
            ctx.invocation(ctx.request.id).signal("own", 1)
            step = ctx.run(lambda: 10, on_thread=False)
            first, _ = await wait_first(signal, step)
            await ctx.run(lambda: None, name=f"number {first} won", on_thread=False)
            await ctx.timer(60)
            return await step + await signal

        @service.handler
        async def wrong_id(ctx: Context) -> None:
            ctx.resolve_awakeable("sign_1nonsense", 1)

        self.awakeable, self.signals, self.resolve = awakeable, signals, resolve
        self.send_signals, self.to_itself, self.wrong_id = send_signals, to_itself, wrong_id

    def runtime(
        self, store: JournalStore, clock: VirtualClock, unload_after: float = 1.0
    ) -> LocalRuntime:
        return LocalRuntime([self.service], store, clock=clock, unload_after=unload_after)


@pytest.fixture(params=[0.0, 1000.0], ids=["unloaded", "loaded"])
def unload_after(request: pytest.FixtureRequest) -> float:
    """Whether the one that waits is still in memory."""
    seconds: float = request.param
    return seconds


async def test_an_awakeable_is_resolved_from_outside(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Once; a second time changes nothing."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.awakeable)
        await clock.settle()
        await runtime.resolve_awakeable(app.ids[0], 7)
        await runtime.resolve_awakeable(app.ids[0], 8)

        assert await runtime.attach(receipt.invocation_id, int) == 7
        await runtime.resolve_awakeable(app.ids[0], 9)
        assert await runtime.output(receipt.invocation_id, int) == 7


async def test_an_awakeable_is_rejected_from_outside(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """Its wait raises."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.awakeable)
        await clock.settle()
        await runtime.reject_awakeable(app.ids[0], "no", code=410, metadata={"a": "b"})

        with pytest.raises(TerminalError, match="no") as caught:
            await runtime.attach(receipt.invocation_id, int)
        assert (caught.value.code, caught.value.metadata) == (410, {"a": "b"})


async def test_handlers_complete_each_others_awakeables(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """By nothing but the id."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipts = [await runtime.send(app.awakeable) for _ in range(3)]
        await clock.settle()
        await runtime.call(app.resolve, app.ids)

        results = [await runtime.attach(receipt.invocation_id, int) for receipt in receipts]
        assert sorted(results) == [0, 1, 2]


async def test_signals_wait_for_who_listens(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """They are kept in order, and each one is received once, in memory or out of it."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.signals)
        await clock.settle()
        await runtime.call(app.send_signals, receipt.invocation_id)

        assert await runtime.attach(receipt.invocation_id, tuple[int, ...]) == (0, 1, 2)


async def test_signals_come_from_outside_as_well(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """With a value, or as a failure."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        receipt = await runtime.send(app.signals)
        await runtime.resolve_signal(receipt.invocation_id, "go", 0)
        await runtime.resolve_signal(receipt.invocation_id, "next", 5)
        await runtime.reject_signal(receipt.invocation_id, "next", "enough", code=499)

        with pytest.raises(TerminalError, match="enough") as caught:
            await runtime.attach(receipt.invocation_id)
        assert caught.value.code == 499


async def test_signals_are_not_counted_twice_by_a_load(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Many equal signals while the invocation comes and goes: as many as were sent arrive."""
    app = App()
    async with app.runtime(store, clock, 0.0) as runtime:
        receipt = await runtime.send(app.signals)
        await runtime.resolve_signal(receipt.invocation_id, "go", 0)
        for _ in range(2):
            await runtime.resolve_signal(receipt.invocation_id, "next", 1)
        await clock.settle()
        record = await runtime.invocation(receipt.invocation_id)

        assert record.status is InvocationStatus.SUSPENDED
        await runtime.resolve_signal(receipt.invocation_id, "next", 1)
        assert await runtime.attach(receipt.invocation_id, tuple[int, ...]) == (1, 1, 1)


async def test_an_invocation_signals_itself(
    store: JournalStore, clock: VirtualClock, unload_after: float
) -> None:
    """In the order of its journal."""
    app = App()
    async with app.runtime(store, clock, unload_after) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.to_itself)
        await clock.settle()
        record = await runtime.invocation(receipt.invocation_id)
        expected = InvocationStatus.RUNNING if unload_after else InvocationStatus.SUSPENDED
        assert record.status is expected
        clock.stopped = False

        assert await runtime.attach(receipt.invocation_id, int) == 11


async def test_an_event_outlives_the_process(store: JournalStore, clock: VirtualClock) -> None:
    """Who waits is suspended, and woken in another process."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.awakeable)
        await clock.settle()
    async with app.runtime(store, clock) as runtime:
        await runtime.resolve_awakeable(app.ids[0], 7)

        assert await runtime.attach(receipt.invocation_id, int) == 7
    assert len(app.ids) == 1


async def test_what_is_no_awakeable_is_refused(store: JournalStore, clock: VirtualClock) -> None:
    """Outside at once; in a handler at its line, and the invocation is paused."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        for text in ("sign_1nonsense", "prom_1", "", "sign_1AAAAAAAA"):
            with pytest.raises(UsageError, match="no awakeable id"):
                await runtime.resolve_awakeable(text, 1)
        clock.stopped = True
        receipt = await runtime.send(app.wrong_id)
        await clock.settle()
        record = await runtime.invocation(receipt.invocation_id)

        assert record.status is InvocationStatus.PAUSED
        assert record.last_failure is not None
        assert "no awakeable id" in record.last_failure.message
