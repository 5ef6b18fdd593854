"""Values as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio._transcript._text import (
    duration,
    instant,
    lines,
    moment,
    payload,
    plain,
    shortened,
)


@given(st.text())
def test_text_is_one_printable_line(text: str) -> None:
    """Whatever comes, nothing is left that a terminal would obey."""
    assert plain(text).isprintable()
    assert shortened(text, width=40).isprintable()


@given(st.text())
def test_lines_stay_lines(text: str) -> None:
    """Those of a report; in each of them all is escaped as ever, and none looks like a new one."""
    shown = lines(text, indent=2).split("\n")

    assert all(line.isprintable() for line in shown)
    assert all(line.startswith("  ") for line in shown[1:])
    assert len(text.split("\n")) == len(shown)


@given(st.text().filter(str.isprintable))
def test_printable_text_stays_as_it_is(text: str) -> None:
    """Also in other scripts."""
    assert text == plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb\tc\r", "a\\nb\\tc\\r"), ("\x1b[2J", "\\x1b[2J"), ("\u202e\ud800", "\\u202e\\ud800")],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    """As Python would write it."""
    assert shown == plain(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (1, "1 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (61.4, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (47 * 3600, "47 h"),
        (50 * 3600, "2 d 2 h"),
        (86_400 * 3, "3 d"),
        (-5, "-5 s"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    """The largest one that it fills, and the next."""
    assert text == duration(seconds)


def test_times_are_utc() -> None:
    """To the second or the millisecond; what is no date is shown as a number."""
    assert "2027-01-15 08:00:00Z" == moment(1_800_000_000.25)
    assert "2027-01-15 08:00:00.250Z" == instant(1_800_000_000.25)
    assert "1e+30 s after 1970" == instant(1e30)


def test_a_payload_is_its_text_or_its_size() -> None:
    """Binary is counted, unless all of it is asked for."""
    assert '{"a":1}' == payload(b'{"a":1}')
    assert "(empty)" == payload(b"")
    assert "(2 bytes, not text)" == payload(b"\xff\x00")
    assert "ff00" == payload(b"\xff\x00", full=True)
    assert payload(b"x" * 1_000).endswith("... (1,000 characters)")
    assert 1_000 == len(payload(b"x" * 1_000, full=True))
