"""What follows from a failed attempt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from durable_trio import (
    CancelScope,
    Context,
    InvocationRetryPolicy,
    RetryableError,
    Service,
    ServiceOptions,
    TerminalError,
    open_nursery,
    sleep,
)
from durable_trio.abc import Failure, InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import InvocationRecord, JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

POLICY = InvocationRetryPolicy(initial_interval=1, exponentiation_factor=2, max_interval=5)


class App:
    """Handlers that fail as they are told."""

    def __init__(self, clock: VirtualClock) -> None:
        self.attempts: list[float] = []
        self.service = service = Service("Flaky", retry_policy=POLICY)
        self.succeed_at = 0
        self.path = "left"

        def attempt() -> int:
            self.attempts.append(clock.elapsed)
            return len(self.attempts)

        @service.handler
        async def fail(ctx: Context) -> int:
            number = attempt()
            if number < self.succeed_at:
                raise RuntimeError(f"number {number if self.changing else 0}")
            return ctx.request.attempt

        @service.handler
        async def fail_after_a_step(ctx: Context) -> int:
            number = attempt()
            for step in range(number):
                await ctx.run(abs, step, on_thread=False)
            if number < self.succeed_at:
                raise RuntimeError("again")
            return number

        @service.handler(retry_policy=InvocationRetryPolicy(max_attempts=1, on_max_attempts="kill"))
        async def later(ctx: Context) -> int:
            number = attempt()
            if number == 1:
                raise RetryableError("later", retry_after=30)
            return number

        @service.handler(retry_policy=InvocationRetryPolicy(max_attempts=2, on_max_attempts="kill"))
        async def two_then_kill(ctx: Context) -> None:
            attempt()
            raise RuntimeError("never")

        @service.handler(
            retry_policy=InvocationRetryPolicy(max_attempts=2, on_max_attempts="pause")
        )
        async def two_then_pause(ctx: Context) -> None:
            attempt()
            raise RuntimeError("never")

        @service.handler
        async def slow(ctx: Context) -> str:
            await ctx.timer(10)
            return "slow"

        @service.handler
        async def fail_among_others(ctx: Context) -> list[object]:
            results: list[object] = []

            async def call() -> None:
                results.append(await ctx.call(slow))

            async def nap() -> None:
                await ctx.timer(20)
                results.append("napped")

            async def fail_first() -> None:
                await ctx.timer(1)
                if attempt() == 1:
                    raise RuntimeError("in no journal")

            async with open_nursery() as nursery:
                nursery.start_soon(call)
                nursery.start_soon(nap)
                nursery.start_soon(fail_first)
            return results

        @service.handler
        async def fail_slowly(ctx: Context) -> str:
            other = ctx.timer(5)
            try:
                async with open_nursery() as nursery:
                    nursery.start_soon(sleep, 20)
                    await ctx.timer(1)
                    if attempt() == 1:
                        raise RuntimeError("in no journal")
            finally:
                with CancelScope(shield=True):
                    await other
            return "slept"

        @service.handler(on_journal_mismatch="fail")
        async def mismatch_fails(ctx: Context) -> None:
            await ctx.run(lambda: None, name=self.path, on_thread=False)
            await ctx.signal("go")

        @service.handler(on_journal_mismatch="pause")
        async def mismatch_pauses(ctx: Context) -> None:
            await mismatch_fails(ctx)

        @service.handler(on_journal_mismatch="retry")
        async def mismatch_retries(ctx: Context) -> None:
            await mismatch_fails(ctx)

        self.changing = True
        self.fail, self.fail_after_a_step, self.later = fail, fail_after_a_step, later
        self.fail_among_others, self.fail_slowly = fail_among_others, fail_slowly
        self.two_then_kill, self.two_then_pause = two_then_kill, two_then_pause
        self.mismatches = {
            "fail": mismatch_fails,
            "pause": mismatch_pauses,
            "retry": mismatch_retries,
        }

    def runtime(self, store: JournalStore, clock: VirtualClock) -> LocalRuntime:
        return LocalRuntime([self.service], store, clock=clock, unload_after=0)


async def record_when(
    runtime: LocalRuntime, clock: VirtualClock, invocation_id: str, *statuses: InvocationStatus
) -> InvocationRecord:
    """The record once it has one of these statuses."""
    while True:
        record = await runtime.invocation(invocation_id)
        if record.status in statuses:
            return record

        await clock.settle()


async def test_the_delay_grows(store: JournalStore, clock: VirtualClock) -> None:
    """As the policy says, up to its maximum."""
    app = App(clock)
    app.succeed_at = 6
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.fail) == 6

    assert app.attempts == [0, 1, 3, 7, 12, 17]


async def test_the_count_starts_anew_with_progress(
    store: JournalStore, clock: VirtualClock
) -> None:
    """An attempt that adds to the journal is the first of its kind."""
    app = App(clock)
    app.succeed_at = 4
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.fail_after_a_step) == 4

    assert app.attempts == [0, 1, 2, 3]


async def test_an_error_may_choose_its_delay(store: JournalStore, clock: VirtualClock) -> None:
    """It goes before the policy, its last attempt included."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.later) == 2

    assert app.attempts == [0, 30]


async def test_used_up_attempts_kill(store: JournalStore, clock: VirtualClock) -> None:
    """If that is what the policy says: the last failure is the result."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(TerminalError, match="RuntimeError: never"):
            await runtime.call(app.two_then_kill)

    assert len(app.attempts) == 2


async def test_used_up_attempts_pause(store: JournalStore, clock: VirtualClock) -> None:
    """By default an operator decides."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.two_then_pause)
        record = await record_when(runtime, clock, receipt.invocation_id, InvocationStatus.PAUSED)

        assert record.retry_count == 2
        assert record.last_failure is not None
        assert record.last_failure.message == "RuntimeError: never"


async def test_a_backoff_outlives_the_process(store: JournalStore, clock: VirtualClock) -> None:
    """The record tells when, and how often it has failed."""
    app = App(clock)
    app.succeed_at = 3
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.fail)
        clock.stopped = True
        record = await record_when(
            runtime, clock, receipt.invocation_id, InvocationStatus.BACKING_OFF
        )
        assert record.next_attempt_at == clock.time + 1
    clock.stopped = False
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(receipt.invocation_id, int) == 3

    assert app.attempts == [0, 1, 3]


async def test_what_an_error_undoes_is_done_by_the_next_attempt(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A nursery that fails cancels calls and timers; if it is retried, none of that has happened."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.fail_among_others) == ["slow", "napped"]

    assert 20 <= clock.elapsed < 21


async def test_a_timer_that_an_error_removed_is_there_again(
    store: JournalStore, clock: VirtualClock
) -> None:
    """For the attempt that waits for it."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.fail_slowly) == "slept"

    assert 20 <= clock.elapsed < 21


@pytest.mark.parametrize(
    ("option", "status"),
    [
        ("fail", InvocationStatus.COMPLETED),
        ("pause", InvocationStatus.PAUSED),
        ("retry", InvocationStatus.BACKING_OFF),
    ],
)
async def test_changed_code_does_as_the_option_says(
    store: JournalStore, clock: VirtualClock, option: str, status: InvocationStatus
) -> None:
    """``on_journal_mismatch``: retry, pause or fail, with the report as the failure."""
    app = App(clock)
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.mismatches[option])
        await record_when(runtime, clock, receipt.invocation_id, InvocationStatus.SUSPENDED)
        clock.stopped = True
        app.path = "right"
        await runtime.resolve_signal(receipt.invocation_id, "go")
        record = await record_when(runtime, clock, receipt.invocation_id, status)
        failure = record.result if option == "fail" else record.last_failure

        assert isinstance(failure, Failure)
        assert failure.code == 570


async def test_a_failure_is_logged_with_its_traceback_once(
    store: JournalStore, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The same one again is a line; another one has its traceback as well."""
    app = App(clock)
    app.succeed_at, app.changing = 4, False
    with caplog.at_level(logging.WARNING, "durable_trio.local"):
        async with app.runtime(store, clock) as runtime:
            await runtime.call(app.fail)

    assert [bool(record.exc_info) for record in caplog.records] == [True, False, False]
    assert "next one in 2 s" in caplog.records[1].getMessage()


async def test_defaults_of_the_runtime_hold(store: JournalStore, clock: VirtualClock) -> None:
    """Where neither handler nor service says anything."""
    service = Service("Plain")

    @service.handler
    async def fail(ctx: Context) -> None:
        raise RuntimeError("never")

    policy = InvocationRetryPolicy(max_attempts=1, on_max_attempts="kill")
    defaults = ServiceOptions(retry_policy=policy)
    async with LocalRuntime([service], store, clock=clock, defaults=defaults) as runtime:
        with pytest.raises(TerminalError, match="never"):
            await runtime.call(fail)
