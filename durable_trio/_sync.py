"""Synchronization between the durable tasks of one handler, named and shaped as in trio.

Owns events, locks, semaphores, limiters and conditions. All of it is scheduler state:
nothing is journaled, and a replay takes the same turns (C8).

 1. Waiters are served strictly in the order in which they began to wait.
 2. What is handed to a waiter is the waiter's: a cancellation that comes later does not
    take it back, one that came first means it was never handed over.
 3. An operation that need not wait keeps the baton.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import attrs

from ._exceptions import UsageError, WouldBlock
from ._wait import WaitQueue, check_cancelled

if TYPE_CHECKING:
    from typing import Self

    from ._task import DurableTask


@attrs.frozen
class EventStatistics:
    """What ``Event.statistics`` tells."""

    tasks_waiting: int


class Event:
    """A flag that tasks wait for; the durable ``trio.Event``."""

    __slots__ = ("_queue", "_set")

    def __init__(self) -> None:
        self._queue: WaitQueue[None] = WaitQueue()
        self._set = False

    def is_set(self) -> bool:
        """Whether ``set`` was called."""
        return self._set

    def set(self) -> None:
        """Set the flag and wake all waiters in order."""
        self._queue.user("Event.set")
        if not self._set:
            self._set = True
            self._queue.wake_all()

    async def wait(self) -> None:
        """Return once the flag is set."""
        task = self._queue.user("Event.wait")
        await check_cancelled(task)
        if not self._set:
            await self._queue.wait(task, None)

    def statistics(self) -> EventStatistics:
        """How many tasks wait."""
        return EventStatistics(len(self._queue))


class Semaphore:
    """A counter that tasks take from and put back to; the durable ``trio.Semaphore``."""

    __slots__ = ("_max_value", "_queue", "_value")

    def __init__(self, initial_value: int, *, max_value: int | None = None) -> None:
        if initial_value < 0:
            raise ValueError(f"a semaphore starts at 0 or more, got {initial_value!r}")

        if max_value is not None and max_value < initial_value:
            raise ValueError(f"max_value {max_value!r} is below initial_value {initial_value!r}")

        self._value = initial_value
        self._max_value = max_value
        self._queue: WaitQueue[None] = WaitQueue()

    @property
    def value(self) -> int:
        """What is left to take."""
        return self._value

    @property
    def max_value(self) -> int | None:
        """What the value may not exceed."""
        return self._max_value

    def acquire_nowait(self) -> None:
        """Take one. ``WouldBlock`` if none is left."""
        self._queue.user("Semaphore.acquire_nowait")
        if not self._value:
            raise WouldBlock("the semaphore's value is 0")

        self._value -= 1

    async def acquire(self) -> None:
        """Take one, waiting in order for it."""
        task = self._queue.user("Semaphore.acquire")
        await check_cancelled(task)
        if self._value:
            self._value -= 1
        else:
            await self._queue.wait(task, None)

    def release(self) -> None:
        """Put one back: to the first waiter, or onto the value."""
        self._queue.user("Semaphore.release")
        if self._queue.wake_first() is None:
            if self._max_value is not None and self._value >= self._max_value:
                raise ValueError(
                    f"the semaphore is already at its max_value {self._max_value}: it was "
                    "released more often than acquired"
                )

            self._value += 1

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


class Lock:
    """Mutual exclusion between the tasks of a handler; the durable ``trio.Lock``."""

    __slots__ = ("_owner", "_queue")

    def __init__(self) -> None:
        self._owner: DurableTask | None = None
        self._queue: WaitQueue[None] = WaitQueue()

    def locked(self) -> bool:
        """Whether a task holds it."""
        return self._owner is not None

    def acquire_nowait(self) -> None:
        """Take it. ``WouldBlock`` if another task holds it, ``UsageError`` if this one does."""
        task = self._queue.user("Lock.acquire_nowait")
        self._refuse_twice(task)
        if self._owner is not None:
            raise WouldBlock("another durable task holds the lock")

        self._owner = task

    async def acquire(self) -> None:
        """Take it, waiting in order. ``UsageError`` if this task holds it already."""
        task = self._queue.user("Lock.acquire")
        await check_cancelled(task)
        self._refuse_twice(task)
        if self._owner is None:
            self._owner = task
        else:
            await self._queue.wait(task, None)

    def release(self) -> None:
        """Hand it to the first waiter. ``UsageError`` if this task does not hold it."""
        task = self._queue.user("Lock.release")
        self._release(task)

    def _release(self, task: DurableTask) -> None:
        if self._owner is not task:
            if task.scheduler.closed:
                # A condition's waiter does not get its lock back during teardown.
                return

            raise UsageError("only the task that acquired a Lock may release it")

        first = self._queue.wake_first()
        self._owner = first[0] if first else None

    def _refuse_twice(self, task: DurableTask) -> None:
        if self._owner is task:
            raise UsageError(
                "this task already holds the Lock; it is not reentrant. Release it first, or call "
                "a variant of the inner function that expects the lock to be held."
            )

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


class CapacityLimiter:
    """A limit on how many tasks do something at once; the durable ``trio.CapacityLimiter``."""

    __slots__ = ("_borrowers", "_queue", "_total")

    def __init__(self, total_tokens: float) -> None:
        self._total = _tokens(total_tokens)
        self._borrowers: set[object] = set()
        self._queue: WaitQueue[object] = WaitQueue()

    @property
    def total_tokens(self) -> float:
        """How many may hold a token at once; may be changed, also below what is borrowed."""
        return self._total

    @total_tokens.setter
    def total_tokens(self, total_tokens: float) -> None:
        self._queue.check_changer("CapacityLimiter.total_tokens")
        self._total = _tokens(total_tokens)
        self._hand_out()

    @property
    def borrowed_tokens(self) -> int:
        """How many are held."""
        return len(self._borrowers)

    @property
    def available_tokens(self) -> float:
        """How many are left."""
        return self._total - len(self._borrowers)

    async def acquire(self) -> None:
        """Borrow a token for this task, waiting in order. ``UsageError`` if it holds one."""
        await self.acquire_on_behalf_of(self._queue.user("CapacityLimiter.acquire"))

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Borrow a token for any hashable object."""
        task = self._queue.user("CapacityLimiter.acquire")
        await check_cancelled(task)
        if borrower in self._borrowers:
            raise UsageError("this borrower already holds a token of the CapacityLimiter")

        if len(self._borrowers) < self._total and not self._queue:
            self._borrowers.add(borrower)
            return

        await self._queue.wait(task, borrower)

    def release(self) -> None:
        """Give this task's token back. ``UsageError`` if it holds none."""
        self.release_on_behalf_of(self._queue.user("CapacityLimiter.release"))

    def release_on_behalf_of(self, borrower: object) -> None:
        """Give a borrower's token back."""
        self._queue.user("CapacityLimiter.release")
        if borrower not in self._borrowers:
            raise UsageError("this borrower holds no token of the CapacityLimiter")

        self._borrowers.remove(borrower)
        self._hand_out()

    def _hand_out(self) -> None:
        while len(self._borrowers) < self._total and (first := self._queue.wake_first()):
            self._borrowers.add(first[1])

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()


def _tokens(total: float) -> float:
    if total != math.inf and (total < 1 or total != int(total)):
        raise ValueError(f"total_tokens is a whole number from 1 on, or math.inf, got {total!r}")

    return total


class Condition:
    """A lock with a queue of tasks that wait to be notified; the durable ``trio.Condition``."""

    __slots__ = ("_lock", "_waiting")

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock or Lock()
        self._waiting: deque[Event] = deque()

    def locked(self) -> bool:
        """Whether a task holds the lock."""
        return self._lock.locked()

    async def acquire(self) -> None:
        """Take the lock."""
        await self._lock.acquire()

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    async def wait(self) -> None:
        """Release the lock, wait to be notified, and take the lock again, also if cancelled."""
        from ._cancel import CancelScope

        task = self._lock._queue.user("Condition.wait")
        self._lock._release(task)  # one module
        notified = Event()
        self._waiting.append(notified)
        try:
            await notified.wait()
        except BaseException:
            # Once notified it is not interrupted any more: nothing has to be handed on.
            self._waiting.remove(notified)
            raise
        finally:
            with CancelScope(shield=True):
                await self._lock.acquire()

    def notify(self, n: int = 1) -> None:
        """Let ``n`` waiting tasks go on, once they get the lock. ``UsageError`` without the lock."""
        task = self._lock._queue.user("Condition.notify")
        if self._lock._owner is not task and not task.scheduler.closed:
            raise UsageError(
                "only the task that holds the lock of a Condition may notify: do it inside of "
                "`async with condition:`"
            )

        for _ in range(min(n, len(self._waiting))):
            self._waiting.popleft().set()

    def notify_all(self) -> None:
        """Let all waiting tasks go on."""
        self.notify(len(self._waiting))

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
