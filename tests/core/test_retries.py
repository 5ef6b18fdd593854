"""Failing run bodies are tried again in place, while everything else goes on."""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    RetryableError,
    RetryPolicy,
    SerializationError,
    TerminalError,
    UsageError,
    move_on_after,
    open_nursery,
    wait_all,
)
from durable_trio.abc import (
    VOID,
    AttemptCompleted,
    AttemptFailed,
    Entry,
    Failure,
    Input,
    Run,
    Signal,
    Value,
)

from .world import World, error, failure, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context


async def give(value: Any) -> Any:
    return value


class Mute(Exception):
    """An error that cannot say what is wrong."""

    def __str__(self) -> str:
        return str(1 // 0)


class Flaky:
    """A body that fails so many times."""

    def __init__(self, failures: int, make: Callable[[], Exception] = OSError) -> None:
        self.tries = 0
        self._failures = failures
        self._make = make

    async def __call__(self) -> int:
        self.tries += 1
        if self.tries <= self._failures:
            raise self._make()
        return self.tries


def test_a_failing_body_is_tried_again_in_place(backend: str) -> None:
    """The handler sees only the result; the attempt is the same."""
    body = Flaky(3)

    async def handler(ctx: Context) -> int:
        return await ctx.run(body)

    world = World(service_handler(handler))

    assert AttemptCompleted(Value(b"4")) == world.play(backend)
    assert world.attempts == 1


def test_the_delays_are_those_of_the_policy(backend: str) -> None:
    """50 ms, doubling, by default."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(Flaky(3))

    world = World(service_handler(handler))
    before = world.clock.time
    world.play(backend)

    assert world.clock.time - before == pytest.approx(0.05 + 0.1 + 0.2)


def test_an_inline_body_is_tried_again_too(backend: str) -> None:
    """It moves into a task of its own for that."""
    tries: list[int] = []

    def body() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError
        return len(tries)

    async def handler(ctx: Context) -> int:
        return await ctx.run(body, on_thread=False)

    assert value(service_handler(handler), backend) == 3


def test_siblings_go_on_meanwhile(backend: str) -> None:
    """A backoff holds up nobody else."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def flaky() -> None:
            order.append(f"flaky {await ctx.run(Flaky(2))}")

        async def steady() -> None:
            for index in range(2):
                step = await ctx.run(give, index)
                order.append(f"steady {step}")

        async with open_nursery() as nursery:
            nursery.start_soon(flaky)
            nursery.start_soon(steady)
        return order

    assert value(service_handler(handler), backend) == ["steady 0", "steady 1", "flaky 3"]


def test_a_terminal_error_is_not_tried_again(backend: str) -> None:
    """It is the run's final result."""
    body = Flaky(9, lambda: TerminalError("final", 404))

    async def handler(ctx: Context) -> int:
        with pytest.raises(TerminalError, match="final"):
            await ctx.run(body)
        return body.tries

    assert AttemptCompleted(Value(b"1")) == World(service_handler(handler)).play(backend)


@pytest.mark.parametrize(
    ("policy", "tries"),
    [
        (RetryPolicy(max_attempts=3), 3),
        (RetryPolicy(max_attempts=1), 1),
        (RetryPolicy(max_duration=1.0, initial_interval=0.4, factor=1), 4),
    ],
)
def test_a_used_up_policy_fails_the_run_terminally(
    backend: str, policy: RetryPolicy, tries: int
) -> None:
    """With the last error, as data."""
    body = Flaky(100, lambda: OSError("no network"))

    async def handler(ctx: Context) -> list[Any]:
        with pytest.raises(TerminalError) as raised:
            await ctx.run(body, retry=policy)
        return [raised.value.code, raised.value.message]

    end = World(service_handler(handler)).play(backend)

    assert AttemptCompleted(Value(b'[500,"OSError: no network"]')) == end
    assert tries == body.tries


def test_a_retryable_error_chooses_its_own_delay(backend: str) -> None:
    """Instead of the policy's."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(Flaky(1, lambda: RetryableError("later", 3.0)))

    world = World(service_handler(handler))
    before = world.clock.time
    world.play(backend)

    assert world.clock.time - before == pytest.approx(3.0)


def test_a_retryable_error_without_a_delay_takes_the_policy_s(backend: str) -> None:
    """It is an error like any other then."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(Flaky(1, lambda: RetryableError("later")))

    world = World(service_handler(handler))
    before = world.clock.time
    world.play(backend)

    assert world.clock.time - before == pytest.approx(0.05)


def test_a_long_backoff_ends_the_attempt(backend: str) -> None:
    """When nothing else executes, the waiting is left to the runtime."""

    async def handler(ctx: Context) -> int:
        await ctx.run(give, 1, name="before")
        return await ctx.run(Flaky(9, lambda: RetryableError("later", 3600.0)), name="flaky")

    world = World(service_handler(handler))
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert end.retry_after == pytest.approx(3600.0)
    assert end.command_index == 2
    assert "later" in str(end.error)


def test_a_long_backoff_waits_for_other_bodies(backend: str) -> None:
    """As long as something executes the attempt goes on; then it ends."""
    order: list[str] = []

    async def handler(ctx: Context) -> int:
        async def steady() -> None:
            await ctx.run(slow)
            order.append("steady is done")

        async with open_nursery() as nursery:
            nursery.start_soon(steady)
            return await ctx.run(Flaky(9, lambda: RetryableError("later", 3600.0)), name="flaky")
        raise AssertionError

    world = World(service_handler(handler))

    async def slow() -> None:
        await world.gate("slow")

    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert end.retry_after == pytest.approx(3600.0)
    assert ["steady is done"] == order


def test_the_earliest_of_several_long_backoffs_counts(backend: str) -> None:
    """The runtime tries again when the first of them is due."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            for seconds in (300.0, 100.0, 200.0):
                make = partial(RetryableError, "later", seconds)
                nursery.start_soon(ctx.run, Flaky(9, make))

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert end.retry_after == pytest.approx(100.0)


@pytest.mark.parametrize(("recorded", "tries"), [(True, b"2"), (False, b"5")])
def test_retries_of_earlier_attempts_count(backend: str, recorded: bool, tries: bytes) -> None:
    """What the runtime counted is continued for the first body whose command is recorded.

    Attempts that failed before there was such a command have tried no body.
    """
    body = Flaky(100)

    async def handler(ctx: Context) -> int:
        with pytest.raises(TerminalError):
            await ctx.run(body, name="flaky", retry=RetryPolicy(max_attempts=5))
        return body.tries

    journal: list[Entry] = [
        Input(b""),
        Signal("any", VOID),
        *([Run(1, "flaky")] if recorded else []),
    ]
    start = {"retry_count": 3, "retry_elapsed": 10.0}
    end = World(service_handler(handler), recorded=journal, start=start).play(backend)

    assert AttemptCompleted(Value(tries)) == end


def test_the_first_of_two_bodies_has_the_retries(backend: str) -> None:
    """Which of them has failed before is not known; both are not punished for it."""
    first, second = Flaky(100), Flaky(100)

    async def handler(ctx: Context) -> list[int]:
        policy = RetryPolicy(max_attempts=5)
        await wait_all(*[ctx.run(each, name="flaky", retry=policy) for each in (first, second)])
        return [first.tries, second.tries]

    journal: list[Entry] = [Input(b""), Run(1, "flaky"), Run(2, "flaky")]
    end = World(service_handler(handler), recorded=journal, start={"retry_count": 3}).play(backend)

    assert AttemptCompleted(Value(b"[2,5]")) == end


def test_a_delay_may_be_a_timedelta(backend: str) -> None:
    """In a run and in a handler, as all durations."""
    body = Flaky(1, lambda: RetryableError("later", timedelta(seconds=7)))

    async def handler(ctx: Context) -> int:
        await ctx.run(body)
        raise RetryableError("later", timedelta(minutes=1))

    world = World(service_handler(handler))
    before = world.clock.time
    end = world.play(backend)

    assert isinstance(end, AttemptFailed)
    assert world.clock.time - before == pytest.approx(7)
    assert end.retry_after == 60


@pytest.mark.parametrize("delay", [math.nan, math.inf, -1, "soon"])
def test_a_delay_that_is_none(backend: str, delay: Any) -> None:
    """In a run and in a handler: the attempt fails, and says what is wrong."""

    async def runs(ctx: Context) -> None:
        await ctx.run(Flaky(1, lambda: RetryableError("later", delay)))

    async def raises(ctx: Context) -> None:
        raise RetryableError("later", delay)

    for handler in (runs, raises):
        end = World(service_handler(handler)).play(backend)
        assert isinstance(end, AttemptFailed)
        assert isinstance(end.error, UsageError)
        assert "the retry_after of a RetryableError must be a" in str(end.error)


@pytest.mark.parametrize("attempts", [1, 2])
def test_an_error_without_a_text(
    backend: str, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its class tells; the body is tried again, and its run fails as any other."""
    body = Flaky(2, Mute)

    async def handler(ctx: Context) -> None:
        await ctx.run(body, name="mute", retry=RetryPolicy(max_attempts=attempts))

    expected = "Mute: <its text cannot be had: ZeroDivisionError in __str__>"

    assert Failure(500, expected) == failure(service_handler(handler), backend)
    assert attempts == body.tries
    assert [expected in each.getMessage() for each in caplog.records] == [True] * (attempts - 1)


@pytest.mark.parametrize("code", [-1, 2**32, "404", None, 4.5])
def test_a_terminal_error_that_no_journal_holds(backend: str, code: Any) -> None:
    """The attempt fails and says so, instead of waiting for a result that never comes."""

    async def handler(ctx: Context) -> None:
        await ctx.run(Flaky(1, lambda: TerminalError("no", code)))

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert f"a number from 0 to 4294967295, best an HTTP status, got {code!r}" in str(end.error)


def test_cancelling_a_backoff_aborts_it(backend: str) -> None:
    """A body that waits for its next try is over like one that is at work."""
    body = Flaky(1_000)

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.run(body)
        return await ctx.run(give, "went on")

    assert value(service_handler(handler), backend) == "went on"


def test_a_wrong_body_fails_the_attempt(backend: str) -> None:
    """A result that cannot be written is no matter of trying again: run and line are named."""

    async def body() -> int:
        return "no number"  # type: ignore[return-value]

    async def handler(ctx: Context) -> None:
        await ctx.run(body)

    found = error(service_handler(handler), backend)

    assert isinstance(found, SerializationError)
    line = handler.__code__.co_firstlineno + 1
    assert str(found).startswith(f"{__file__}:{line}: the result of the run 'body': ")


def test_a_retry_is_logged(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the run, the invocation, the delay and the error."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(Flaky(1, lambda: OSError("no network")), name="fetch")

    with caplog.at_level(logging.WARNING, "durable_trio"):
        value(service_handler(handler), backend)

    assert "(inv_1): try 1 of the run 'fetch' failed" in caplog.text
    assert "OSError: no network" in caplog.text
