"""Timers: when each one is due, and one task that fires them.

Owns the near timers in memory. All timers are in the store; what firing one does is
the dispatcher's.

 1. Every timer due before the horizon is in memory, the others are in the store only, so
    that a hundred thousand sleeping invocations cost no more than a few.
 2. When memory runs dry the next ones are read and the horizon moves.
 3. A timer fires once: it is not read again until it has been removed or put anew. One
    that fires without cause (it was removed while the store was being read) does no harm.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import anyio.lowlevel

from durable_trio._records import Timer, TimerKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio.abc import Clock, JournalStore

TimerKey: TypeAlias = tuple[str, TimerKind, int]
"""What identifies a timer: invocation, kind, completion id."""

_WINDOW: Final = 4096
_BATCH: Final = 256

_FAR: Final = 253_402_300_800.0
"""The year 10000: due later than any timer."""


class TimerQueue:
    """See the module's docstring."""

    __slots__ = (
        "_changed",
        "_clock",
        "_count",
        "_due",
        "_fired",
        "_heap",
        "_horizon",
        "_read",
        "_store",
        "_window",
    )

    def __init__(self, store: JournalStore, clock: Clock, *, window: int = _WINDOW) -> None:
        self._store = store
        self._window = window
        self._clock = clock
        self._heap: list[tuple[float, int, TimerKey]] = []
        self._count = 0
        self._due: dict[TimerKey, float] = {}
        self._fired: set[TimerKey] = set()
        self._horizon = -math.inf
        self._read: dict[TimerKey, float | None] | None = None
        self._changed: anyio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, timer: Timer) -> None:
        """A timer's write has been queued; it replaces the one with the same identity."""
        key = (timer.invocation_id, timer.kind, timer.completion_id)
        self._fired.discard(key)
        if self._read is not None:
            self._read[key] = timer.due
        elif timer.due < self._horizon:
            self._push(key, timer.due)
            if len(self._heap) > 2 * self._window:
                self._tidy()
            if self._changed is not None and (not self._heap or self._heap[0][2] == key):
                self._changed.cancel()
        else:
            self._due.pop(key, None)

    def remove(self, invocation_id: str, kind: TimerKind, completion_id: int = 0) -> None:
        """A timer's removal has been queued."""
        key = (invocation_id, kind, completion_id)
        self._fired.discard(key)
        self._due.pop(key, None)
        if self._read is not None:
            self._read[key] = None

    async def run(self, fire: Callable[[Sequence[Timer]], None]) -> None:
        """Fire timers as they come due, for ever."""
        while True:
            if not self._due and self._horizon < math.inf:
                await self._refill()
            due = self._take_due(self._clock.now())
            if due:
                fire(due)
                await anyio.lowlevel.checkpoint()
                continue

            with anyio.CancelScope() as self._changed:
                if self._heap:
                    await self._clock.sleep_until(self._heap[0][0])
                else:
                    await anyio.sleep_forever()
            self._changed = None

    def _take_due(self, now: float) -> list[Timer]:
        taken: list[Timer] = []
        heap = self._heap
        while heap and len(taken) < _BATCH:
            due, _, key = heap[0]
            if self._due.get(key) == due:
                if due > now:
                    break
                del self._due[key]
                self._fired.add(key)
                taken.append(Timer(due, *key))
            heapq.heappop(heap)
        return taken

    def _push(self, key: TimerKey, due: float) -> None:
        if self._due.get(key) != due:
            self._due[key] = due
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))

    async def _refill(self) -> None:
        self._read = {}
        limit = self._window + len(self._fired)
        timers = await self._store.timers(due_by=_FAR, limit=limit)
        read, self._read = self._read, None
        self._horizon = math.inf if len(timers) < limit else timers[-1].due
        self._heap.clear()
        for timer in timers:
            key = (timer.invocation_id, timer.kind, timer.completion_id)
            if key not in self._fired and key not in read:
                self._push(key, timer.due)
        for key, due in read.items():
            if due is not None and due < self._horizon:
                self._push(key, due)

    def _tidy(self) -> None:
        """Drop removed timers from the heap; move the horizon nearer if it is still too large."""
        live = sorted(entry for entry in self._heap if self._due.get(entry[2]) == entry[0])
        if len(live) > self._window:
            self._horizon = live[self._window][0]
            live = [entry for entry in live[: self._window] if entry[0] < self._horizon]
            self._due = {key: due for due, _, key in live}
        self._heap = live
