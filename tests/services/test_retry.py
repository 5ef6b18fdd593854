"""Backoff arithmetic of runs and invocations."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from durable_trio._exceptions import DefinitionError
from durable_trio._retry import InvocationRetryPolicy, RetryPolicy

INTERVALS = st.floats(min_value=0, max_value=1e6)
FACTORS = st.sampled_from([1.0, 1.1, 1.5, 2.0, 3.7, 1e300])
COUNTS = st.integers(min_value=1, max_value=10**30)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """A run's policy with any intervals in order."""
    shorter, longer = sorted([draw(INTERVALS), draw(INTERVALS)])
    return RetryPolicy(initial_interval=shorter, max_interval=longer, factor=draw(FACTORS))


def test_the_first_delays_double_up_to_the_maximum() -> None:
    """The defaults are 50 ms, doubled each time, 10 s at most."""
    policy = RetryPolicy()

    assert [policy.delay(count) for count in (1, 2, 3, 4)] == [0.05, 0.1, 0.2, 0.4]
    assert policy.delay(9) == 10.0


@given(policies(), COUNTS)
def test_a_delay_is_at_least_the_first_and_at_most_the_maximum(
    policy: RetryPolicy, count: int
) -> None:
    """Delays are bounded, finite, and never fail to be computed."""
    delay = policy.delay(count)

    assert policy.initial_interval <= delay <= policy.max_interval
    assert math.isfinite(delay)


@given(policies(), COUNTS, COUNTS)
def test_a_delay_never_decreases_with_the_count(policy: RetryPolicy, one: int, two: int) -> None:
    """More failures never mean a shorter wait."""
    fewer, more = sorted([one, two])

    assert policy.delay(fewer) <= policy.delay(more)


@example(10**400)
@given(COUNTS)
def test_a_factor_of_one_keeps_the_delay(count: int) -> None:
    """A constant backoff stays constant however often it failed."""
    policy = RetryPolicy(initial_interval=0.3, factor=1)

    assert policy.delay(count) == 0.3


@example(10**400)
@given(COUNTS)
def test_an_initial_interval_of_zero_never_waits(count: int) -> None:
    """Zero times anything is zero, also where the power overflows."""
    assert RetryPolicy(initial_interval=0).delay(count) == 0


def test_a_slow_backoff_reaches_its_maximum() -> None:
    """However small the factor, enough failures lead to the longest delay."""
    assert RetryPolicy(factor=1.001).delay(100_000) == 10.0


def test_a_huge_count_gives_the_maximum() -> None:
    """A power that no float holds is the maximum interval."""
    assert RetryPolicy().delay(10**400) == 10.0


@pytest.mark.parametrize("count", [0, -1])
def test_a_delay_before_the_first_failure_is_an_error(count: int) -> None:
    """Counts start at 1: the first failure."""
    with pytest.raises(ValueError, match="1 after the first failure"):
        RetryPolicy().delay(count)


def test_attempts_count_the_first_one() -> None:
    """Three attempts mean two retries."""
    policy = RetryPolicy(max_attempts=3)

    assert [policy.exhausted(count, 0) for count in (1, 2, 3, 4)] == [False, False, True, True]


def test_the_duration_exhausts_a_policy_too() -> None:
    """Whichever limit is reached first ends it, and reaching it is enough."""
    policy = RetryPolicy(max_attempts=100, max_duration=timedelta(minutes=1))

    assert [policy.exhausted(1, elapsed) for elapsed in (59.9, 60.0, 61.0)] == [False, True, True]


@given(COUNTS, st.floats(min_value=0, allow_infinity=False))
def test_without_limits_a_policy_is_never_exhausted(count: int, elapsed: float) -> None:
    """By default a run is retried for ever."""
    assert not RetryPolicy().exhausted(count, elapsed)


@given(st.integers(min_value=1), st.floats(min_value=0), COUNTS, st.floats(min_value=0))
def test_exhausted_stays_exhausted(
    attempts: int, duration: float, count: int, elapsed: float
) -> None:
    """One more failure or one more second never brings a policy back."""
    policy = RetryPolicy(max_attempts=attempts, max_duration=min(duration, 1e300))

    if policy.exhausted(count, elapsed):
        assert policy.exhausted(count + 1, elapsed)
        assert policy.exhausted(count, elapsed * 2)


def test_durations_are_kept_as_float_seconds() -> None:
    """A timedelta and a whole number of seconds are floats when read."""
    policy = RetryPolicy(
        initial_interval=timedelta(milliseconds=250), max_interval=5, max_duration=7
    )

    assert (policy.initial_interval, policy.max_interval, policy.max_duration) == (0.25, 5.0, 7.0)
    assert isinstance(policy.max_interval, float)
    assert isinstance(policy.max_duration, float)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_attempts", 0, "whole number of 1 or more"),
        ("max_attempts", True, "whole number of 1 or more"),
        ("max_attempts", 2.5, "whole number of 1 or more"),
        ("max_duration", -1, "zero or more seconds"),
        ("max_duration", math.nan, "finite"),
        ("max_duration", "10s", "number of seconds or a timedelta, got '10s'"),
        ("max_duration", True, "number of seconds or a timedelta"),
        ("max_duration", 10**400, "finite"),
        ("initial_interval", None, "number of seconds or a timedelta"),
        ("initial_interval", timedelta(seconds=-1), "zero or more seconds"),
        ("initial_interval", 11, "longer than max_interval"),
        ("max_interval", math.inf, "finite"),
        ("factor", 0.9, "finite number of 1 or more"),
        ("factor", math.inf, "finite number of 1 or more"),
        ("factor", 10**400, "finite number of 1 or more"),
        ("factor", "2", "finite number of 1 or more"),
        ("factor", None, "finite number of 1 or more"),
    ],
)
def test_a_policy_that_cannot_work_is_a_definition_error(
    field: str, value: Any, message: str
) -> None:
    """The error names the field, what it must be and what it was."""
    arguments: dict[str, Any] = {field: value}

    with pytest.raises(DefinitionError, match=message) as caught:
        RetryPolicy(**arguments)

    assert field in str(caught.value)


def test_an_invocation_policy_has_restates_defaults() -> None:
    """What is left out is 50 ms, doubled, 60 s at most, 70 attempts, then a pause."""
    policy = InvocationRetryPolicy()

    assert [policy.delay(count) for count in (1, 2, 69)] == [0.05, 0.1, 60.0]
    assert [policy.exhausted(count) for count in (69, 70)] == [False, True]
    assert policy.pauses


def test_an_invocation_policy_says_what_it_is_given() -> None:
    """Every field overrides its default."""
    policy = InvocationRetryPolicy(
        initial_interval=1,
        exponentiation_factor=3,
        max_interval=timedelta(seconds=5),
        max_attempts=2,
        on_max_attempts="kill",
    )

    assert [policy.delay(count) for count in (1, 2, 3)] == [1.0, 3.0, 5.0]
    assert policy.exhausted(2)
    assert not policy.pauses


def test_an_initial_interval_above_the_default_maximum_is_kept() -> None:
    """Who asks for two minutes gets two minutes without naming a maximum."""
    assert InvocationRetryPolicy(initial_interval=120).delay(5) == 120.0


def test_an_initial_interval_by_default_stays_below_a_small_maximum() -> None:
    """A maximum below 50 ms needs no initial interval."""
    assert InvocationRetryPolicy(max_interval=0.01).delay(1) == 0.01


def test_a_policy_falls_back_field_by_field() -> None:
    """What one leaves out the other one says."""
    merged = InvocationRetryPolicy(max_attempts=3).or_else(
        InvocationRetryPolicy(max_attempts=9, max_interval=4)
    )

    assert InvocationRetryPolicy(max_attempts=3, max_interval=4) == merged


def test_policies_that_contradict_each_other_do_not_merge() -> None:
    """An initial interval of one above the maximum of the other is an error."""
    with pytest.raises(DefinitionError, match="longer than max_interval"):
        InvocationRetryPolicy(initial_interval=9).or_else(InvocationRetryPolicy(max_interval=4))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("on_max_attempts", "stop", "'pause' .* or 'kill'"),
        ("max_attempts", 0, "whole number of 1 or more"),
        ("exponentiation_factor", 0, "finite number of 1 or more"),
        ("initial_interval", "1s", "number of seconds or a timedelta"),
        ("max_interval", -1, "zero or more"),
    ],
)
def test_an_invocation_policy_that_cannot_work_is_a_definition_error(
    field: str, value: Any, message: str
) -> None:
    """The error names the field, what it must be and what it was."""
    arguments: dict[str, Any] = {field: value}

    with pytest.raises(DefinitionError, match=message) as caught:
        InvocationRetryPolicy(**arguments)

    assert field in str(caught.value)
