"""Codecs: how values of one type become plain JSON values, and how they come back.

Owns what a codec is and the ``Compiler`` that makes one for an annotation. How each kind of
type is written is the business of its *family*, a module of this package; all of them have
the four functions of ``Family``.

 1. ``decode(encode(value)) == value``, or one of the two raises ``Mismatch``. Nothing is
    converted silently that does not come back.
 2. Plain JSON values are None, bool, int, float, str, list and dict with str keys, of exactly
    these classes; a float is finite.
 3. A codec is made once per annotation and compiler. There are two compilers: the codecs of
    the quick one say only that a value does not fit, those of the explaining one say where.
    The second is used when the first has failed.
 4. A recursive type refers to itself through a codec that looks itself up when it is used.
"""

from __future__ import annotations

import threading
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard

import attrs

from durable_trio._exceptions import DefinitionError

from ._annotations import describe, peel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._schema import Schemas

Kind: TypeAlias = type
"""What a JSON value is, as the class that it is decoded to. ``int`` and ``float`` are two kinds."""

NULL: Final[Kind] = NoneType
KINDS: Final[frozenset[Kind]] = frozenset({NULL, bool, int, float, str, list, dict})

JsonSchema: TypeAlias = dict[str, Any]


def kind_of(value: Any) -> Kind:
    """The kind of a plain value."""
    return value.__class__  # type: ignore[no-any-return]


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a list, or of a subclass."""
    return isinstance(value, list)


def is_object(value: Any) -> TypeGuard[dict[Any, Any]]:
    """Whether it is a dict, or of a subclass."""
    return isinstance(value, dict)


def typed(value: Any) -> tuple[Kind, Any]:
    """A plain value as a key that tells 1, 1.0 and True apart."""
    return value.__class__, value


@attrs.frozen
class Members:
    """The keys of an object, as far as they tell one class from another in a union."""

    known: frozenset[str]
    required: frozenset[str]
    tags: Mapping[str, tuple[Any, ...]]
    """The plain values of those keys whose type is a Literal."""


@attrs.frozen
class Outline:
    """What is known of a type before its codec is made: enough to tell it from others."""

    name: str
    classes: tuple[type, ...]
    """The classes of its values."""
    writes: frozenset[Kind]
    reads: frozenset[Kind] = attrs.field(
        default=attrs.Factory(lambda self: self.writes, takes_self=True)
    )
    open: frozenset[Kind] = frozenset()
    """The kinds of which it takes every value."""
    also: tuple[type, ...] = ()
    """Classes that it takes as well, unless another member of a union has them."""
    is_literal: bool = False
    lengths: tuple[int, int | None] = (0, None)
    """The least and the largest length of its arrays."""
    members: Callable[[], Members] | None = None


@attrs.define(eq=False)
class Codec:
    """How the values of one type are written and read. Also what cattrs takes for the type."""

    annotation: Any
    outline: Outline
    encode: Callable[[Any], Any]
    # The second argument is the type that cattrs passes to every hook; codecs do not need it.
    decode: Callable[..., Any]
    verbatim: type | None = None
    """The class whose instances are their own plain value, if there is one. Floats: if finite."""


class Family(Protocol):
    """How the types of one kind are written. Every family is a module with these functions."""

    def claims(self, annotation: Any, /) -> bool:
        """Whether the peeled annotation belongs to this family."""
        ...

    def outline(self, annotation: Any, compiler: Compiler, /) -> Outline:
        """What is known of the type without making codecs of what it contains."""
        ...

    def codec(self, annotation: Any, compiler: Compiler, /) -> Codec:
        """Its codec. ``DefinitionError`` for what cannot be written so that it comes back."""
        ...

    def schema(self, annotation: Any, schemas: Schemas, /) -> JsonSchema:
        """What its codec reads, as a JSON Schema."""
        ...


@attrs.frozen(eq=False)
class FamilyTable:
    """The families in the order in which they are asked."""

    families: Sequence[Family]

    def find(self, annotation: Any, place: str = "") -> Family:
        """The family of a peeled annotation. ``DefinitionError`` if there is none."""
        for family in self.families:
            if family.claims(annotation):
                return family

        raise DefinitionError(
            f"{place}{describe(annotation)} cannot be written as JSON. Supported are None, bool, "
            "int, float, str, bytes, datetimes, Decimal, UUID, Path, enums, Literal, list, tuple, "
            "set, dict, unions, attrs classes, dataclasses, TypedDict, NamedTuple, pydantic "
            "models and msgspec Structs. For another type write a Serde and annotate the value "
            "with Annotated[..., serde]"
        )


@attrs.define(eq=False)
class Compiler:
    """Makes the codecs of annotations, each once. Safe to use from several threads."""

    table: FamilyTable
    explaining: bool
    """Whether its codecs say where an error is."""
    _codecs: dict[object, Codec] = attrs.field(factory=dict[object, Codec], init=False)
    _pending: dict[object, None] = attrs.field(factory=dict[object, None], init=False)
    _fresh: list[object] = attrs.field(factory=list[object], init=False)
    _places: list[str] = attrs.field(factory=list[str], init=False)
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)

    def codec(self, annotation: Any, place: str | None = None) -> Codec:
        """The codec of an annotation. ``place`` is the field it was found in, for errors.

        ``DefinitionError`` if it cannot be written as JSON.
        """
        with self._lock, self._at(place):
            annotation = peel(annotation)
            key = _key(annotation)
            if key in self._codecs:
                return self._codecs[key]

            try:
                family = self.table.find(annotation, self._place)
                if key in self._pending:
                    return self._deferred(key, annotation, family)

                return self._make(key, annotation, family)
            except RecursionError:
                raise self.refuse(
                    f"{describe(annotation)} refers to itself without end; a recursive type needs "
                    "a class, a list or a dict in between"
                ) from None

    def outline(self, annotation: Any) -> Outline:
        """What is known of the type without making its codec."""
        annotation = peel(annotation)
        return self.table.find(annotation, self._place).outline(annotation, self)

    def refuse(self, message: str) -> DefinitionError:
        """An error that begins with the field in which the annotation is."""
        return DefinitionError(f"{self._place}{message}")

    def _make(self, key: object, annotation: Any, family: Family) -> Codec:
        self._pending[key] = None
        try:
            codec = self._codecs[key] = family.codec(annotation, self)
            self._fresh.append(key)
        except BaseException:
            # Codecs made meanwhile may refer to the one that could not be made.
            for fresh in self._fresh:
                self._codecs.pop(fresh, None)
            raise
        finally:
            del self._pending[key]
            if not self._pending:
                self._fresh.clear()
        return codec

    def _deferred(self, key: object, annotation: Any, family: Family) -> Codec:
        codecs = self._codecs

        def encode(value: Any) -> Any:
            return codecs[key].encode(value)

        def decode(data: Any, _: object = None) -> Any:
            return codecs[key].decode(data)

        return Codec(annotation, family.outline(annotation, self), encode, decode)

    @property
    def _place(self) -> str:
        return f"{self._places[-1]}: " if self._places else ""

    def _at(self, place: str | None) -> _Place:
        return _Place(self._places, place)


@attrs.frozen(eq=False)
class _Place:
    """Names a place in error messages while it is entered."""

    _places: list[str]
    _name: str | None

    def __enter__(self) -> None:
        if self._name is not None:
            self._places.append(self._name)

    def __exit__(self, *exc_info: object) -> None:
        if self._name is not None:
            self._places.pop()


def _key(annotation: Any) -> object:
    try:
        hash(annotation)
    except TypeError:
        # The codec keeps the annotation, so that its id is not used again.
        return id(annotation)
    return annotation
