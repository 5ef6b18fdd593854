"""pydantic models and dataclasses, wherever they are nested.

Owns the way through pydantic's own JSON mode; what a model accepts is pydantic's business.

 1. pydantic is imported only when an annotation is one of its classes.
 2. What comes back must be able to: computed fields are not written, aliases are, and a field
    that does not hold what its type says is an error.
 3. Sets are sorted, as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_origin

import msgspec

from ._annotations import describe, is_class
from ._codecs import KINDS, Codec, Members, Outline, is_array, is_object, kind_of
from ._enums import literal_values
from ._paths import Mismatch, Missing, Rejected
from ._plain import encode_plain
from ._sets import sorted_items

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_class(annotation) and hasattr(annotation, "__pydantic_validator__")


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    if getattr(annotation, "__pydantic_root_model__", False):
        return Outline(describe(annotation), (annotation,), writes=KINDS, open=KINDS)

    return Outline(
        name=describe(annotation),
        classes=(annotation,),
        writes=frozenset({dict}),
        members=lambda: _members(annotation),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import PydanticSerializationError

    name = describe(annotation)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        adapter.rebuild()
        has_sets = _mentions_sets(adapter.core_schema, set())
    except Exception as exc:
        raise compiler.refuse(f"pydantic cannot use {name}: {exc}") from exc

    def encode(value: Any) -> Any:
        if value.__class__ is not annotation:
            raise Mismatch(name, value, remedy=f"annotate {type(value).__name__}")

        try:
            plain = adapter.dump_python(
                value, mode="json", by_alias=True, round_trip=True, warnings="error"
            )
            if has_sets:
                shape = adapter.dump_python(value, by_alias=True, round_trip=True)
                plain = _with_sorted_sets(shape, plain)
        except PydanticSerializationError as exc:
            raise Rejected(f"{name} is refused by pydantic ({exc})", value) from exc

        return encode_plain(plain)

    def decode(data: Any, _: object = None) -> Any:
        try:
            # Through JSON, because pydantic reads it differently from Python values.
            return adapter.validate_json(msgspec.json.encode(data))
        except ValidationError as exc:
            raise _rejection(exc, annotation) from exc

    return Codec(annotation, outline(annotation, compiler), encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return schemas.adopt(adapter.json_schema(), annotation.__name__)


def _members(annotation: Any) -> Members:
    fields = {_key(name, field): field for name, field in annotation.__pydantic_fields__.items()}
    return Members(
        known=frozenset(fields),
        required=frozenset(key for key, field in fields.items() if field.is_required()),
        tags={
            key: literal_values(field.annotation)
            for key, field in fields.items()
            if get_origin(field.annotation) is Literal
        },
    )


def _key(name: str, field: Any) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name


def _rejection(error: ValidationError, annotation: Any) -> Exception:
    from cattrs.errors import IterableValidationError

    details = error.errors(include_url=False, include_context=False)
    return IterableValidationError(
        "refused by pydantic",
        [
            Missing(detail["loc"])
            if detail["type"] == "missing"
            else Rejected(detail["msg"], detail["input"], trail=detail["loc"])
            for detail in details
        ],
        annotation,  # pyright: ignore[reportCallIssue]
    )


def _mentions_sets(core_schema: Any, seen: set[int]) -> bool:
    if id(core_schema) in seen:
        return False

    seen.add(id(core_schema))
    if is_object(core_schema):
        # What is declared as anything may hold a set as well.
        return core_schema.get("type") in {"set", "frozenset", "any"} or any(
            _mentions_sets(inner, seen) for inner in core_schema.values()
        )

    return kind_of(core_schema) in {list, tuple} and any(
        _mentions_sets(inner, seen) for inner in core_schema
    )


def _with_sorted_sets(shape: Any, plain: Any) -> Any:
    """``plain`` with the arrays sorted that are sets in ``shape``, the same dump in Python mode."""
    if is_array(plain) and kind_of(shape) in {set, frozenset}:
        # Their order differs between the dumps, so what is nested is sorted by itself.
        nested = any(kind_of(member) is frozenset for member in shape)
        return sorted_items(map(sorted_items, plain) if nested else plain)

    if is_array(plain) and kind_of(shape) in {list, tuple}:
        return list(map(_with_sorted_sets, shape, plain))

    if is_object(plain) and is_object(shape):
        values = map(_with_sorted_sets, shape.values(), plain.values())
        return dict(zip(plain, values, strict=True))

    return plain
