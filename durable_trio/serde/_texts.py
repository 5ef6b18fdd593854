"""Types that are written as strings: bytes, datetimes, Decimal, UUID and paths.

Owns one pair of functions per type, and the table of them.

 1. The text is ISO 8601 for times, base64 for bytes, and ``str()`` for the rest.
 2. An aware datetime comes back at the same instant with a fixed UTC offset: the name of
    its time zone is not written.
 3. Only strings are read, except that an integer is taken for a Decimal.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import attrs

from ._annotations import is_class
from ._codecs import Codec, Outline
from ._paths import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas

T = TypeVar("T")

_STRING: Final = frozenset({str})
_DATE_LENGTH: Final = len("2020-02-29")
_DURATION: Final = re.compile(
    r"([-+])?P(?=[\dT])(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?",
    re.ASCII,
)


def claims(annotation: Any) -> bool:
    return is_class(annotation) and annotation in _CODECS


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return _CODECS[annotation].outline


def codec(annotation: Any, _compiler: Compiler) -> Codec:
    return _CODECS[annotation]


def schema(annotation: Any, _schemas: Schemas) -> JsonSchema:
    return dict(_SCHEMAS.get(annotation, {"type": "string"}))


def encode_bytes(value: bytes | bytearray) -> str:
    """Base64, with padding."""
    return b64encode(value).decode("ascii")


def decode_bytes(text: str) -> bytes:
    """The bytes. ``ValueError`` for what is not base64."""
    return b64decode(text.encode("ascii"), validate=True)


def _decode_bytearray(text: str) -> bytearray:
    return bytearray(decode_bytes(text))


def _decode_datetime(text: str) -> datetime:
    if len(text) <= _DATE_LENGTH:
        raise ValueError(text)

    return datetime.fromisoformat(text)


def _encode_time(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise Mismatch(
            "a time with a fixed UTC offset, or none",
            value,
            remedy="a time of day has no offset in that zone; use a datetime",
        )

    return value.isoformat()


def _encode_timedelta(value: timedelta) -> str:
    sign, value = ("-", -value) if value.days < 0 and value != timedelta.min else ("", value)
    if value.days < 0:
        return _encode_least_timedelta()

    days = f"{value.days}D" if value.days else ""
    fraction = f".{value.microseconds:06}".rstrip("0") if value.microseconds else ""
    clock = f"T{value.seconds}{fraction}S" if value.seconds or value.microseconds else ""
    return f"{sign}P{days}{clock}" if days or clock else "PT0S"


def _encode_least_timedelta() -> str:
    # Its negative is out of range.
    return f"-P{-timedelta.min.days}D"


def _decode_timedelta(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(text)

    sign, weeks, days, hours, minutes, seconds, fraction = match.groups()
    factor = -1 if sign == "-" else 1
    return timedelta(
        weeks=factor * int(weeks or 0),
        days=factor * int(days or 0),
        hours=factor * int(hours or 0),
        minutes=factor * int(minutes or 0),
        seconds=factor * int(seconds or 0),
        microseconds=factor * int((fraction or "").ljust(6, "0")),
    )


def _text_codec(
    annotation: type[T], encode: Callable[[T], str], decode: Callable[[str], T], wanted: str
) -> Codec:
    name = annotation.__name__

    def encode_value(value: Any) -> str:
        if isinstance(value, annotation):
            return encode(value)

        raise Mismatch(name, value)

    def decode_text(data: Any, _: object = None) -> T:
        if data.__class__ is not str:
            raise Mismatch(wanted, data)

        try:
            return decode(data)
        except (ValueError, OverflowError, InvalidOperation):
            raise Mismatch(wanted, data) from None

    text_outline = Outline(name=name, classes=(annotation,), writes=_STRING)
    return Codec(annotation, text_outline, encode_value, decode_text)


def _date_codec() -> Codec:
    text_codec = _text_codec(date, date.isoformat, date.fromisoformat, "date (2020-02-29)")

    def encode(value: Any) -> str:
        # A datetime is a date to Python, but its time of day would be lost.
        if isinstance(value, datetime):
            raise Mismatch("date", value, remedy="take its .date(), or annotate datetime")

        return text_codec.encode(value)  # type: ignore[no-any-return]

    return Codec(date, text_codec.outline, encode, text_codec.decode)


def _decimal_codec() -> Codec:
    text_codec = _text_codec(Decimal, str, Decimal, 'decimal number as a string ("1.20")')

    def decode(data: Any, _: object = None) -> Decimal:
        return Decimal(data) if data.__class__ is int else text_codec.decode(data)

    decimal_outline = attrs.evolve(text_codec.outline, reads=frozenset({str, int}))
    return Codec(Decimal, decimal_outline, text_codec.encode, decode)


def _path_codec(annotation: type[PurePath]) -> Codec:
    text_codec = _text_codec(annotation, str, annotation, "path as a string")
    return attrs.evolve(text_codec, outline=attrs.evolve(text_codec.outline, open=_STRING))


_CODECS: Final[dict[Any, Codec]] = {
    bytes: _text_codec(bytes, encode_bytes, decode_bytes, "bytes as base64"),
    bytearray: _text_codec(bytearray, encode_bytes, _decode_bytearray, "bytes as base64"),
    datetime: _text_codec(
        datetime, datetime.isoformat, _decode_datetime, "datetime (2020-02-29T12:00:00Z)"
    ),
    date: _date_codec(),
    time: _text_codec(time, _encode_time, time.fromisoformat, "time (12:00:00)"),
    timedelta: _text_codec(
        timedelta, _encode_timedelta, _decode_timedelta, "duration (P1DT7200.5S)"
    ),
    Decimal: _decimal_codec(),
    UUID: _text_codec(UUID, str, UUID, "UUID"),
} | {
    path: _path_codec(path)
    for path in (Path, PosixPath, WindowsPath, PurePath, PurePosixPath, PureWindowsPath)
}

_BASE64: Final[JsonSchema] = {"type": "string", "contentEncoding": "base64"}
_SCHEMAS: Final[dict[Any, JsonSchema]] = {
    bytes: _BASE64,
    bytearray: _BASE64,
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    Decimal: {"type": ["string", "integer"]},
    UUID: {"type": "string", "format": "uuid"},
}
