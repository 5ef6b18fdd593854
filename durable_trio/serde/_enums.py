"""Enums and ``Literal``: a fixed set of values.

Owns how a member is written: by its value if all values of the enum are str, int, float, bool
or None, else by its name.

 1. Values are compared by type as well: 1, 1.0 and true are three different values.
 2. Reading asks the enum itself for a value it does not list, so that flags and
    ``_missing_`` work.
"""

from __future__ import annotations

import enum
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from ._annotations import describe, is_class
from ._codecs import Codec, Outline, kind_of, typed
from ._paths import Mismatch
from ._scalars import encode_float, encode_int, encode_str
from ._texts import encode_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas

_SHOWN_VALUES: Final = 10
_PLAIN: Final = (str, int, float, bool, NoneType)


def claims(annotation: Any) -> bool:
    return get_origin(annotation) is Literal or (
        is_class(annotation) and issubclass(annotation, enum.Enum)
    )


def outline(annotation: Any, _compiler: Compiler) -> Outline:
    return _literal_outline(annotation) if _is_literal(annotation) else _enum_outline(annotation)


def codec(annotation: Any, compiler: Compiler) -> Codec:
    if _is_literal(annotation):
        return _literal_codec(annotation)

    if not list(annotation) and not issubclass(annotation, enum.Flag):
        raise compiler.refuse(f"the enum {describe(annotation)} has no members")

    return _enum_codec(annotation)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    if _is_literal(annotation):
        values = literal_values(annotation)
        return {"const": values[0]} if len(values) == 1 else {"enum": list(values)}

    if issubclass(annotation, enum.Flag):
        return schemas.define(annotation, lambda: {"type": "integer"})

    return schemas.define(
        annotation, lambda: {"enum": [_member_value(member) for member in annotation]}
    )


def literal_values(annotation: Any) -> tuple[Any, ...]:
    """What the values of a ``Literal`` are written as."""
    return tuple(map(_literal_value, get_args(annotation)))


def _is_literal(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def _member_value(member: enum.Enum) -> Any:
    return _plain_value(member.value) if _by_value(type(member)) else member.name


def _plain_value(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value

    if isinstance(value, str):
        return encode_str(value)

    return encode_int(value) if isinstance(value, int) else encode_float(value)


def _by_value(annotation: type[enum.Enum]) -> bool:
    values = [member.value for member in annotation]
    return all(isinstance(value, _PLAIN) for value in values) and all(
        isfinite(value) for value in values if isinstance(value, float)
    )


def _enum_outline(annotation: type[enum.Enum]) -> Outline:
    if issubclass(annotation, enum.Flag):
        writes = frozenset[type]({int})
    else:
        writes = frozenset(kind_of(_member_value(member)) for member in annotation)
    return Outline(name=annotation.__qualname__, classes=(annotation,), writes=writes)


def _enum_codec(annotation: type[enum.Enum]) -> Codec:
    enum_outline = _enum_outline(annotation)
    written: dict[Any, Any] = {member: _member_value(member) for member in annotation}
    members = {typed(value): member for member, value in written.items()}
    if issubclass(annotation, enum.Flag):
        expected = f"{annotation.__name__} (an integer made of its flags)"
    else:
        expected = f"{annotation.__name__} ({_listed(list(written.values()))})"
    find = _finder(annotation, has_floats=float in enum_outline.writes)

    def encode(value: Any) -> Any:
        if not isinstance(value, annotation):
            raise Mismatch(annotation.__qualname__, value)

        # Combined flags are no members.
        return written[value] if value in written else encode_int(value.value)

    def decode(data: Any, _: object = None) -> Any:
        if data.__class__ in {list, dict}:
            raise Mismatch(expected, data)

        member = members.get(typed(data))
        if member is None:
            member = find(data)
        if member is None:
            raise Mismatch(expected, data)

        return member

    return Codec(annotation, enum_outline, encode, decode)


def _finder(annotation: type[enum.Enum], *, has_floats: bool) -> Callable[[Any], Any]:
    by_value = issubclass(annotation, enum.Flag) or _by_value(annotation)

    def find(data: Any) -> enum.Enum | None:
        if not by_value:
            return None

        try:
            member = annotation(data)
        except ValueError:
            return None

        # The enum itself compares with ==.
        value = member.value
        exact = kind_of(_plain_value(value)) is kind_of(data)
        as_float = has_floats and isinstance(value, float) and kind_of(data) is int
        return member if exact or as_float or value != data else None

    return find


def _literal_value(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _member_value(value)

    return encode_bytes(value) if isinstance(value, bytes) else value


def _literal_outline(annotation: Any) -> Outline:
    values = get_args(annotation)
    return Outline(
        name=describe(annotation),
        classes=tuple(dict.fromkeys(map(type, values))),
        writes=frozenset(kind_of(_literal_value(value)) for value in values),
        is_literal=True,
    )


def _literal_codec(annotation: Any) -> Codec:
    values = get_args(annotation)
    written = {typed(value): _literal_value(value) for value in values}
    read = {typed(_literal_value(value)): value for value in values}
    expected = _listed(list(written.values()))

    def encode(value: Any) -> Any:
        try:
            return written[typed(value)]
        except (KeyError, TypeError):
            raise Mismatch(expected, value) from None

    def decode(data: Any, _: object = None) -> Any:
        try:
            return read[typed(data)]
        except (KeyError, TypeError):
            raise Mismatch(expected, data) from None

    return Codec(annotation, _literal_outline(annotation), encode, decode)


def _listed(values: list[Any]) -> str:
    shown = [f'"{value}"' if isinstance(value, str) else _json_word(value) for value in values]
    if len(shown) > _SHOWN_VALUES:
        return f"{', '.join(shown[:_SHOWN_VALUES])}, ..."

    return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _json_word(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
