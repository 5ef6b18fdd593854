"""Hypothesis strategies for annotations together with values that fit them.

Owns ``typed_values``: the types that ``json_serde`` takes, nested at random. Classes are made
anew for every type, so that no two examples share a codec by accident.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, NotRequired, Optional, TypedDict

import attrs
from hypothesis import strategies as st


class Color(enum.Enum):
    """An enum written by its values."""

    RED = "red"
    BLUE = 2


class Corner(enum.Enum):
    """An enum written by its names, because its values are no JSON."""

    LEFT = (0, 0)
    RIGHT = (0, 1)


class Access(enum.IntFlag):
    """Flags, which are written as the sum of their bits."""

    READ = 1
    WRITE = 2


@attrs.frozen
class Typed:
    """An annotation, and the values that fit it."""

    annotation: Any
    values: st.SearchStrategy[Any]
    hashable: bool = True


@attrs.frozen
class Sample:
    """An annotation, and one value that fits it."""

    annotation: Any
    value: Any


finite = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.timedeltas(min_value=dt.timedelta(hours=-23), max_value=dt.timedelta(hours=23)).map(
    lambda offset: dt.timezone(dt.timedelta(seconds=round(offset.total_seconds())))
)
keys = st.text(max_size=5)
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)

LEAVES = [
    Typed(None, st.none()),
    Typed(bool, st.booleans()),
    Typed(int, st.integers()),
    Typed(float, finite),
    Typed(str, st.text(max_size=8)),
    Typed(bytes, st.binary(max_size=8)),
    Typed(dt.datetime, st.datetimes(timezones=st.none() | offsets)),
    Typed(dt.date, st.dates()),
    Typed(dt.time, st.times(timezones=st.none() | offsets)),
    Typed(dt.timedelta, st.timedeltas()),
    Typed(Decimal, st.decimals(allow_nan=False)),
    Typed(uuid.UUID, st.uuids()),
    Typed(PurePosixPath, st.text(max_size=8).map(PurePosixPath)),
    Typed(Color, st.sampled_from(Color)),
    Typed(Corner, st.sampled_from(Corner)),
    Typed(Access, st.sampled_from([Access(bits) for bits in range(4)])),
    Typed(Literal["on", 1, True], st.sampled_from(["on", 1, True])),
    Typed(Literal[b"\xff", Color.RED], st.sampled_from([b"\xff", Color.RED])),
    Typed(Any, plain_json, hashable=False),
]

KEYS = [
    leaf
    for leaf in LEAVES
    if leaf.annotation
    in {bool, int, float, str, bytes, dt.datetime, dt.date, Decimal, uuid.UUID, Corner, Access}
]


def _list(item: Typed) -> Typed:
    return Typed(list[item.annotation], st.lists(item.values, max_size=3), hashable=False)  # type: ignore[name-defined]


def _endless_tuple(item: Typed) -> Typed:
    values = st.lists(item.values, max_size=3).map(tuple)
    return Typed(tuple[item.annotation, ...], values, item.hashable)  # type: ignore[name-defined]


def _optional(item: Typed) -> Typed:
    # Not with |, which None has not.
    return Typed(Optional[item.annotation], st.none() | item.values, item.hashable)  # noqa: UP045


def _set(item: Typed) -> Typed:
    return Typed(set[item.annotation], st.sets(item.values, max_size=3), hashable=False)  # type: ignore[name-defined]


def _frozenset(item: Typed) -> Typed:
    return Typed(frozenset[item.annotation], st.frozensets(item.values, max_size=3))  # type: ignore[name-defined]


def _dict(key: Typed, value: Typed) -> Typed:
    values = st.dictionaries(key.values, value.values, max_size=3)
    return Typed(dict[key.annotation, value.annotation], values, hashable=False)  # type: ignore[name-defined]


def _tuple(items: list[Typed]) -> Typed:
    values = st.tuples(*(item.values for item in items))
    return Typed(
        tuple[tuple(item.annotation for item in items)],  # type: ignore[misc]
        values,
        all(item.hashable for item in items),
    )


def _names(fields: list[Typed]) -> dict[str, Typed]:
    return {f"field_{index}": field for index, field in enumerate(fields)}


def _attrs_class(fields: list[Typed]) -> Typed:
    named = _names(fields)
    attributes = {name: attrs.field(type=field.annotation) for name, field in named.items()}
    class_ = attrs.make_class("Model", attributes, frozen=True)
    values = st.builds(class_, **{name: field.values for name, field in named.items()})
    return Typed(class_, values, all(field.hashable for field in fields))


def _dataclass(fields: list[Typed]) -> Typed:
    named = _names(fields)
    class_ = dataclasses.make_dataclass(
        "Record", [(name, field.annotation) for name, field in named.items()], eq=True
    )
    values = st.builds(class_, **{name: field.values for name, field in named.items()})
    return Typed(class_, values, hashable=False)


def _typed_dict(fields: list[Typed]) -> Typed:
    named = _names(fields)
    optional = {f"{name}?": field for name, field in named.items()}
    class_: Any = TypedDict(  # type: ignore[misc]
        "Row",
        {name: field.annotation for name, field in named.items()}
        | {name: NotRequired[field.annotation] for name, field in optional.items()},
    )
    values = st.fixed_dictionaries(
        {name: field.values for name, field in named.items()},
        optional={name: field.values for name, field in optional.items()},
    )
    return Typed(class_, values, hashable=False)


def _named_tuple(fields: list[Typed]) -> Typed:
    named = _names(fields)
    class_ = NamedTuple("Point", [(name, field.annotation) for name, field in named.items()])  # type: ignore[misc]
    values = st.builds(class_, **{name: field.values for name, field in named.items()})
    return Typed(class_, values, all(field.hashable for field in fields))


def _composed(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    fields = st.lists(inner, max_size=3)
    hashable = inner.filter(lambda typed: typed.hashable)
    return st.one_of(
        inner.map(_list),
        inner.map(_endless_tuple),
        inner.filter(lambda typed: typed.annotation is not Any).map(_optional),
        hashable.map(_set),
        hashable.map(_frozenset),
        st.builds(_dict, st.sampled_from(KEYS), inner),
        st.lists(inner, min_size=1, max_size=3).map(_tuple),
        fields.map(_attrs_class),
        fields.map(_dataclass),
        fields.map(_typed_dict),
        fields.map(_named_tuple),
    )


types = st.recursive(st.sampled_from(LEAVES), _composed, max_leaves=5)
samples = types.flatmap(lambda typed: st.builds(Sample, st.just(typed.annotation), typed.values))
