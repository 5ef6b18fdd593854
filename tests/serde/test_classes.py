"""attrs classes, dataclasses and TypedDicts."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any, Generic, NotRequired, Required, Self, TypedDict, TypeVar

import attrs
import pytest

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_serde

T = TypeVar("T")
U = TypeVar("U")


@attrs.frozen
class Price:
    amount: float = attrs.field(validator=attrs.validators.gt(0))
    currency: str = "EUR"


@attrs.define
class Order:
    id: int
    prices: list[Price] = attrs.Factory(list)
    placed: dt.date | None = None
    _secret: str = "s"
    sender: str = attrs.field(default="me", alias="from_", kw_only=True)
    total: float = attrs.field(init=False, default=0.0)


@attrs.frozen
class Square:
    side: int
    area: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "area", self.side**2)


@attrs.frozen
class Base:
    x: int


@attrs.frozen
class Derived(Base):
    y: int


@attrs.define
class Node:
    value: int
    children: list[Node] = attrs.Factory(list)
    parent: Node | None = None
    itself: Self | None = None


@attrs.frozen
class Page(Generic[T]):
    items: list[T]
    following: Page[T] | None = None


@attrs.frozen
class NamedPage(Page[U], Generic[T, U]):
    name: T = attrs.field(kw_only=True)


@attrs.frozen
class IntPage(Page[int]):
    pass


def _strip(text: str) -> str:
    return text.strip()


@attrs.define
class Trimmed:
    name: str = attrs.field(converter=_strip)


Bare = attrs.make_class("Bare", {"anything": attrs.field(), "typed": attrs.field(type=int)})


@dataclasses.dataclass
class Account:
    owner: str
    balance: int = 0
    history: list[int] = dataclasses.field(default_factory=list)
    cached: str = dataclasses.field(init=False, default="")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    b: int
    a: int = 1


@dataclasses.dataclass
class WithInitVar:
    kept: int
    passed: dataclasses.InitVar[int]


class Row(TypedDict):
    id: int
    note: NotRequired[str]


class Loose(TypedDict, total=False):
    id: Required[int]
    tags: list[str]


class GenericRow(TypedDict, Generic[T]):
    value: T


class IntRow(GenericRow[int]):
    extra: NotRequired[str]


def _any(value: Any) -> Any:
    return value


def _order() -> Order:
    order = Order(1, [Price(1.5)], dt.date(2020, 2, 29), secret="x", from_="you")
    order.total = 1.5
    return order


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (Price, Price(2, "USD"), b'{"amount":2.0,"currency":"USD"}'),
        (
            Order,
            _order(),
            (
                b'{"id":1,"prices":[{"amount":1.5,"currency":"EUR"}],"placed":"2020-02-29",'
                b'"secret":"x","from_":"you","total":1.5}'
            ),
        ),
        (Square, Square(3), b'{"side":3,"area":9}'),
        (Derived, Derived(1, 2), b'{"x":1,"y":2}'),
        (
            Node,
            Node(1, [Node(2)], Node(0)),
            (
                b'{"value":1,"children":[{"value":2,"children":[],"parent":null,"itself":null}],'
                b'"parent":{"value":0,"children":[],"parent":null,"itself":null},"itself":null}'
            ),
        ),
        (
            Page[Price],
            Page([Price(1)], Page([])),
            b'{"items":[{"amount":1.0,"currency":"EUR"}],"following":{"items":[],"following":null}}',
        ),
        (
            NamedPage[str, int],
            NamedPage([1], None, name="n"),
            b'{"items":[1],"following":null,"name":"n"}',
        ),
        (IntPage, IntPage([1]), b'{"items":[1],"following":null}'),
        (Page, Page(["x", 1]), b'{"items":["x",1],"following":null}'),
        (Trimmed, Trimmed(" a "), b'{"name":"a"}'),
        (Bare, Bare({"x": 1}, 2), b'{"anything":{"x":1},"typed":2}'),
        (
            Account,
            Account("a", 5, [5]),
            b'{"owner":"a","balance":5,"history":[5],"cached":""}',
        ),
        (Frozen, Frozen(b=2), b'{"b":2,"a":1}'),
        (Row, {"id": 1}, b'{"id":1}'),
        (Row, {"id": 1, "note": "n"}, b'{"id":1,"note":"n"}'),
        (Loose, {"id": 1, "tags": ["a"]}, b'{"id":1,"tags":["a"]}'),
        (GenericRow[dt.date], {"value": dt.date(2020, 1, 1)}, b'{"value":"2020-01-01"}'),
        (IntRow, {"value": 1}, b'{"value":1}'),
    ],
)
def test_fields_are_written_under_the_names_of_the_arguments(
    annotation: Any, value: Any, written: bytes
) -> None:
    """One key per field in the order of the fields, whatever the class is made with."""
    assert json_serde(annotation).serialize(value) == written
    assert json_serde(annotation).deserialize(written) == value


def test_unknown_keys_are_ignored_and_defaults_filled_in() -> None:
    """What a newer caller adds and an older one lacks does no harm."""
    assert json_serde(Price).deserialize(b'{"amount":1,"unit":"kg"}') == Price(1)
    assert json_serde(Row).deserialize(b'{"id":1,"unit":"kg"}') == {"id": 1}
    assert json_serde(Square).deserialize(b'{"side":3}') == Square(3)


@pytest.mark.parametrize(
    ("annotation", "written", "message"),
    [
        (Price, b"{}", "missing field $.amount"),
        (Price, b"[1]", "expected Price at $, found an array of 1"),
        (Price, b'"amount"', 'expected Price at $, found "amount"'),
        (Price, b'{"amount":-1}', "rejected at $ with ValueError: 'amount' must be > 0: -1.0"),
        (
            Order,
            b'{"id":"1","prices":[{"amount":1},{"amount":"abc"}],"from_":1,"total":"x"}',
            (
                'expected int at $.id, found "1"; expected float at $.prices[1].amount, found "abc"; '
                "expected str at $.from_, found 1"
            ),
        ),
        (Order, b'{"id":1,"secret":2}', "expected str at $.secret, found 2"),
        (Order, b'{"id":1,"total":"x"}', 'expected float at $.total, found "x"'),
        (Order, b'{"id":1,"prices":{}}', "expected list[Price] at $.prices"),
        (
            Node,
            b'{"value":1,"children":[{"value":2,"parent":{}}]}',
            "missing field $.children[0].parent.value",
        ),
        (Page[int], b'{"items":["x"]}', 'expected int at $.items[0], found "x"'),
        (Trimmed, b'{"name":1}', "expected str at $.name, found 1"),
        (Account, b'{"owner":"a","balance":1.5}', "expected int at $.balance, found 1.5"),
        (Row, b'{"note":1}', "missing field $.id; expected str at $.note, found 1"),
        (IntRow, b'{"value":"x"}', 'expected int at $.value, found "x"'),
        (Row, b"[]", "expected Row at $"),
        (list[Row], b'[{"id":1},{}]', "missing field $[1].id"),
        (dict[str, Price], b'{"a b":{}}', 'missing field $["a b"].amount'),
    ],
)
def test_fields_that_do_not_fit_are_named(annotation: Any, written: bytes, message: str) -> None:
    """All errors are told, with the path of each: a class needs no error handling of its own."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).deserialize(written)

    assert message in str(caught.value)


def test_many_errors_are_counted() -> None:
    """The first errors are told and the others counted."""
    with pytest.raises(SerializationError) as caught:
        json_serde(list[int]).deserialize(b'["a","b","c","d","e"]')

    assert str(caught.value).endswith('expected int at $[2], found "c"; and 2 more')


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (Base, Derived(1, 2), "its own fields would be lost: annotate Derived, or a union with it"),
        (list[Base], [Base(1), Derived(1, 2)], "expected Base at $[1], found Derived(x=1, y=2)"),
        (Price, None, "expected Price at $, found None"),
        (Price, {"amount": 1}, "expected Price at $, found dict"),
        (
            Node,
            Node(_any("x"), [Node(_any("y"))]),
            "at $.value, found str 'x'; expected int at $.children[0].value",
        ),
        (Account, Account(1), "expected str at $.owner, found int 1"),  # type: ignore[arg-type]
        (Row, {"note": "x"}, "missing field $.id"),
        (
            Row,
            {"id": 1, "other": 2},
            "expected no other keys than those of Row at $, found str 'other'",
        ),
        (Row, [1], "expected Row at $"),
        (Page[int], Page(["x"]), "expected int at $.items[0], found str 'x'"),
    ],
)
def test_values_that_would_lose_something_are_not_written(
    annotation: Any, value: Any, message: str
) -> None:
    """A subclass, an undeclared key and a field of another type fail where they are written."""
    with pytest.raises(SerializationError) as caught:
        json_serde(annotation).serialize(value)

    assert message in str(caught.value)


def test_an_attribute_that_was_never_set_is_named() -> None:
    """An ``init=False`` field without value cannot be written."""

    @attrs.define
    class Late:
        value: int = attrs.field(init=False)

    with pytest.raises(SerializationError, match=r"rejected at \$\.value with AttributeError"):
        json_serde(Late).serialize(Late())


def test_a_dataclass_that_needs_more_than_its_fields_is_refused() -> None:
    """An InitVar is needed to make it, and is not kept."""
    with pytest.raises(DefinitionError, match="needs its InitVar 'passed'"):
        json_serde(WithInitVar)


def test_two_fields_with_one_name_in_json_are_refused() -> None:
    """An alias must not hide another field."""

    @attrs.define
    class Twice:
        a: int = attrs.field(alias="b")
        b: int = attrs.field(init=False, default=0)

    with pytest.raises(DefinitionError, match="two fields of Twice have the same name in JSON"):
        json_serde(Twice)


def test_the_field_that_cannot_be_written_is_named() -> None:
    """The definition error says where in a nested type it is."""

    @attrs.define
    class Inner:
        callback: type[int]

    @attrs.define
    class Outer:
        inner: list[Inner]

    with pytest.raises(DefinitionError, match=r"Inner\.callback: type\[int\] cannot be written"):
        json_serde(Outer)


def test_a_type_that_failed_leaves_nothing_behind() -> None:
    """Nothing of a failed definition is kept: not even what could be made and refers to it."""

    @attrs.define
    class Child:
        parent: Parent | None

    @attrs.define
    class Parent:
        child: Child
        broken: type[int]

    for annotation in (Parent, Child, Parent):
        with pytest.raises(DefinitionError, match=r"Parent\.broken"):
            json_serde(annotation)
