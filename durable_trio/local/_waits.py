"""What one invocation in memory has in the store because it waits.

Owns which of its rows are there: its timers, and its places among those who wait for a
promise or for another invocation's result. When timers fire is the timer queue's; how a
place is taken is the effects'.

 1. A row is put with its command, and removed when it has been answered, when nobody waits
    for it any more, or with its invocation. Nothing that is stored outlives the wait.
 2. What is forgotten while recorded commands replay was removed by the attempt that went
    through here first.
 3. A row that an attempt waits for is there, even if an earlier attempt removed it: one
    that was unwinding after an error, which no journal records and the next attempt need
    not meet. Or a crash came before it was put. So it is put once more when it is first
    waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from durable_trio._journal._entries import Attach, Completion, GetPromise, Sleep
from durable_trio._records import DeleteTimer, DeleteWaiter, PutTimer, Timer, TimerKind, Waiter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from durable_trio._journal._entries import AwaitTree, Entry
    from durable_trio._records import Write

    from ._timers import TimerQueue

Wait: TypeAlias = Sleep | GetPromise | Attach
"""The commands that leave a row for as long as they are not answered."""

PLACES: Final = (GetPromise, Attach)
"""Those whose row is a place among others who wait."""


class Waits:
    """See the module's docstring. ``recorded`` is what ``unanswered`` found in the journal."""

    __slots__ = ("_forgotten", "_invocation_id", "_outstanding", "_queue", "_unsure")

    def __init__(
        self, invocation_id: str, queue: TimerQueue, recorded: Iterable[Wait] = ()
    ) -> None:
        self._invocation_id = invocation_id
        self._queue = queue
        self._unsure = {wait.completion_id: wait for wait in recorded}
        self._forgotten: list[int] = []
        self._outstanding: dict[int, Wait] = dict(self._unsure)

    @property
    def unsure(self) -> bool:
        """Whether there are recorded waits that nobody has come to in this attempt."""
        return bool(self._unsure)

    @property
    def forgotten(self) -> bool:
        """Whether there is something to remove."""
        return bool(self._forgotten)

    @property
    def outstanding(self) -> tuple[Wait, ...]:
        """All that may have a row in the store."""
        return tuple(self._outstanding.values())

    def started(self, wait: Wait) -> None:
        """The row of this one is put, or is going to be."""
        self._outstanding[wait.completion_id] = wait

    def start(self, sleep: Sleep) -> Write:
        """The write that puts a timer."""
        timer = Timer(
            sleep.wake_up_time / 1000, self._invocation_id, TimerKind.SLEEP, sleep.completion_id
        )
        self.started(sleep)
        self._queue.add(timer)
        return PutTimer(timer)

    def forget(self, completion_id: int, *, replaying: bool) -> None:
        """Nobody waits for this one any more, nor will."""
        self._unsure.pop(completion_id, None)
        if not replaying:
            self._forgotten.append(completion_id)

    def remember(self) -> None:
        """What was forgotten since the last write was not forgotten after all."""
        self._forgotten.clear()

    def answered(self, completion_id: int) -> None:
        """The removal of this one is queued."""
        self._outstanding.pop(completion_id, None)
        self._unsure.pop(completion_id, None)

    def removals(self) -> Iterator[Write]:
        """The writes that remove what was forgotten."""
        forgotten, self._forgotten = self._forgotten, []
        for completion_id in forgotten:
            wait = self._outstanding.pop(completion_id, None)
            if wait is not None:
                yield removal(self._invocation_id, wait, self._queue)

    def ensure(self, awaiting: AwaitTree) -> Iterator[Wait]:
        """What is waited for and may have to be put once more."""
        for node in _nodes(awaiting):
            for completion_id in node.completions:
                wait = self._unsure.pop(completion_id, None)
                if wait is not None:
                    yield wait


def removal(invocation_id: str, wait: Wait, timers: TimerQueue) -> Write:
    """The write that removes the row of a wait."""
    if isinstance(wait, Sleep):
        timers.remove(invocation_id, TimerKind.SLEEP, wait.completion_id)
        return DeleteTimer(invocation_id, TimerKind.SLEEP, wait.completion_id)

    return DeleteWaiter(Waiter(invocation_id, wait.completion_id))


def unanswered(entries: Iterable[Entry]) -> list[Wait]:
    """The recorded waits that no completion has answered."""
    waits: dict[int, Wait] = {}
    for entry in entries:
        if isinstance(entry, (Sleep, *PLACES)):
            waits[entry.completion_id] = entry
        elif isinstance(entry, Completion):
            waits.pop(entry.completion_id, None)
    return list(waits.values())


def _nodes(tree: AwaitTree) -> Iterator[AwaitTree]:
    yield tree
    for nested in tree.nested:
        yield from _nodes(nested)
