"""``testing.runtime``: virtual time, fakes and failures on request."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from durable_trio import (
    Context,
    ObjectContext,
    RetryPolicy,
    RunInfo,
    Service,
    ServiceOptions,
    StoreLockedError,
    StoreWriteError,
    TerminalError,
    UsageError,
    VirtualObject,
    move_on_after,
    sleep,
)
from durable_trio.abc import Run, Sleep
from durable_trio.testing import MemoryStore, VirtualClock, fake, runtime
from durable_trio.testing._clock import timeline_of
from durable_trio.testing._driver import drive

pytestmark = pytest.mark.anyio

DAY = 86_400.0

shop = Service("Shop")
bank = Service("Bank")
box = VirtualObject("Box")
services = [shop, bank, box]


class Step:
    """A run body whose end the test decides."""

    def __init__(self) -> None:
        self.started = anyio.Event()
        self.released = anyio.Event()

    async def __call__(self) -> str:
        self.started.set()
        await self.released.wait()
        return "stepped"


step: Step


@bank.handler
async def pay(ctx: Context, cents: int) -> str:
    return await ctx.run(lambda: f"paid {cents}", name="pay")


@bank.handler
async def refund(ctx: Context, cents: int) -> str:
    return f"refunded {cents}"


@shop.handler
async def buy(ctx: Context, cents: int) -> str:
    return await ctx.call(pay, cents)


@shop.handler
async def give_back(ctx: Context, cents: int) -> str:
    return await ctx.call(refund, cents)


@shop.handler
async def wait_for_days(ctx: Context, days: int) -> float:
    began = await ctx.now()
    for _ in range(days):
        await sleep(DAY)
    return await ctx.now() - began


@shop.handler
async def ask(ctx: Context) -> str:
    ticket, answer = ctx.awakeable(str)
    await ctx.call(put, ticket, key="boss")
    with move_on_after(DAY):
        said: str = await answer
        return f"said {said}"
    return "nobody answered"


@shop.handler
async def step_in_time(ctx: Context) -> str:
    with move_on_after(60):
        return await ctx.run(step, name="step")
    return "too late"


@shop.handler
async def block_a_thread(ctx: Context) -> str:
    with move_on_after(60):
        return await ctx.run(lambda: anyio.to_thread.run_sync(_take_a_while), name="thread")
    return "too late"


def _take_a_while() -> str:
    time.sleep(0.02)  # real time, so that a clock that ran ahead would be seen
    return "worked"


@shop.handler
async def flaky(ctx: Context) -> str:
    return await ctx.run(lambda: "worked", name="flaky", retry=RetryPolicy(max_attempts=4))


@box.handler
async def put(ctx: ObjectContext, ticket: str) -> None:
    ctx.set("ticket", ticket)


@box.handler
async def look(ctx: ObjectContext) -> str:
    return await ctx.get("ticket", str, default="none")


async def test_time_passes_while_a_result_is_awaited() -> None:
    """A hundred durable days pass during one call, and exactly a hundred."""
    async with runtime(services) as rt:
        assert await rt.call(wait_for_days, 100) == 100 * DAY
        assert rt.clock.elapsed == 100 * DAY


async def test_time_stands_still_while_nobody_waits_for_a_result() -> None:
    """A sent invocation sleeps on, whatever the test itself waits for."""
    async with runtime(services) as rt:
        receipt = await rt.send(wait_for_days, 1)
        await rt.clock.settle()
        await anyio.sleep(0.01)
        assert rt.clock.elapsed == 0
        assert await rt.output(receipt.invocation_id, float | None) != DAY
        kinds = [type(entry) for entry in await rt.journal(receipt.invocation_id)]
        assert Sleep in kinds


async def test_advance_passes_exactly_the_time_asked_for() -> None:
    """Timers that come due meanwhile fire at their own time; later ones do not."""
    async with runtime(services) as rt:
        receipt = await rt.send(wait_for_days, 2)
        await rt.clock.advance(1.5 * DAY)
        assert rt.clock.elapsed == 1.5 * DAY
        assert (await rt.invocation(receipt.invocation_id)).result is None
        await rt.clock.advance(0.5 * DAY)
        await rt.clock.settle()
        assert await rt.attach(receipt.invocation_id, float) == 2 * DAY
        assert rt.clock.elapsed == 2 * DAY


async def test_time_stands_still_while_a_body_executes() -> None:
    """A deadline around a step does not pass while the step waits for something real."""
    global step  # noqa: PLW0603  # handlers are defined once
    step = Step()
    async with runtime(services) as rt, anyio.create_task_group() as tasks:
        outputs: list[str] = []

        async def call() -> None:
            outputs.append(await rt.call(step_in_time))

        tasks.start_soon(call)
        await step.started.wait()
        await anyio.sleep(0.01)
        assert rt.clock.elapsed == 0
        step.released.set()
        while not outputs:  # the call ends at some later turn
            await anyio.lowlevel.checkpoint()
        assert outputs == ["stepped"]
        assert rt.clock.elapsed == 0


async def test_time_stands_still_while_a_thread_works() -> None:
    """A step in a thread is waited for, too."""
    async with runtime(services) as rt:
        assert await rt.call(block_a_thread) == "worked"


async def test_advance_passes_over_a_body_that_hangs() -> None:
    """Asked to, time passes although a step executes, and its deadline cancels it."""
    global step  # noqa: PLW0603
    step = Step()
    async with runtime(services) as rt:
        receipt = await rt.send(step_in_time)
        await step.started.wait()
        await rt.clock.advance(61)
        assert await rt.attach(receipt.invocation_id, str) == "too late"


async def test_an_awakeable_is_resolved_before_its_timeout() -> None:
    """State tells the test the ticket, and no time passes before it answers."""
    async with runtime(services) as rt:
        receipt = await rt.send(ask)
        await rt.clock.settle()
        ticket = (await rt.get_state("Box", "boss", str))["ticket"]
        await rt.resolve_awakeable(ticket, "yes")
        assert await rt.attach(receipt.invocation_id, str) == "said yes"
        assert rt.clock.elapsed < DAY
        assert await rt.call(ask) == "nobody answered"
        assert rt.clock.elapsed >= DAY


async def test_a_run_fails_as_often_as_asked_for() -> None:
    """Injected failures take the place of executions; the retries' backoff is virtual."""
    async with runtime(services) as rt:
        rt.fail("flaky", OSError("no line"), times=3)
        assert await rt.call(flaky) == "worked"
        assert rt.executions == {"flaky": 4}
        assert rt.clock.elapsed > 0
        rt.fail("flaky", OSError, times=None)
        with pytest.raises(TerminalError, match="OSError"):
            await rt.call(flaky)
        rt.fail("flaky", TerminalError("refused", code=402))
        with pytest.raises(TerminalError, match="refused") as caught:
            await rt.call(flaky)
        assert caught.value.code == 402
        rt.fail("flaky", OSError, times=0)
        assert await rt.call(flaky) == "worked"
        with pytest.raises(UsageError, match="times must be 0 or more"):
            rt.fail("flaky", OSError, times=-1)


async def test_a_fake_takes_the_place_of_a_service() -> None:
    """Its functions get the input; what is not faked fails and says so."""
    asked: list[int] = []

    async def paid(cents: int) -> str:
        asked.append(cents)
        return "fake money"

    async with runtime([shop, fake(bank, pay=paid)]) as rt:
        assert await rt.call(buy, 12) == "fake money"
        assert asked == [12]
        with pytest.raises(TerminalError, match="Bank/refund is not faked"):
            await rt.call(give_back, 12)


async def test_a_fake_may_fail_and_may_be_plain() -> None:
    """A terminal error of a fake is its caller's."""

    def refuse(cents: int) -> Any:
        raise TerminalError(f"not {cents}", code=402)

    async with runtime([shop, fake(bank, pay=refuse)]) as rt:
        with pytest.raises(TerminalError, match="not 12") as caught:
            await rt.call(buy, 12)
        assert caught.value.code == 402


async def test_a_fake_comes_and_goes_while_the_runtime_runs() -> None:
    """The next attempt of a handler meets it, whether or not the service was served before."""
    async with runtime([shop]) as rt:
        rt.fake(bank, pay=lambda cents: f"{cents} of fake money")
        assert await rt.call(buy, 12) == "12 of fake money"
        rt.fake(bank, pay=lambda cents: "refused")
        assert await rt.call(buy, 12) == "refused"
    async with runtime(services) as rt:
        assert await rt.call(buy, 12) == "paid 12"
        rt.fake(bank, pay=lambda cents: "fake money")
        assert await rt.call(buy, 12) == "fake money"


async def test_ids_are_the_same_in_every_run() -> None:
    """Unless no seed is asked for."""
    ids: list[str] = []
    for seed in (0, 0, None):
        async with runtime(services, seed=seed) as rt:
            ids.append((await rt.send(buy, 1)).invocation_id)
    assert ids[0] == ids[1] != ids[2]


async def test_state_is_read_and_written() -> None:
    """What a test writes a handler finds, and the other way round."""
    async with runtime(services) as rt:
        await rt.set_state("Box", "boss", {"ticket": "old"}, str)
        assert await rt.call(look, key="boss") == "old"
        await rt.call(put, "new", key="boss")
        assert await rt.get_state("Box", "boss", str) == {"ticket": "new"}


def test_only_handlers_can_be_faked() -> None:
    """A wrong name is an error that names the right ones."""
    with pytest.raises(UsageError, match="Did you mean 'pay'"):
        fake(bank, pai=lambda: None)


async def test_the_next_runtime_goes_on_where_one_ended() -> None:
    """Store and clock outlive a runtime; completed runs do not run again."""
    store, clock = MemoryStore(), VirtualClock()
    async with runtime(services, store=store, clock=clock) as rt:
        receipt = await rt.send(wait_for_days, 1)
        await rt.clock.advance(DAY / 2)
    async with runtime(services, store=store, clock=clock) as rt:
        assert await rt.attach(receipt.invocation_id, float) == DAY
        assert rt.clock.elapsed == DAY


async def test_default_options_are_kept() -> None:
    """Run contexts of the test's own surround bodies as well."""
    seen: list[str] = []

    class Around:
        def __init__(self, run: RunInfo) -> None:
            seen.append(run.name)

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    async with runtime(services, defaults=ServiceOptions(run_contexts=[Around])) as rt:
        receipt = await rt.send(pay, 1)
        assert await rt.attach(receipt.invocation_id, str) == "paid 1"
        assert any(isinstance(entry, Run) for entry in await rt.journal(receipt.invocation_id))
    assert seen == ["pay"]


async def test_two_runtimes_at_once_do_not_wait_for_each_other() -> None:
    """Each has a time of its own."""
    async with runtime(services) as one, runtime(services) as two:
        assert await one.call(wait_for_days, 3) == 3 * DAY
        assert await two.call(wait_for_days, 2) == 2 * DAY
        assert (one.clock.elapsed, two.clock.elapsed) == (3 * DAY, 2 * DAY)


async def test_an_error_of_the_test_leaves_as_it_is() -> None:
    """No group wraps what the block raises."""
    with pytest.raises(KeyError):
        async with runtime(services):
            raise KeyError("mine")


async def test_a_clock_that_nobody_drives_answers_what_is_due() -> None:
    """Waiting for a time that has come does not wait."""
    clock = VirtualClock(start=5)
    await clock.sleep_until(5)
    assert (clock.now(), clock.elapsed) == (5, 0)


async def test_time_stands_still_while_a_commit_is_pending() -> None:
    """Although all tasks wait, what is being committed may make one ready."""
    clock = VirtualClock()
    looks: list[float] = []

    def pending() -> bool:
        looks.append(clock.elapsed)
        return len(looks) < 5

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(
                drive,
                timeline_of(clock),
                pending=pending,
                executing=lambda: 0,
                wanted=lambda: True,
                tell=lambda at_the_end: False,
            )
        )
        await clock.sleep_until(clock.now() + 10)
        tasks.cancel_scope.cancel()
    assert looks == [0] * 5
    assert clock.elapsed == 10


async def test_a_crash_in_the_middle_of_a_test() -> None:
    """What is durable goes on, whoever waits is answered, and what was injected stays."""
    async with runtime(services) as rt, anyio.create_task_group() as tasks:
        outputs: list[Any] = []

        async def call() -> None:
            outputs.append(await rt.call(wait_for_days, 3))

        tasks.start_soon(call)
        receipt = await rt.send(wait_for_days, 2)
        await rt.clock.advance(DAY)
        await rt.crash()
        rt.fail("flaky", OSError, times=2)
        await rt.crash()
        assert await rt.attach(receipt.invocation_id, float) == 2 * DAY
        assert await rt.call(flaky) == "worked"
        assert rt.executions["flaky"] == 3
        await rt.clock.advance(2 * DAY)
        assert outputs == [3 * DAY]


async def test_a_failure_of_the_store_is_no_crash_that_was_asked_for() -> None:
    """It ends the block, as it does for any runtime."""
    store = MemoryStore()
    with pytest.raises(StoreWriteError, match="simulated"):
        async with runtime(services, store=store) as rt:
            await rt.crash()
            store.crash()
            await anyio.sleep_forever()


async def test_a_store_that_cannot_be_opened_is_said_so() -> None:
    """Entering raises, and leaves nothing behind."""
    store = MemoryStore()
    async with store:
        with pytest.raises(StoreLockedError):
            async with runtime(services, store=store):
                raise AssertionError("entered")
    async with runtime(services, store=store) as rt:
        assert await rt.call(pay, 1) == "paid 1"
        with pytest.raises(UsageError, match="entered once"):
            await rt.__aenter__()


async def test_bodies_and_tests_may_sleep_in_virtual_time() -> None:
    """A step that takes a day takes no time, and its deadline passes before it is done."""
    async with runtime([shop]) as rt:

        async def slow(cents: int) -> str:
            await rt.clock.sleep(cents)
            return f"paid {cents} slowly"

        rt.fake(bank, pay=slow)
        assert await rt.call(buy, int(DAY)) == f"paid {int(DAY)} slowly"
        assert rt.clock.elapsed == DAY
        await rt.clock.sleep(DAY)
        assert rt.clock.elapsed == 2 * DAY
        await rt.send(buy, int(DAY))  # whoever sleeps when the test ends does not hold it up
        await rt.clock.settle()


async def test_failures_are_injected_into_stand_ins() -> None:
    """Each is a run of its handler's name."""
    async with runtime([shop, fake(bank, pay=lambda cents: f"paid {cents}")]) as rt:
        rt.fail("pay", TerminalError("broke", 402))
        with pytest.raises(TerminalError, match="broke"):
            await rt.call(buy, 1)
        assert await rt.call(buy, 1) == "paid 1"
