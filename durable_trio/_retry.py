"""When something that failed is tried again: runs inside an attempt, and attempts themselves.

Owns the arithmetic of backoff. It measures no time and waits for nothing: who retries
passes in how often and for how long it has failed.

 1. A retry count counts failed tries, the first one included: after the first failure it is 1.
 2. ``delay`` never decreases with the count and never exceeds the maximum interval.
 3. There is no jitter: the same count gives the same delay, on every attempt.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal, TypeAlias

import attrs
from attrs.validators import optional

from ._duration import check_seconds, optional_seconds, seconds
from ._exceptions import DefinitionError

OnMaxAttempts: TypeAlias = Literal["pause", "kill"]
"""What becomes of an invocation whose attempts are used up."""

_INITIAL_INTERVAL: Final = 0.05
_FACTOR: Final = 2.0
_MAX_INTERVAL: Final = 60.0
_MAX_ATTEMPTS: Final = 70

# Whole numbers up to here are exact as floats; larger ones may not convert at all.
_LARGEST_EXPONENT: Final = 2**53


def _check_attempts(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return

    raise DefinitionError(
        f"{type(instance).__name__}: {attribute.name} must be a whole number of 1 or more "
        f"(the first try counts), got {value!r}"
    )


def _check_factor(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and _at_least_one(value):
        return

    raise DefinitionError(
        f"{type(instance).__name__}: {attribute.name} must be a finite number of 1 or more "
        f"(1 keeps the delay constant), got {value!r}"
    )


def _at_least_one(value: float) -> bool:
    try:
        return math.isfinite(value) and value >= 1
    except OverflowError:
        return False


def _check_on_max_attempts(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value not in ("pause", "kill"):
        raise DefinitionError(
            f"{type(instance).__name__}: {attribute.name} must be 'pause' (wait for an operator) "
            f"or 'kill' (fail the invocation), got {value!r}"
        )


def _check_order(instance: object, initial: float | None, longest: float | None) -> None:
    if initial is not None and longest is not None and initial > longest:
        raise DefinitionError(
            f"{type(instance).__name__}: initial_interval ({initial:g} s) is longer than "
            f"max_interval ({longest:g} s); raise max_interval or shorten initial_interval"
        )


def _backoff(retry_count: int, initial: float, factor: float, longest: float) -> float:
    if retry_count < 1:
        raise ValueError(f"a retry count is 1 after the first failure, got {retry_count}")

    if initial == 0:
        return 0.0

    try:
        return min(initial * factor ** min(retry_count - 1, _LARGEST_EXPONENT), longest)
    except OverflowError:
        return longest


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How a failing ``ctx.run`` body is retried. Durations are seconds or ``timedelta``.

    With neither ``max_attempts`` nor ``max_duration`` it is retried for ever. Used up, the
    run fails terminally with the body's last error.
    """

    max_attempts: int | None = attrs.field(default=None, validator=optional(_check_attempts))
    """How often the body is tried, the first time included. None: no limit."""
    max_duration: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """No further try once this long has passed since the first one began. None: no limit."""
    initial_interval: float = attrs.field(default=0.05, converter=seconds, validator=check_seconds)
    """The delay after the first failure."""
    factor: float = attrs.field(default=2.0, validator=_check_factor)
    """By how much each delay is longer than the one before."""
    max_interval: float = attrs.field(default=10.0, converter=seconds, validator=check_seconds)
    """The longest delay."""

    def __attrs_post_init__(self) -> None:
        _check_order(self, self.initial_interval, self.max_interval)

    def delay(self, retry_count: int) -> float:
        """Seconds to wait after ``retry_count`` failures (1 or more) before the next try."""
        return _backoff(retry_count, self.initial_interval, self.factor, self.max_interval)

    def exhausted(self, retry_count: int, elapsed: float) -> bool:
        """Whether to give up after ``retry_count`` failures in ``elapsed`` seconds."""
        return (self.max_attempts is not None and self.max_attempts <= retry_count) or (
            self.max_duration is not None and self.max_duration <= elapsed
        )


@attrs.frozen(kw_only=True)
class InvocationRetryPolicy:
    """How a failing invocation is attempted again. Durations are seconds or ``timedelta``.

    A field left out is taken from the policy of the service, then of the runtime. Left out
    everywhere it has the default named below (on Restate: what the server is configured to).
    """

    initial_interval: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """The delay after the first failed attempt; by default 50 ms."""
    exponentiation_factor: float | None = attrs.field(
        default=None, validator=optional(_check_factor)
    )
    """By how much each delay is longer than the one before; by default 2."""
    max_interval: float | None = attrs.field(
        default=None, converter=optional_seconds, validator=optional(check_seconds)
    )
    """The longest delay; by default 60 s, or the initial interval if that is longer."""
    max_attempts: int | None = attrs.field(default=None, validator=optional(_check_attempts))
    """How many attempts there are, the first one included; by default 70."""
    on_max_attempts: OnMaxAttempts | None = attrs.field(
        default=None, validator=optional(_check_on_max_attempts)
    )
    """When the attempts are used up: ``"pause"`` (default) waits for an operator, ``"kill"``
    fails the invocation."""

    def __attrs_post_init__(self) -> None:
        _check_order(self, self.initial_interval, self.max_interval)

    def or_else(self, other: InvocationRetryPolicy) -> InvocationRetryPolicy:
        """What this policy says, and what ``other`` says about the rest.

        ``DefinitionError`` if the two contradict each other.
        """
        return attrs.evolve(other, **attrs.asdict(self, filter=_is_set))

    def delay(self, retry_count: int) -> float:
        """Seconds to wait after ``retry_count`` failed attempts (1 or more) before the next."""
        initial = _INITIAL_INTERVAL if self.initial_interval is None else self.initial_interval
        factor = _FACTOR if self.exponentiation_factor is None else self.exponentiation_factor
        longest = max(_MAX_INTERVAL, initial) if self.max_interval is None else self.max_interval
        return _backoff(retry_count, min(initial, longest), factor, longest)

    def exhausted(self, retry_count: int) -> bool:
        """Whether ``retry_count`` failed attempts are all there are."""
        return retry_count >= (_MAX_ATTEMPTS if self.max_attempts is None else self.max_attempts)

    @property
    def pauses(self) -> bool:
        """Whether an invocation is paused, rather than killed, when its attempts are used up."""
        return self.on_max_attempts != "kill"


def _is_set(_attribute: attrs.Attribute[Any], value: object) -> bool:
    return value is not None
