"""Tuples and NamedTuples: JSON arrays.

Owns their lengths. ``tuple[X, ...]`` has any length, ``tuple[X, Y]`` exactly its own, and a
NamedTuple may lack the last fields that have a default.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Unpack, get_args, get_origin

from ._annotations import bindings, describe, hints, is_class, origin_class, replace
from ._codecs import Codec, Outline
from ._paths import Mismatch
from ._places import convert_items
from ._sequences import item_decoder, item_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    if _is_named(annotation):
        return True

    return origin_class(annotation) is tuple and not any(map(_is_unpacked, get_args(annotation)))


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return Outline(
        name=describe(annotation),
        classes=(origin_class(annotation),),
        writes=frozenset({list}),
        lengths=_lengths(annotation),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    if not _is_named(annotation) and _lengths(annotation)[1] is None:
        return _uniform_codec(annotation, compiler)

    return _fixed_codec(annotation, compiler)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    least, most = _lengths(annotation)
    if most is None:
        return {"type": "array", "items": schemas.of(_repeated_type(annotation))}

    fixed: JsonSchema = {"type": "array", "minItems": least, "maxItems": most}
    items = [schemas.of(type_) for type_ in _item_types(annotation)]
    return {**fixed, "prefixItems": items, "items": False} if items else fixed


def _is_named(annotation: Any) -> bool:
    origin = origin_class(annotation)
    return hasattr(origin, "_fields") and issubclass(origin, tuple)


def _is_unpacked(arg: Any) -> bool:
    return get_origin(arg) is Unpack or getattr(arg, "__unpacked__", False)


def _lengths(annotation: Any) -> tuple[int, int | None]:
    if _is_named(annotation):
        origin = origin_class(annotation)
        return len(origin._fields) - len(origin._field_defaults), len(origin._fields)

    args = get_args(annotation)
    if is_class(annotation) or args[-1:] == (Ellipsis,):
        return 0, None

    return len(args), len(args)


def _repeated_type(annotation: Any) -> Any:
    args = get_args(annotation)
    return args[0] if args else Any


def _item_types(annotation: Any) -> list[Any]:
    if not _is_named(annotation):
        return list(get_args(annotation))

    origin = origin_class(annotation)
    annotated, bound = hints(origin), bindings(annotation)[origin]
    return [replace(annotated.get(name, Any), bound) for name in origin._fields]


def _uniform_codec(annotation: Any, compiler: Compiler) -> Codec:
    items = compiler.codec(_repeated_type(annotation))
    tuple_outline = outline(annotation, compiler)
    encode_items = item_encoder(items, compiler)
    decode_items = item_decoder(items, compiler)

    def encode(value: Any) -> list[Any]:
        _check_tuple(value, tuple_outline.name)
        return encode_items(value)

    def decode(data: Any, _: object = None) -> tuple[Any, ...]:
        if data.__class__ is list:
            return tuple(decode_items(data))

        raise Mismatch(tuple_outline.name, data)

    return Codec(annotation, tuple_outline, encode, decode)


def _fixed_codec(annotation: Any, compiler: Compiler) -> Codec:
    origin = origin_class(annotation)
    tuple_outline = outline(annotation, compiler)
    least, most = _lengths(annotation)
    names = getattr(origin, "_fields", ())
    items = [
        compiler.codec(type_, None if name is None else f"{describe(origin)}.{name}")
        for name, type_ in zip_longest(names, _item_types(annotation))
    ]
    build = _maker(origin)
    length = f"{least}" if least == most else f"{least} to {most}"
    expected = f"{tuple_outline.name} (an array of {length})"
    encoders = [item.encode for item in items]
    decoders = [item.decode for item in items]

    def convert(converters: list[Callable[[Any], Any]], values: Any) -> list[Any]:
        pairs = zip(converters, values, strict=False)
        if compiler.explaining:
            return convert_items(lambda pair: pair[0](pair[1]), enumerate(pairs), annotation)

        return [converter(value) for converter, value in pairs]

    def encode(value: Any) -> list[Any]:
        if origin is tuple:
            _check_tuple(value, tuple_outline.name)
        elif value.__class__ is not origin:
            raise Mismatch(tuple_outline.name, value)

        if len(value) != most:
            raise Mismatch(f"{tuple_outline.name} of {most} items", value)

        return convert(encoders, value)

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ is list and least <= len(data) <= len(decoders):
            return build(convert(decoders, data))

        raise Mismatch(expected, data)

    return Codec(annotation, tuple_outline, encode, decode)


def _maker(origin: Any) -> Callable[[list[Any]], Any]:
    if origin is tuple:
        return tuple

    return lambda items: origin(*items)


def _check_tuple(value: Any, expected: str) -> None:
    if value.__class__ is tuple:
        return

    if not issubclass(value.__class__, tuple):
        raise Mismatch(expected, value, remedy="make it a tuple, or annotate what it is")

    if hasattr(value, "_fields"):
        raise Mismatch(expected, value, remedy="it would lose its class: annotate that")
