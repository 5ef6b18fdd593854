"""The bytes that come from one client, read ahead a little.

Owns reading. It goes on while a request is being answered, so that a client that goes away
in the meantime is noticed; what it reads then is the beginning of the next request.

 1. At most ``_AHEAD`` bytes and one chunk are kept; then the client has to wait.
 2. After the end nothing comes any more: ``receive`` returns ``b""`` for ever.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import ByteReceiveStream

CHUNK: Final = 65_536
_AHEAD: Final = 65_536


class Inbound:
    """See the module's docstring. ``on_end`` is called when nothing more will come."""

    __slots__ = ("_arrived", "_chunks", "_on_end", "_room", "_size", "_stream", "broken", "ended")

    def __init__(self, stream: ByteReceiveStream, on_end: Callable[[], object]) -> None:
        self._stream = stream
        self._on_end = on_end
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self.ended = False
        """Whether the client sends no more. It may still read."""
        self.broken = False
        """Whether the client cannot read any more either."""
        self._arrived = anyio.Event()
        self._room = anyio.Event()

    @property
    def empty(self) -> bool:
        """Whether nothing has been read ahead."""
        return not self._chunks

    async def run(self) -> None:
        """Read until the client sends no more."""
        try:
            while True:
                chunk = await self._stream.receive(CHUNK)
                self._chunks.append(chunk)
                self._size += len(chunk)
                self._arrived.set()
                while self._size >= _AHEAD:
                    self._room = anyio.Event()
                    await self._room.wait()
        except anyio.EndOfStream:
            pass
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            self.broken = True
        self.ended = True
        self._arrived.set()
        self._on_end()

    async def receive(self) -> bytes:
        """The next bytes; none at the end."""
        while not self._chunks:
            if self.ended:
                return b""

            self._arrived = anyio.Event()
            await self._arrived.wait()
        chunk = self._chunks.popleft()
        self._size -= len(chunk)
        self._room.set()
        return chunk
