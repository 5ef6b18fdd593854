"""Sets and frozensets: JSON arrays, sorted.

Owns the order in which a set is written.

 1. Equal sets are written as equal bytes, whatever the order of their hashes was: strings
    and numbers in their own order, everything else in that of its JSON text.
"""

from __future__ import annotations

import collections.abc
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from ._annotations import describe, origin_class
from ._codecs import Codec, Outline
from ._paths import Mismatch
from ._sequences import item_decoder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas

_BUILT: Final[dict[Any, type[set[Any] | frozenset[Any]]]] = {
    set: set,
    frozenset: frozenset,
    collections.abc.MutableSet: set,
    collections.abc.Set: frozenset,
}


def claims(annotation: Any) -> bool:
    return origin_class(annotation) in _BUILT


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    origin = origin_class(annotation)
    classes = (set, frozenset) if origin is collections.abc.Set else (_BUILT[origin],)
    return Outline(name=describe(annotation), classes=classes, writes=frozenset({list}))


def codec(annotation: Any, compiler: Compiler) -> Codec:
    items = compiler.codec(_item_type(annotation))
    encode_item, decode_items = items.encode, item_decoder(items, compiler)
    set_outline = outline(annotation, compiler)
    expected = set_outline.name
    taken: Any = set_outline.classes
    build = _BUILT[origin_class(annotation)]

    def encode(value: Any) -> list[Any]:
        if isinstance(value, taken):
            return sorted_items([encode_item(item) for item in value])

        raise Mismatch(expected, value)

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ is not list:
            raise Mismatch(expected, data)

        items = decode_items(data)
        try:
            return build(items)
        except TypeError:
            raise Mismatch(f"hashable items for {expected}", data) from None

    return Codec(annotation, set_outline, encode, decode)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return {"type": "array", "items": schemas.of(_item_type(annotation)), "uniqueItems": True}


def sorted_items(items: Iterable[Any]) -> list[Any]:
    """Plain values in an order that depends on nothing but the values."""
    listed = list(items)
    kinds = set(map(type, listed))
    if kinds <= {str} or kinds <= {int, float}:
        return sorted(listed)

    return sorted(listed, key=msgspec.json.encode)


def _item_type(annotation: Any) -> Any:
    args = get_args(annotation)
    return args[0] if args else Any
