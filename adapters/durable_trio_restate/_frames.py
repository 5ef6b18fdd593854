"""Frames: where a message begins and ends in the stream of bytes.

Owns the header of 8 bytes (type, flags, length; big-endian) and the buffer that puts
frames together again. What is inside of them is the codecs' business.

 1. Bytes may come in pieces of any size; a frame is handed out once, when it is whole.
 2. A frame that announces more than the limit is refused by its header alone.
 3. What is kept of an unfinished frame takes little more memory than its bytes, however small
    the pieces are.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ._errors import BAD_REQUEST, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

ACK_REQUESTED: Final = 0x8000
"""The only flag: the receiver is to acknowledge this message."""

DEFAULT_MAX_MESSAGE_SIZE: Final = 32 * 1024 * 1024
"""Bytes; the server's own default limit."""

_SMALL_PIECE: Final = 1024
"""Bytes. An object for each piece is worth it from here on."""

_HEADER: Final = struct.Struct(">HHI")

HEADER_SIZE: Final = _HEADER.size
"""Bytes of a frame that are not its payload."""


class Frame(NamedTuple):
    """One message: its type, its flags, and its bytes."""

    type: int
    flags: int
    payload: bytes


def encode_frame(type: int, payload: bytes, flags: int = 0) -> bytes:  # noqa: A002  # its name
    """A frame's bytes."""
    return _HEADER.pack(type, flags, len(payload)) + payload


class FrameBuffer:
    """Puts frames together from the pieces in which they arrive.

    Pieces are joined only when they complete a frame, so that a large one costs no more a
    byte than a small one.
    """

    __slots__ = ("_data", "_later", "_max_size", "_pieces", "_position")

    def __init__(self, max_size: int = DEFAULT_MAX_MESSAGE_SIZE) -> None:
        self._data = b""
        self._position = 0
        self._pieces: list[bytes | bytearray] = []
        self._later = 0
        """Bytes in ``_pieces``."""
        self._max_size = max_size

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._position == len(self._data) and not self._pieces:
            self._data, self._position = data, 0
            return

        self._later += len(data)
        if len(data) >= _SMALL_PIECE:
            self._pieces.append(data)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += data
        else:
            self._pieces.append(bytearray(data))

    def next(self) -> Frame | None:
        """The next frame that is whole. ``ProtocolError`` for one that is too large."""
        frame = next(iter(self), None)
        return None if frame is None else Frame(*frame)

    def __iter__(self) -> Iterator[tuple[int, int, bytes]]:
        """What ``next`` gives, of all frames that are whole; without names, which cost more."""
        header = _HEADER.size
        needed = header
        while True:
            data, position = self._data, self._position
            there = len(data) - position
            while there >= header:
                type_, flags, size = _HEADER.unpack_from(data, position)
                if size > self._max_size:
                    raise self._too_large(type_, size)

                needed = header + size
                if there < needed:
                    break

                there -= needed
                start = position + header
                self._position = position = start + size
                yield type_, flags, data[start:position]
                needed = header

            if there + self._later < needed or not self._pieces:
                if not there:
                    self._data, self._position = b"", 0
                return

            self._data, self._position = b"".join([data[position:], *self._pieces]), 0
            self._pieces.clear()
            self._later = 0

    def _too_large(self, type_: int, size: int) -> ProtocolError:
        return ProtocolError(
            f"a message of {size} bytes (type 0x{type_:04X}) is larger than the limit of "
            f"{self._max_size}; raise max_message_size if the server's limit was raised",
            BAD_REQUEST,
        )

    @property
    def is_empty(self) -> bool:
        """Whether no part of a frame is left over."""
        return self._position == len(self._data) and not self._later
