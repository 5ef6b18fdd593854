"""Waiting in a durable task for anything that is not a future: the primitives' side.

Owns the cancellation check and the interruptible park, with trio's rule: a wait either
succeeds or is cancelled, never both. Also the queue in which primitives keep who waits,
``sleep`` and ``checkpoint``.
"""

from __future__ import annotations

import math
import types
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ._duration import seconds as in_seconds
from ._exceptions import UsageError
from ._task import current, running_task
from ._traps import Trap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._duration import Duration
    from ._scheduler import Scheduler
    from ._task import DurableTask

T = TypeVar("T")


def _nothing_to_undo() -> bool:
    return True


@types.coroutine
def check_cancelled(task: DurableTask) -> Generator[Trap, Any, None]:
    """Raise the host's cancelled exception if the task is cancelled."""
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)


@types.coroutine
def wait(
    task: DurableTask, undo: Callable[[], bool] = _nothing_to_undo
) -> Generator[Trap, Any, Any]:
    """Park until woken, and return what ``wake`` was given. Call ``check_cancelled`` first.

    ``undo`` is called when the wait is cancelled instead, before the exception is raised.
    """
    task.abort = undo
    value = yield Trap.PARK
    task.cancellations = 0
    return value


class WaitQueue(Generic[T]):
    """Parked tasks in the order in which they began to wait, each with something of its own."""

    __slots__ = ("_parked", "_scheduler")

    def __init__(self) -> None:
        # Emptied from the front, which a plain dict is slow at: it looks at all that was there.
        self._parked: OrderedDict[DurableTask, T] = OrderedDict()
        self._scheduler: Scheduler | None = None
        """That of the invocation which has used the primitive first."""

    def __len__(self) -> int:
        return len(self._parked)

    def user(self, operation: str) -> DurableTask:
        """The durable task that is calling. ``UsageError`` if the primitive is another invocation's."""
        scheduler = self._scheduler
        if scheduler is not None:
            task = scheduler.running
            if task is not None and task is current.get(None):
                return task

        return self._belong_to(running_task(operation), operation)

    def _belong_to(self, task: DurableTask, operation: str) -> DurableTask:
        if self._scheduler is not None:
            raise UsageError(
                f"{operation} was called on a primitive that another invocation, or an earlier "
                "attempt of this one, has used: what it does then depends on no journal. Make "
                "one in the handler; between invocations use awakeables, signals or a "
                "VirtualObject."
            )

        self._scheduler = task.scheduler
        return task

    def check_changer(self, operation: str) -> None:
        """As ``user``, of a primitive that is in use by a handler that has not ended."""
        if self._scheduler is not None and not self._scheduler.closed:
            self.user(operation)

    async def wait(self, task: DurableTask, item: T) -> Any:
        """Park at the end of the queue; returns what the task is woken with."""
        self._parked[task] = item
        return await wait(task, lambda: self._leave(task))

    def _leave(self, task: DurableTask) -> bool:
        del self._parked[task]
        return True

    def wake_first(self, value: Any = None) -> tuple[DurableTask, T] | None:
        """Wake the task that has waited longest and return it with its item; None if none waits."""
        if not self._parked:
            return None

        task, item = self._parked.popitem(last=False)
        task.wake(value)
        return task, item

    def wake_all(self, value: Any = None, *, where: Callable[[T], bool] = lambda _: True) -> None:
        """Wake every task whose item is wanted, in order."""
        for task in [task for task, item in self._parked.items() if where(item)]:
            del self._parked[task]
            task.wake(value)


@types.coroutine
def checkpoint() -> Generator[Trap, Any, None]:
    """Let all other ready durable tasks run, and raise if cancelled. Journals nothing.

    Polling with it for a result fails as a busy wait: results arrive when every task waits.
    """
    task = running_task("checkpoint")
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)
    yield Trap.TURN
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)
    task.cancellations = 0


async def sleep(seconds: Duration) -> None:
    """Sleep durably, for ``seconds``: a journaled timer, which goes on while no process runs.

    Seconds or a ``timedelta``. A replay waits for the rest of the time, or not at all.
    ``ValueError`` for a negative time.
    """
    length = in_seconds(seconds)
    if math.isnan(length) or length < 0:
        raise ValueError(f"a sleep is a number of seconds from 0 on, got {seconds!r}")

    await sleep_until(running_task("sleep").scheduler.now() + length)


async def sleep_until(deadline: float) -> None:
    """Sleep durably until a time in seconds since the epoch; a past one is over at once."""
    task = running_task("sleep_until")
    if math.isnan(deadline):
        raise ValueError("a sleep ends at a time in seconds since the epoch, got nan")

    if deadline == math.inf:
        await sleep_forever()

    await check_cancelled(task)
    timer, _ = task.scheduler.start_timer(deadline, "sleep")
    await timer


async def sleep_forever() -> NoReturn:
    """Wait until cancelled. Journals nothing; while all wait like this the invocation is suspended."""
    task = running_task("sleep_forever")
    await check_cancelled(task)
    while True:
        await wait(task)
