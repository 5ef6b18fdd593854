"""JSON that is nobody's payload: lines of a journal, bodies of an ingress, what a command prints.

Owns the choice of the library, and one error for whatever is no JSON. Values of handlers
are written and read by ``serde``.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()


def write(value: object) -> bytes:
    """The value as JSON. ``UnicodeEncodeError`` if a string in it is no valid Unicode."""
    return _ENCODER.encode(value)


def read(data: bytes | str) -> Any:
    """What the JSON means. ``ValueError`` if it is none, or nested too deeply to be read."""
    try:
        return _DECODER.decode(data)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc
