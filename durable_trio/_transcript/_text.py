"""Values as text for a terminal: payloads, times, names.

Owns how values are shown. Whatever comes from outside is made harmless here: a name or a
payload cannot send a terminal control sequences.

 1. Times are UTC, so that listings from two machines agree.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_WIDTH: Final = 72

_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    if text.isprintable():
        return text

    return "".join(
        char if char.isprintable() else _ESCAPES.get(char) or ascii(char)[1:-1] for char in text
    )


def lines(text: str, *, indent: int) -> str:
    """The text in its own lines, each of them ``plain``; all but the first are indented."""
    return f"\n{' ' * indent}".join(plain(line) for line in text.split("\n"))


def shortened(text: str, *, full: bool = False, width: int = _WIDTH) -> str:
    """``plain``, cut to a width; what is left out is counted."""
    if full or len(text) <= width:
        return plain(text)

    return f"{plain(text[: width - 12])}... ({len(text):,} characters)"


def payload(content: bytes, *, full: bool = False) -> str:
    """A payload: its text, or its size if it is none."""
    if not content:
        return "(empty)"

    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content.hex() if full else f"({len(content):,} bytes, not text)"

    return shortened(text, full=full)


def moment(seconds: float) -> str:
    """A time, to the second."""
    return _format(seconds, "seconds")


def instant(seconds: float) -> str:
    """A time, to the millisecond."""
    return _format(seconds, "milliseconds")


def duration(seconds: float) -> str:
    """A length of time, in at most two units."""
    if seconds < 0:
        return f"-{duration(-seconds)}"

    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"

    if seconds < 60:
        return f"{seconds:.3g} s"

    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"

    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"

    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _format(seconds: float, timespec: str) -> str:
    try:
        text = datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec=timespec)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s after 1970"

    return text.replace("+00:00", "Z")
