"""Enums and Literal."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import enum
from typing import Any, Literal

import pytest

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_serde


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Ratio(enum.Enum):
    HALF = 0.5
    ONE = 1.0


class Size(enum.Enum):
    SMALL = ("s", 1)
    LARGE = ("l", 2)


class Limit(enum.Enum):
    NONE = float("inf")
    SOME = 1.0


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Old(enum.Enum):
    NEW = "new"

    @classmethod
    def _missing_(cls, value: object) -> Old | None:
        return cls.NEW if value == "old" else None


class Empty(enum.Enum):
    pass


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (Color, Color.RED, b'"red"'),
        (Level, Level.HIGH, b"2"),
        (Ratio, Ratio.ONE, b"1.0"),
        (Size, Size.LARGE, b'"LARGE"'),
        (Limit, Limit.NONE, b'"NONE"'),
        (Access, Access.READ | Access.WRITE, b"3"),
        (Access, Access(0), b"0"),
        (Literal["a", 1, True] | None, True, b"true"),
        (Literal["a", 1, True] | None, 1, b"1"),
        (Literal["a", 1, True] | None, None, b"null"),
        (Literal[None], None, b"null"),  # noqa: PYI061
        (Literal[Color.RED, b"\xff"], Color.RED, b'"red"'),
        (Literal[Color.RED, b"\xff"], b"\xff", b'"/w=="'),
    ],
)
def test_members_are_written_by_value_or_by_name(
    annotation: Any, value: Any, written: bytes
) -> None:
    """By value if all values are JSON scalars, else by name; a Literal as its value."""
    back = json_serde(annotation).deserialize(written)

    assert json_serde(annotation).serialize(value) == written
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (Color, b'"green"', 'expected Color ("red" or "blue") at $, found "green"'),
        (Color, b'"RED"', 'expected Color ("red" or "blue")'),
        (Color, b'["red"]', "found an array of 1"),
        (Level, b"true", "expected Level (1 or 2) at $, found true"),
        (Level, b"1.0", "expected Level (1 or 2) at $, found 1.0"),
        (Level, b'"1"', "expected Level (1 or 2)"),
        (Size, b'["s", 1]', 'expected Size ("SMALL" or "LARGE")'),
        (Size, b'"MEDIUM"', 'expected Size ("SMALL" or "LARGE") at $, found "MEDIUM"'),
        (Access, b"4", "expected Access (an integer made of its flags)"),
        (Access, b"true", "expected Access"),
        (Access, b'"READ"', "expected Access"),
        (Old, b'"older"', 'expected Old ("new")'),
        (Literal["a", 1], b"true", 'expected "a" or 1 at $, found true'),
        (Literal["a", 1], b"1.0", 'expected "a" or 1 at $, found 1.0'),
        (Literal["a"], b"[]", 'expected "a" at $, found an array of 0'),
        (Literal[True], b"1", "expected true at $, found 1"),
    ],
)
def test_other_values_are_refused(annotation: Any, written: bytes, message: str) -> None:
    """The error lists what there is; 1, 1.0 and true are three different values."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Color, "red"),
        (Level, 1),
        (Literal["a", 1], True),
        (Literal["a", 1], "b"),
        (Literal["a", 1], []),
    ],
)
def test_other_values_are_not_written(annotation: Any, value: Any) -> None:
    """The value of a member is no member."""
    with pytest.raises(SerializationError, match="expected"):
        json_serde(annotation).serialize(value)


def test_an_integer_is_taken_for_a_member_whose_value_is_a_float() -> None:
    """As anywhere, an integer is a float."""
    assert json_serde(Ratio).deserialize(b"1") is Ratio.ONE


def test_the_enum_itself_is_asked_for_unknown_values() -> None:
    """``_missing_`` may read what older versions have written."""
    assert json_serde(Old).deserialize(b'"old"') is Old.NEW


def test_a_long_enum_is_listed_in_part() -> None:
    """The error message stays short."""
    letters = enum.Enum("letters", {letter: letter for letter in "abcdefghijklmnop"})  # type: ignore[misc]

    with pytest.raises(SerializationError, match=r'"i", "j", \.\.\.\)'):
        json_serde(letters).deserialize(b'"z"')


def test_an_enum_without_members_is_refused() -> None:
    """Nothing could ever be read for it."""
    with pytest.raises(DefinitionError, match="the enum Empty has no members"):
        json_serde(Empty)
