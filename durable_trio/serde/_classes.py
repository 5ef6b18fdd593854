"""attrs classes and dataclasses: JSON objects with one key per field.

Owns what surrounds the code that cattrs generates for each class. cattrs sees a codec where
it expects a field's type.

 1. A subclass instance is refused where its base class is annotated: its own fields would
    be lost.
 2. Every field is written, whatever its value. Unknown keys are ignored when reading, and
    fields with a default may be missing.
 3. Validators and converters of the class run when reading; their errors name the object.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import attrs

from ._annotations import describe, origin_class
from ._codecs import Codec, Outline
from ._members import (
    check_reconstructable,
    class_doc,
    class_fields,
    is_attrs_class,
    is_dataclass,
    members_of,
)
from ._paths import Mismatch
from ._places import convert_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import cattrs

    from ._codecs import Compiler, JsonSchema
    from ._members import ClassField
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_attrs_class(annotation) or is_dataclass(annotation)


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return Outline(
        name=describe(annotation),
        classes=(origin_class(annotation),),
        writes=frozenset({dict}),
        members=lambda: members_of(class_fields(annotation)),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    problem = check_reconstructable(annotation)
    if problem is not None:
        raise compiler.refuse(problem)

    name = describe(annotation)
    fields = class_fields(annotation)
    if len({field.key for field in fields}) != len(fields):
        raise compiler.refuse(f"two fields of {name} have the same name in JSON; change an alias")

    codecs = {field.key: compiler.codec(field.type, f"{name}.{field.name}") for field in fields}
    return Codec(
        annotation,
        outline(annotation, compiler),
        _encoder(annotation, fields, codecs, compiler),
        _decoder(annotation, fields, codecs, compiler),
    )


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return schemas.define(annotation, lambda: _object_schema(annotation, schemas))


def _encoder(
    annotation: Any, fields: Sequence[ClassField], codecs: dict[str, Codec], compiler: Compiler
) -> Callable[[Any], dict[str, Any]]:
    origin, name = origin_class(annotation), describe(annotation)
    names = {field.key: field.name for field in fields}
    encoders = {key: codec.encode for key, codec in codecs.items()}

    def dump_explaining(value: Any) -> dict[str, Any]:
        return convert_fields(encoders, lambda key: getattr(value, names[key]), annotation)

    dump: Callable[[Any], dict[str, Any]] = (
        dump_explaining if compiler.explaining else _generated_dump(origin, fields, codecs)
    )

    def encode(value: Any) -> dict[str, Any]:
        if value.__class__ is origin:
            return dump(value)

        raise Mismatch(name, value, remedy=_remedy(value, origin))

    return encode


def _remedy(value: object, origin: type) -> str:
    if not isinstance(value, origin):
        return ""

    return f"its own fields would be lost: annotate {type(value).__name__}, or a union with it"


def _decoder(
    annotation: Any, fields: Sequence[ClassField], codecs: dict[str, Codec], compiler: Compiler
) -> Callable[..., Any]:
    name = describe(annotation)
    taken = [field for field in fields if field.init]
    late = {field.key: field.name for field in fields if not field.init}
    load = _generated_load(origin_class(annotation), taken, codecs, compiler)

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ is dict:
            return load(data)

        raise Mismatch(name, data)

    def decode_all(data: Any, _: object = None) -> Any:
        instance = decode(data)
        present = {key: codecs[key].decode for key in late if key in data}
        values = convert_fields(present, data.__getitem__, annotation)
        for key, value in values.items():
            # A frozen class has no other way, and these are set after construction anyway.
            object.__setattr__(instance, late[key], value)
        return instance

    return decode_all if late else decode


def _generated_dump(
    origin: Any, fields: Sequence[ClassField], codecs: dict[str, Codec]
) -> Callable[[Any], dict[str, Any]]:
    from cattrs.gen import (
        make_dict_unstructure_fn_from_attrs,  # pyright: ignore[reportUnknownVariableType]
    )

    return make_dict_unstructure_fn_from_attrs(
        [_attribute(field, field.name, codecs) for field in fields],
        origin,
        _generator(),
        _cattrs_use_linecache=False,
        _cattrs_use_alias=True,
        _cattrs_include_init_false=True,
    )


def _generated_load(
    origin: Any, fields: Sequence[ClassField], codecs: dict[str, Codec], compiler: Compiler
) -> Callable[[Any], Any]:
    from cattrs.gen import (
        make_dict_structure_fn_from_attrs,  # pyright: ignore[reportUnknownVariableType]
    )

    return make_dict_structure_fn_from_attrs(
        [_attribute(field, field.key, codecs) for field in fields],
        origin,
        _generator(),
        # Only names a generated function: the types of the fields are bound already.
        typevar_map={
            variable.__name__: object for variable in getattr(origin, "__parameters__", ())
        },
        _cattrs_forbid_extra_keys=False,
        _cattrs_use_linecache=False,
        _cattrs_prefer_attrib_converters=False,
        _cattrs_detailed_validation=compiler.explaining,
        _cattrs_use_alias=True,
    )


@attrs.frozen(eq=False)
class _Attribute:
    """What cattrs reads of an ``attrs.Attribute``, for fields of any class."""

    name: str
    alias: str
    type: Codec
    default: Any
    init: bool
    kw_only: bool
    converter: None = None


def _attribute(field: ClassField, name: str, codecs: dict[str, Codec]) -> attrs.Attribute[Any]:
    attribute = _Attribute(
        name=name,
        alias=field.key,
        type=codecs[field.key],
        # Whether there is one is all that matters: defaults are neither omitted nor filled in.
        default=attrs.NOTHING if field.required else None,
        init=field.init,
        kw_only=field.kw_only,
    )
    return cast("attrs.Attribute[Any]", attribute)


@functools.cache
def _generator() -> cattrs.Converter:
    from cattrs import Converter

    converter = Converter()
    converter.register_unstructure_hook_factory(_is_codec, _encode_of)
    converter.register_structure_hook_factory(_is_codec, _decode_of)
    return converter


def _is_codec(type_: object) -> bool:
    return isinstance(type_, Codec)


def _encode_of(codec: Any) -> Callable[[Any], Any]:
    return cast("Codec", codec).encode


def _decode_of(codec: Any) -> Callable[..., Any]:
    return cast("Codec", codec).decode


def _object_schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    fields = class_fields(annotation)
    doc = class_doc(annotation)
    properties: dict[str, JsonSchema] = {}
    for field in fields:
        properties[field.key] = schemas.with_default(field.type, *field.defaults)
    required = [field.key for field in fields if field.required]
    return {
        "type": "object",
        **({"description": doc} if doc else {}),
        "properties": properties,
        **({"required": required} if required else {}),
    }
