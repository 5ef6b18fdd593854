"""msgspec Structs, alone and nested."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime as dt
from typing import Any, Generic, Literal, TypeVar

import attrs
import msgspec
import pytest
from jsonschema import Draft202012Validator

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_schema, json_serde

T = TypeVar("T")


class Item(msgspec.Struct, frozen=True):
    name: str
    price: float = 0.0
    when: dt.datetime | None = None


class Basket(msgspec.Struct, rename="camel"):
    basket_id: int
    items: list[Item] = []
    tags: set[str] = set()
    counts: dict[int, str] = {}


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Array(msgspec.Struct, array_like=True):
    x: int
    y: int


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


class On(msgspec.Struct):
    state: Literal["on"]


class Off(msgspec.Struct):
    state: Literal["off"]


class Special(Item, frozen=True):
    discount: float = 0.5


class Unknown(msgspec.Struct):
    value: Item | Basket


@attrs.frozen
class Holder:
    item: Item
    others: dict[str, list[Item]] = attrs.Factory(dict)


ITEM = Item("a", 1.5, dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Item, ITEM),
        (list[Item], [ITEM]),
        (set[Item], {ITEM}),
        (dict[str, Item | None], {"a": ITEM, "b": None}),
        (Holder, Holder(ITEM, {"x": [ITEM]})),
        (Page[Item], Page([ITEM])),
        (Array, Array(1, 2)),
        (Cat | Dog, Dog("d")),
        (On | Off, Off("off")),
        (Item | Holder, ITEM),
        (Basket, Basket(1, [ITEM], {"a"}, {2: "b"})),
    ],
)
def test_structs_come_back_equal_wherever_they_are(annotation: Any, value: Any) -> None:
    """At the top, in collections, in fields of other classes and in unions."""
    serde = json_serde(annotation)

    assert serde.deserialize(serde.serialize(value)) == value


def test_sets_and_dicts_of_structs_are_sorted() -> None:
    """What msgspec writes does not depend on the order of hashes."""
    basket = Basket(1, [], {"b", "a"}, {10: "x", 2: "y"})

    assert json_serde(Basket).serialize(basket) == (
        b'{"basketId":1,"items":[],"tags":["a","b"],"counts":{"10":"x","2":"y"}}'
    )


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (Item, b"{}", "missing field $.name"),
        (list[Holder], b'[{"item":{}}]', "missing field $[0].item.name"),
        (Holder, b'{"item":{"name":1}}', "Expected `str`, got `int` at $.item.name"),
        (Basket, b'{"basketId":1,"items":[{"name":"a"},{}]}', "missing field $.items[1].name"),
        (Basket, b'{"basketId":1,"counts":{"x":"y"}}', "Expected `int`, got `str` at $.counts"),
        (Basket, b'{"basketId":1,"counts":{"1":2}}', "Expected `str`, got `int` at $.counts[...]"),
        (Item, b"[]", "Expected `object`, got `array` at $"),
        (Cat | Dog, b'{"type":"Cow","name":"x"}', "expected one of 'Cat', 'Dog' at $.type"),
    ],
)
def test_errors_are_told_with_their_paths(annotation: Any, written: bytes, message: str) -> None:
    """msgspec's words, with the path from the outermost value."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Item, Special("a"), "expected Item at $, found Special"),
        (list[Item], [Item("a", float("inf"))], "expected a finite float at $[0].price"),
        (Item, Item(object()), "Item is refused by msgspec"),  # type: ignore[arg-type]
        (Item, {"name": "a"}, "expected Item at $"),
    ],
)
def test_what_would_not_come_back_is_not_written(annotation: Any, value: Any, message: str) -> None:
    """NaN would become null, a subclass its base class."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


def test_a_struct_that_msgspec_cannot_use_is_refused() -> None:
    """It is told when the serde is made."""
    with pytest.raises(DefinitionError, match="msgspec cannot use Unknown"):
        json_serde(Unknown)


@pytest.mark.parametrize("annotation", [Item, Holder, list[Basket], Page[Item], Cat | Dog])
def test_structs_describe_themselves(annotation: Any) -> None:
    """Their schemas are part of ours."""
    schema = json_schema(annotation)

    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(json_schema(Holder)).is_valid({"item": {"name": "a"}})
