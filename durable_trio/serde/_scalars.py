"""None, bool, int, float and str: what JSON has itself.

Owns their strictness. A subclass (an ``IntEnum``, a ``numpy.float64``) is written as its base
class, because it equals that.

 1. Nothing is coerced when reading, except that an integer is taken for a float.
 2. A float is finite, and an int given for a float must be one exactly: JSON would turn
    NaN into null, and rounding is not a round trip.
"""

from __future__ import annotations

from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any

import attrs

from ._annotations import is_class
from ._codecs import NULL, Codec, Outline
from ._paths import Mismatch

if TYPE_CHECKING:
    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_class(annotation) and annotation in _CODECS


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return _CODECS[annotation].outline


def codec(annotation: Any, _compiler: Compiler) -> Codec:
    return _CODECS[annotation]


def schema(annotation: Any, _schemas: Schemas) -> JsonSchema:
    return {"type": _SCHEMA_TYPES[annotation]}


def _none(value: Any, _: object = None) -> None:
    if value is not None:
        raise Mismatch("null", value)


def _bool(value: Any, _: object = None) -> bool:
    if value is True or value is False:
        return value

    raise Mismatch("bool", value)


def encode_int(value: Any) -> int:
    """The plain int. ``Mismatch`` for a bool and for anything else that is no int."""
    if value.__class__ is int:
        return value

    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)

    raise Mismatch("int", value)


def _decode_int(data: Any, _: object = None) -> int:
    if data.__class__ is int:
        return data

    raise Mismatch("int", data)


def encode_float(value: Any) -> float:
    """The plain float. ``Mismatch`` unless it is finite, or an int that is one exactly."""
    if isinstance(value, float):
        if isfinite(value):
            return value if value.__class__ is float else float.__float__(value)

        raise Mismatch(
            "a finite float",
            value,
            remedy="JSON has no NaN and no infinity; use None, or Decimal, which has both",
        )

    if isinstance(value, int) and not isinstance(value, bool):
        return _exact_float(value)

    raise Mismatch("float", value)


def _exact_float(value: int) -> float:
    try:
        exact = float(value)
    except OverflowError:
        exact = 0.0
    if exact != value:
        raise Mismatch("float", value, remedy="it would be rounded; annotate int")

    return exact


def _decode_float(data: Any, _: object = None) -> float:
    if data.__class__ is float:
        return data

    if data.__class__ is int:
        try:
            return float(data)
        except OverflowError:
            raise Mismatch("float", data) from None

    raise Mismatch("float", data)


def encode_str(value: Any) -> str:
    """The plain str."""
    if value.__class__ is str:
        return value

    if isinstance(value, str):
        return str.__str__(value)

    raise Mismatch("str", value)


def _decode_str(data: Any, _: object = None) -> str:
    if data.__class__ is str:
        return data

    raise Mismatch("str", data)


def _outline(scalar: type, name: str) -> Outline:
    return Outline(
        name=name,
        classes=(scalar,),
        writes=frozenset({scalar}),
        open=frozenset({scalar}),
    )


_CODECS: dict[Any, Codec] = {
    NoneType: Codec(NoneType, _outline(NULL, "None"), _none, _none, verbatim=NoneType),
    bool: Codec(bool, _outline(bool, "bool"), _bool, _bool, verbatim=bool),
    int: Codec(int, _outline(int, "int"), encode_int, _decode_int, verbatim=int),
    str: Codec(str, _outline(str, "str"), encode_str, _decode_str, verbatim=str),
    float: Codec(
        float,
        attrs.evolve(_outline(float, "float"), reads=frozenset({int, float}), also=(int,)),
        encode_float,
        _decode_float,
        verbatim=float,
    ),
}

_SCHEMA_TYPES: dict[Any, str] = {
    NoneType: "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
}
