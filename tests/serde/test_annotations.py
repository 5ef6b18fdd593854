"""Annotations as they are written in real code: postponed, local, recursive, wrapped."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import dataclasses
import sys
import types
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    ForwardRef,
    Generic,
    LiteralString,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import attrs
import pytest
from typing_extensions import ReadOnly, TypeAliasType
from typing_extensions import TypedDict as NewTypedDict
from typing_extensions import TypeVar as DefaultTypeVar

from durable_trio import DefinitionError, SerializationError
from durable_trio.serde import json_schema, json_serde

if TYPE_CHECKING:
    from fractions import Fraction

UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)
Bound = TypeVar("Bound", bound=int)
Chosen = TypeVar("Chosen", int, str)
Item = TypeVar("Item")

Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | int | None")
Pairs = TypeAliasType("Pairs", list[tuple[Item, Item]], type_params=(Item,))


untyped_alias: Any = TypeAliasType
untyped_variable: Any = DefaultTypeVar

Nothing = untyped_alias("Nothing", "Nothing")
Endless = untyped_alias("Endless", "Endless | int")
Broken = untyped_alias("Broken", "list[NotThere]")
WithDefault = untyped_variable("WithDefault", default=str)


@attrs.define
class Growing(Generic[Item]):
    more: Growing[list[Item]] | None = None


@attrs.define
class Tree:
    left: Tree | None = None
    right: Optional["Tree"] = None  # noqa: UP037, UP045
    leaves: list["Leaf"] = attrs.Factory(list)  # noqa: UP037


@attrs.define
class Leaf:
    tree: Tree | None = None
    weight: Annotated[int, "kilograms"] = 0
    limit: Final[int] = 5
    registry: ClassVar[int] = 7


@dataclasses.dataclass
class Cell(Generic[Bound, Chosen]):
    bound: Bound
    chosen: Chosen


class Linked(TypedDict):
    next: Linked | None


class Read(NewTypedDict):
    id: ReadOnly[int]
    note: NotRequired[ReadOnly[str]]


class TypedOnly:
    pass


@attrs.define
class Hidden:
    value: Fraction


@attrs.define
class Unparsable:
    value: "list[int"  # type: ignore[valid-type] # noqa: F722


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (UserId, 1),
        (AdminId, 1),
        (list[UserId], [1]),
        (Annotated[int, "positive"], 1),
        (Annotated[list[Annotated[int, []]], {}], [1]),
        (LiteralString, "a"),
        (Union[int, str], "a"),  # noqa: UP007
        (Json, {"a": [1, None, {"b": "c"}]}),
        (Json | float, [1, "a"]),
        (Endless, 1),
        (Pairs[int], [(1, 2)]),
        (dict[str, Pairs[str]], {"x": [("a", "b")]}),
        (Tree, Tree(Tree(), None, [Leaf(Tree(), 3)])),
        (Leaf, Leaf(Tree(leaves=[Leaf()]))),
        (Cell, Cell(1, "a")),
        (Cell[bool, int], Cell(True, 2)),
        (list[WithDefault], ["a"]),  # type: ignore[valid-type]
        (Linked, {"next": {"next": None}}),
        (Read, {"id": 1}),
    ],
)
def test_what_does_not_change_the_values_is_looked_through(annotation: Any, value: Any) -> None:
    """Aliases, NewTypes, Annotated, qualifiers and type variables stand for the type inside."""
    serde = json_serde(annotation)

    assert serde.deserialize(serde.serialize(value)) == value


def test_a_type_inside_of_a_wrapper_is_checked() -> None:
    """A NewType, a bound and a recursive alias are as strict as the type they stand for."""
    for annotation in (UserId, Cell, Json, Pairs[int]):
        with pytest.raises(SerializationError):
            json_serde(annotation).deserialize(b'{"bound":"x","chosen":1.5}')


def test_local_classes_are_found_while_their_function_runs() -> None:
    """Postponed annotations may name classes of the function that asks for the serde."""

    @attrs.define
    class Outer:
        inner: Inner
        others: list[Outer]

    @dataclasses.dataclass
    class Inner:
        value: int

    value = Outer(Inner(1), [Outer(Inner(2), [])])

    assert json_serde(Outer).deserialize(json_serde(Outer).serialize(value)) == value


def test_local_classes_are_not_confused_with_those_of_other_modules() -> None:
    """Only functions of the class's own module are looked into."""
    module = types.ModuleType("elsewhere")
    sys.modules["elsewhere"] = module
    try:
        exec(
            "from __future__ import annotations\nimport attrs\n"
            "@attrs.define\nclass Far:\n    value: Near\n",
            module.__dict__,
        )

        class Near:
            pass

        assert Near.__module__ == __name__
        with pytest.raises(DefinitionError, match="name 'Near' is not defined"):
            json_serde(module.Far)
    finally:
        del sys.modules["elsewhere"]


def test_a_name_that_cannot_be_found_is_refused_with_the_remedy() -> None:
    """Types imported only for type checkers do not exist when the program runs."""
    with pytest.raises(DefinitionError, match="outside of 'if TYPE_CHECKING'"):
        json_serde(Hidden)


def test_an_annotation_that_is_no_python_is_refused() -> None:
    """A syntax error in an annotation is told as one."""
    with pytest.raises(DefinitionError, match="an annotation of Unparsable cannot be evaluated"):
        json_serde(Unparsable)


@pytest.mark.parametrize("annotation", ["int", ForwardRef("int"), list["int"]])
def test_a_bare_string_is_refused(annotation: Any) -> None:
    """Nobody knows where its names are to be looked up."""
    with pytest.raises(DefinitionError, match="'int' is a string"):
        json_serde(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        TypedOnly,
        type[int],
        complex,
        range,
        list[TypedOnly],
        dict[str, TypedOnly],
        TypedOnly | None,
        tuple[int, *tuple[str, ...]],
        memoryview,
        3,
    ],
)
def test_what_cannot_be_written_is_refused_when_defined(annotation: Any) -> None:
    """A type without codec is a definition error that lists what there is, schema included."""
    with pytest.raises(DefinitionError, match=r"cannot be written as JSON|cannot be told"):
        json_serde(annotation)
    with pytest.raises(DefinitionError):
        json_schema(annotation)


def test_a_serde_is_made_once_per_type() -> None:
    """The second look-up is free."""
    assert json_serde(list[Tree]) is json_serde(list[Tree])
    assert repr(json_serde(list[Tree])) == "json_serde(list[Tree])"


@pytest.mark.parametrize("annotation", [Nothing, Growing[int], list[Nothing]])  # type: ignore[valid-type]
def test_a_type_that_never_ends_is_refused(annotation: Any) -> None:
    """A recursion without an end is a definition error, not a crash."""
    with pytest.raises(DefinitionError, match="refers to itself without end"):
        json_serde(annotation)


def test_an_alias_that_cannot_be_evaluated_is_refused() -> None:
    """The alias is named."""
    with pytest.raises(DefinitionError, match="the type alias Broken cannot be evaluated"):
        json_serde(Broken)


def test_a_local_type_works_when_its_function_has_returned() -> None:
    """What was found once is kept: for the explanation of errors and for the schema."""

    def make() -> Any:
        @attrs.define
        class Outer:
            inner: list[Inner]

        @attrs.define
        class Inner:
            value: int

        json_serde(Outer)
        return Outer

    outer = make()

    with pytest.raises(SerializationError, match=r"expected int at \$\.inner\[0\]\.value"):
        json_serde(outer).deserialize(b'{"inner":[{"value":"x"}]}')
    assert json_schema(outer)["properties"]["inner"]["items"] == {"$ref": "#/$defs/Inner"}
