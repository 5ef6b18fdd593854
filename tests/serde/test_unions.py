"""Unions: how a member is chosen, and which unions are refused."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import pytest

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_serde

T = TypeVar("T")


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Maybe(enum.Enum):
    YES = "yes"
    NO = None


class Pair(NamedTuple):
    a: int
    b: int


class Triple(NamedTuple):
    a: int
    b: int
    c: int


@attrs.frozen
class Circle:
    radius: float


@attrs.frozen
class Cylinder:
    radius: float
    height: float = 1.0


@attrs.frozen
class Sphere:
    radius: float


@attrs.frozen
class Created:
    id: int
    kind: Literal["created"] = "created"


@attrs.frozen
class Deleted:
    id: int
    kind: Literal["deleted", "removed"] = "deleted"


@attrs.frozen
class Opened:
    version: Literal[1] = attrs.field(default=1, init=False)
    id: int
    kind: Literal["opened"] = "opened"


@attrs.frozen
class Closed:
    version: Literal[1] = attrs.field(default=1, init=False)
    id: int
    kind: Literal["closed"] = "closed"


@attrs.frozen
class Box(Generic[T]):
    content: T


class Partial(TypedDict, total=False):
    radius: float
    width: float


class Other(TypedDict):
    radius: float
    depth: NotRequired[float]


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (int | None, None, b"null"),
        (int | str, "1", b'"1"'),
        (int | str, 1, b"1"),
        (float | int, 1, b"1"),
        (float | int, 1.0, b"1.0"),
        (bool | int | str | None, True, b"true"),
        (Literal["auto"] | int, "auto", b'"auto"'),
        (Literal["auto"] | str, "auto", b'"auto"'),  # noqa: PYI051
        (Literal["auto"] | str, "other", b'"other"'),  # noqa: PYI051
        (Literal["1"] | Decimal, "1", b'"1"'),
        (Color | int, Color.RED, b'"red"'),
        (str | int, Color.RED, b'"red"'),
        (dt.date | uuid.UUID, dt.date(2020, 1, 1), b'"2020-01-01"'),
        (dt.date | dt.datetime, dt.datetime(2020, 1, 1), b'"2020-01-01T00:00:00"'),  # noqa: DTZ001
        (dt.date | dt.datetime, dt.date(2020, 1, 1), b'"2020-01-01"'),
        (int | Decimal, 1, b"1"),
        (int | Decimal, Decimal(1), b'"1"'),
        (list[int] | list[str], ["a"], b'["a"]'),
        (list[int] | list[str], [1], b"[1]"),
        (list[int] | str | dict[str, int], {"a": 1}, b'{"a":1}'),
        (tuple[int, int] | tuple[int], (1,), b"[1]"),
        (Pair | Triple, Triple(1, 2, 3), b"[1,2,3]"),
        (Circle | None, Circle(1), b'{"radius":1.0}'),
        (Circle | str, Circle(1), b'{"radius":1.0}'),
        (Circle | Cylinder, Circle(1), b'{"radius":1.0}'),
        (Circle | Cylinder, Cylinder(1), b'{"radius":1.0,"height":1.0}'),
        (Created | Deleted, Deleted(1, "removed"), b'{"id":1,"kind":"removed"}'),
        (Opened | Closed, Closed(1), b'{"version":1,"id":1,"kind":"closed"}'),
        (list[Created | Deleted | int], [Created(1), 2], b'[{"id":1,"kind":"created"},2]'),
        (Cylinder | Sphere, Sphere(1), b'{"radius":1.0}'),
        (Cylinder | Box[int], Box(1), b'{"content":1}'),
        (Any | None, {"a": 1}, b'{"a":1}'),
        (Maybe | None, Maybe.YES, b'"yes"'),
    ],
)
def test_the_member_of_the_values_own_class_writes_and_reads_it(
    annotation: Any, value: Any, written: bytes
) -> None:
    """Values of every member come back as what they were."""
    assert json_serde(annotation).serialize(value) == written

    back = json_serde(annotation).deserialize(written)

    assert back == value
    assert isinstance(value, type(back))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Circle | Cylinder, b'{"radius":1,"height":2,"extra":3}'),
        (Circle | Cylinder, b'{"height":2,"radius":1}'),
        (int | Cylinder | Created, b'{"radius":1,"height":2}'),
    ],
)
def test_the_class_that_matches_the_keys_best_reads_an_object(
    annotation: Any, value: bytes
) -> None:
    """Unknown keys and the order of keys do not matter."""
    assert json_serde(annotation).deserialize(value) == Cylinder(1, 2)


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (int | str, b"1.5", "expected int | str at $, found 1.5"),
        (int | str, b"[]", "expected int | str at $, found an array of 0"),
        (int | None, b'"x"', 'expected int at $, found "x"'),
        (dt.date | uuid.UUID, b'"x"', 'expected UUID | date at $, found "x"'),
        (list[int] | int, b'["x"]', 'expected int at $[0], found "x"'),
        (list[int] | list[str], b"[null]", "expected list[int] | list[str] at $"),
        (
            Circle | Cylinder,
            b"{}",
            "expected Circle | Cylinder (with all fields of one of them) at $",
        ),
        (Circle | Created, b'{"radius":"x"}', 'expected float at $.radius, found "x"'),
        (
            Created | Deleted,
            b'{"kind":"made"}',
            "expected one of 'created', 'deleted', 'removed' at $.kind, found \"made\"",
        ),
        (
            Created | Deleted,
            b'{"id":1}',
            "(by its field kind, which is one of 'created', 'deleted', 'removed')",
        ),
        (Created | Deleted, b'{"kind":["created"]}', "expected one of 'created'"),
        (Created | Deleted, b'{"kind":"created","id":"x"}', 'expected int at $.id, found "x"'),
    ],
)
def test_documents_that_fit_no_member_are_refused(
    annotation: Any, written: bytes, message: str
) -> None:
    """The error names the members, or what is wrong with the only one that could be meant."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int | str, 1.5, "expected int | str at $, found float 1.5"),
        (int | str, None, "expected int | str at $, found None"),
        (int | None, "x", "expected int at $, found str 'x'"),
        (bytes | Decimal, b"\xd7m\xf8", "expected what JSON can tell apart in Decimal | bytes"),
        (list[int] | list[str], [1, "a"], "expected list[int] | list[str] at $"),
        (Maybe | None, Maybe.NO, "expected a value that JSON can tell from None at $"),
        (
            Partial | Other,
            {"width": 1.0, "radius": 1.0, "depth": 2.0},
            "expected Other | Partial at $",
        ),
        (
            Partial | Circle,
            {"radius": 1.0},
            "expected what JSON can tell apart in Circle | Partial",
        ),
        (Circle | Cylinder, Sphere(1), "expected Circle | Cylinder at $, found Sphere"),
    ],
)
def test_values_that_would_come_back_as_another_are_not_written(
    annotation: Any, value: Any, message: str
) -> None:
    """Where it depends on the value, writing finds out."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (str | dt.datetime, "in JSON datetime cannot be told from str"),
        (str | bytes, "in JSON bytes cannot be told from str"),
        (str | Path, "cannot be told from"),
        (Color | str, "in JSON Color cannot be told from str"),
        (Level | int, "in JSON Level cannot be told from int"),
        (list[int] | tuple[int, ...], "cannot be told from"),
        (list[int] | set[int], "cannot be told from"),
        (list[int] | Pair, "cannot be told from"),
        (Sequence[int] | list[str], "cannot be told from"),
        (Circle | Sphere, "Circle and Sphere have the same fields"),
        (Box[int] | Box[str], "Box[int] and Box[str] have the same fields"),
        (Circle | dict[str, float], "any object could be a dict[str, float]"),
        (dict[str, int] | dict[str, str], "any object could be a dict"),
        (Any | int, "nothing can be told from Any"),
    ],
)
def test_unions_that_json_cannot_tell_apart_are_refused(annotation: Any, message: str) -> None:
    """They fail when they are defined, with the two members named, not when a value comes along."""
    with pytest.raises(DefinitionError) as caught:
        json_serde(annotation)

    assert message in str(caught.value)


def test_the_order_of_the_members_does_not_matter() -> None:
    """typing takes such unions for equal, so they must be written alike."""
    value = [1, 2]

    assert json_serde(list[float] | list[int]).serialize(value) == b"[1,2]"
    assert json_serde(list[int] | list[float]).serialize(value) == b"[1,2]"


def test_an_int_is_written_by_a_float_if_no_member_is_int() -> None:
    """As anywhere, an int may be given for a float."""
    assert json_serde(float | str).serialize(1) == b"1.0"
