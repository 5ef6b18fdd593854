"""Keys of dicts: values that are written as the names of a JSON object.

Owns how keys become strings and come back.

 1. A key is written as the text of its JSON value, without quotes: 1 as ``"1"``, a date as
    ``"2020-02-29"``. So the type of the keys must write one kind of JSON value, not null and
    not a container.
 2. Only the text that a key would be written as is read as that key, up to the form of floats.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import attrs

from ._annotations import describe
from ._paths import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._codecs import Compiler, Kind


@attrs.frozen(eq=False)
class KeyCodec:
    """How the keys of a dict are written and read."""

    encode: Callable[[Any], str]
    decode: Callable[[str], Any]


def key_codec(key_type: Any, annotation: Any, compiler: Compiler) -> KeyCodec:
    """How the keys of ``annotation`` are written, a dict with keys of that type.

    ``DefinitionError`` unless they are always written as one kind of JSON value that has a text.
    """
    if key_type in {Any, str}:
        return TEXT_KEYS

    keys = compiler.codec(key_type)
    writes = compiler.outline(key_type).writes
    if writes == frozenset({str}):
        return KeyCodec(keys.encode, keys.decode)

    kind = next(iter(writes))
    if len(writes) != 1 or kind not in _KEY_TEXTS:
        raise compiler.refuse(
            f"the keys of {describe(annotation)} cannot be written: JSON has only strings as keys, "
            "so their type must be written as a string, as an integer, as a float or as a bool, "
            "and not sometimes as one and sometimes as another"
        )

    pattern, to_text, from_text = _KEY_TEXTS[kind]

    def encode(key: Any) -> str:
        try:
            return to_text(keys.encode(key))
        except ValueError as exc:
            if isinstance(exc, Mismatch):
                raise
            raise Mismatch(f"a shorter number as key of {describe(annotation)}", key) from exc

    def decode(text: str) -> Any:
        try:
            plain = from_text(text) if pattern.fullmatch(text) else text
        except ValueError:
            plain = text
        if plain is text:
            raise Mismatch(f"{describe(key_type)} as a key", text)

        return keys.decode(plain)

    return KeyCodec(encode, decode)


def _encode_text_key(key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)

    raise Mismatch("a str as key", key, remedy="annotate the type of the keys")


def _finite(text: str) -> float:
    number = float(text)
    if isfinite(number):
        return number

    raise ValueError(text)


TEXT_KEYS: Final = KeyCodec(_encode_text_key, str)
"""Keys that are strings, or of which nothing is known."""

_KEY_TEXTS: Final[
    dict[Kind, tuple[re.Pattern[str], Callable[[Any], str], Callable[[str], Any]]]
] = {
    int: (re.compile(r"-?(0|[1-9][0-9]*)"), str, int),
    float: (re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?"), repr, _finite),
    bool: (re.compile("true|false"), json.dumps, json.loads),
}
