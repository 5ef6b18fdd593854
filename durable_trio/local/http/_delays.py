"""Delays as text: ISO 8601 durations and friendly ones, as Restate takes them.

Owns the two notations. What is delayed is the caller's business.

 1. A delay names its units. Only ``0`` needs none: a bare number would be seconds to one
    reader and milliseconds to another.
 2. Units come from the largest to the smallest, each at most once. A day has 24 hours;
    months and years have no fixed length and are refused.
"""

from __future__ import annotations

import re
from typing import Final

from durable_trio._exceptions import UsageError

_LONGEST: Final = 100 * 366 * 86_400.0

_UNITS: Final = (
    (604_800.0, ("w", "wk", "wks", "week", "weeks")),
    (86_400.0, ("d", "day", "days")),
    (3_600.0, ("h", "hr", "hrs", "hour", "hours")),
    (60.0, ("m", "min", "mins", "minute", "minutes")),
    (1.0, ("s", "sec", "secs", "second", "seconds")),
    (1e-3, ("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds")),
    (1e-6, ("us", "µs", "μs", "usec", "usecs", "micro", "micros", "microsecond", "microseconds")),
    (1e-9, ("ns", "nsec", "nsecs", "nano", "nanos", "nanosecond", "nanoseconds")),
)
_SECONDS_OF: Final = {name: seconds for seconds, names in _UNITS for name in names}

_NUMBER: Final = r"[0-9]{1,18}(?:[.,][0-9]{1,9})?"
_FRIENDLY: Final = re.compile(rf"({_NUMBER})\s*([a-zµμ]+)(?:\s*,\s*|\s+)?")
_BARE: Final = re.compile(rf"[+-]?{_NUMBER}")
_ISO: Final = re.compile(
    rf"\+?P(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?",
    re.IGNORECASE,
)

_EXPECTED: Final = (
    "an ISO 8601 duration (PT90S) or a number and its unit (90s, 1m30s, 60ms, 2 days)"
)


def parse_delay(text: str) -> float:
    """Seconds. ``UsageError`` for what is no delay."""
    stripped = text.strip()
    if stripped == "0":
        return 0.0

    seconds = _iso(stripped) if stripped[:2].lstrip("+")[:1] in {"P", "p"} else _friendly(stripped)
    if seconds is None:
        missing = " The unit is missing." if _BARE.fullmatch(stripped) else ""
        raise UsageError(f"bad delay {text!r}: expected {_EXPECTED}.{missing}")

    if seconds > _LONGEST:
        raise UsageError(f"bad delay {text!r}: expected 100 years at most; send it when it is due")

    return seconds


def _value(number: str) -> float:
    return float(number.replace(",", "."))


def _iso(text: str) -> float | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None

    weeks, days, time, hours, minutes, seconds = match.groups()
    parts = (
        (weeks, 604_800.0),
        (days, 86_400.0),
        (hours, 3_600.0),
        (minutes, 60.0),
        (seconds, 1.0),
    )
    given = [(number, unit) for number, unit in parts if number is not None]
    if not given or (time is not None and len(time) == 1):
        return None

    return sum(_value(number) * unit for number, unit in given)


def _friendly(text: str) -> float | None:
    if text.endswith(","):
        return None

    position, total, last = 0, 0.0, float("inf")
    while position < len(text):
        match = _FRIENDLY.match(text, position)
        if match is None:
            return None

        unit = _SECONDS_OF.get(match[2])
        if unit is None or unit >= last:
            return None

        total += _value(match[1]) * unit
        position, last = match.end(), unit
    return total if position else None
