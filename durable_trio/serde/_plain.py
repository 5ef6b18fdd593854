"""``Any`` and values without annotation: plain JSON.

Owns the check that a value really is plain, which also guards what other libraries hand us.

 1. Whatever comes back as something else is refused, with the remedy: a tuple would come
    back as a list, a UUID as a str, a key 1 as "1", an object as a dict.
 2. A subclass of str, int, float, list or dict equals its base class and is written as that.
"""

from __future__ import annotations

from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

from ._codecs import KINDS, Codec, Outline, is_array, is_object
from ._paths import Mismatch
from ._scalars import encode_float

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._codecs import Compiler, JsonSchema
    from ._paths import Step
    from ._schema import Schemas

_ATOMS: Final = frozenset({NoneType, bool, int, str})
_ALL_ATOMS: Final = _ATOMS.issuperset
_ALL_STR: Final = frozenset({str}).issuperset
_OUTLINE: Final = Outline(name="Any", classes=(object,), writes=KINDS, open=KINDS)


def claims(annotation: Any) -> bool:
    return annotation is Any


def outline(_annotation: Any, _compiler: Compiler) -> Outline:
    return _OUTLINE


def codec(annotation: Any, _compiler: Compiler) -> Codec:
    return Codec(annotation, _OUTLINE, encode_plain, _decode)


def schema(_annotation: Any, _schemas: Schemas) -> JsonSchema:
    return {}


def encode_plain(value: Any) -> Any:
    """The value itself if it is plain JSON, or what equals it and is. Else ``Mismatch``."""
    return value if _is_plain(value) else _plain(value, ())


def _decode(data: Any, _: object = None) -> Any:
    return data


def _is_plain(value: Any) -> bool:
    kind = value.__class__
    items: Iterable[Any]
    if kind is dict:
        if not _ALL_STR(map(type, value)):
            return False

        items = value.values()
    elif kind is list:
        items = value
    elif kind is float:
        return isfinite(value)
    else:
        return kind in _ATOMS

    # The loop in Python is left to what contains more than atoms.
    if _ALL_ATOMS(map(type, items)):
        return True

    return all(item.__class__ in _ATOMS or _is_plain(item) for item in items)


def _plain(value: Any, path: tuple[Step, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value

    if isinstance(value, str):
        return str.__str__(value)

    if isinstance(value, int):
        return int.__int__(value)

    if isinstance(value, float):
        try:
            return encode_float(value)
        except Mismatch as mismatch:
            raise Mismatch(mismatch.expected, value, remedy=mismatch.remedy, trail=path) from None

    if is_array(value):
        return [_plain(item, (*path, index)) for index, item in enumerate(value)]

    if is_object(value):
        return {_plain_key(key, path): _plain(item, (*path, key)) for key, item in value.items()}

    if issubclass(value.__class__, tuple):
        remedy = "it would come back as a list: make it one, or annotate tuple[...]"
    else:
        remedy = "annotate its type, so that it can come back as what it is"
    raise Mismatch("plain JSON", value, remedy=remedy, trail=path)


def _plain_key(key: object, path: tuple[Step, ...]) -> str:
    if isinstance(key, str):
        return str.__str__(key)

    raise Mismatch(
        "str keys",
        key,
        remedy="JSON has no other keys; annotate dict[int, ...] or whatever they are",
        trail=path,
    )
