"""JSON Schema of everything that ``json_serde`` reads."""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import pytest
from jsonschema import Draft202012Validator
from typing_extensions import TypeAliasType

from durable_trio.serde import bytes_serde, json_schema

T = TypeVar("T")
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | None")

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Access(enum.Flag):
    READ = enum.auto()


class Point(NamedTuple):
    x: int
    y: int = 0


class Row(TypedDict):
    """One row."""

    id: int
    note: NotRequired[str]


@dataclasses.dataclass
class Account:
    owner: str
    balance: Decimal = Decimal(0)
    history: list[int] = dataclasses.field(default_factory=list)


@attrs.define
class Report:
    """What was found.

    In two paragraphs.
    """

    name: str
    color: Color = Color.RED
    points: tuple[Point, ...] = ()
    made: dt.date | None = None
    size: int = attrs.field(init=False, default=0)
    sender: str = attrs.field(default="me", alias="from_", kw_only=True)


@attrs.define
class Sentinel:
    value: int = "not an int"  # type: ignore[assignment]


@attrs.define
class Tree:
    children: list[Tree] = attrs.Factory(list)


@attrs.frozen
class Page(Generic[T]):
    items: list[T]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (None, {"type": "null"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (str, {"type": "string"}),
        (Any, {}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.time, {"type": "string", "format": "time"}),
        (dt.timedelta, {"type": "string", "format": "duration"}),
        (Decimal, {"type": ["string", "integer"]}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Path, {"type": "string"}),
        (Color, {"enum": ["red", "blue"]}),
        (Access, {"type": "integer"}),
        (Literal["a", 1, True], {"enum": ["a", 1, True]}),
        (Literal["a"], {"const": "a"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (list, {"type": "array", "items": {}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str],
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "items": False,
            },
        ),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (
            Point,
            {
                "type": "array",
                "minItems": 1,
                "maxItems": 2,
                "prefixItems": [{"type": "integer"}, {"type": "integer"}],
                "items": False,
            },
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (dict[int, Any], {"type": "object", "additionalProperties": {}}),
        (
            dict[dt.date, int],
            {
                "type": "object",
                "propertyNames": {"type": "string", "format": "date"},
                "additionalProperties": {"type": "integer"},
            },
        ),
        (int | str | None, {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}),
        (Annotated[int, "x"], {"type": "integer"}),
        (
            Annotated[object, bytes_serde],
            {
                "type": "string",
                "contentEncoding": "base64",
                "contentMediaType": "application/octet-stream",
            },
        ),
        (
            Row,
            {
                "type": "object",
                "description": "One row.",
                "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
                "required": ["id"],
            },
        ),
        (
            Account,
            {
                "type": "object",
                "properties": {
                    "owner": {"type": "string"},
                    "balance": {"type": ["string", "integer"], "default": "0"},
                    "history": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["owner"],
            },
        ),
        (Sentinel, {"type": "object", "properties": {"value": {"type": "integer"}}}),
        (
            Tree,
            {
                "$ref": "#/$defs/Tree",
                "$defs": {
                    "Tree": {
                        "type": "object",
                        "properties": {
                            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}
                        },
                    }
                },
            },
        ),
        (
            Page[int],
            {
                "type": "object",
                "properties": {"items": {"type": "array", "items": {"type": "integer"}}},
                "required": ["items"],
            },
        ),
        (
            tuple[Page[int], Page[Color]],
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "prefixItems": [{"$ref": "#/$defs/Page_int"}, {"$ref": "#/$defs/Page_Color"}],
                "items": False,
                "$defs": {
                    "Page_int": {
                        "type": "object",
                        "properties": {"items": {"type": "array", "items": {"type": "integer"}}},
                        "required": ["items"],
                    },
                    "Page_Color": {
                        "type": "object",
                        "properties": {
                            "items": {"type": "array", "items": {"$ref": "#/$defs/Color"}}
                        },
                        "required": ["items"],
                    },
                    "Color": {"enum": ["red", "blue"]},
                },
            },
        ),
    ],
)
def test_every_type_has_a_schema(annotation: Any, expected: dict[str, Any]) -> None:
    """The schema says exactly what is read; classes are defined once and referred to."""
    schema = json_schema(annotation)

    Draft202012Validator.check_schema(schema)
    assert schema == {"$schema": DIALECT, **expected}


def test_a_class_is_described_with_its_docstring_and_defaults() -> None:
    """Names are those of the arguments, and only what has no default is required."""
    schema = json_schema(Report)

    assert schema["description"] == "What was found.\n\nIn two paragraphs."
    assert schema["required"] == ["name"]
    assert list(schema["properties"]) == ["name", "color", "points", "made", "size", "from_"]
    assert schema["properties"]["color"] == {"$ref": "#/$defs/Color", "default": "red"}
    assert schema["properties"]["points"]["default"] == []
    assert schema["properties"]["made"]["default"] is None


def test_two_classes_of_one_name_get_two_definitions() -> None:
    """A definition never stands for another class of the same name."""

    def make(annotation: Any) -> Any:
        return attrs.make_class("Same", {"value": attrs.field(type=annotation)})

    schema = json_schema(tuple[make(int), make(str)])  # type: ignore[misc]

    assert schema["prefixItems"] == [{"$ref": "#/$defs/Same"}, {"$ref": "#/$defs/Same_2"}]
    assert schema["$defs"]["Same_2"]["properties"] == {"value": {"type": "string"}}


def test_a_recursive_alias_is_defined_once() -> None:
    """The alias refers to itself."""
    validator = Draft202012Validator(json_schema(Json))

    assert validator.is_valid({"a": [{"b": None}, "c"]})
    assert not validator.is_valid({"a": [{"b": 1}]})
