"""The process dies anywhere; another one opens the store, and nobody can tell the difference."""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from anyio.lowlevel import checkpoint

from durable_trio import (
    CancelScope,
    Context,
    IdempotentTarget,
    InvocationPausedError,
    ObjectContext,
    ObjectSharedContext,
    Service,
    StoreError,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    gather,
    move_on_after,
)
from durable_trio.abc import InvocationStatus, PutInvocation, TimerKind
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
    """One handler that does everything that there is to do."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.service = service = Service("Svc")
        self.object = counter = VirtualObject("Obj")
        self.workflow = workflow = Workflow("Wf")

        def step(name: str) -> str:
            self.ran[name] += 1
            return name

        @counter.handler
        async def add(ctx: ObjectContext, n: int) -> int:
            total = await ctx.get("n", int, default=0) + n
            ctx.set("n", total)
            await ctx.run(step, f"add to {total}", on_thread=False)
            return total

        @counter.shared
        async def get(ctx: ObjectSharedContext) -> int:
            return await ctx.get("n", int, default=0)

        @service.handler
        async def slow(ctx: Context, n: int) -> int:
            await ctx.run(step, "slow", on_thread=False)
            await ctx.timer(5)
            return n

        @service.handler
        async def notify(ctx: Context, awakeable: str, /) -> None:
            await ctx.timer(2)
            ctx.resolve_awakeable(awakeable, 7)

        @service.handler
        async def signal(ctx: Context, target: str, /) -> None:
            ctx.invocation(target).signal("go", 5)

        @service.handler
        async def stuck(ctx: Context) -> None:
            try:
                await ctx.awakeable(int).future
            finally:
                with CancelScope(shield=True):
                    await ctx.run(step, "cleanup", on_thread=False)

        @workflow.main
        async def main(ctx: WorkflowContext, x: int) -> int:
            value = await ctx.promise("in", int)
            ctx.set("value", value)
            await ctx.promise("out", int).resolve(value + x)
            return value

        @workflow.shared
        async def give(ctx: WorkflowSharedContext, value: int) -> None:
            await ctx.promise("in", int).resolve(value)

        @workflow.shared
        async def take(ctx: WorkflowSharedContext) -> int:
            return await ctx.promise("out", int)

        @service.handler
        async def root(ctx: Context) -> dict[str, Any]:
            result: dict[str, Any] = {}
            ctx.send(add, 1, key="k")
            ctx.send(add, 2, key="k", idempotency_key="two")
            result["in order"] = await ctx.call(add, 3, key="k")
            result["shared"] = list(
                await gather(*(ctx.call(slow, 9, idempotency_key="x") for _ in range(2)))
            )
            event = ctx.awakeable(int)
            ctx.send(notify, event.id)
            ctx.send(signal, ctx.request.id)
            result["awakeable"] = await event.future
            result["signal"] = await ctx.signal("go", int)
            ctx.send(main, 4, key="w")
            try:
                await ctx.call(main, 4, key="w")
            except TerminalError as error:
                result["twice"] = error.code
            await ctx.call(give, 11, key="w")
            result["promise"] = await ctx.call(take, key="w")
            with move_on_after(3):
                await ctx.call(stuck)
            ctx.send(add, 100, key="k", delay=1)
            await ctx.timer(10)
            result["state"] = await ctx.call(get, key="k")
            return result

        self.root = root

    @property
    def services(self) -> list[Any]:
        return [self.service, self.object, self.workflow]


RESULT = {
    "in order": 6,
    "shared": [9, 9],
    "awakeable": 7,
    "signal": 5,
    "twice": 409,
    "promise": 15,
    "state": 106,
}
STEPS = {"add to 1", "add to 3", "add to 6", "add to 106", "slow", "cleanup"}


class Crash(Exception):
    """The process dies."""


async def live(app: App, store: MemoryStore, clock: VirtualClock, unload_after: float) -> Any:
    """One process: it asks for the result, whether or not somebody has asked before."""
    async with LocalRuntime(app.services, store, clock=clock, unload_after=unload_after) as runtime:
        result = await runtime.call(app.root, idempotency_key="root")
        await clock.settle()
        return result


async def live_and_die(crash_at: int, *, before: bool, unload_after: float) -> int:
    """Crash once, go on, and check everything. Returns how many transactions there were."""
    app, store = App(), MemoryStore()
    clock = VirtualClock(store)

    def before_commit(_: object) -> None:
        if store.commits == crash_at - 1:
            raise Crash

    def after_commit(_: object) -> None:
        if store.commits == crash_at:
            raise Crash

    if before:
        store.before_commit = before_commit
    else:
        store.after_commit = after_commit
    processes = 1
    try:
        result = await live(app, store, clock, unload_after)
    except StoreError:
        store.before_commit = store.after_commit = None
        processes = 2
        result = await live(app, store, clock, unload_after)

    left = store.committed.timers(due_by=math.inf, limit=100)
    assert {timer.kind for timer in left} == {TimerKind.EXPIRE}
    assert result == RESULT
    assert set(app.ran) == STEPS
    # At least once, and once more only for the one that was running.
    assert app.ran.total() - len(STEPS) <= processes - 1
    return store.commits


@pytest.mark.parametrize("unload_after", [0.0, 1.0, 1000.0])
@pytest.mark.parametrize("before", [True, False])
async def test_a_crash_anywhere_changes_nothing(before: bool, unload_after: float) -> None:
    """Before every commit, and between every commit and its acknowledgement."""
    commits = await live_and_die(0, before=before, unload_after=unload_after)
    for crash_at in range(1, commits + 1):
        await live_and_die(crash_at, before=before, unload_after=unload_after)


async def test_a_restart_anywhere_changes_nothing(store: JournalStore, clock: VirtualClock) -> None:
    """The runtime is closed and opened over and over, each time a little later."""
    app = App()

    async def live_for(turns: int) -> None:
        async with LocalRuntime(app.services, store, clock=clock, shutdown_grace=0) as runtime:
            await runtime.send(app.root, idempotency_key="root")
            for _ in range(turns):
                await checkpoint()

    for turns in range(100):
        await live_for(turns)
    async with LocalRuntime(app.services, store, clock=clock) as runtime:
        result = await runtime.call(app.root, idempotency_key="root")

    assert result == RESULT
    assert set(app.ran) == STEPS
    assert app.ran.total() == len(STEPS)


async def test_what_completed_does_not_run_again(store: JournalStore, clock: VirtualClock) -> None:
    """Its result is still there."""
    app = App()
    async with LocalRuntime(app.services, store, clock=clock) as runtime:
        assert await runtime.call(app.root, idempotency_key="root") == RESULT
    ran = app.ran.copy()
    async with LocalRuntime(app.services, store, clock=clock) as runtime:
        await clock.settle()
        target = IdempotentTarget("Svc", "root", "root")
        assert await runtime.attach(target, dict[str, Any]) == RESULT

    assert app.ran == ran


async def test_timers_that_came_due_meanwhile_fire(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A sleep, a delayed send and a backoff, in a process that opens later."""
    ran: list[str] = []
    service = Service("Late")

    @service.handler
    async def nap(ctx: Context) -> None:
        await ctx.timer(60)
        await ctx.run(lambda: ran.append("nap"), on_thread=False)

    @service.handler
    async def delayed(ctx: Context) -> None:
        await ctx.run(lambda: ran.append("delayed"), on_thread=False)

    clock.stopped = True
    async with LocalRuntime([service], store, clock=clock) as runtime:
        receipts = [await runtime.send(nap), await runtime.send(delayed, delay=120)]
        await clock.settle()
    clock.time += 3600
    async with LocalRuntime([service], store, clock=clock) as runtime:
        for receipt in receipts:
            await runtime.attach(receipt.invocation_id)

    assert sorted(ran) == ["delayed", "nap"]


async def test_an_invocation_of_an_unknown_service_is_paused(
    store: JournalStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so in its record and in the log, nobody else is disturbed, and it goes on served."""
    old, new = Service("Old"), Service("New")

    @old.handler
    async def wait(ctx: Context) -> str:
        return await ctx.signal("go", str)

    @new.handler
    async def greet(ctx: Context) -> str:
        return "hello"

    async with LocalRuntime([old], store, clock=clock, shutdown_grace=0) as runtime:
        receipt = await runtime.send(wait)
        await clock.settle()
    async with LocalRuntime([new], store, clock=clock) as runtime:
        await runtime.resolve_signal(receipt.invocation_id, "go", "on")
        assert await runtime.call(greet) == "hello"
        await clock.settle()
        record = await runtime.invocation(receipt.invocation_id)

        assert record.status is InvocationStatus.PAUSED
        assert record.last_failure is not None
        assert "no service 'Old' is served here" in record.last_failure.message
        assert "Old/wait" in caplog.text
    async with LocalRuntime([old, new], store, clock=clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, str) == "on"


async def test_an_invocation_of_an_unknown_service_can_be_killed(
    store: JournalStore, clock: VirtualClock
) -> None:
    """And is forgotten like any other."""
    old, new = Service("Old"), Service("New")

    @old.handler
    async def wait(ctx: Context) -> str:
        return await ctx.signal("go", str)

    @new.handler
    async def greet(ctx: Context) -> str:
        return "hello"

    async with LocalRuntime([old], store, clock=clock, shutdown_grace=0) as runtime:
        receipt = await runtime.send(wait)
        await clock.settle()
    async with LocalRuntime([new], store, clock=clock) as runtime:
        await clock.settle()
        await runtime.kill(receipt.invocation_id)
        record = await runtime.invocation(receipt.invocation_id)
        assert record.status is InvocationStatus.COMPLETED

        await runtime.purge(receipt.invocation_id)
        assert await store.invocation(receipt.invocation_id) is None


@pytest.mark.parametrize(
    ("line", "message", "resumed_by"),
    [
        ('{"command":"inp', "journal or state cannot be read", "operator"),
        ('{"command":"fly"}', "newer version of durable_trio", "operator"),
        ('{"command":"fly"}', "newer version of durable_trio", "start"),
    ],
)
async def test_a_journal_that_cannot_be_read_pauses_its_invocation(
    tmp_path: Path, line: str, message: str, resumed_by: str
) -> None:
    """Torn, or of a newer version: nobody else is disturbed, and what is mended goes on."""
    service = Service("Unread")

    @service.handler
    async def wait(ctx: Context) -> str:
        return await ctx.signal("go", str)

    store = FileJournal(tmp_path / "journal", synchronous="off")
    clock = VirtualClock(store)
    async with LocalRuntime([service], store, clock=clock, shutdown_grace=0) as runtime:
        unread = await runtime.send(wait)
        await clock.settle()
    (whole,) = _rewrite(store.path, line)
    async with LocalRuntime([service], store, clock=clock) as runtime:
        other = await runtime.send(wait)
        for receipt in (unread, other):
            await runtime.resolve_signal(receipt.invocation_id, "go", "on")
        assert await runtime.attach(other.invocation_id, str) == "on"
        with pytest.raises(InvocationPausedError, match=message):
            await runtime.attach(unread.invocation_id)

        _rewrite(store.path, whole)
        if resumed_by == "operator":
            await runtime.resume(unread.invocation_id)
            assert await runtime.attach(unread.invocation_id, str) == "on"
    async with LocalRuntime([service], store, clock=clock) as runtime:
        assert await runtime.attach(unread.invocation_id, str) == "on"


def _rewrite(path: Path, line: str) -> list[str]:
    """Put this in the place of the first entry; returns what was there."""
    with closing(sqlite3.connect(path)) as shell, shell:
        first = "WHERE number = (SELECT min(number) FROM entry)"
        old = [text for (text,) in shell.execute(f"SELECT line FROM entry {first}")]
        shell.execute(f"UPDATE entry SET line = ? {first}", (line,))
    return old


async def test_a_call_to_a_service_that_is_gone_fails() -> None:
    """Its caller is answered; it does not wait for ever."""
    store = MemoryStore()
    caller, callee = Service("Caller"), Service("Callee")

    @callee.handler
    async def greet(ctx: Context) -> str:
        return "hello"

    @caller.handler
    async def ask(ctx: Context) -> str:
        return await ctx.call(greet, idempotency_key="k")

    def crash_on_creation(writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, PutInvocation) and write.record.service == "Callee":
                raise Crash

    store.before_commit = crash_on_creation
    clock = VirtualClock(store)
    with pytest.raises(StoreError):
        async with LocalRuntime([caller, callee], store, clock=clock) as runtime:
            await runtime.call(ask, idempotency_key="ask")
    store.before_commit = None
    assert not store.committed.invocations(service="Callee")
    async with LocalRuntime([caller], store, clock=clock) as runtime:
        with pytest.raises(TerminalError, match="no service 'Callee'") as caught:
            await runtime.call(ask, idempotency_key="ask")

    assert caught.value.code == 404
