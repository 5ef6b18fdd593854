"""Who may read a record, decide, and write it: per name, one alone or several who share.

Owns the queues of those who wait. What the names stand for is their users': an
invocation id, the identity under which an invocation is looked up, a promise.

 1. A name is held by one task, or shared by any number of tasks; never both at once.
 2. Turns come in the order of asking, whoever asks: those who share cannot keep off who
    wants to hold.
 3. Names that nobody holds or shares take no memory.
 4. Who holds several takes them in this order: identity, invocation, promise.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Hashable


@attrs.define(eq=False)
class _Turn:
    shared: bool
    comes: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define(eq=False)
class _Lock:
    shared: bool
    users: int = 0
    queue: deque[_Turn] = attrs.field(factory=deque[_Turn])

    def admits(self, turn_shared: bool) -> bool:
        return not self.users or (self.shared and turn_shared)

    def take(self, turn_shared: bool) -> None:
        self.shared = turn_shared
        self.users += 1


class Locks:
    """See the module's docstring."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[Hashable, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, name: Hashable) -> AsyncGenerator[None]:
        """Wait until nobody holds or shares ``name``, then hold it for the block."""
        await self._acquire(name, shared=False)
        try:
            yield
        finally:
            self._release(name)

    @asynccontextmanager
    async def share(self, name: Hashable) -> AsyncGenerator[None]:
        """Wait until nobody holds ``name``, then keep it from being held for the block."""
        await self._acquire(name, shared=True)
        try:
            yield
        finally:
            self._release(name)

    async def _acquire(self, name: Hashable, *, shared: bool) -> None:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = _Lock(shared)
        if not lock.queue and lock.admits(shared):
            lock.take(shared)
            return

        turn = _Turn(shared)
        lock.queue.append(turn)
        try:
            await turn.comes.wait()
        except BaseException:
            if turn.comes.is_set():
                self._release(name)
            else:
                lock.queue.remove(turn)
                self._pass_on(name, lock)
            raise

    def _release(self, name: Hashable) -> None:
        lock = self._locks[name]
        lock.users -= 1
        self._pass_on(name, lock)

    def _pass_on(self, name: Hashable, lock: _Lock) -> None:
        queue = lock.queue
        while queue and lock.admits(queue[0].shared):
            turn = queue.popleft()
            lock.take(turn.shared)
            turn.comes.set()
        if not lock.users:
            del self._locks[name]
