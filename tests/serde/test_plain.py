"""``Any`` and missing annotations: plain JSON."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import collections
import datetime as dt
import enum
import inspect
import uuid
from typing import Any

import attrs
import pytest

from durable_trio import SerializationError
from durable_trio.serde import json_serde


class Name(enum.StrEnum):
    ADA = "ada"


class Level(enum.IntEnum):
    LOW = 1


class Celsius(float):
    pass


class Color(enum.Enum):
    RED = "red"


@attrs.frozen
class Model:
    x: int


@pytest.mark.parametrize("annotation", [Any, object, inspect.Parameter.empty])
@pytest.mark.parametrize(
    "value",
    [None, True, 1, 2**70, 1.5, "é", [], {}, [1, [2.5, None]], {"b": {"a": [True]}, "a": 1}],
)
def test_plain_json_comes_back_equal(annotation: Any, value: Any) -> None:
    """Without annotation a value may be whatever JSON has itself."""
    serde = json_serde(annotation)

    assert serde.deserialize(serde.serialize(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Name.ADA, b'"ada"'),
        ([Level.LOW], b"[1]"),
        ({"a": Celsius(1.5)}, b'{"a":1.5}'),
        ({Name.ADA: True}, b'{"ada":true}'),
        (collections.OrderedDict(a=[Name.ADA]), b'{"a":["ada"]}'),
    ],
)
def test_subclasses_are_written_as_what_they_equal(value: Any, written: bytes) -> None:
    """A subclass of a JSON type equals its base class and comes back as that."""
    assert json_serde(Any).serialize(value) == written
    assert json_serde(Any).deserialize(written) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1, 2), "it would come back as a list: make it one, or annotate tuple[...]"),
        ({"a": [(1,)]}, "expected plain JSON at $.a[0], found tuple (1,)"),
        ({1}, "expected plain JSON at $"),
        (b"x", "expected plain JSON at $, found bytes b'x'"),
        (uuid.UUID(int=1), "expected plain JSON at $"),
        (dt.date(2020, 1, 1), "expected plain JSON at $"),
        (Color.RED, "expected plain JSON at $"),
        ([Model(1)], "expected plain JSON at $[0], found Model(x=1): annotate its type"),
        ({1: 2}, "expected str keys at $, found int 1"),
        ({"a": {None: 1}}, "expected str keys at $.a, found None"),
        ([1, float("nan")], "expected a finite float at $[1], found float nan"),
        ({"a": float("inf")}, "expected a finite float at $.a"),
        ({"a": ["\ud800"]}, "expected text that UTF-8 can encode at $.a[0]"),
        ([{"a": 1}, ["b"], {}, 2, "\ud800"], "expected text that UTF-8 can encode at $[4]"),
        ({"\ud800": 1}, "expected text that UTF-8 can encode at $"),
    ],
)
def test_what_json_would_change_is_refused(value: Any, message: str) -> None:
    """Nothing is turned into something else silently; the error has the place and the remedy."""
    with pytest.raises(SerializationError) as caught:
        json_serde(Any).serialize(value)

    assert message in str(caught.value)


def test_a_value_that_contains_itself_is_refused() -> None:
    """A cycle is an error, not an endless loop."""
    value: Any = []
    value.append(value)

    with pytest.raises(SerializationError, match="nested too deeply, or contains itself"):
        json_serde(Any).serialize(value)
