"""Who holds an object key, and whether somebody waits for it.

Owns the memory of exclusive handlers: one entry for each key that is held. The queue
itself, however long, is in the store: the PENDING invocations of the key by sequence.

 1. A key is held by at most one invocation, from its turn until it has completed,
    whatever happens in between.
 2. A released key with a queue is never free: it passes straight to whoever is next, so
    that nobody overtakes.
 3. A reservation (a state change from outside) is served before the queue.

| event                 | key is free | key is held                                 |
| --------------------- | ----------- | ------------------------------------------- |
| ``acquire``           | held: True  | somebody waits: False                       |
| ``reserve``           | held        | somebody waits, before the queue            |
| ``release``, no queue |             | free                                        |
| ``release``, a queue  |             | in transit: look up who is next             |
| ``hand_over``, found  |             | held by the one found                       |
| ``hand_over``, none   |             | free; if somebody came since, in transit    |
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterable

ObjectKey: TypeAlias = tuple[str, str]
"""Service name and key."""

IN_TRANSIT: Final = ""
"""Stands for the holder of a key that is between two invocations, or reserved."""


class KeyTable:
    """See the module's docstring."""

    __slots__ = ("_holders", "_queued", "_reservations")

    def __init__(self) -> None:
        self._holders: dict[ObjectKey, str] = {}
        self._queued: dict[ObjectKey, int] = {}
        self._reservations: dict[ObjectKey, deque[anyio.Event]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def restore(
        self, holders: Iterable[tuple[ObjectKey, str]], queued: Iterable[ObjectKey]
    ) -> list[ObjectKey]:
        """Fill the table when the runtime opens; returns the keys that are in transit."""
        self._holders.update(holders)
        free: list[ObjectKey] = []
        for key in queued:
            self._queued[key] = 1
            if self._holders.setdefault(key, IN_TRANSIT) is IN_TRANSIT:
                free.append(key)
        return free

    def holder(self, key: ObjectKey) -> str | None:
        """The id of the invocation that holds the key; None: it is free."""
        return self._holders.get(key)

    def acquire(self, key: ObjectKey, invocation_id: str) -> bool:
        """Take the key if it is free; otherwise remember that its queue is not empty."""
        if key in self._holders:
            self._queued[key] = self._queued.get(key, 0) + 1
            return False

        self._holders[key] = invocation_id
        return True

    def arrivals(self, key: ObjectKey) -> int:
        """A number that changes when somebody joins the queue of the key."""
        return self._queued.get(key, 0)

    def release(self, key: ObjectKey) -> bool:
        """The holder is done with the key. True: it is in transit, so look up who is next."""
        waiting = self._reservations.get(key)
        if waiting:
            self._holders[key] = IN_TRANSIT
            waiting.popleft().set()
            if not waiting:
                del self._reservations[key]
            return False

        if key in self._queued:
            self._holders[key] = IN_TRANSIT
            return True

        del self._holders[key]
        return False

    def hand_over(self, key: ObjectKey, invocation_id: str | None, arrivals: int) -> bool:
        """Pass on a key in transit to the one found in its queue, None: none as of ``arrivals``.

        False: somebody has come since, so look again.
        """
        if invocation_id is not None:
            self._holders[key] = invocation_id
            return True

        if arrivals != self._queued.get(key, 0):
            return False

        self._queued.pop(key, None)
        self.release(key)
        return True

    def reserve(self, key: ObjectKey) -> anyio.Event | None:
        """Hold the key, at once (None) or from when the event is set; then ``release`` it."""
        if key not in self._holders:
            self._holders[key] = IN_TRANSIT
            return None

        turn = anyio.Event()
        self._reservations.setdefault(key, deque()).append(turn)
        return turn

    def withdraw(self, key: ObjectKey, turn: anyio.Event) -> None:
        """Give up a reservation whose turn has not come."""
        waiting = self._reservations[key]
        waiting.remove(turn)
        if not waiting:
            del self._reservations[key]
