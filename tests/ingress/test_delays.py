"""Delays as text."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import UsageError
from durable_trio.local.http._delays import parse_delay


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("60ms", 0.06),
        ("5s", 5),
        ("1m30s", 90),
        ("1h 30m", 5400),
        ("1 hour, 30 minutes", 5400),
        ("60 sec", 60),
        ("2days", 172_800),
        ("1w", 604_800),
        ("1.5s", 1.5),
        ("250us", 0.00025),
        ("PT60S", 60),
        ("PT1H30M", 5400),
        ("pt0.5s", 0.5),
        ("P1DT2H", 93_600),
        ("P2W", 1_209_600),
        ("+PT1S", 1),
        ("  5s ", 5),
    ],
)
def test_a_delay_is_read(text: str, seconds: float) -> None:
    """ISO 8601 and friendly durations are seconds."""
    assert seconds == pytest.approx(parse_delay(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "s",
        "-5s",
        "5s ago",
        "5x",
        "5s 1m",
        "5s 5s",
        "P",
        "PT",
        "P1Y",
        "P1M",
        "PT5",
        "5s,",
        ",5s",
        "1e3s",
        "nan",
        "inf",
        "99999999999999999999s",
    ],
)
def test_what_is_no_delay_is_refused(text: str) -> None:
    """Anything else is an error that shows what was given."""
    with pytest.raises(UsageError, match="bad delay"):
        parse_delay(text)


@pytest.mark.parametrize("text", ["5", "60", "1.5", "-3", "00"])
def test_a_bare_number_lacks_its_unit(text: str) -> None:
    """A number without unit is refused, and the error says what is missing."""
    with pytest.raises(UsageError, match="The unit is missing"):
        parse_delay(text)


def test_a_delay_of_centuries_is_refused() -> None:
    """What could not be written as a date is refused at once."""
    with pytest.raises(UsageError, match="expected 100 years at most"):
        parse_delay("1000000000h")


@given(st.text(max_size=30))
def test_any_text_is_a_delay_or_a_usage_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    with suppress(UsageError):
        assert parse_delay(text) >= 0


@given(st.integers(0, 1000), st.integers(0, 59), st.integers(0, 59))
def test_both_notations_agree(hours: int, minutes: int, seconds: float) -> None:
    """The same duration is the same in ISO 8601 and in the friendly form."""
    iso = parse_delay(f"PT{hours}H{minutes}M{seconds}S")

    assert iso == parse_delay(f"{hours}h{minutes}m{seconds}s")
