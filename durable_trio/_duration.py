"""Durations: what a caller may pass, and the one form in which they are kept.

Owns the conversion and its error. Whether a duration makes sense where it is used is the
business of its user.

 1. Outside, a duration is a number of seconds or a ``timedelta``; inside, always a float
    of seconds.
 2. A duration is finite and never negative.
 3. A point in time is in whole milliseconds since the epoch, and one that every journal holds.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ._exceptions import DefinitionError, UsageError

if TYPE_CHECKING:
    import attrs

Duration: TypeAlias = float | timedelta
"""A length of time: seconds as a number, or a ``timedelta``."""

_LAST_TIME: Final = 2**63 / 1e6
"""The last time in milliseconds that every journal can hold."""


def to_seconds(value: Duration, what: str) -> float:
    """The duration in seconds. ``what`` names it in the ``UsageError`` for anything else."""
    length = seconds(value)
    problem = _problem(length)
    if problem is not None:
        raise UsageError(f"{what} {problem}, got {value!r}")

    return length


def milliseconds(time: float, what: str) -> int:
    """A time in seconds since the epoch, rounded up. ``UsageError`` if no journal can hold it."""
    if time * 1000 > _LAST_TIME:
        raise UsageError(f"{what} {time!r} seconds since the epoch lies beyond the year 2262")

    return math.ceil(max(0.0, time) * 1000)


def seconds(value: Duration) -> float:
    """An attrs converter. What is no duration passes through, for ``check_seconds`` to name."""
    if isinstance(value, timedelta):
        return value.total_seconds()

    if type(value) is not int:
        return value

    try:
        return float(value)
    except OverflowError:
        return math.inf


def optional_seconds(value: Duration | None) -> float | None:
    """Like ``seconds``, for a field that may be None."""
    return None if value is None else seconds(value)


def check_seconds(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: a ``DefinitionError`` that names the field if it is no duration."""
    problem = _problem(value)
    if problem is not None:
        raise DefinitionError(
            f"{type(instance).__name__}: {attribute.name} {problem}, got {value!r}"
        )


def _problem(length: object) -> str | None:
    if not isinstance(length, float):
        return "must be a number of seconds or a timedelta"

    if not math.isfinite(length) or length < 0:
        return "must be a finite duration of zero or more seconds"

    return None
