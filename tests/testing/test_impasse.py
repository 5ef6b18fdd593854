"""Whoever waits for a result that cannot come is told so at once, and by nobody else's mistake."""

from __future__ import annotations

import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from anyio.from_thread import BlockingPortal

from durable_trio import (
    Context,
    InvocationPausedError,
    InvocationRetryPolicy,
    ObjectContext,
    RetryPolicy,
    Service,
    TerminalError,
    UsageError,
    VirtualObject,
    amap,
    move_on_after,
    sleep,
)
from durable_trio.abc import InvocationStatus
from durable_trio.testing import MemoryStore, fake, runtime

if TYPE_CHECKING:
    from durable_trio.testing import VirtualRuntime

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

DAY = 86_400.0
HOURS = 4 * 3_600.0
"""Enough for more failures of a step than anybody waits for without being asked."""

shop = Service("Shop")
bank = Service("Bank")
box = VirtualObject("Box")
services = [shop, bank, box]

FOR_EVER = InvocationRetryPolicy(max_attempts=1_000_000_000)


class Switch:
    """Whether what is wrong is mended."""

    mended = False
    tickets: list[str]
    stop: bool


@pytest.fixture(autouse=True)
def switch() -> None:
    """Nothing is mended yet."""
    Switch.mended = False
    Switch.stop = False
    Switch.tickets = []


@bank.handler
async def pay(ctx: Context, cents: int) -> str:
    if not Switch.mended:
        raise UsageError("no such account")  # here
    return f"paid {cents}"


@bank.handler
async def audit(ctx: Context, cents: int) -> str:
    return await ctx.call(pay, cents)


@shop.handler
async def buy(ctx: Context, cents: int) -> str:
    return await ctx.call(audit, cents)


@shop.handler
async def buy_many(ctx: Context, count: int) -> list[str]:
    async def one(cents: int) -> str:
        return await ctx.call(buy, 1 + cents % 1)

    return await amap(one, range(count))


@shop.handler
async def buy_in_time(ctx: Context, cents: int) -> str:
    with move_on_after(DAY):
        return await ctx.call(pay, cents)
    return "too late"


@shop.handler
async def look_up(ctx: Context) -> str:
    return await ctx.run(lambda: "found", name="look up")


@shop.handler
async def look_up_through(ctx: Context) -> str:
    return await ctx.call(look_up)


@shop.handler
async def look_up_in_time(ctx: Context) -> str:
    with move_on_after(HOURS):
        return await ctx.run(lambda: "found", name="look up")
    return "given up"


@shop.handler
async def look_up_seldom(ctx: Context) -> str:
    policy = RetryPolicy(initial_interval=60, max_interval=60)
    return await ctx.run(lambda: "found", name="look up", retry=policy)


@shop.handler
async def look_up_without_a_break(ctx: Context) -> str:
    policy = RetryPolicy(initial_interval=0)
    return await ctx.run(lambda: "found", name="look up", retry=policy)


@shop.handler
async def look_up_often(ctx: Context) -> str:
    policy = RetryPolicy(max_attempts=1_100, initial_interval=0)
    return await ctx.run(lambda: "found", name="look up", retry=policy)


@shop.handler
async def look_up_for_hours(ctx: Context) -> str:
    policy = RetryPolicy(max_duration=HOURS)
    return await ctx.run(lambda: "found", name="look up", retry=policy)


@shop.handler
async def look_up_for_hours_seldom(ctx: Context) -> str:
    policy = RetryPolicy(initial_interval=12, max_interval=12, max_duration=HOURS)
    return await ctx.run(lambda: "found", name="look up", retry=policy)


@shop.handler
async def wait_for_the_looker(ctx: Context) -> str:
    ticket, answer = ctx.awakeable(str)
    ctx.send(look_up_and_tell, ticket)
    said: str = await answer
    return said


@shop.handler
async def look_up_and_tell(ctx: Context, ticket: str) -> None:
    ctx.resolve_awakeable(ticket, await ctx.run(lambda: "found", name="look up"))


@shop.handler(retry_policy=FOR_EVER)
async def fall(ctx: Context) -> str:
    if not Switch.mended:
        raise OSError("no ground")  # here
    return "landed"


@shop.handler(retry_policy=InvocationRetryPolicy(initial_interval=0, max_interval=0))
async def fall_often(ctx: Context) -> str:
    raise OSError("no ground")


@shop.handler
async def fall_often_through(ctx: Context) -> str:
    return await ctx.call(fall_often)


@shop.handler(
    retry_policy=InvocationRetryPolicy(
        initial_interval=0, max_interval=0, max_attempts=1_000_000_000
    )
)
async def fall_at_once(ctx: Context) -> str:
    raise OSError("no ground")


@shop.handler
async def fall_through(ctx: Context) -> str:
    return await ctx.call(fall)


@shop.handler
async def ask(ctx: Context) -> str:
    ticket, answer = ctx.awakeable(str)
    Switch.tickets.append(ticket)
    said: str = await answer
    return said


@shop.handler
async def ask_through(ctx: Context) -> str:
    return await ctx.call(ask)


@shop.handler
async def tick(ctx: Context) -> None:
    for _ in range(100_000):
        await sleep(3600)


@box.handler
async def hold(ctx: ObjectContext, cents: int) -> str:
    return await ctx.call(pay, cents)


@box.handler
async def look(ctx: ObjectContext) -> str:
    return "empty"


def the_cause(error: BaseException, text: str) -> BaseException:
    """What it was raised from, which has to be the error itself, with the line that raised it."""
    cause = error.__cause__
    assert cause is not None
    assert text in str(cause)
    lines = [entry for entry in _lines(cause) if entry.endswith("# here")]
    assert lines or "no line" in text
    return cause


def _lines(error: BaseException) -> list[str]:
    return [frame.line or "" for frame in traceback.extract_tb(error.__traceback__)]


async def _paused(rt: VirtualRuntime) -> str:
    (record,) = await rt.store.invocations(status=frozenset({InvocationStatus.PAUSED}))
    return record.id


# -- what is paused


async def test_the_error_itself_is_the_cause_of_a_pause() -> None:
    """Who waits for it directly has its traceback, and so has whoever attaches later."""
    async with runtime(services) as rt:
        with pytest.raises(InvocationPausedError, match=r"Bank/pay .* no such account") as caught:
            await rt.call(pay, 1)
        the_cause(caught.value, "no such account")
        with pytest.raises(InvocationPausedError) as again:
            await rt.attach(caught.value.invocation_id)
        the_cause(again.value, "no such account")


async def test_a_callee_that_is_paused_is_told_to_whoever_waits_for_its_callers() -> None:
    """The way to it, why, and what to do; and the error itself."""
    async with runtime(services) as rt:
        with pytest.raises(InvocationPausedError) as caught:
            await rt.call(buy, 1)
        text, paused = str(caught.value), await _paused(rt)
        assert text.startswith("Shop/buy (inv_")
        assert f"waits for Bank/pay ({paused}), which is paused: UsageError: " in text
        assert f"rt.resume({paused!r})" in text
        assert caught.value.invocation_id == paused
        the_cause(caught.value, "no such account")
        assert rt.clock.elapsed == 0


async def test_one_callee_of_many_calls_is_enough() -> None:
    """Calls that wait for the same dead end, or for one each, all lead there."""
    async with runtime(services) as rt:
        with pytest.raises(InvocationPausedError, match=r"Shop/buy_many .* waits for Shop/buy"):
            await rt.call(buy_many, 3)


async def test_what_goes_on_beside_it_does_not_matter() -> None:
    """A timer of somebody else's is no hope."""
    async with runtime(services) as rt:
        await rt.send(tick)
        with pytest.raises(InvocationPausedError, match="no such account"):
            await rt.call(buy, 1)


async def test_a_caller_that_left_memory_waits_as_well() -> None:
    """It is not in memory any more when the callee is paused."""
    async with runtime([shop, fake(bank, audit=lambda cents: "")]) as rt:

        async def late(cents: int) -> str:
            await rt.clock.sleep(60)
            raise UsageError("broken stand-in")

        rt.fake(bank, audit=late)
        with pytest.raises(InvocationPausedError, match=r"Bank/audit .* broken stand-in"):
            await rt.call(buy, 1)
        assert rt.clock.elapsed == 60


async def test_a_deadline_around_the_call_is_waited_for() -> None:
    """The caller goes on without it, so nobody waits in vain."""
    async with runtime(services) as rt:
        assert await rt.call(buy_in_time, 1) == "too late"
        assert rt.clock.elapsed == DAY


async def test_what_is_paused_is_mended_and_resumed() -> None:
    """By a test that does not wait for the caller meanwhile."""
    async with runtime(services) as rt:
        receipt = await rt.send(buy, 1)
        await rt.clock.settle()
        Switch.mended = True
        await rt.resume(await _paused(rt))
        assert await rt.attach(receipt.invocation_id) == "paid 1"


async def test_what_is_paused_is_resumed_after_somebody_was_told() -> None:
    """The callers have gone on waiting."""
    async with runtime(services) as rt:
        receipt = await rt.send(buy, 1)
        with pytest.raises(InvocationPausedError) as caught:
            await rt.attach(receipt.invocation_id)
        Switch.mended = True
        await rt.resume(caught.value.invocation_id)
        assert await rt.attach(receipt.invocation_id) == "paid 1"


@pytest.mark.parametrize("how", ["settle", "advance", "sleep"])
async def test_a_test_that_waits_for_time_resumes_it_while_another_task_calls(how: str) -> None:
    """It is going to act, so nobody is told."""
    outputs: list[str] = []
    async with runtime(services) as rt, anyio.create_task_group() as tasks:

        async def call() -> None:
            outputs.append(await rt.call(buy, 1))

        tasks.start_soon(call)
        if how == "settle":
            await rt.clock.settle()
        elif how == "advance":
            await rt.clock.advance(DAY)
        else:
            await rt.clock.sleep(DAY)
        Switch.mended = True
        await rt.resume(await _paused(rt))
    assert outputs == ["paid 1"]


async def test_a_pause_that_a_test_asks_for_is_no_mistake() -> None:
    """Its callers are told only when nothing is left that could end it."""
    async with runtime([shop]) as rt:
        receipt = await rt.send(ask_through)
        await rt.clock.settle()
        asked = next(
            record.id
            for record in await rt.store.invocations(service="Shop")
            if record.handler == "ask"
        )
        await rt.pause(asked)
        with pytest.raises(AssertionError, match=f"Shop/ask \\({asked}\\) is paused"):
            await rt.attach(receipt.invocation_id)
        await rt.resume(asked)
        await rt.resolve_awakeable(Switch.tickets[-1], "yes")
        assert await rt.attach(receipt.invocation_id) == "yes"


async def test_whoever_waits_for_a_key_waits_for_its_holder() -> None:
    """The holder waits for what is paused, and is named."""
    async with runtime(services) as rt:
        await rt.send(hold, 1, key="a")
        with pytest.raises(InvocationPausedError) as caught:
            await rt.call(look, key="a")
        assert "Box/a/look" in str(caught.value)
        assert "waits for its key, held by Box/a/hold (" in str(caught.value)
        assert await rt.call(look, key="b") == "empty"


async def test_what_an_earlier_runtime_left_paused_is_found() -> None:
    """Only its journal tells what the caller waits for: it has not been in memory here."""
    store = MemoryStore()
    async with runtime(services, store=store) as rt:
        receipt = await rt.send(fall_often_through)
        await rt.clock.settle()
        paused = await _paused(rt)
    async with runtime(services, store=store) as rt:
        with pytest.raises(AssertionError) as caught:
            await rt.attach(receipt.invocation_id)
        assert f"Shop/fall_often ({paused}) is paused (it failed with OSError: " in str(
            caught.value
        )
        assert "is suspended, waits for call Shop/fall_often" in str(caught.value)


async def test_a_handler_whose_attempts_are_used_up_is_a_dead_end() -> None:
    """As it is paused then."""
    async with runtime(services) as rt:
        with pytest.raises(InvocationPausedError, match=r"Shop/fall_often .* no ground"):
            await rt.call(fall_often_through)


# -- what fails for ever


@pytest.mark.parametrize("handler", [look_up, look_up_through, look_up_seldom])
async def test_a_step_that_always_fails_is_told(handler: Any) -> None:
    """The step, its last error, and how to end it."""
    async with runtime(services) as rt:
        rt.fail("look up", ConnectionError("no line"), times=None)
        with pytest.raises(AssertionError) as caught:
            await rt.call(handler)
        text = str(caught.value)
        assert text.startswith(f"Shop/{handler.handler_name} (inv_")
        assert "fails at the step 'look up' for ever: 1000 times in a row" in text
        assert "ConnectionError: no line" in text
        assert "RetryPolicy(max_attempts=3)" in text
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert rt.executions["look up"] == 1000


async def test_a_step_goes_on_after_somebody_was_told() -> None:
    """It is still tried; waiting for it again has patience again."""
    async with runtime(services) as rt:
        rt.fail("look up", ConnectionError("no line"), times=None)
        receipt = await rt.send(look_up)
        for _ in range(2):
            with pytest.raises(AssertionError, match="1000 times in a row"):
                await rt.attach(receipt.invocation_id)
        assert rt.executions["look up"] >= 2000
        rt.fail("look up", ConnectionError, times=0)
        assert await rt.attach(receipt.invocation_id) == "found"


async def test_a_step_that_fails_until_its_deadline_is_waited_for() -> None:
    """However often that is."""
    async with runtime(services) as rt:
        rt.fail("look up", ConnectionError("no line"), times=None)
        assert await rt.call(look_up_in_time) == "given up"
        assert rt.executions["look up"] > 1400


async def test_a_step_fails_for_as_long_as_the_test_lets_time_pass() -> None:
    """Failures that were asked for count for nothing."""
    outputs: list[str] = []
    async with runtime(services) as rt, anyio.create_task_group() as tasks:

        async def call() -> None:
            outputs.append(await rt.call(look_up))

        rt.fail("look up", ConnectionError("no line"), times=None)
        tasks.start_soon(call)
        await rt.clock.advance(HOURS)
        await rt.clock.sleep(HOURS)
        assert rt.executions["look up"] > 2_800
        rt.fail("look up", ConnectionError, times=0)
    assert outputs == ["found"]


async def test_a_step_that_many_failures_do_not_discourage() -> None:
    """Fewer than that many in a row are waited for, again and again."""
    async with runtime(services) as rt:
        for _ in range(3):
            rt.fail("look up", ConnectionError("no line"), times=999)
            assert await rt.call(look_up) == "found"


async def test_who_waits_for_more_than_the_step_is_told_when_nothing_else_is_left() -> None:
    """An awakeable that only the failing step's handler would resolve."""
    async with runtime(services) as rt:
        rt.fail("look up", ConnectionError("no line"), times=None)
        with pytest.raises(AssertionError) as caught:
            await rt.call(wait_for_the_looker)
        text = str(caught.value)
        assert "waits for the awakeable sign_1" in text
        assert "Shop/look_up_and_tell (inv_" in text
        assert "run look up, which fails: ConnectionError: no line" in text
        assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize("handler", [fall, fall_through])
async def test_a_handler_that_always_fails_is_told(handler: Any) -> None:
    """With its policy, if that never ends."""
    async with runtime(services) as rt:
        with pytest.raises(AssertionError) as caught:
            await rt.call(handler)
        assert "Shop/fall (inv_" in str(caught.value)
        assert "fails for ever: 1000 times in a row" in str(caught.value)
        assert "InvocationRetryPolicy(max_attempts=3" in str(caught.value)
        the_cause(caught.value, "no ground")


async def test_a_step_that_is_tried_again_without_a_delay_ends_the_test() -> None:
    """Nobody else would ever have a turn."""
    with pytest.raises(AssertionError, match="fails at the step 'look up' for ever") as caught:
        async with runtime(services) as rt:
            rt.fail("look up", ConnectionError("no line"), times=None)
            await rt.send(look_up_without_a_break)
            await rt.clock.settle()
    assert isinstance(caught.value.__cause__, ConnectionError)


async def test_a_handler_that_is_tried_again_without_a_delay_ends_the_test() -> None:
    """As a step does."""
    with pytest.raises(AssertionError, match=r"Shop/fall_at_once .* fails for ever"):
        async with runtime(services) as rt:
            await rt.call(fall_at_once)


# -- what nobody completes


@pytest.mark.parametrize("handler", [ask, ask_through])
async def test_an_awakeable_that_nobody_resolves_is_told(handler: Any) -> None:
    """What everybody waits for, and what to do."""
    async with runtime(services) as rt:
        with pytest.raises(AssertionError) as caught:
            await rt.call(handler)
        text = str(caught.value)
        assert text.startswith(f"Shop/{handler.handler_name} (inv_")
        assert f"waits for the awakeable {Switch.tickets[0]}" in text
        assert "rt.resolve_awakeable" in text


async def test_an_awakeable_that_is_resolved_later_is_waited_for() -> None:
    """By a task that waits for the host, for a thread, for time, or for everybody."""
    async with runtime(services) as rt:
        for wait in (
            partial(anyio.sleep, 0.02),
            partial(anyio.to_thread.run_sync, _a_while),
            partial(rt.clock.sleep, DAY),
            partial(rt.clock.advance, DAY),
            rt.clock.settle,
        ):
            outputs: list[str] = []
            async with anyio.create_task_group() as tasks:

                async def call(outputs: list[str] = outputs) -> None:
                    outputs.append(await rt.call(ask))

                tasks.start_soon(call)
                await wait()
                await rt.resolve_awakeable(Switch.tickets[-1], "yes")
            assert outputs == ["yes"]


def _a_while() -> None:
    threading.Event().wait(0.02)


async def test_a_test_that_has_stopped_waiting_for_the_host_is_looked_at_again() -> None:
    """Then nobody is left who could act."""
    async with runtime(services) as rt:
        outputs: list[str] = []

        async def call() -> None:
            with pytest.raises(AssertionError, match="nothing is left to happen"):
                await rt.call(ask)
            outputs.append("told")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(0.02)
        assert outputs == ["told"]


async def test_a_thread_that_the_loop_does_not_know_may_resolve_it() -> None:
    """No alarm while there is one, however quiet it is."""
    async with BlockingPortal() as portal, runtime(services) as rt:
        released = threading.Event()

        def resolve() -> None:
            released.wait()
            portal.call(rt.resolve_awakeable, Switch.tickets[-1], "yes")

        thread = threading.Thread(target=resolve)
        thread.start()

        async def release() -> None:
            await rt.clock.settle()
            released.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(release)
            assert await rt.call(ask) == "yes"
        await anyio.to_thread.run_sync(thread.join)


async def test_another_runtime_may_resolve_it() -> None:
    """After a day of its own time."""
    async with runtime([shop]) as one, runtime([bank]) as two:

        async def resolve(cents: int) -> str:
            await two.clock.sleep(DAY)
            await one.resolve_awakeable(Switch.tickets[-1], "yes")
            return "resolved"

        two.fake(bank, pay=resolve)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(two.call, pay, 1)
            assert await one.call(ask) == "yes"


async def test_a_crash_changes_nothing_of_that() -> None:
    """Who waits is told in the next life."""
    told: list[BaseException] = []
    async with runtime(services) as rt, anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(InvocationPausedError) as caught:
                await rt.call(buy, 1)
            told.append(caught.value)

        async def wait() -> None:
            with pytest.raises(AssertionError, match="nothing is left to happen") as caught:
                await rt.call(ask)
            told.append(caught.value)

        tasks.start_soon(wait)
        await rt.clock.settle()
        tasks.start_soon(call)
        await rt.clock.settle()
        await rt.crash()
    assert sorted(type(error).__name__ for error in told) == ["InvocationPausedError", "Stuck"]


async def test_a_step_whose_policy_is_used_up_is_an_error_of_its_own() -> None:
    """However often it is tried, or for how long, whether at once or not."""
    async with runtime(services) as rt:
        rt.fail("look up", ConnectionError("no line"), times=None)
        for handler in (look_up_often, look_up_for_hours, look_up_for_hours_seldom):
            with pytest.raises(TerminalError, match="ConnectionError: no line"):
                await rt.call(handler)
