"""Unions: one of several types.

Owns how a member is chosen, for a Python value and for a JSON value, and which unions are
refused because JSON cannot tell their members apart.

 1. A Python value is written by the member of its own class; where several have that class
    (``list[int] | list[str]``), by the first that takes it.
 2. A JSON value is read by the member that is written as its kind. Among several objects the
    value of a common Literal field decides, or else the keys. Among several of another kind,
    the first member that takes it does. The order of the members does not matter.
 3. Where the first that takes it could be another than the one that wrote it, writing reads
    back at once, and refuses a value that would come back as something else.
 4. A union in which that would be the rule is refused when it is defined.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, get_args

import attrs

from ._annotations import alias_value, describe, is_alias, is_union, peel
from ._codecs import KINDS, NULL, Codec, Kind, Outline, kind_of
from ._objects import ObjectChoice
from ._paths import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ._codecs import Compiler, JsonSchema
    from ._schema import Schemas


def claims(annotation: Any) -> bool:
    return is_union(annotation)


def outline(annotation: Any, compiler: Compiler) -> Outline:
    outlines = [compiler.outline(member) for member in _members(annotation)]
    return Outline(
        name=describe(annotation),
        classes=tuple(class_ for each in outlines for class_ in each.classes),
        writes=frozenset[Kind]().union(*(each.writes for each in outlines)),
        reads=frozenset[Kind]().union(*(each.reads for each in outlines)),
        open=frozenset[Kind]().union(*(each.open for each in outlines)),
        also=tuple(class_ for each in outlines for class_ in each.also),
    )


def codec(annotation: Any, compiler: Compiler) -> Codec:
    members = [compiler.codec(member) for member in _members(annotation)]
    union_outline = outline(annotation, compiler)
    others = [member for member in members if member.annotation is not NULL]
    if any(member.annotation is Any for member in others):
        if len(others) > 1:
            raise compiler.refuse(f"{union_outline.name}: nothing can be told from Any; drop one")

        return attrs.evolve(others[0], annotation=annotation)

    if len(others) == 1 and len(members) > 1:
        return _optional_codec(annotation, union_outline, others[0])

    return _union_codec(annotation, union_outline, members, compiler)


def schema(annotation: Any, schemas: Schemas) -> JsonSchema:
    return {"anyOf": [schemas.of(member) for member in _members(annotation)]}


def _members(annotation: Any) -> list[Any]:
    # typing takes unions for equal whatever the order, so the order must not matter.
    return sorted(dict.fromkeys(_flattened(annotation, ())), key=_rank)


def _rank(member: Any) -> tuple[bool, str, str]:
    # A float takes an int, so int is asked first. None comes last in a schema.
    name = describe(member).replace("float", "number")
    return member is NULL, name, str(getattr(member, "__module__", ""))


def _flattened(annotation: Any, seen: tuple[Any, ...]) -> Iterator[Any]:
    for arg in get_args(annotation):
        member = peel(arg)
        value = peel(alias_value(member)) if is_alias(member) else member
        if not is_union(value):
            yield member
        elif member not in seen:
            yield from _flattened(value, (*seen, member))


def _optional_codec(annotation: Any, union_outline: Outline, member: Codec) -> Codec:
    encode_member, decode_member = member.encode, member.decode

    def encode(value: Any) -> Any:
        return None if value is None else encode_member(value)

    def encode_checked(value: Any) -> Any:
        written = encode(value)
        if written is None and value is not None:
            raise Mismatch("a value that JSON can tell from None", value)

        return written

    def decode(data: Any, _: object = None) -> Any:
        return None if data is None else decode_member(data)

    may_be_null = NULL in member.outline.writes
    return Codec(annotation, union_outline, encode_checked if may_be_null else encode, decode)


def _union_codec(
    annotation: Any, union_outline: Outline, members: Sequence[Codec], compiler: Compiler
) -> Codec:
    name = union_outline.name
    objects = [member for member in members if dict in member.outline.writes]
    choice = ObjectChoice.of(name, objects, compiler) if len(objects) > 1 else None
    _refuse_indistinguishable(name, members, compiler)
    readers = {kind: _readers(kind, members) for kind in KINDS}
    doubtful = {
        kind for kind in KINDS - {dict} if sum(kind in m.outline.writes for m in members) > 1
    }
    writers: dict[type, list[Codec]] = {}

    def encode(value: Any) -> Any:
        class_ = value.__class__
        if class_ not in writers:
            writers[class_] = _writers(class_, members)
        member, written = _first(writers[class_], value, name)
        kind = kind_of(written)
        if kind in doubtful:
            back = decode(written)
            own_class = class_ in member.outline.classes
            if back != value or (own_class and back.__class__ is not class_):
                raise Mismatch(f"what JSON can tell apart in {name}", value)
        elif kind is dict and choice is not None and choice.choose(written) is not member:
            raise Mismatch(f"what JSON can tell apart in {name}", value)
        return written

    def decode(data: Any, _: object = None) -> Any:
        kind = data.__class__
        if kind is dict and choice is not None:
            return choice.choose(data).decode(data)

        return _read(readers.get(kind, ()), data, name)

    return Codec(annotation, union_outline, encode, decode)


def _first(writers: Sequence[Codec], value: Any, name: str) -> tuple[Codec, Any]:
    if len(writers) == 1:
        return writers[0], writers[0].encode(value)

    for member in writers:
        try:
            return member, member.encode(value)
        except Exception:  # noqa: S112 - the next member is asked
            continue

    raise Mismatch(name, value)


def _read(readers: Sequence[Callable[..., Any]], data: Any, name: str) -> Any:
    if len(readers) == 1:
        return readers[0](data)

    for read in readers:
        try:
            return read(data)
        except Exception:  # noqa: S112 - the next member is asked
            continue

    raise Mismatch(name, data)


def _readers(kind: Kind, members: Sequence[Codec]) -> list[Callable[..., Any]]:
    # Those that write the kind come first, and of them a Literal first: it takes less.
    ranked = sorted(
        (member for member in members if kind in member.outline.reads),
        key=lambda m: (
            kind not in m.outline.writes,
            kind in m.outline.open,
            not m.outline.is_literal,
        ),
    )
    return [member.decode for member in ranked]


def _writers(class_: type, members: Sequence[Codec]) -> list[Codec]:
    for level in (
        [m for m in members if class_ in m.outline.classes],
        [m for m in members if issubclass(class_, m.outline.classes)],
        [m for m in members if issubclass(class_, m.outline.also)],
    ):
        if level:
            return level

    return []


def _refuse_indistinguishable(name: str, members: Sequence[Codec], compiler: Compiler) -> None:
    for one, other in combinations((member.outline for member in members), 2):
        for kind in one.writes & other.writes - {dict}:
            if _indistinguishable(kind, one, other):
                raise compiler.refuse(
                    f"{name}: in JSON {one.name} cannot be told from {other.name}. Wrap them in "
                    "two classes with different fields, or make it one type"
                )


def _indistinguishable(kind: Kind, one: Outline, other: Outline) -> bool:
    if one.is_literal or other.is_literal:
        return False

    if kind is list:
        return one.classes != other.classes and _lengths_overlap(one, other)

    return kind in one.open | other.open


def _lengths_overlap(one: Outline, other: Outline) -> bool:
    (least, most), (other_least, other_most) = one.lengths, other.lengths
    return (most is None or other_least <= most) and (other_most is None or least <= other_most)
