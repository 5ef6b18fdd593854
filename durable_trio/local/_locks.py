"""One at a time, per name: who may read a record, decide, and write it.

Owns the queues of those who wait. What the names stand for is their users': an
invocation id, the identity under which an invocation is looked up, a promise.

 1. A name is held by one task at a time; it is handed over in the order of asking.
 2. Names that nobody holds take no memory.
 3. Who holds several takes them in this order: identity, invocation, promise.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Hashable


class Locks:
    """See the module's docstring."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[anyio.Event]] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncGenerator[None]:
        """Wait until nobody holds ``name``, then hold it for the block."""
        queue = self._queues.get(name)
        if queue is None:
            self._queues[name] = deque()
        else:
            turn = anyio.Event()
            queue.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if turn.is_set():
                    self._hand_over(name)
                else:
                    queue.remove(turn)
                raise
        try:
            yield
        finally:
            self._hand_over(name)

    def _hand_over(self, name: Hashable) -> None:
        queue = self._queues[name]
        if queue:
            queue.popleft().set()
        else:
            del self._queues[name]
