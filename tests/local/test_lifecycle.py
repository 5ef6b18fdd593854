"""Opening, draining, failing and leaving."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    ClosedResourceError,
    Context,
    DefinitionError,
    SendReceipt,
    Service,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreWriteError,
    UsageError,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal

from .virtual_time import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from durable_trio.abc import JournalStore, Write

pytestmark = pytest.mark.anyio


class App:
    """Steps that a test lets finish."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.may_finish = anyio.Event()
        self.service = service = Service("Steps")

        async def body(number: int) -> int:
            self.events.append(f"{number} begins")
            try:
                await self.may_finish.wait()
            except BaseException:
                self.events.append(f"{number} is cancelled")
                raise
            self.events.append(f"{number} ends")
            return number

        @service.handler
        async def steps(ctx: Context) -> int:
            return await ctx.run(body, 1) + await ctx.run(body, 2)

        @service.handler
        async def wait(ctx: Context) -> str:
            return await ctx.signal("go", str)

        @service.handler
        async def quick(ctx: Context) -> str:
            return "quick"

        self.steps, self.wait, self.quick = steps, wait, quick

    def runtime(
        self, store: JournalStore, clock: VirtualClock, grace: float = 10.0
    ) -> LocalRuntime:
        return LocalRuntime([self.service], store, clock=clock, shutdown_grace=grace)


async def statuses(store: JournalStore) -> list[InvocationStatus]:
    """Where everybody stands in a store that nobody has open."""
    async with store:
        return [record.status for record in await store.invocations()]


async def test_leaving_lets_a_body_finish(store: JournalStore, clock: VirtualClock) -> None:
    """Its result is kept and the next step is not begun; the next process goes on with it."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.steps)
        await clock.settle()
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.drain)
            await clock.settle()
            assert app.events == ["1 begins"]
            app.may_finish.set()
    assert app.events == ["1 begins", "1 ends"]
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, int) == 3
    assert app.events == ["1 begins", "1 ends", "2 begins", "2 ends"]


async def test_a_body_has_no_longer_than_the_grace_period(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Then it is cancelled, and runs again in the next process."""
    app = App()
    async with app.runtime(store, clock, grace=0) as runtime:
        receipt = await runtime.send(app.steps)
        await clock.settle()
    assert app.events == ["1 begins", "1 is cancelled"]
    app.may_finish.set()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, int) == 3


async def test_leaving_suspends_who_waits(store: JournalStore, clock: VirtualClock) -> None:
    """It is not attempted again before it is woken."""
    app = App()
    clock.stopped = True
    async with app.runtime(store, clock) as runtime:
        await runtime.send(app.wait)
        await clock.settle()

    assert await statuses(store) == [InvocationStatus.SUSPENDED]


async def test_a_draining_runtime_takes_no_more_requests(
    store: JournalStore, clock: VirtualClock
) -> None:
    """And tells those who wait that they wait in vain."""
    app = App()
    errors: list[Exception] = []
    async with app.runtime(store, clock) as runtime, anyio.create_task_group() as group:

        async def call() -> None:
            try:
                await runtime.call(app.wait)
            except ClosedResourceError as error:
                errors.append(error)

        group.start_soon(call)
        await clock.settle()
        await runtime.drain()
        with pytest.raises(ClosedResourceError, match="takes no more requests"):
            await runtime.call(app.quick)
        with pytest.raises(ClosedResourceError, match="takes no more requests"):
            await runtime.send(app.quick)
    assert len(errors) == 1
    assert "goes on when its store is opened again" in str(errors[0])


async def test_leaving_with_an_error_is_graceful_as_well(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The error comes out as itself."""
    app = App()
    clock.stopped = True

    async def process() -> None:
        async with app.runtime(store, clock) as runtime:
            await runtime.send(app.wait)
            await clock.settle()
            raise RuntimeError("of the block")

    with pytest.raises(RuntimeError, match="of the block"):
        await process()

    assert await statuses(store) == [InvocationStatus.SUSPENDED]


async def test_a_cancelled_block_is_left_gracefully(
    store: JournalStore, clock: VirtualClock
) -> None:
    """What is cancelled is the block, not what it serves."""
    app = App()
    clock.stopped = True
    with anyio.CancelScope() as scope:
        async with app.runtime(store, clock) as runtime:
            await runtime.send(app.wait)
            await clock.settle()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert await statuses(store) == [InvocationStatus.SUSPENDED]


async def test_a_runtime_is_entered_once(store: JournalStore, clock: VirtualClock) -> None:
    """Another one opens the store again."""
    runtime = App().runtime(store, clock)
    async with runtime:
        with pytest.raises(UsageError, match="entered once"):
            await runtime.__aenter__()


async def test_a_store_that_is_in_use_is_not_touched(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The second runtime does not open, the first one goes on."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(StoreLockedError):
            async with app.runtime(store, clock):
                pytest.fail("it opened")
        assert await runtime.call(app.quick) == "quick"


async def test_an_opening_that_is_cancelled_leaves_nothing_behind(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The store is closed again, and nothing was begun; the next opening goes on."""
    app = App()
    async with app.runtime(store, clock, grace=0) as runtime:
        receipt = await runtime.send(app.steps)
        await clock.settle()
    app.events.clear()
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with app.runtime(store, clock):
            pytest.fail("it opened")
    assert scope.cancelled_caught
    assert app.events == []

    app.may_finish.set()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, int) == 3


async def test_a_store_that_cannot_be_recovered_is_closed_again(tmp_path: Path) -> None:
    """The error comes out as itself; nothing runs, and nothing is lost."""
    app = App()
    store = FileJournal(tmp_path / "journal", synchronous="off")
    clock = VirtualClock(store)
    async with app.runtime(store, clock, grace=0) as runtime:
        receipt = await runtime.send(app.steps)
        await clock.settle()
    app.events.clear()

    def write_headers(text: str | None) -> None:
        with closing(sqlite3.connect(store.path)) as shell, shell:
            shell.execute("UPDATE invocation SET headers = ?", (text,))

    write_headers("{")
    for _ in range(2):
        with pytest.raises(StoreCorruptError, match=receipt.invocation_id):
            async with app.runtime(store, clock):
                pytest.fail("it opened")
    assert app.events == []

    write_headers(None)
    app.may_finish.set()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, int) == 3


async def test_wrong_arguments_are_refused(store: JournalStore) -> None:
    """Before anything is opened."""
    service = App().service
    with pytest.raises(UsageError, match="max_active"):
        LocalRuntime([service], store, max_active=0)
    with pytest.raises(UsageError, match="unload_after"):
        LocalRuntime([service], store, unload_after=-1)
    with pytest.raises(UsageError, match="shutdown_grace"):
        LocalRuntime([service], store, shutdown_grace=float("inf"))
    with pytest.raises(DefinitionError, match="two services"):
        LocalRuntime([service, service], store)


class _Full:
    """Refuses the transaction after the one that a test allows."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.left: int | None = None
        store.before_commit = self

    def __call__(self, _writes: Sequence[Write]) -> None:
        if self.left == 0:
            raise StoreWriteError("no space left")
        if self.left is not None:
            self.left -= 1


class Dying:
    """A runtime whose store fails when a test says so."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = VirtualClock(self.store)
        self.full = _Full(self.store)
        self.app = App()
        self.receipts: list[SendReceipt] = []
        self.errors: list[StoreError] = []

    async def until_a_write_fails(self) -> None:
        async with self.app.runtime(self.store, self.clock) as runtime:
            self.receipts.append(await runtime.send(self.app.steps))
            self.full.left = 0
            self.store.write([])
            await anyio.sleep_forever()

    async def until_a_call_fails(self) -> None:
        async with (
            self.app.runtime(self.store, self.clock) as runtime,
            anyio.create_task_group() as group,
        ):
            for _ in range(3):
                group.start_soon(self._call, runtime)
            await self.clock.settle()
            self.full.left = 1
            self.app.may_finish.set()

    async def until_it_is_left(self) -> None:
        # Still in memory when the block is left, so that there is something to write.
        self.clock.stopped = True
        async with self.app.runtime(self.store, self.clock) as runtime:
            await runtime.send(self.app.wait)
            await self.clock.settle()
            self.full.left = 0

    async def _call(self, runtime: LocalRuntime) -> None:
        try:
            await runtime.call(self.app.steps)
        except StoreError as error:
            self.errors.append(error)
            with pytest.raises(StoreWriteError):
                await runtime.call(self.app.quick)


async def test_a_failing_store_ends_the_block() -> None:
    """The block is cancelled, and the store's error comes out of it, as itself."""
    with pytest.raises(StoreWriteError, match="no space left"):
        await Dying().until_a_write_fails()


async def test_a_failing_store_answers_who_waits() -> None:
    """Every caller gets the error, and so does the block."""
    dying = Dying()
    with pytest.raises(StoreWriteError, match="no space left"):
        await dying.until_a_call_fails()

    assert len(dying.errors) == 3


async def test_a_store_that_fails_while_it_is_left() -> None:
    """The error comes out of the block that was left."""
    with pytest.raises(StoreWriteError, match="no space left"):
        await Dying().until_it_is_left()


async def test_nothing_of_a_failed_process_is_lost() -> None:
    """What was acknowledged goes on when the store can be written again."""
    dying = Dying()
    with pytest.raises(StoreWriteError):
        await dying.until_a_write_fails()
    dying.full.left = None
    dying.app.may_finish.set()
    async with dying.app.runtime(dying.store, dying.clock) as runtime:
        assert await runtime.attach(dying.receipts[0].invocation_id, int) == 3
