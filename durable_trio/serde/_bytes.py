"""Bytes as they are.

Owns ``bytes_serde``. Also the model for a serde of your own: any object with these three
members is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from durable_trio._exceptions import SerializationError

from ._paths import python_found

if TYPE_CHECKING:
    from durable_trio.abc import Serde

_BYTES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)


@attrs.frozen
class BytesSerde:
    """What ``bytes_serde`` is."""

    content_type: str = attrs.field(default="application/octet-stream", init=False)

    def serialize(self, value: bytes) -> bytes:
        """The bytes. ``SerializationError`` for what is not bytes, bytearray or memoryview."""
        if not issubclass(value.__class__, _BYTES):
            raise SerializationError(
                f"expected bytes, found {python_found(value)}: encode it, or use json_serde"
            )

        return bytes(value)

    def deserialize(self, data: bytes) -> bytes:
        """The bytes, also when there are none."""
        return bytes(data)


bytes_serde: Final[Serde[bytes]] = BytesSerde()
"""Writes bytes as they are, as ``application/octet-stream``. An object, not a function."""
