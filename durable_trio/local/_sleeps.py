"""The timers of one invocation in memory.

Owns which of them are in the store. When they fire is the timer queue's.

 1. A timer is put with its Sleep command, and removed when it has fired, when nobody waits
    for it any more, or with its invocation.
 2. What is forgotten while recorded commands replay was removed by the attempt that went
    through here first.
 3. A timer that an attempt waits for is there, even if an earlier attempt removed it: one
    that was unwinding after an error, which no journal records and the next attempt need
    not meet. So a recorded timer is put once more when it is first waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._journal._entries import Completion, Sleep
from durable_trio._records import DeleteTimer, PutTimer, Timer, TimerKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from durable_trio._journal._entries import AwaitTree, Entry
    from durable_trio._records import Write

    from ._timers import TimerQueue


class Sleeps:
    """See the module's docstring. ``recorded`` is what ``sleeping`` found in the journal."""

    __slots__ = ("_forgotten", "_invocation_id", "_queue", "_unsure", "outstanding")

    def __init__(
        self, invocation_id: str, queue: TimerQueue, recorded: Iterable[Sleep] = ()
    ) -> None:
        self._invocation_id = invocation_id
        self._queue = queue
        self._unsure = {sleep.completion_id: sleep for sleep in recorded}
        self._forgotten: list[int] = []
        self.outstanding: set[int] = set(self._unsure)
        """The completion ids of all that may be in the store."""

    @property
    def unsure(self) -> bool:
        """Whether there are recorded timers that nobody has waited for yet."""
        return bool(self._unsure)

    @property
    def forgotten(self) -> bool:
        """Whether there is something to remove."""
        return bool(self._forgotten)

    def start(self, sleep: Sleep) -> Write:
        """The write that puts a timer."""
        timer = Timer(
            sleep.wake_up_time / 1000, self._invocation_id, TimerKind.SLEEP, sleep.completion_id
        )
        self.outstanding.add(sleep.completion_id)
        self._queue.add(timer)
        return PutTimer(timer)

    def forget(self, completion_id: int) -> None:
        """Nobody waits for this one any more."""
        self._forgotten.append(completion_id)

    def remember(self) -> None:
        """What was forgotten since the last write was not forgotten after all."""
        self._forgotten.clear()

    def fired(self, completion_id: int) -> None:
        """The removal of this one is queued."""
        self.outstanding.discard(completion_id)
        self._unsure.pop(completion_id, None)

    def removals(self) -> Iterator[Write]:
        """The writes that remove what was forgotten."""
        forgotten, self._forgotten = self._forgotten, []
        for completion_id in forgotten:
            if completion_id in self.outstanding:
                self.fired(completion_id)
                self._queue.remove(self._invocation_id, TimerKind.SLEEP, completion_id)
                yield DeleteTimer(self._invocation_id, TimerKind.SLEEP, completion_id)

    def ensure(self, awaiting: AwaitTree) -> Iterator[Write]:
        """The writes that put once more what is waited for."""
        for node in _nodes(awaiting):
            for completion_id in node.completions:
                sleep = self._unsure.pop(completion_id, None)
                if sleep is not None:
                    yield self.start(sleep)


def sleeping(entries: Iterable[Entry]) -> list[Sleep]:
    """The recorded timers that have not fired."""
    started: dict[int, Sleep] = {}
    for entry in entries:
        if isinstance(entry, Sleep):
            started[entry.completion_id] = entry
        elif isinstance(entry, Completion):
            started.pop(entry.completion_id, None)
    return list(started.values())


def _nodes(tree: AwaitTree) -> Iterator[AwaitTree]:
    yield tree
    for nested in tree.nested:
        yield from _nodes(nested)
