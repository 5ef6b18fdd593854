"""The fields of messages: protobuf's wire format, as far as the protocol needs it.

Owns bytes within one message. Which message has which fields is said by the tables in
``_messages.py`` and ``_entries.py``; where a message begins and ends, by ``_frames.py``.

 1. ``scan`` accepts what protobuf accepts: unknown fields are skipped, a scalar that is
    repeated counts once, the last time. Anything else is a ``ProtocolError``.
 2. A field whose value is empty or zero is not written, unless it is a member of a oneof.
 3. A ``Field`` writes and reads one attribute of one class; a table of them is a codec.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs

from durable_trio.abc import Failure, InvocationId, StateKeys, Value, Void

from ._errors import BAD_REQUEST, REMEDY, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_LONGEST_VARINT: Final = 63
_LARGEST: Final = (1 << 64) - 1
_MASK: Final = (1 << 32) - 1

_SMALL: Final = tuple(bytes([number]) for number in range(128))

Scanned: TypeAlias = "list[tuple[int, Any]]"
"""Tags (field number and wire type) and values, in the order of the bytes."""


_FIRST: Final = b"\x0a"
_SECOND: Final = b"\x12"
_FIRST_KEY: Final = 0x0A
_SECOND_KEY: Final = 0x12
"""The tags of the fields 1 and 2, as bytes and as numbers."""

_REQUIRED: Final = object()
"""The default of a field that has to be there."""


# -- writing


def varint(number: int) -> bytes:
    """A number from 0 to 2**64 - 1, seven bits a byte."""
    if number < 128:
        return _SMALL[number]

    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag_of(number: int, wire_type: int) -> bytes:
    """What a field begins with."""
    return varint(number << 3 | wire_type)


def _blob(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (_SMALL[size] if size < 128 else varint(size)) + content


# -- reading


def scan(data: bytes) -> Scanned:
    """The fields of a message. ``ProtocolError`` (400) for bytes that are none."""
    found: Scanned = []
    position, end = 0, len(data)
    try:
        while position < end:
            tag = data[position]
            position += 1
            if tag > 127:
                tag, position = _long_varint(data, position - 1)
            if tag < 8:
                raise ProtocolError("a message has a field with number 0", BAD_REQUEST)

            wire_type = tag & 7
            if wire_type in (_FIXED32, _FIXED64):
                # The protocol has none, so they are a later version's.
                position += 4 if wire_type == _FIXED32 else 8
                data[position - 1]  # raises if it is cut off
                continue

            value = data[position]
            position += 1
            if value > 127:
                value, position = _long_varint(data, position - 1)
            if wire_type == _BYTES:
                start, position = position, position + value
                if value:
                    data[position - 1]  # raises if it is cut off
                found.append((tag, data[start:position]))
            elif wire_type == _VARINT:
                found.append((tag, value))
            else:
                raise ProtocolError(
                    f"a message has a field of the unknown wire type {wire_type}", BAD_REQUEST
                )
    except IndexError:
        raise ProtocolError(
            f"a message is cut off: it has {end} bytes and should have more", BAD_REQUEST
        ) from None

    return found


def _long_varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of two bytes or more, and where it ends."""
    second = data[position + 1]
    if second < 128:
        return data[position] & 127 | second << 7, position + 2

    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break

        shift += 7
        if shift > _LONGEST_VARINT:
            raise ProtocolError("a message has a number of more than 64 bits", BAD_REQUEST)

    if value > _LARGEST:
        raise ProtocolError("a message has a number of more than 64 bits", BAD_REQUEST)

    return value, position


def utf8(content: Any) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"a text field is not UTF-8: {exc}", BAD_REQUEST) from exc


# -- fields


@attrs.frozen
class Field:
    """How one attribute is written and read.

    ``put`` makes the bytes of a value that is not empty. ``reads`` tells, by tag, how a
    value is read; a missing one is ``default``. The values of a field that ``gathers`` are
    collected in a list and handed to ``gathers`` in the end.
    """

    attribute: str
    put: Callable[[Any], bytes]
    reads: Mapping[int, Callable[[Any], Any]]
    default: Any = None
    gathers: Callable[[list[Any]], Any] | None = None
    always: bool = False
    """Whether it is written even if its value is empty."""


def _same(value: Any) -> Any:
    return value


def text(attribute: str, number: int) -> Field:
    """A string, empty if it is missing."""
    tag = tag_of(number, _BYTES)
    return Field(
        attribute,
        lambda value: _blob(tag, value.encode()),
        {number << 3 | _BYTES: utf8},
        default="",
    )


def optional_text(attribute: str, number: int) -> Field:
    """A string, None if it is missing."""
    tag = tag_of(number, _BYTES)
    return Field(
        attribute,
        lambda value: b"" if value is None else _blob(tag, value.encode()),
        {number << 3 | _BYTES: utf8},
        always=True,
    )


def encode_name(name: str) -> bytes:
    """The name of a state entry as bytes."""
    return name.encode("utf-8", "surrogateescape")


def decode_name(content: bytes) -> str:
    """The name of a state entry. Others may have written names that are no text."""
    return content.decode("utf-8", "surrogateescape")


def name(attribute: str, number: int) -> Field:
    """The name of a state entry, which is bytes on the wire."""
    tag = tag_of(number, _BYTES)
    return Field(
        attribute,
        lambda value: _blob(tag, encode_name(value)),
        {number << 3 | _BYTES: decode_name},
        default="",
    )


def blob(attribute: str, number: int) -> Field:
    """Bytes, empty if they are missing."""
    tag = tag_of(number, _BYTES)
    return Field(
        attribute, lambda value: _blob(tag, value), {number << 3 | _BYTES: _same}, default=b""
    )


def uint(attribute: str, number: int) -> Field:
    """A number, 0 if it is missing."""
    tag = tag_of(number, _VARINT)
    return Field(attribute, lambda value: tag + varint(value), {number << 3: _same}, default=0)


def uint32(attribute: str, number: int) -> Field:
    """A number of 32 bits, 0 if it is missing. Of a larger one the lower bits, as in protobuf."""
    reads = {number << 3: _MASK.__and__}
    return attrs.evolve(uint(attribute, number), reads=reads)


def optional_uint(attribute: str, number: int) -> Field:
    """A number, None if it is missing."""
    tag = tag_of(number, _VARINT)
    return Field(
        attribute,
        lambda value: b"" if value is None else tag + varint(value),
        {number << 3: _same},
        always=True,
    )


def flag(attribute: str, number: int) -> Field:
    """A boolean, False if it is missing."""
    written = tag_of(number, _VARINT) + b"\1"
    return Field(attribute, lambda _: written, {number << 3: bool}, default=False)


def uints(attribute: str, number: int) -> Field:
    """A tuple of numbers, written packed."""
    tag = tag_of(number, _BYTES)
    return Field(
        attribute,
        lambda value: _blob(tag, b"".join(map(varint, value))),
        {number << 3: lambda value: [value], number << 3 | _BYTES: _unpack},
        default=(),
        gathers=lambda parts: tuple(chain.from_iterable(parts)),
    )


def _unpack(data: bytes) -> list[int]:
    numbers: list[int] = []
    position = 0
    try:
        while position < len(data):
            number = data[position]
            position += 1
            if number > 127:
                number, position = _long_varint(data, position - 1)
            numbers.append(number)
    except IndexError:
        raise ProtocolError("a list of numbers is cut off", BAD_REQUEST) from None

    return numbers


def texts(attribute: str, number: int) -> Field:
    """A tuple of strings."""
    return _repeated(attribute, number, str.encode, utf8)


def messages(attribute: str, number: int, codec: Callable[[], MessageCodec]) -> Field:
    """A tuple of messages. Their codec is looked up late: it may be the one this field is of."""
    return _repeated(
        attribute, number, lambda item: codec().encode(item), lambda data: codec().decode(data)
    )


def _repeated(
    attribute: str,
    number: int,
    encode: Callable[[Any], bytes],
    decode: Callable[[bytes], Any],
    gathers: Callable[[list[Any]], Any] = tuple,
) -> Field:
    tag = tag_of(number, _BYTES)
    return Field(
        attribute,
        lambda value: b"".join([_blob(tag, encode(item)) for item in value]),
        {number << 3 | _BYTES: decode},
        default=(),
        gathers=gathers,
    )


def pairs(attribute: str, number: int) -> Field:
    """A tuple of pairs of strings: messages with the fields 1 and 2."""
    return _repeated(
        attribute,
        number,
        lambda pair: _blob(_FIRST, pair[0].encode()) + _blob(_SECOND, pair[1].encode()),
        lambda data: tuple(utf8(part) for part in _halves(data)),
    )


def state_entries(attribute: str, number: int) -> Field:
    """A dict of state: messages with the fields 1 (name) and 2 (content)."""
    tag = tag_of(number, _BYTES)

    def put(entries: Mapping[str, bytes]) -> bytes:
        return b"".join(
            [
                _blob(tag, _blob(_FIRST, encode_name(key)) + _blob(_SECOND, content))
                for key, content in entries.items()
            ]
        )

    field = _repeated(attribute, number, _same, _halves, _state)
    return attrs.evolve(field, put=put, default=MappingProxyType({}))


def _state(entries: list[tuple[bytes, bytes]]) -> dict[str, bytes]:
    return {decode_name(key): content for key, content in entries}


def _halves(data: Any) -> tuple[bytes, bytes]:
    found = dict(scan(data))
    return found.get(_FIRST_KEY, b""), found.get(_SECOND_KEY, b"")


def names(attribute: str, number: int) -> Field:
    """A tuple of names of state entries; sorted when read."""
    return _repeated(
        attribute, number, encode_name, decode_name, lambda items: tuple(sorted(items))
    )


def either(attribute: str, number: Field, string: Field) -> Field:
    """A oneof of a number and a string, which may be empty. One has to be there, unless it is None."""

    def put(value: int | str | None) -> bytes:
        return b"" if value is None else (number if isinstance(value, int) else string).put(value)

    reads = {**number.reads, **string.reads}
    return Field(attribute, put, reads, default=_REQUIRED, always=True)


def oneof(attribute: str, members: Mapping[int, MessageCodec]) -> Field:
    """A message that is one of several, each with its field number. One has to be there."""
    writers = {codec.kind: (tag_of(number, _BYTES), codec) for number, codec in members.items()}

    def put(value: Any) -> bytes:
        tag, codec = writers[type(value)]
        return _blob(tag, codec.encode(value))

    reads = {number << 3 | _BYTES: codec.decode for number, codec in members.items()}
    return Field(attribute, put, reads, default=_REQUIRED, always=True)


# -- messages


class MessageCodec(Protocol):
    """Values to bytes and back."""

    @property
    def kind(self) -> type[Any]: ...

    def encode(self, value: Any, /) -> bytes: ...

    def decode(self, data: bytes, /) -> Any: ...


@attrs.define(eq=False, init=False)
class Codec(Generic[T]):
    """A class of values, and the fields that its attributes are written as."""

    kind: type[T]
    _make: Callable[..., T]
    """Makes a value of the arguments of ``kind`` in their order."""
    _values: Callable[[T], tuple[Any, ...]]
    _puts: tuple[tuple[Callable[[Any], bytes], bool], ...]
    _reads: Mapping[int, tuple[int, Callable[[Any], Any], bool]]
    _defaults: list[Any]
    """The arguments of ``kind`` in their order, as they are when nothing is read."""
    _gathers: Mapping[int, Callable[[list[Any]], Any]]
    _required: Mapping[int, str]

    def __init__(self, kind: type[T], *fields: Field) -> None:
        self.kind = kind
        self._values = _getter(tuple(field.attribute for field in fields))
        self._puts = tuple((field.put, field.always) for field in fields)
        attributes: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast("Any", kind))
        by_name = any(attribute.kw_only for attribute in attributes)
        self._make = _by_name(kind, attributes) if by_name else kind
        places = {attribute.name: place for place, attribute in enumerate(attributes)}
        self._reads = {
            tag: (places[field.attribute], read, field.gathers is not None)
            for field in fields
            for tag, read in field.reads.items()
        }
        self._defaults = [attribute.default for attribute in attributes]
        for field in fields:
            self._defaults[places[field.attribute]] = field.default
        self._gathers = {
            places[field.attribute]: field.gathers for field in fields if field.gathers is not None
        }
        self._required = {
            places[field.attribute]: field.attribute
            for field in fields
            if field.default is _REQUIRED
        }

    def encode(self, value: T, /) -> bytes:
        """The message's bytes."""
        return b"".join(
            [
                put(item)
                for (put, always), item in zip(self._puts, self._values(value), strict=True)
                if item or always
            ]
        )

    def decode(self, data: bytes, /) -> T:
        """The value. ``ProtocolError`` (400) for bytes that are none."""
        found = self._defaults.copy()
        gathered: dict[int, list[Any]] | None = None
        reads = self._reads
        for tag, value in scan(data):
            how = reads.get(tag)
            if how is not None:
                place, read, gathers = how
                if gathers:
                    gathered = gathered or {}
                    gathered.setdefault(place, []).append(read(value))
                else:
                    found[place] = read(value)
        if gathered:
            for place, values in gathered.items():
                found[place] = self._gathers[place](values)
        for place, attribute in self._required.items():
            if found[place] is _REQUIRED:
                raise ProtocolError(
                    f"a {self.kind.__name__} message lacks its {attribute}. {REMEDY}", BAD_REQUEST
                )

        return self._make(*found)


def _by_name(kind: type[T], attributes: tuple[attrs.Attribute[Any], ...]) -> Callable[..., T]:
    names = [attribute.name for attribute in attributes]
    return lambda *arguments: kind(**dict(zip(names, arguments, strict=True)))


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not names:
        return lambda _: ()

    get = attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


@attrs.frozen
class Opaque(Generic[T]):
    """A class of values with functions of its own."""

    kind: type[T]
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


def _encode_value(value: Value) -> bytes:
    return _blob(_FIRST, value.content) if value.content else b""


def _decode_value(data: bytes) -> Value:
    # Nearly all are one short field; of results there are more than of anything else.
    if len(data) > 1 and data[0] == _FIRST_KEY and data[1] == len(data) - 2 < 128:
        return Value(data[2:])

    return Value(dict(scan(data)).get(_FIRST_KEY, b""))


VALUE: Final = Opaque(Value, _encode_value, _decode_value)
FAILURE: Final = Codec(Failure, uint32("code", 1), text("message", 2), pairs("metadata", 3))
VOID_RESULT: Final = Codec(Void)
STATE_KEYS: Final = Codec(StateKeys, names("keys", 1))
INVOCATION_ID: Final = Opaque(
    InvocationId, lambda value: value.id.encode(), lambda data: InvocationId(utf8(data))
)
