"""Dicts: JSON objects.

Owns their values; how keys become strings is the business of ``_keys``.

 1. The order of the items is kept.
 2. Keys that become one, when they are written or when they are read, are refused: one of
    them would be lost.
"""

from __future__ import annotations

import collections.abc
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, get_args

from ._annotations import describe, origin_class, peel
from ._codecs import Codec, Outline, is_object
from ._keys import TEXT_KEYS, key_codec
from ._paths import UNKNOWN_STEP, Mismatch
from ._places import convert_items
from ._plain import encode_plain
from ._sequences import verbatim_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas

_TAKEN: Final = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})


def claims(annotation: Any) -> bool:
    return origin_class(annotation) in _TAKEN


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    kinds = frozenset({dict})
    return Outline(name=describe(annotation), classes=(dict,), writes=kinds, open=kinds)


def codec(annotation: Any, compiler: Compiler) -> Codec:
    key_type, value_type = _types(annotation)
    keys = key_codec(key_type, annotation, compiler)
    values = compiler.codec(value_type)
    dict_outline = outline(annotation, compiler)
    if keys is TEXT_KEYS and values.annotation is Any:
        return _plain_codec(annotation, dict_outline)

    encode_values = _values_encoder(values, compiler)
    decode_values = _values_decoder(values, compiler)
    convert_keys = _explained_keys if compiler.explaining else _quick_keys

    def encode(value: Any) -> dict[str, Any]:
        if not is_object(value):
            raise Mismatch(dict_outline.name, value, remedy="make it a dict")

        written = convert_keys(keys.encode, value)
        encoded = dict(zip(written, encode_values(value), strict=True))
        if len(encoded) != len(value):
            raise Mismatch("keys that differ when they are written", value)

        return encoded

    def decode(data: Any, _: object = None) -> dict[Any, Any]:
        if data.__class__ is not dict:
            raise Mismatch(dict_outline.name, data)

        read: Iterable[Any] = data if keys is TEXT_KEYS else convert_keys(keys.decode, data)
        decoded = dict(zip(read, decode_values(data), strict=True))
        if len(decoded) != len(data):
            raise Mismatch("keys that differ when they are read", data)

        return decoded

    return Codec(annotation, dict_outline, encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    key_type, value_type = _types(annotation)
    names = {"propertyNames": schemas.of(key_type)}
    is_special = key_type is not str and schemas.outline(key_type).writes == frozenset({str})
    return {
        "type": "object",
        **(names if is_special else {}),
        "additionalProperties": schemas.of(value_type),
    }


def _types(annotation: Any) -> tuple[Any, Any]:
    key_type, value_type = get_args(annotation) or (Any, Any)
    return peel(key_type), value_type


def _plain_codec(annotation: Any, dict_outline: Outline) -> Codec:
    def encode(value: Any) -> Any:
        if isinstance(value, dict):
            return encode_plain(value)

        raise Mismatch(dict_outline.name, value, remedy="make it a dict")

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ is dict:
            return data

        raise Mismatch(dict_outline.name, data)

    return Codec(annotation, dict_outline, encode, decode)


def _values_encoder(values: Codec, compiler: Compiler) -> Callable[[dict[Any, Any]], list[Any]]:
    one = values.encode

    def encode_explaining(pairs: dict[Any, Any]) -> list[Any]:
        steps = [(_step(key), value) for key, value in pairs.items()]
        return convert_items(one, steps, values.annotation)

    def encode_each(pairs: dict[Any, Any]) -> list[Any]:
        return [one(value) for value in pairs.values()]

    each = encode_explaining if compiler.explaining else encode_each
    if values.verbatim is None:
        return each

    are_verbatim = verbatim_check(values.verbatim)

    def encode(pairs: dict[Any, Any]) -> list[Any]:
        return list(pairs.values()) if are_verbatim(pairs.values()) else each(pairs)

    return encode


def _values_decoder(values: Codec, compiler: Compiler) -> Callable[[dict[str, Any]], list[Any]]:
    one = values.decode

    def decode_explaining(data: dict[str, Any]) -> list[Any]:
        return convert_items(one, data.items(), values.annotation)

    def decode_each(data: dict[str, Any]) -> list[Any]:
        return list(map(one, data.values(), repeat(None)))

    each = decode_explaining if compiler.explaining else decode_each
    if values.verbatim is None:
        return each

    are_of_kind = frozenset({values.verbatim}).issuperset

    def decode(data: dict[str, Any]) -> list[Any]:
        return list(data.values()) if are_of_kind(map(type, data.values())) else each(data)

    return decode


def _quick_keys(convert: Callable[[Any], Any], keys: Iterable[Any]) -> list[Any]:
    return list(map(convert, keys))


def _explained_keys(convert: Callable[[Any], Any], keys: Iterable[Any]) -> list[Any]:
    return convert_items(convert, [(_step(key), key) for key in keys], "a key")


def _step(key: object) -> str:
    try:
        return str(key)
    except Exception:
        return UNKNOWN_STEP
