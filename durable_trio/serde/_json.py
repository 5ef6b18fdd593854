"""JSON: the serde of everything that has a type.

Owns ``json_serde``, the edge at which every error becomes a ``SerializationError``.

 1. ``deserialize(serialize(value)) == value``, or one of the two raises. NaN, keys that are no
    strings, lone surrogates and values that do not fit the annotation are never written.
 2. Equal values are written as equal bytes, in every process: sets are sorted, the order of
    dicts and fields is kept.
 3. Nothing at all (an empty body) is None where None fits, and an error elsewhere.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

import attrs
import msgspec

from durable_trio._exceptions import SerializationError

from ._codecs import NULL, is_array, is_object
from ._families import EXPLAINING, QUICK
from ._paths import UNKNOWN_STEP, Mismatch, describe_errors, json_found, python_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from durable_trio.abc import Serde

    from ._codecs import Codec
    from ._paths import Step

T = TypeVar("T")

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()
_NEAR: Final = 20


@overload
def json_serde(annotation: type[T], /) -> Serde[T]: ...
@overload
def json_serde(annotation: None, /) -> Serde[None]: ...
@overload
def json_serde(annotation: Any, /) -> Serde[Any]: ...
def json_serde(annotation: Any, /) -> Serde[Any]:
    """The serde that writes values of a type as JSON. Made once per type.

    The type may be None, bool, int, float, str, bytes, datetimes, Decimal, UUID, Path, enums,
    ``Literal``, attrs classes, dataclasses, TypedDicts, NamedTuples, pydantic models, msgspec
    Structs, and list, tuple, set, dict and unions of these, nested in any way. ``Any`` is
    plain JSON, which comes back as dicts, lists and scalars.

    ``serialize`` raises ``SerializationError`` for a value that does not fit the type or would
    not come back equal; ``deserialize`` for bytes that do not fit it, naming the fields.
    Empty bytes are None where that fits. ``DefinitionError`` for a type that cannot be written.
    """
    try:
        known = _SERDES.get(annotation)
    except TypeError:
        # It cannot be hashed, so it cannot be kept.
        return JsonSerde(QUICK.codec(annotation))

    return known or _SERDES.setdefault(annotation, JsonSerde(QUICK.codec(annotation)))


@attrs.frozen(eq=False, repr=False)
class JsonSerde(Generic[T]):
    """What ``json_serde`` makes."""

    _codec: Codec
    content_type: str = attrs.field(default="application/json", init=False)

    def __repr__(self) -> str:
        return f"json_serde({self._codec.outline.name})"

    def serialize(self, value: T) -> bytes:
        try:
            plain = self._codec.encode(value)
        except Exception as exc:
            found = self._explained(exc, lambda codec: codec.encode(value))
            raise self._unwritable(exc, found) from exc

        try:
            return _ENCODER.encode(plain)
        except Exception as exc:
            found = _surrogate(plain) if isinstance(exc, UnicodeEncodeError) else exc
            raise self._unwritable(exc, found) from exc

    def deserialize(self, data: bytes) -> T:
        if not data:
            return self._nothing()

        try:
            plain = _DECODER.decode(data)
        except Exception as exc:
            raise self._malformed(data, exc) from exc

        try:
            return cast("T", self._codec.decode(plain))
        except Exception as exc:
            raise self._unreadable(plain, exc) from exc

    def _nothing(self) -> T:
        name = self._codec.outline.name
        if NULL in self._codec.outline.reads:
            with contextlib.suppress(Exception):
                return cast("T", self._codec.decode(None))

        raise SerializationError(
            f"the input is missing: expected {name} as JSON, found nothing. Send a JSON document, "
            f"or annotate {name} | None if it may be missing"
        )

    def _unwritable(self, error: Exception, found: Exception) -> SerializationError:
        name = self._codec.outline.name
        endless = "it is nested too deeply, or contains itself"
        reasons = (
            endless if isinstance(error, RecursionError) else describe_errors(found, python_found)
        )
        return SerializationError(f"cannot write {name} as JSON: {reasons}")

    def _unreadable(self, plain: Any, error: Exception) -> SerializationError:
        name = self._codec.outline.name
        if isinstance(error, RecursionError):
            return SerializationError(f"cannot read {name} from JSON: it is nested too deeply")

        explained = self._explained(error, lambda codec: codec.decode(plain))
        reasons = describe_errors(explained, json_found)
        return SerializationError(f"cannot read {name} from JSON: {reasons}")

    def _malformed(self, data: bytes, error: Exception) -> SerializationError:
        name = self._codec.outline.name
        return SerializationError(
            f"cannot read {name} from JSON: {_syntax_error(data, error)}. The bytes must be one "
            "JSON document in UTF-8"
        )

    def _explained(self, error: Exception, use: Callable[[Codec], object]) -> Exception:
        try:
            use(EXPLAINING.codec(self._codec.annotation))
        except Exception as explained:
            if not _is_too_deep(explained):
                return explained

        # Explaining takes more of the stack, so that the place may stay unknown.
        if isinstance(error, Mismatch):
            error.trail = (UNKNOWN_STEP, *error.trail)
        return error


def _is_too_deep(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return error.subgroup(RecursionError) is not None  # pyright: ignore[reportUnknownMemberType]

    return isinstance(error, RecursionError)


def _syntax_error(data: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"

    try:
        text = bytes(data).decode()
    except UnicodeDecodeError as exc:
        return f"invalid UTF-8 at byte {exc.start}"

    # The decoder itself gives positions less exactly, but refuses a few things more.
    with contextlib.suppress(RecursionError):
        try:
            json.loads(text, parse_int=len)
        except json.JSONDecodeError as exc:
            near = text[exc.pos : exc.pos + _NEAR]
            found = f"found {near!r}" if near else "found its end"
            what = f"{exc.msg[0].lower()}{exc.msg[1:]}"
            return f"{what} at line {exc.lineno}, column {exc.colno}, {found}"

    return str(error)


def _surrogate(plain: Any) -> Mismatch:
    text, path = next(
        (text, path)
        for text, path in _texts(plain, ())
        if text != text.encode(errors="ignore").decode()
    )
    return Mismatch(
        "text that UTF-8 can encode",
        text,
        remedy="it has a lone surrogate; bytes that are no text belong into bytes",
        trail=path,
    )


def _texts(plain: Any, path: tuple[Step, ...]) -> Iterator[tuple[str, tuple[Step, ...]]]:
    if isinstance(plain, str):
        yield plain, path
    if is_array(plain):
        for index, item in enumerate(plain):
            yield from _texts(item, (*path, index))
    if is_object(plain):
        for key, item in plain.items():
            yield key, path
            yield from _texts(item, (*path, key))


_SERDES: Final[dict[Any, JsonSerde[Any]]] = {}
