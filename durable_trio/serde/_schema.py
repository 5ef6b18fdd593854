"""JSON Schema (2020-12) of the types that ``json_serde`` reads.

Owns ``json_schema`` and the ``$defs``: which types get one, and under which name. What the
schema of a type is, is its family's business.

 1. Classes, enums and aliases are defined once and referred to. The outermost one is written
    in place, unless it refers to itself.
 2. Schemas are deterministic: the same annotation gives the same schema, in the same order.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from ._annotations import describe, peel
from ._codecs import is_array, is_object
from ._families import QUICK
from ._paths import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, JsonSchema, Outline

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/"


def json_schema(annotation: Any, /) -> dict[str, Any]:
    """The JSON Schema of what ``json_serde(annotation)`` reads.

    It describes every annotation that ``json_serde`` takes; ``Any`` allows everything.
    pydantic models and msgspec Structs describe themselves. ``DefinitionError`` for what
    cannot be written as JSON.
    """
    QUICK.codec(annotation)
    schemas = Schemas(QUICK)
    root = schemas.of(annotation)
    name = str(root.get("$ref", "")).removeprefix(_REF)
    if name in schemas.definitions and _count_refs(schemas.definitions, name) == 0:
        root = schemas.definitions.pop(name)
    definitions = {"$defs": schemas.definitions} if schemas.definitions else {}
    return {"$schema": _DIALECT, **root, **definitions}


@attrs.define(eq=False)
class Schemas:
    """The schemas of one document, and the definitions that they refer to."""

    _compiler: Compiler
    definitions: dict[str, JsonSchema] = attrs.field(factory=dict[str, Any], init=False)
    _names: dict[object, str] = attrs.field(factory=dict[object, str], init=False)

    def of(self, annotation: Any) -> JsonSchema:
        """The schema of an annotation, a reference where it has a definition."""
        annotation = peel(annotation)
        return self._compiler.table.find(annotation).schema(annotation, self)

    def outline(self, annotation: Any) -> Outline:
        """What is known of the type of an annotation."""
        return self._compiler.outline(annotation)

    def with_default(self, annotation: Any, *defaults: object) -> JsonSchema:
        """The schema of a field, with its default if it has one."""
        schema = self.of(annotation)
        # A default of another type is legal Python, and a sentinel is common.
        with contextlib.suppress(Mismatch):
            for default in defaults:
                schema = {**schema, "default": self._compiler.codec(annotation).encode(default)}
        return schema

    def define(self, annotation: Any, build: Callable[[], JsonSchema]) -> JsonSchema:
        """A reference to the definition of a type, which is built if it is not there yet."""
        if annotation not in self._names:
            name = self._names[annotation] = self._free_name(_name_of(annotation))
            # It holds the place while what it refers to is defined.
            self.definitions[name] = {}
            self.definitions[name] |= build()
        return {"$ref": _REF + self._names[annotation]}

    def adopt(self, foreign: JsonSchema, name: str) -> JsonSchema:
        """The schema that another library made, with its definitions among ours."""
        own = dict(foreign)
        inner = cast("dict[str, JsonSchema]", own.pop("$defs", {}))
        renamed: dict[str, str] = {}
        for key in inner:
            renamed[key] = self._free_name(key)
            self.definitions[renamed[key]] = {}
        for key, schema in inner.items():
            self.definitions[renamed[key]] |= _with_refs(schema, renamed)
        adopted = cast("JsonSchema", _with_refs(own, renamed))
        if "$ref" in adopted:
            return adopted

        name = self._free_name(name)
        self.definitions[name] = adopted
        return {"$ref": _REF + name}

    def _free_name(self, name: str) -> str:
        number, free = 1, name
        while free in self.definitions:
            number += 1
            free = f"{name}_{number}"
        return free


def _name_of(annotation: Any) -> str:
    return re.sub(r"\W+", "_", describe(annotation)).strip("_")


def _with_refs(schema: Any, renamed: dict[str, str]) -> Any:
    if is_object(schema):
        return {
            key: _REF + renamed.get(name, name)
            if key == "$ref" and (name := str(value).removeprefix(_REF)) != value
            else _with_refs(value, renamed)
            for key, value in schema.items()
        }

    if is_array(schema):
        return [_with_refs(item, renamed) for item in schema]

    return schema


def _count_refs(schema: Any, name: str) -> int:
    if is_object(schema):
        return int(schema.get("$ref") == _REF + name) + sum(
            _count_refs(value, name) for value in schema.values()
        )

    if is_array(schema):
        return sum(_count_refs(item, name) for item in schema)

    return 0
