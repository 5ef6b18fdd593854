"""TypedDicts: JSON objects that stay dicts.

Owns which of their keys may be missing, and the refusal of keys they do not declare.

 1. Only declared keys are written; another key is refused, because it would be lost.
    When reading, unknown keys are ignored, as for any object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ._annotations import describe
from ._codecs import Codec, Outline
from ._members import class_doc, class_fields, is_typed_dict, members_of
from ._paths import Mismatch
from ._places import convert_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_typed_dict(annotation)


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return Outline(
        name=describe(annotation),
        classes=(dict,),
        writes=frozenset({dict}),
        members=lambda: members_of(class_fields(annotation)),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    name = describe(annotation)
    fields = class_fields(annotation)
    codecs = {field.key: compiler.codec(field.type, f"{name}.{field.key}") for field in fields}
    required = {field.key for field in fields if field.required}

    def convert(converters: dict[str, Callable[[Any], Any]], value: dict[str, Any]) -> Any:
        present = {
            key: converter
            for key, converter in converters.items()
            if key in value or key in required
        }
        if compiler.explaining:
            return convert_fields(present, value.__getitem__, annotation)

        return {key: converter(value[key]) for key, converter in present.items()}

    encoders = {key: field.encode for key, field in codecs.items()}
    decoders = {key: field.decode for key, field in codecs.items()}

    def encode(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Mismatch(name, value)

        pairs = cast("dict[str, Any]", value)
        for key in pairs:
            if key not in codecs:
                raise Mismatch(f"no other keys than those of {name}", key, remedy="declare it")

        return convert(encoders, pairs)

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ is dict:
            return convert(decoders, data)

        raise Mismatch(name, data)

    return Codec(annotation, outline(annotation, compiler), encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return schemas.define(annotation, lambda: _object_schema(annotation, schemas))


def _object_schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    fields = class_fields(annotation)
    doc = class_doc(annotation)
    required = [field.key for field in fields if field.required]
    return {
        "type": "object",
        **({"description": doc} if doc else {}),
        "properties": {field.key: schemas.of(field.type) for field in fields},
        **({"required": required} if required else {}),
    }
