"""pydantic models and dataclasses, alone and nested."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from typing import Any, Generic, Literal, TypeVar

import attrs
import pydantic
import pydantic.dataclasses
import pytest
from jsonschema import Draft202012Validator

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_schema, json_serde

T = TypeVar("T")


class Item(pydantic.BaseModel):
    name: str
    price: float
    when: dt.datetime | None = None


class Basket(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    id: int = pydantic.Field(alias="basketId")
    items: list[Item] = []
    tags: set[str] = set()
    groups: frozenset[frozenset[int]] = frozenset()
    nested: dict[str, tuple[set[str], ...]] = {}

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        return sum(item.price for item in self.items)


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    when: dt.datetime
    tags: set[str]


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Special(Item):
    discount: float = 0.5


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    name: str


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    name: str


@pydantic.dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@attrs.frozen
class Holder:
    item: Item
    others: dict[str, list[Item]] = attrs.Factory(dict)


class Node(pydantic.BaseModel):
    children: list[Node] = []


ITEM = Item(name="a", price=1.5, when=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Item, ITEM),
        (list[Item], [ITEM]),
        (dict[str, Item | None], {"a": ITEM, "b": None}),
        (Holder, Holder(ITEM, {"x": [ITEM]})),
        (Basket, Basket(basketId=1, items=[ITEM], tags={"b", "a"})),
        (Strict, Strict(when=dt.datetime(2020, 1, 1, tzinfo=dt.UTC), tags={"a"})),
        (Page[Item], Page[Item](items=[ITEM])),
        (Numbers, Numbers([1, 2])),
        (Numbers | None, Numbers([])),
        (Cat | Dog, Dog(name="d")),
        (Point, Point(1, 2)),
        (list[Point | Item], [Point(1), ITEM]),
        (Node, Node(children=[Node()])),
    ],
)
def test_models_come_back_equal_wherever_they_are(annotation: Any, value: Any) -> None:
    """At the top, in collections, in fields of other classes and in unions."""
    serde = json_serde(annotation)

    assert serde.deserialize(serde.serialize(value)) == value


def test_what_is_written_can_be_read() -> None:
    """Aliases are written, computed fields are not, and sets are sorted."""
    basket = Basket(
        basketId=1,
        tags={"b", "c", "a"},
        groups=frozenset({frozenset({3, 1}), frozenset({2})}),
        nested={"x": ({"d", "c"},)},
    )

    assert json_serde(Basket).serialize(basket) == (
        b'{"basketId":1,"items":[],"tags":["a","b","c"],"groups":[[1,3],[2]],'
        b'"nested":{"x":[["c","d"]]}}'
    )


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (Item, b'{"price":"abc"}', "missing field $.name; Input should be a valid number"),
        (
            Holder,
            b'{"item":{"name":1,"price":1}}',
            "Input should be a valid string at $.item.name, found 1",
        ),
        (list[Item], b'[{"name":"a"}]', "missing field $[0].price"),
        (Basket, b'{"basketId":1,"x":1}', "Extra inputs are not permitted at $.x, found 1"),
        (Cat | Dog, b'{"kind":"cow"}', "expected one of 'cat', 'dog' at $.kind"),
        (Item, b"[]", "Input should be an object at $, found an array of 0"),
    ],
)
def test_errors_are_told_with_their_paths(annotation: Any, written: bytes, message: str) -> None:
    """pydantic's words, with the path from the outermost value."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Item, Special(name="a", price=1), "expected Item at $, found Special"),
        (list[Item], [Item(name="a", price=float("nan"))], "expected a finite float at $[0].price"),
        (Item, Item.model_construct(name=1, price=2), "Item is refused by pydantic"),
        (Item, {"name": "a", "price": 1}, "expected Item at $"),
    ],
)
def test_what_would_not_come_back_is_not_written(annotation: Any, value: Any, message: str) -> None:
    """NaN would become null, a subclass its base class."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


def test_a_model_that_pydantic_cannot_use_is_refused() -> None:
    """An undefined name is told when the serde is made."""

    class Unfinished(pydantic.BaseModel):
        other: NotThere  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(DefinitionError, match="pydantic cannot use Unfinished"):
        json_serde(Unfinished)


@pytest.mark.parametrize(
    "annotation", [Item, Holder, list[Basket], Numbers, Cat | Dog, Node, Page[Item]]
)
def test_models_describe_themselves(annotation: Any) -> None:
    """Their schemas are part of ours, with all references resolved."""
    schema = json_schema(annotation)

    Draft202012Validator.check_schema(schema)
    assert _references(schema) <= {f"#/$defs/{name}" for name in schema.get("$defs", {})}


def test_definitions_of_the_same_name_are_kept_apart() -> None:
    """Two models with one name get two definitions."""

    def make(annotation: type) -> type[pydantic.BaseModel]:
        inner = pydantic.create_model("Inner", value=(annotation, ...))
        return pydantic.create_model("Outer", inner=(inner, ...))

    one, other = make(int), make(str)

    validator = Draft202012Validator(json_schema(tuple[one, other]))  # type: ignore[valid-type]

    assert validator.is_valid([{"inner": {"value": 1}}, {"inner": {"value": "a"}}])
    assert not validator.is_valid([{"inner": {"value": "a"}}, {"inner": {"value": 1}}])


def test_sets_of_models_are_written_alike_in_every_process() -> None:
    """The order of a set's hashes does not show."""
    program = (
        "import pydantic; from durable_trio.serde import json_serde\n"
        "class M(pydantic.BaseModel):\n    tags: set[str]\n"
        "print(json_serde(M).serialize(M(tags={'alpha', 'beta', 'gamma', 'delta'})))"
    )
    path = ":".join(filter(None, sys.path))

    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "012"
    }

    assert outputs == {"""b'{"tags":["alpha","beta","delta","gamma"]}'\n"""}


def _references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set[str]()
        return own.union(*map(_references, schema.values()))

    return set[str]().union(*map(_references, schema)) if isinstance(schema, list) else set()
