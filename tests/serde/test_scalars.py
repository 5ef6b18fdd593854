"""None, bool, int, float, str: what JSON has itself, and how strict they are."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import enum
from typing import Any

import pytest

from durable_trio import SerializationError
from durable_trio.serde import json_serde


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    ADA = "ada"


class Celsius(float):
    pass


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (None, None, b"null"),
        (bool, True, b"true"),
        (int, -3, b"-3"),
        (int, 2**64, b"18446744073709551616"),
        (int, -(10**40), b"-1" + b"0" * 40),
        (float, 1.5, b"1.5"),
        (float, 3, b"3.0"),
        (float, -0.0, b"-0.0"),
        (str, 'é"\n\U0001f600', '"é\\"\\n\U0001f600"'.encode()),
        (int, Level.LOW, b"1"),
        (str, Name.ADA, b'"ada"'),
        (float, Celsius(1.5), b"1.5"),
    ],
)
def test_scalars_are_written_as_json_has_them(annotation: Any, value: Any, written: bytes) -> None:
    """Scalars are JSON's own, subclasses are written as their base class."""
    assert json_serde(annotation).serialize(value) == written
    assert json_serde(annotation).deserialize(written) == value


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (int, b'"12"', 'expected int at $, found "12"'),
        (int, b"1.0", "expected int at $, found 1.0"),
        (int, b"1e2", "expected int at $, found 100.0"),
        (int, b"true", "expected int at $, found true"),
        (int, b"null", "expected int at $, found null"),
        (float, b'"1.5"', 'expected float at $, found "1.5"'),
        (float, b"false", "expected float at $, found false"),
        (float, b"1" + b"0" * 400, "expected float at $, found a number of very many digits"),
        (bool, b"1", "expected bool at $, found 1"),
        (bool, b'"true"', 'expected bool at $, found "true"'),
        (str, b"1", "expected str at $, found 1"),
        (None, b"0", "expected null at $, found 0"),
    ],
)
def test_nothing_is_coerced_when_reading(annotation: Any, written: bytes, message: str) -> None:
    """A JSON value of another kind is an error that says what was expected and found."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


def test_an_integer_is_taken_for_a_float() -> None:
    """JSON has one kind of number, so 3 is a float where a float is expected."""
    value = json_serde(float).deserialize(b"3")

    assert value == 3.0
    assert type(value) is float


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "12", "expected int at $, found str '12'"),
        (int, 1.0, "expected int at $, found float 1.0"),
        (int, True, "expected int at $, found bool True"),
        (bool, 1, "expected bool at $, found int 1"),
        (str, b"x", "expected str at $, found bytes b'x'"),
        (str, None, "expected str at $, found None"),
        (float, "1", "expected float at $, found str '1'"),
        (float, True, "expected float at $, found bool True"),
        (None, 0, "expected null at $, found int 0"),
        (float, float("nan"), "expected a finite float at $, found float nan"),
        (float, float("-inf"), "expected a finite float at $, found float -inf"),
        (float, 2**53 + 1, "it would be rounded; annotate int"),
        (float, 10**400, "it would be rounded; annotate int"),
        (str, "a\ud800", "expected text that UTF-8 can encode at $"),
    ],
)
def test_what_would_not_come_back_is_not_written(annotation: Any, value: Any, message: str) -> None:
    """A value that does not fit its annotation fails where it is written."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


def test_a_value_whose_repr_fails_is_still_reported() -> None:
    """The error message does not depend on the value's repr."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    with pytest.raises(SerializationError, match="expected int at"):
        json_serde(int).serialize(Broken())  # type: ignore[arg-type]


def test_an_integer_that_python_does_not_print_is_not_written() -> None:
    """Python limits the digits of numbers in texts; beyond it is an error."""
    with pytest.raises(SerializationError, match="Exceeds the limit"):
        json_serde(int).serialize(10**5000)
