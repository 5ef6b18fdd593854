"""Whose turn it is: everything that several invocations could do at once, one after the other.

Owns what waits for its turn, the order in which it is offered, and when the next one goes.
Who decides among several is a function that is handed in.

 1. One event goes at a time, and the next one only when everything that came of it is done:
    no task is ready, no commit on its way, no run body at work.
 2. What is offered is in an order that depends on the program alone, not on the host: by kind,
    then by the place of the invocation, then by the order of arrival.
 3. Events of an ``automatic`` kind go before all others, and nobody is asked.
 4. Time is an event like others: it passes to the next deadline. Results that expire are no
    reason for it to pass.
 5. Nobody is asked where there is one event only.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from durable_trio._records import TimerKind

from ._quiescence import wait_all_others_blocked, waits_for_the_host

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio._journal._entries import Notification

    from ._chronicle import Chronicle, Place
    from ._memory import MemoryStore
    from ._timeline import Timeline

    Choose: TypeAlias = Callable[[Sequence["Event"]], int]

_MOST_EVENTS: Final = 10_000
"""After so many, a program counts as one that never comes to rest."""


_LOOK_AGAIN: Final = 0.002
"""Seconds of real time after which a program that waits for the host is looked at again."""


class EventKind(enum.IntEnum):
    """What may happen next. The order is that in which events are offered."""

    REQUEST = 1
    """The test asks for something."""
    START = 2
    """An invocation is attempted."""
    STEP = 3
    """The body of a run begins."""
    RESULT = 4
    """The body of a run has ended, and its result is recorded."""
    NOTIFICATION = 5
    """Something else arrives: an answer, a signal, a timer that fired."""
    TIME = 6
    """Time passes to the next deadline."""


@attrs.frozen
class Event:
    """Something that waits for its turn. ``label`` names it, and nothing else in its run."""

    kind: EventKind
    label: str
    invocation_id: str | None = None
    place: Place = ()
    arrival: int = 0

    @property
    def rank(self) -> tuple[int, Place, int]:
        """Where it stands among those that are offered."""
        return self.kind, self.place, self.arrival


class Program(Protocol):
    """What has to be known of the runtime whose turns are given."""

    store: MemoryStore

    @property
    def executing(self) -> int:
        """How many run bodies were entered and not left."""
        ...

    @property
    def backing_off(self) -> bool:
        """Whether any run is to be tried again."""
        ...


class Stage:
    """See the module's docstring."""

    def __init__(
        self,
        chronicle: Chronicle,
        choose: Choose,
        *,
        automatic: frozenset[EventKind] = frozenset(),
        notifications: bool = False,
    ) -> None:
        self.chronicle: Chronicle = chronicle
        self.holds_notifications: bool = notifications
        """Whether everything that arrives waits for its turn before it is durable."""
        self.over: bool = False
        """Whether nobody waits for a turn any more."""
        self.on_rest: Callable[[], object] | None = None
        """Called once when no event is left."""
        self.happened: list[Event] = []
        self.on_event: Callable[[Event], object] | None = None
        """Told of every event before it goes."""
        self._choose = choose
        self._automatic = automatic
        self._waiting: dict[Event, Callable[[], object]] = {}
        self._labels: Counter[str] = Counter()
        self._arrivals = 0
        self._look_again: Callable[[], object] = _nothing

    # -- waiting

    async def turn(self, kind: EventKind, what: str, invocation_id: str | None = None) -> None:
        """Wait until it is this one's turn."""
        if self.over:
            return

        released = anyio.Event()
        event = self.hold(kind, what, released.set, invocation_id)
        try:
            await released.wait()
        finally:
            self._waiting.pop(event, None)

    def hold(
        self,
        kind: EventKind,
        what: str,
        go: Callable[[], object],
        invocation_id: str | None = None,
    ) -> Event:
        """Have ``go`` called when it is this one's turn."""
        chronicle = self.chronicle
        if invocation_id is not None:
            what = f"{chronicle.label(invocation_id)}: {what}"
        self._labels[what] += 1
        if self._labels[what] > 1:
            what = f"{what} ({self._labels[what]})"
        self._arrivals += 1
        place = () if invocation_id is None else chronicle.place(invocation_id)
        event = Event(kind, what, invocation_id, place, self._arrivals)
        self._waiting[event] = go
        self._look_again()
        return event

    def keep_back(self, target: str, notification: Notification, post: Callable[[], None]) -> bool:
        """Have a notification wait for its turn; False: it is not to wait."""
        if self.over or not self.holds_notifications:
            return False

        what = self.chronicle.notification(target, notification)
        self.hold(EventKind.NOTIFICATION, what, post, target)
        return True

    def end(self) -> None:
        """Nobody waits any more: everything goes on as it likes."""
        self.over = True
        waiting, self._waiting = self._waiting, {}
        for go in waiting.values():
            go()

    # -- giving turns

    async def drive(self, program: Program, timeline: Timeline) -> None:
        """Give turns, for ever."""
        self._look_again = timeline.look_again
        while True:
            changed = timeline.watch()
            await wait_all_others_blocked()
            if program.store.pending:
                await anyio.lowlevel.checkpoint()
                continue

            working = program.executing > timeline.sleeping_bodies and waits_for_the_host()
            if not working and not self.over and self._next(program, timeline):
                continue

            if not waits_for_the_host():
                self._rest()
                await changed.wait()
            else:
                with anyio.move_on_after(_LOOK_AGAIN):  # what the host does changes nothing here
                    await changed.wait()

    def _rest(self) -> None:
        if self.on_rest is not None:
            on_rest, self.on_rest = self.on_rest, None
            on_rest()

    def _next(self, program: Program, timeline: Timeline) -> bool:
        """Let one event go; False if there is none."""
        waiting = sorted(self._waiting, key=_rank)
        automatic = [event for event in waiting if event.kind in self._automatic]
        if automatic:
            self._go(automatic[0])
            return True

        if not waiting and timeline.welcome(settled=True):
            return True

        events = [*waiting, *self._time(program, timeline)]
        if not events:
            return False

        event = events[self._choose(events) if len(events) > 1 else 0]
        if event.kind is not EventKind.TIME:
            self._go(event)
            return True

        self._happens(event)
        timeline.move_to(min(timeline.next_due, _limit(timeline)))
        return True

    def _time(self, program: Program, timeline: Timeline) -> Sequence[Event]:
        due = timeline.next_due
        if timeline.time < timeline.limit:
            due = min(due, timeline.limit)
        elif due == math.inf or not _anybody_waits(program, timeline):
            return ()

        seconds = due - timeline.start
        return (Event(EventKind.TIME, f"time passes to {seconds:g} s"),)

    def _go(self, event: Event) -> None:
        go = self._waiting.pop(event)
        self._happens(event)
        go()

    def _happens(self, event: Event) -> None:
        self.happened.append(event)
        if len(self.happened) > _MOST_EVENTS:
            raise AssertionError(
                f"the program does not come to rest: {_MOST_EVENTS} events have happened, the last "
                f"one is {event.label!r}"
            )

        if self.on_event is not None:
            self.on_event(event)


def _rank(event: Event) -> tuple[int, Place, int]:
    return event.rank


def _limit(timeline: Timeline) -> float:
    return timeline.limit if timeline.time < timeline.limit else math.inf


def _anybody_waits(program: Program, timeline: Timeline) -> bool:
    """Whether somebody waits for time to pass. That results expire is waited for by nobody."""
    if timeline.sleeping_bodies or timeline.sleeping_outside or program.backing_off:
        return True

    timers = program.store.committed.timers(due_by=math.inf, limit=_MOST_EVENTS)
    return any(timer.kind is not TimerKind.EXPIRE for timer in timers)


def _nothing() -> None:
    return None
