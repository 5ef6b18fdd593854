"""Deadlines are durable timers: they cut where their completion is in the journal."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    Event,
    TerminalError,
    TooSlowError,
    checkpoint,
    fail_after,
    fail_at,
    move_on_after,
    move_on_at,
    open_nursery,
    sleep,
    sleep_forever,
    sleep_until,
)
from durable_trio.abc import Failure, Sleep

from .world import World, error, failure, play, service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context

NOW = 1_000_000.0


async def give(value: Any) -> Any:
    return value


def test_a_deadline_cuts_off_what_takes_too_long(backend: str) -> None:
    """``move_on_after`` gives up and goes on."""

    async def handler(ctx: Context) -> list[bool]:
        with move_on_after(30) as scope:
            await Event().wait()
        return [scope.cancel_called, scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, True]


def test_the_journal_s_order_decides(backend: str) -> None:
    """A result that came before the deadline counts, one that came after it does not."""

    async def handler(ctx: Context) -> list[Any]:
        with move_on_after(30) as scope:
            return [await ctx.run(give, "in time"), scope.cancelled_caught]
        return ["late", scope.cancelled_caught]

    handled = service_handler(handler)

    assert value(handled, backend, plan=["commit give", "timer deadline"]) == ["in time", False]
    assert value(handled, backend, plan=["timer deadline", "commit give"]) == ["late", True]


def test_the_inner_deadline_cuts_first(backend: str) -> None:
    """Of nested deadlines the one that passes cuts its own block only."""

    async def handler(ctx: Context) -> list[bool]:
        caught: list[bool] = []
        with move_on_after(60) as outer:
            with move_on_after(10) as inner:
                await Event().wait()
            caught.append(inner.cancelled_caught)
            await ctx.run(give, 1)
        return [*caught, outer.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, False]


def test_the_outer_deadline_cuts_through_the_inner_one(backend: str) -> None:
    """The inner scope lets it pass, and was not cancelled itself."""

    async def handler(ctx: Context) -> list[bool]:
        with move_on_after(10) as outer, move_on_after(60) as inner:
            await Event().wait()
        return [inner.cancel_called, inner.cancelled_caught, outer.cancelled_caught]

    assert value(service_handler(handler), backend) == [False, False, True]


def test_fail_after_raises_too_slow_error(backend: str) -> None:
    """It is a ``TimeoutError``, raised where the block ends."""

    async def handler(ctx: Context) -> list[str]:
        try:
            with fail_after(5):
                await Event().wait()
        except TimeoutError as slow:
            return [type(slow).__name__]
        return []

    assert value(service_handler(handler), backend) == ["TooSlowError"]


def test_fail_after_in_time_raises_nothing(backend: str) -> None:
    """The result counts, the timer is forgotten."""

    async def handler(ctx: Context) -> int:
        with fail_after(5) as scope:
            assert not scope.cancel_called
            return await ctx.run(give, 1)

    assert value(service_handler(handler), backend) == 1


def test_fail_at_is_a_time_since_the_epoch(backend: str) -> None:
    """``fail_at`` and ``move_on_at`` take absolute times, as ``ctx.now()`` gives them."""

    async def handler(ctx: Context) -> list[float]:
        now = await ctx.now()
        with move_on_at(now + 7) as scope:
            await Event().wait()
        with pytest.raises(TooSlowError), fail_at(now + 9):
            await Event().wait()
        return [scope.deadline, await ctx.now()]

    assert value(service_handler(handler), backend) == [NOW + 7, NOW + 9]


def test_an_error_beats_too_slow(backend: str) -> None:
    """What the block raises instead of the cancellation leaves ``fail_after``."""

    async def handler(ctx: Context) -> str:
        with pytest.raises(TerminalError), fail_after(5):
            try:
                await Event().wait()
            finally:
                raise TerminalError("in cleanup")
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_too_slow_that_leaves_the_handler_is_terminal(backend: str) -> None:
    """It would replay for ever: 408."""

    async def handler(ctx: Context) -> None:
        with fail_after(5):
            await Event().wait()

    assert failure(service_handler(handler), backend).code == 408


def test_a_deadline_is_journaled_once_with_its_absolute_time(backend: str) -> None:
    """The timer's time is computed from the clock when the scope is entered."""

    async def handler(ctx: Context) -> None:
        scope = move_on_after(30)
        await sleep(10)
        with scope:
            pass

    _, world = play(service_handler(handler), backend)

    assert [
        command.wake_up_time / 1000 for command in world.commands if isinstance(command, Sleep)
    ] == [NOW + 10, NOW + 40]


def test_a_replay_takes_the_recorded_deadline(backend: str) -> None:
    """Replayed later, the deadline is where it was, whatever the clock says."""

    async def handler(ctx: Context) -> float:
        with move_on_after(30) as scope:
            await ctx.run(give, 1)
            await ctx.run(give, 2)
        return scope.deadline

    first = World(service_handler(handler))
    first.play(backend)
    again = World(service_handler(handler), recorded=first.entries[:3])
    again.clock.advance(NOW + 1000)
    end = again.play(backend)

    assert first.entries[-1] == again.entries[-1]
    assert end is not None


def test_the_earlier_of_two_deadlines_counts(backend: str) -> None:
    """A scope takes an absolute and a relative deadline."""

    async def handler(ctx: Context) -> list[float]:
        with CancelScope(deadline=NOW + 50, relative_deadline=10) as one:
            pass
        with CancelScope(deadline=NOW + 50, relative_deadline=100) as two:
            pass
        return [one.deadline, two.deadline]

    assert value(service_handler(handler), backend) == [NOW + 10, NOW + 50]


def test_a_deadline_can_be_moved(backend: str) -> None:
    """Assigning a deadline journals a new timer and forgets the old one."""

    async def handler(ctx: Context) -> list[Any]:
        with move_on_after(10) as scope:
            scope.deadline = NOW + 40
            await sleep(20)
            await Event().wait()
        return [scope.cancelled_caught, await ctx.now()]

    end, world = play(service_handler(handler), backend)

    assert world.forgotten == {1}
    assert world.names[:3] == ["Sleep deadline", "Sleep deadline", "Sleep sleep"]
    assert str(NOW + 40).encode() in repr(end).encode()


def test_a_deadline_can_be_taken_back(backend: str) -> None:
    """An infinite deadline is none."""

    async def handler(ctx: Context) -> list[bool]:
        with move_on_after(10) as scope:
            scope.deadline = math.inf
            await sleep(20)
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [False]


def test_a_deadline_set_before_entering_starts_no_timer_yet(backend: str) -> None:
    """Only entering journals it."""

    async def handler(ctx: Context) -> list[bool]:
        scope = CancelScope()
        scope.deadline = NOW + 5
        await ctx.run(give, 1)
        with scope:
            await Event().wait()
        return [scope.cancelled_caught]

    end, world = play(service_handler(handler), backend)

    assert world.names == ["Run give", "Sleep deadline"]
    assert end is not None


def test_a_deadline_set_by_another_task_outlives_that_task(backend: str) -> None:
    """The timer belongs to the scope it cuts, not to the task that moved it."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            async with open_nursery() as nursery:

                async def child() -> None:
                    scope.deadline = await ctx.now() + 5

                nursery.start_soon(child)
            await Event().wait()
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


def test_an_infinite_deadline_journals_nothing(backend: str) -> None:
    """``move_on_after(math.inf)`` is a plain scope."""

    async def handler(ctx: Context) -> None:
        with move_on_after(math.inf), move_on_at(math.inf):
            await ctx.run(give, 1)

    _, world = play(service_handler(handler), backend)

    assert world.names == ["Run give"]


def test_a_deadline_long_past_cuts_at_the_first_wait_for_a_notification(backend: str) -> None:
    """``-math.inf`` is a timer that is due at once; it is delivered like any other."""

    async def handler(ctx: Context) -> list[bool]:
        with move_on_at(-math.inf) as scope:
            await checkpoint()
            await Event().wait()
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_timeout_is_not_negative(seconds: float) -> None:
    """A negative timeout is an error, as in trio."""
    for make in (move_on_after, fail_after):
        with pytest.raises(ValueError, match="from 0 on"):
            make(seconds)


def test_a_deadline_is_a_number() -> None:
    """NaN is refused."""
    for make in (move_on_at, fail_at):
        with pytest.raises(ValueError, match="nan"):
            make(math.nan)


def test_a_moved_deadline_is_a_number(backend: str) -> None:
    """NaN is refused where a deadline is assigned, too."""

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope, pytest.raises(ValueError, match="nan"):
            scope.deadline = math.nan

    assert value(service_handler(handler), backend) is None


def test_sleeping_is_a_journaled_timer(backend: str) -> None:
    """``sleep`` and ``sleep_until`` end when their timers do."""

    async def handler(ctx: Context) -> list[float]:
        await sleep(5)
        first = await ctx.now()
        await sleep_until(first + 5)
        return [first, await ctx.now()]

    assert value(service_handler(handler), backend) == [NOW + 5, NOW + 10]


def test_a_length_of_time_may_be_a_timedelta(backend: str) -> None:
    """For sleeping and for timeouts; a negative one is refused as a number is."""
    second = timedelta(seconds=1)

    async def handler(ctx: Context) -> list[Any]:
        await sleep(second)
        with move_on_after(second) as scope:
            await sleep_forever()
        with pytest.raises(TooSlowError), fail_after(second):
            await sleep_forever()
        with pytest.raises(ValueError, match="from 0 on"):
            await sleep(-second)
        with pytest.raises(ValueError, match="from 0 on"):
            move_on_after(-second)
        return [scope.cancelled_caught, await ctx.now()]

    assert value(service_handler(handler), backend) == [True, NOW + 3]


def test_sleeping_until_a_past_time_is_over_at_once(backend: str) -> None:
    """It is journaled all the same."""

    async def handler(ctx: Context) -> float:
        await sleep_until(5)
        return await ctx.now()

    assert value(service_handler(handler), backend) == NOW


def test_sleeping_for_ever_journals_nothing(backend: str) -> None:
    """``sleep(math.inf)``, ``sleep_until(math.inf)`` and ``sleep_forever`` wait for a cancellation."""

    async def handler(ctx: Context) -> None:
        waits: list[Any] = [lambda: sleep(math.inf), lambda: sleep_until(math.inf), sleep_forever]
        for wait in waits:
            with move_on_after(5):
                await wait()

    _, world = play(service_handler(handler), backend)

    assert world.names == ["Sleep deadline"] * 3


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_sleep_is_not_negative(backend: str, seconds: float) -> None:
    """A negative sleep is an error."""

    async def handler(ctx: Context) -> None:
        await sleep(seconds)

    assert isinstance(error(service_handler(handler), backend), ValueError)


def test_sleeping_until_nan_is_an_error(backend: str) -> None:
    """It says what a time is."""

    async def handler(ctx: Context) -> None:
        await sleep_until(math.nan)

    assert isinstance(error(service_handler(handler), backend), ValueError)


def test_timers_are_futures(backend: str) -> None:
    """``ctx.timer`` may be awaited, combined, and carries its name."""

    async def handler(ctx: Context) -> list[Any]:
        timer = ctx.timer(5, name="tick")
        return [timer.status.name, await timer, timer.status.name]  # type: ignore[func-returns-value]

    _, world = play(service_handler(handler), backend)

    assert world.names == ["Sleep tick"]


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_a_timer_is_a_finite_duration(backend: str, seconds: float) -> None:
    """What is no duration is a usage error."""

    async def handler(ctx: Context) -> None:
        ctx.timer(seconds)

    assert "got" in str(error(service_handler(handler), backend))


def test_a_deadline_beyond_all_calendars_is_refused(backend: str) -> None:
    """A finite time that no journal can hold says what to use instead."""

    async def handler(ctx: Context) -> None:
        await sleep(1e300)

    assert "sleep_forever" in str(error(service_handler(handler), backend))


def test_a_suspended_invocation_wakes_at_its_deadline(backend: str) -> None:
    """The deadlines of open scopes are among what a suspension reports."""

    async def handler(ctx: Context) -> list[bool]:
        with move_on_after(30) as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(Event().wait)
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend, suspending=True) == [True]


def test_a_failure_of_a_deadline_is_data(backend: str) -> None:
    """The outcome names the deadline, not a traceback."""

    async def handler(ctx: Context) -> None:
        with fail_after(1):
            await Event().wait()

    outcome = failure(service_handler(handler), backend)

    assert outcome == Failure(408, outcome.message)
    assert "fail_after" in outcome.message
