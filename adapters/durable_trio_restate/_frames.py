"""Frames: where a message begins and ends in the stream of bytes.

Owns the header of 8 bytes (type, flags, length; big-endian) and the buffer that puts
frames together again. What is inside of them is the codecs' business.

 1. Bytes may come in pieces of any size; a frame is handed out once, when it is whole.
 2. A frame that announces more than the limit is refused by its header alone.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from ._errors import BAD_REQUEST, ProtocolError

ACK_REQUESTED: Final = 0x8000
"""The only flag: the receiver is to acknowledge this message."""

DEFAULT_MAX_MESSAGE_SIZE: Final = 32 * 1024 * 1024
"""Bytes; the server's own default limit."""

_HEADER: Final = struct.Struct(">HHI")


class Frame(NamedTuple):
    """One message: its type, its flags, and its bytes."""

    type: int
    flags: int
    payload: bytes


def encode_frame(type: int, payload: bytes, flags: int = 0) -> bytes:  # noqa: A002  # its name
    """A frame's bytes."""
    return _HEADER.pack(type, flags, len(payload)) + payload


class FrameBuffer:
    """Puts frames together from the pieces in which they arrive."""

    __slots__ = ("_data", "_max_size", "_position")

    def __init__(self, max_size: int = DEFAULT_MAX_MESSAGE_SIZE) -> None:
        self._data = bytearray()
        self._position = 0
        self._max_size = max_size

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._position:
            del self._data[: self._position]
            self._position = 0
        self._data += data

    def next(self) -> Frame | None:
        """The next frame that is whole. ``ProtocolError`` for one that is too large."""
        data, start = self._data, self._position + _HEADER.size
        if len(data) < start:
            return None

        type_, flags, size = _HEADER.unpack_from(data, self._position)
        if size > self._max_size:
            raise ProtocolError(
                f"a message of {size} bytes (type 0x{type_:04X}) is larger than the limit of "
                f"{self._max_size}; raise max_message_size if the server's limit was raised",
                BAD_REQUEST,
            )

        end = start + size
        if len(data) < end:
            return None

        self._position = end
        return Frame(type_, flags, bytes(data[start:end]))

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is left over."""
        return self._position == len(self._data)
