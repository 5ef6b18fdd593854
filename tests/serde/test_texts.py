"""Types that are written as strings."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from durable_trio import SerializationError
from durable_trio.serde import json_serde

UTC = dt.UTC
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        (bytes, b"\x00\xff", "AP8="),
        (bytes, b"", ""),
        (bytearray, bytearray(b"ab"), "YWI="),
        (dt.datetime, dt.datetime(2020, 2, 29, 12, tzinfo=UTC), "2020-02-29T12:00:00+00:00"),
        (dt.datetime, dt.datetime(2020, 2, 29, 12, 0, 0, 5), "2020-02-29T12:00:00.000005"),  # noqa: DTZ001
        (dt.datetime, dt.datetime(2020, 7, 1, tzinfo=BERLIN), "2020-07-01T00:00:00+02:00"),
        (dt.date, dt.date(2020, 2, 29), "2020-02-29"),
        (dt.time, dt.time(12, 30, tzinfo=UTC), "12:30:00+00:00"),
        (dt.timedelta, dt.timedelta(days=1, hours=2, microseconds=500000), "P1DT7200.5S"),
        (dt.timedelta, -dt.timedelta(seconds=1), "-PT1S"),
        (dt.timedelta, dt.timedelta(), "PT0S"),
        (dt.timedelta, dt.timedelta.min, "-P999999999D"),
        (dt.timedelta, dt.timedelta.max, "P999999999DT86399.999999S"),
        (Decimal, Decimal("1.20"), "1.20"),
        (Decimal, Decimal("-Infinity"), "-Infinity"),
        (uuid.UUID, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path, Path("a/b"), "a/b"),
        (PurePosixPath, PurePosixPath("/x"), "/x"),
        (PureWindowsPath, PureWindowsPath("C:\\x"), "C:\\\\x"),
    ],
)
def test_each_type_has_one_text(annotation: Any, value: Any, text: str) -> None:
    """Times are ISO 8601, bytes base64, and all of them come back equal."""
    written = f'"{text}"'.encode()

    assert json_serde(annotation).serialize(value) == written
    assert json_serde(annotation).deserialize(written) == value


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (dt.datetime, "2020-02-29T12:00:00Z", dt.datetime(2020, 2, 29, 12, tzinfo=UTC)),
        (dt.datetime, "2020-02-29 12:00", dt.datetime(2020, 2, 29, 12)),  # noqa: DTZ001
        (dt.timedelta, "P1W", dt.timedelta(weeks=1)),
        (dt.timedelta, "+P2DT3H4M5.25S", dt.timedelta(2, 5.25, hours=3, minutes=4)),
        (dt.time, "12:30", dt.time(12, 30)),
    ],
)
def test_other_iso_texts_are_read(annotation: Any, text: str, value: Any) -> None:
    """What other programs write for the same value is read as well."""
    assert json_serde(annotation).deserialize(f'"{text}"'.encode()) == value


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (bytes, b'"a"', 'expected bytes as base64 at $, found "a"'),
        (bytes, b'"a*b="', "expected bytes as base64"),
        (bytes, '"é"'.encode(), "expected bytes as base64"),
        (dt.datetime, b'"2020-02-30T00:00"', "expected datetime (2020-02-29T12:00:00Z) at $"),
        (dt.datetime, b'"2020-02-29"', "expected datetime"),
        (dt.datetime, b"1582934400", "expected datetime"),
        (
            dt.date,
            b'"2020-02-29T00:00"',
            'expected date (2020-02-29) at $, found "2020-02-29T00:00"',
        ),
        (dt.time, b'"25:00"', "expected time (12:00:00)"),
        (dt.timedelta, b'"P1Y"', "expected duration (P1DT7200.5S)"),
        (dt.timedelta, b'"P"', "expected duration"),
        (dt.timedelta, b'"PT"', "expected duration"),
        (dt.timedelta, b'"P9999999999D"', "expected duration"),
        (Decimal, b'"x"', 'expected decimal number as a string ("1.20")'),
        (Decimal, b"1.1", "expected decimal number as a string"),
        (uuid.UUID, b'"123"', "expected UUID"),
        (Path, b"1", "expected path as a string"),
    ],
)
def test_other_texts_are_refused(annotation: Any, written: bytes, message: str) -> None:
    """A text of another form is an error that shows the form expected."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


def test_an_integer_is_taken_for_a_decimal() -> None:
    """An integer is exact, so it is a Decimal; a float is not."""
    assert json_serde(Decimal).deserialize(b"12345678901234567890") == Decimal(12345678901234567890)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (dt.date, dt.datetime(2020, 1, 1, tzinfo=UTC), "take its .date(), or annotate datetime"),
        (dt.datetime, dt.date(2020, 1, 1), "expected datetime at $"),
        (dt.time, dt.time(1, tzinfo=BERLIN), "expected a time with a fixed UTC offset"),
        (Path, "a/b", "expected Path at $, found str 'a/b'"),
        (Path, Path("\udce4"), "expected text that UTF-8 can encode"),
        (Decimal, 1.5, "expected Decimal at $, found float 1.5"),
        (bytes, "a", "expected bytes at $, found str 'a'"),
    ],
)
def test_another_type_is_not_written(annotation: Any, value: Any, message: str) -> None:
    """A value of another type would come back changed, so it is refused."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


def test_a_decimal_nan_is_kept() -> None:
    """Decimal has a NaN that its text can say."""
    serde = json_serde(Decimal)

    assert serde.deserialize(serde.serialize(Decimal("NaN"))).is_nan()
