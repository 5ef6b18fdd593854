"""Lists and the abstract sequences: JSON arrays of one type of items.

Owns ``list`` and what is read as one.

 1. A list comes back as a list. The abstract types (``Sequence``, ``Collection``, ``Iterable``)
    take a list or a tuple and always come back as a list.
 2. A list whose items are their own plain values is checked as a whole, without a call per
    item.
"""

from __future__ import annotations

import collections.abc
from itertools import repeat
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, get_args

from ._annotations import describe, origin_class
from ._codecs import Codec, Outline
from ._paths import Mismatch
from ._places import convert_items

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas

_ABSTRACT: Final = frozenset(
    {
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.MutableSequence,
        collections.abc.Sequence,
    }
)


def claims(annotation: Any) -> bool:
    origin = origin_class(annotation)
    return origin is list or origin in _ABSTRACT


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    classes = (list,) if origin_class(annotation) is list else (list, tuple)
    return Outline(name=describe(annotation), classes=classes, writes=frozenset({list}))


def codec(annotation: Any, compiler: Compiler) -> Codec:
    items = compiler.codec(_item_type(annotation))
    list_outline = outline(annotation, compiler)
    expected = list_outline.name
    taken: Any = list_outline.classes
    encode_items = item_encoder(items, compiler)
    decode_items = item_decoder(items, compiler)
    remedy = f"make it one, or annotate what it is, not {expected}"

    def encode(value: Any) -> list[Any]:
        if isinstance(value, taken):
            return encode_items(value)

        raise Mismatch(expected, value, remedy=remedy)

    def decode(data: Any, _: object = None) -> list[Any]:
        if data.__class__ is list:
            return decode_items(data)

        raise Mismatch(expected, data)

    return Codec(annotation, list_outline, encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return {"type": "array", "items": schemas.of(_item_type(annotation))}


def item_encoder(items: Codec, compiler: Compiler) -> Callable[[Collection[Any]], list[Any]]:
    """How the items of a collection that has a length are encoded, in its order."""
    one = items.encode

    def encode_each(value: Collection[Any]) -> list[Any]:
        return [one(item) for item in value]

    def encode_explaining(value: Collection[Any]) -> list[Any]:
        return convert_items(one, enumerate(value), items.annotation)

    each = encode_explaining if compiler.explaining else encode_each
    if items.verbatim is None:
        return each

    are_verbatim = verbatim_check(items.verbatim)

    def encode(value: Collection[Any]) -> list[Any]:
        if are_verbatim(value):
            return value if isinstance(value, list) else list(value)

        return each(value)

    return encode


def item_decoder(items: Codec, compiler: Compiler) -> Callable[[list[Any]], list[Any]]:
    """How the items of a JSON array are decoded. The array itself may be what is returned."""
    one = items.decode

    def decode_each(data: list[Any]) -> list[Any]:
        return list(map(one, data, repeat(None)))

    def decode_explaining(data: list[Any]) -> list[Any]:
        return convert_items(one, enumerate(data), items.annotation)

    each = decode_explaining if compiler.explaining else decode_each
    if items.verbatim is None:
        return each

    are_of_kind = frozenset({items.verbatim}).issuperset

    def decode(data: list[Any]) -> list[Any]:
        return data if are_of_kind(map(type, data)) else each(data)

    return decode


def verbatim_check(verbatim: type) -> Callable[[Any], bool]:
    """A function that says whether all of some values are plain values of that class."""
    are_of_kind: Callable[[Any], bool] = frozenset({verbatim}).issuperset

    def check(values: Any) -> bool:
        return are_of_kind(map(type, values))

    def check_floats(values: Any) -> bool:
        return are_of_kind(map(type, values)) and all(map(isfinite, values))

    return check_floats if verbatim is float else check


def _item_type(annotation: Any) -> Any:
    args = get_args(annotation)
    return args[0] if args else Any
