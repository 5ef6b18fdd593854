"""Lists, sets, tuples, dicts."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import collections
import collections.abc
import datetime as dt
import enum
import subprocess
import sys
import uuid
from decimal import Decimal
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple  # noqa: UP035

import attrs
import pytest

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_serde


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int = 0


Pair = collections.namedtuple("Pair", ["left", "right"])  # noqa: PYI024


@attrs.frozen
class Tag:
    name: str
    weight: int


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (list[int], [1, 2], b"[1,2]"),
        (List[int], [1], b"[1]"),  # noqa: UP006
        (list, [1, "a", None], b'[1,"a",null]'),
        (list[float], [1.5, 2], b"[1.5,2.0]"),
        (list[Level], [Level.LOW], b"[1]"),
        (list[list[str]], [["a"], []], b'[["a"],[]]'),
        (set[int], {10, 9}, b"[9,10]"),
        (Set[str], {"b", "a"}, b'["a","b"]'),  # noqa: UP006
        (set, {2, 1}, b"[1,2]"),
        (frozenset[float], frozenset({2.5, 1}), b"[1.0,2.5]"),
        (frozenset[int | str], frozenset({2, 10, "a"}), b'["a",10,2]'),
        (
            set[Tag],
            {Tag("b", 1), Tag("a", 2)},
            b'[{"name":"a","weight":2},{"name":"b","weight":1}]',
        ),
        (tuple[int, str], (1, "a"), b'[1,"a"]'),
        (Tuple[int, ...], (1, 2), b"[1,2]"),  # noqa: UP006
        (tuple[()], (), b"[]"),
        (tuple, (1, "a"), b'[1,"a"]'),
        (Point, Point(1), b"[1,0]"),
        (Pair, Pair("a", [1]), b'["a",[1]]'),
        (dict[str, int], {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
        (Dict[str, Any], {"a": {"b": [1.5]}}, b'{"a":{"b":[1.5]}}'),  # noqa: UP006
        (dict, {"a": None}, b'{"a":null}'),
        (dict[int, str], {-1: "a", 10: "b"}, b'{"-1":"a","10":"b"}'),
        (dict[float, int], {1.5: 1, 1e300: 2, -0.0: 3}, b'{"1.5":1,"1e+300":2,"-0.0":3}'),
        (dict[bool, int], {True: 1, False: 0}, b'{"true":1,"false":0}'),
        (dict[dt.date, int], {dt.date(2020, 2, 29): 1}, b'{"2020-02-29":1}'),
        (dict[Decimal, int], {Decimal("1.0"): 1}, b'{"1.0":1}'),
        (dict[Level, int], {Level.LOW: 5}, b'{"1":5}'),
        (dict[bytes, int], {b"a": 1}, b'{"YQ==":1}'),
        (
            dict[uuid.UUID | dt.date, int],
            {uuid.UUID(int=0): 1},
            b'{"00000000-0000-0000-0000-000000000000":1}',
        ),
        (collections.abc.Mapping[str, int], {"a": 1}, b'{"a":1}'),
        (collections.abc.Sequence[int], [1], b"[1]"),
        (collections.abc.Set[int], frozenset({1}), b"[1]"),
        (collections.abc.MutableSet[int], {1}, b"[1]"),
        (dict[str, list[Optional[int]]], {"a": [None, 1]}, b'{"a":[null,1]}'),  # noqa: UP045
    ],
)
def test_collections_come_back_as_they_are_annotated(
    annotation: Any, value: Any, written: bytes
) -> None:
    """Sets are sorted, dicts keep their order, keys become strings and come back."""
    back = json_serde(annotation).deserialize(written)

    assert json_serde(annotation).serialize(value) == written
    assert back == value
    assert type(back) is type(value)


def test_subclasses_of_collections_are_written_as_what_they_equal() -> None:
    """A defaultdict equals a dict, so it is one."""
    ordered = collections.OrderedDict(a=1)

    assert json_serde(dict[str, int]).serialize(collections.defaultdict(int, a=1)) == b'{"a":1}'
    assert json_serde(dict[str, int]).serialize(ordered) == b'{"a":1}'
    assert json_serde(dict).serialize(ordered) == b'{"a":1}'


def test_a_subclass_of_tuple_is_written_as_the_tuple_it_equals() -> None:
    """Unless it has fields of its own, which would be lost."""

    class Couple(tuple[int, int]):
        """Equal to a tuple."""

        __slots__ = ()

    assert json_serde(tuple[int, int]).serialize(Couple((1, 2))) == b"[1,2]"


def test_an_abstract_sequence_comes_back_as_a_list() -> None:
    """Who annotates Sequence does not ask for a tuple."""
    serde = json_serde(collections.abc.Sequence[int])

    assert serde.deserialize(serde.serialize((1, 2))) == [1, 2]


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (list[int], (1, 2), "expected list[int] at $, found tuple (1, 2)"),
        (list[int], {1}, "expected list[int] at $"),
        (list[int], "12", "expected list[int] at $"),
        (list[str], [1], "expected str at $[0], found int 1"),
        (list[float], [1.0, float("nan")], "expected a finite float at $[1]"),
        (collections.abc.Sequence[str], "ab", "expected Sequence[str] at $"),
        (set[int], [1], "expected set[int] at $"),
        (set[int], frozenset({1}), "expected set[int] at $"),
        (set[float], {float("inf")}, "expected a finite float at $"),
        (tuple[int, str], [1, "a"], "expected tuple[int, str] at $, found list [1, 'a']"),
        (tuple[int, str], (1,), "expected tuple[int, str] of 2 items at $"),
        (tuple[int, str], (1, 2), "expected str at $[1], found int 2"),
        (tuple[int, ...], Point(1, 2), "it would lose its class: annotate that"),
        (tuple[int, int], Point(1, 2), "it would lose its class: annotate that"),
        (Point, (1, 2), "expected Point at $, found tuple (1, 2)"),
        (dict[str, int], {1: 1}, 'expected a str as key at $["1"], found int 1'),
        (dict[str, int], [("a", 1)], "expected dict[str, int] at $"),
        (dict[str, int], {"a b": "x"}, "expected int at $[\"a b\"], found str 'x'"),
        (dict[float, int], {float("nan"): 1}, "expected a finite float"),
        (dict[int, int], {True: 1}, "expected int at"),
        (dict[str, Any], {"a": {1: 2}}, "expected str keys at $.a, found int 1"),
        (dict, [1], "expected dict at $"),
        (dict[str, str], {"a\ud800": "x"}, "expected text that UTF-8 can encode at $"),
        (dict[int, int], {10**5000: 1}, "expected a shorter number as key"),
    ],
)
def test_what_would_come_back_as_something_else_is_not_written(
    annotation: Any, value: Any, message: str
) -> None:
    """Another collection, or an item that does not fit, fails where it is written."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (list[int], b'{"a":1}', 'expected list[int] at $, found an object with the keys "a"'),
        (
            list[int],
            b'[1,"2",3.5]',
            'expected int at $[1], found "2"; expected int at $[2], found 3.5',
        ),
        (set[list[int]], b"[[1]]", "expected hashable items for set[list[int]] at $"),
        (set[int], b"{}", "expected set[int] at $, found an empty object"),
        (
            tuple[int, str],
            b"[1]",
            "expected tuple[int, str] (an array of 2) at $, found an array of 1",
        ),
        (tuple[int, str], b'[1,"a",2]', "(an array of 2) at $, found an array of 3"),
        (tuple[int, ...], b"[1,null]", "expected int at $[1], found null"),
        (Point, b"[]", "expected Point (an array of 1 to 2) at $"),
        (Point, b'{"x":1}', "expected Point (an array of 1 to 2) at $"),
        (Point, b'["x"]', "expected int at $[0]"),
        (dict[str, int], b"[]", "expected dict[str, int] at $"),
        (dict[str, int], b'{"a":null}', "expected int at $.a, found null"),
        (dict, b"[]", "expected dict at $"),
        (dict[int, int], b'{"01":1}', 'expected int as a key at $["01"], found "01"'),
        (dict[int, int], b'{"1.0":1}', "expected int as a key"),
        (dict[int, int], b'{"%s":1}' % (b"1" * 5000), "expected int as a key"),
        (dict[float, int], b'{"nan":1}', "expected float as a key"),
        (dict[float, int], b'{"1e999":1}', "expected float as a key"),
        (dict[bool, int], b'{"True":1}', "expected bool as a key"),
        (dict[Decimal, int], b'{"1.0":1,"1.00":2}', "expected keys that differ when they are read"),
        (dict[dt.date, int], b'{"x":1}', "expected date (2020-02-29) at $.x"),
    ],
)
def test_other_documents_are_refused(annotation: Any, written: bytes, message: str) -> None:
    """Every item that does not fit is named with its place."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    "annotation",
    [
        dict[int | str, int],
        dict[None, int],
        dict[tuple[int, int], int],
        dict[int | None, int],
    ],
)
def test_keys_that_are_not_always_one_scalar_are_refused(annotation: Any) -> None:
    """The text of a key must say which value it was."""
    with pytest.raises(DefinitionError, match="JSON has only strings as keys"):
        json_serde(annotation)


def test_a_field_of_a_named_tuple_may_be_missing_if_it_has_a_default() -> None:
    """As for any class, a field with a default may be missing."""
    assert json_serde(Point).deserialize(b"[5]") == Point(5, 0)


def test_keys_that_become_one_are_refused() -> None:
    """Two keys that are written alike would be one when they come back."""

    class Loose(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return id(self)

    with pytest.raises(SerializationError, match="keys that differ when they are written"):
        json_serde(dict[str, int]).serialize({Loose("a"): 1, Loose("a"): 2})


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_sets_are_written_alike_in_every_process(seed: str) -> None:
    """The order of a set's hashes does not show."""
    program = (
        "from durable_trio.serde import json_serde;"
        "print(json_serde(set[str]).serialize({'alpha', 'beta', 'gamma', 'delta'}))"
    )
    path = [entry for entry in sys.path if entry]

    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.strip() == """b'["alpha","beta","delta","gamma"]'"""
