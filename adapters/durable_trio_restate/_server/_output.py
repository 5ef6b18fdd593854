"""Bytes that wait to be sent.

Owns pieces, as they were written, and how they are cut for the wire.
"""

from __future__ import annotations


class OutputBuffer:
    """Takes pieces of any size and gives them out in order. ``size`` is in bytes."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        # A list: it is empty nearly always, and a deque is never small.
        self._pieces: list[bytes | memoryview] = []
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece."""
        self._pieces.append(piece)
        self.size += len(piece)

    def take(self, size: int) -> bytes:
        """The next bytes, at most ``size`` of them."""
        pieces = self._pieces
        if self.size <= size:
            taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.size = 0
            return bytes(taken)

        count = room = 0
        while room + len(pieces[count]) <= size:
            room += len(pieces[count])
            count += 1
        whole = pieces[:count]
        # A view, so that what is left of a large piece is not copied time and again.
        cut = memoryview(pieces[count])
        pieces[: count + 1] = [cut[size - room :]]
        self.size -= size
        return b"".join([*whole, cut[: size - room]])
