"""Whose turn it is: everything that several invocations could do at once, one after the other.

Owns what waits for its turn, the order in which it is offered, and when the next one goes.
Who decides among several is a function that is handed in.

 1. One event goes at a time, and the next one only when everything that came of it is done:
    no task is ready, no commit on its way, no run body at work.
 2. What is offered is in an order that depends on the program alone, not on the host: by kind,
    then by the place of the invocation, by completion id, by text, and only then by arrival.
 3. Events of an ``automatic`` kind go before all others, and nobody is asked.
 4. Time is an event like others: it passes to the next deadline. Results that expire are no
    reason for it to pass.
 5. What an object or workflow key sends to one invocation arrives in the order in which it
    was sent, and so do signals of one name. All else may overtake each other.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import attrs

from durable_trio._journal._entries import Completion
from durable_trio._records import TimerKind

from ._driver import LOOK_AGAIN, until_rest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from durable_trio._journal._entries import Notification
    from durable_trio._records import Timer

    from ._chronicle import Chronicle, Place
    from ._timeline import Timeline

    Key: TypeAlias = tuple["EventKind", Place, int, str, int]
    """Kind, place of the invocation, completion id, text, and which one of those."""
    Choose: TypeAlias = Callable[[Sequence["Event"]], int]

_MOST_EVENTS: Final = 5_000
"""After so many, a program counts as one that never comes to rest."""


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
    DELIVERY = 6
    """What is durable is told to an attempt."""
    TIME = 7
    """Time passes to the next deadline."""


@attrs.frozen
class Event:
    """Something that waits for its turn.

    ``label`` names it for people, ``key`` is the same in every run in which it is possible.
    """

    kind: EventKind
    label: str
    key: Key
    invocation_id: str | None = None


class Stage:
    """See the module's docstring."""

    def __init__(
        self,
        chronicle: Chronicle,
        choose: Choose,
        *,
        automatic: frozenset[EventKind] = frozenset(),
        notifications: bool = False,
        deliveries: bool = False,
    ) -> None:
        self.chronicle: Chronicle = chronicle
        self.holds_notifications: bool = notifications
        """Whether everything that arrives waits for its turn before it is durable."""
        self.holds_deliveries: bool = deliveries
        """Whether attempts are told of it one after the other: of the notifications that one
        transaction brings to several, the host would have them react in any order."""
        self.over: bool = False
        """Whether nobody waits for a turn any more."""
        self.on_rest: Callable[[], object] | None = None
        """Called once when no event is left."""
        self.happened: list[Event] = []
        self.on_event: Callable[[Event], object] | None = None
        """Told of every event before it goes."""
        self.on_hold: Callable[[Event], object] | None = None
        """Told of every event that becomes possible."""
        self._choose = choose
        self._automatic = automatic
        self._waiting: dict[Event, Callable[[], object]] = {}
        self._names: Counter[tuple[EventKind, Place, int, str]] = Counter()
        self._deliveries = 0
        self._queues: dict[tuple[str, Hashable], deque[Callable[[], None]]] = {}
        """What one sender sends to one invocation, the first of which waits for its turn."""
        self._look_again: Callable[[], object] = _nothing

    # -- waiting

    async def turn(
        self, kind: EventKind, what: str, invocation_id: str | None = None, number: int = 0
    ) -> None:
        """Wait until it is this one's turn."""
        if self.over:
            return

        released = anyio.Event()
        event = self.hold(kind, what, released.set, invocation_id, number)
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
        number: int = 0,
    ) -> Event:
        """Have ``go`` called when it is this one's turn. ``number`` is a completion id."""
        chronicle = self.chronicle
        place = () if invocation_id is None else chronicle.place(invocation_id)
        name = (kind, place, number, what)
        self._names[name] += 1
        label = what if invocation_id is None else f"{chronicle.label(invocation_id)}: {what}"
        event = Event(kind, label, (*name, self._names[name]), invocation_id)
        self._waiting[event] = go
        if self.on_hold is not None:
            self.on_hold(event)
        self._look_again()
        return event

    def keep_back(self, target: str, notification: Notification, post: Callable[[], None]) -> bool:
        """Have a notification wait for its turn; False: it is not to wait."""
        if self.over or not self.holds_notifications:
            return False

        what = self.chronicle.notification(target, notification)
        number = notification.completion_id if isinstance(notification, Completion) else 0
        sender = self.chronicle.sender(target, notification)

        def hold() -> None:
            self.hold(EventKind.NOTIFICATION, what, post_and_go_on, target, number)

        def post_and_go_on() -> None:
            post()
            if sender is not None:
                queue.popleft()
                if queue:
                    queue[0]()

        queue: deque[Callable[[], None]] = deque()
        if sender is not None:
            queue = self._queues.setdefault((target, sender), queue)
        queue.append(hold)
        if len(queue) == 1:
            hold()
        return True

    def deliver(
        self,
        invocation_id: str,
        deliver: Callable[[Notification], None],
        notification: Notification,
    ) -> None:
        """Tell an attempt of a notification, when it is its turn."""
        if self.over or not self.holds_deliveries:
            deliver(notification)
            return

        self._deliveries += 1
        what = f"is told {self.chronicle.notification(invocation_id, notification)}"
        go = partial(deliver, notification)
        self.hold(EventKind.DELIVERY, what, go, invocation_id, self._deliveries)

    def end(self) -> None:
        """Nobody waits any more: everything goes on as it likes."""
        self.over = True
        waiting, self._waiting = self._waiting, {}
        for go in waiting.values():
            go()

    # -- giving turns

    async def drive(
        self,
        timeline: Timeline,
        *,
        pending: Callable[[], bool],
        executing: Callable[[], int],
        backing_off: Callable[[], bool],
        timers: Callable[[], Sequence[Timer]],
    ) -> None:
        """Give turns, for ever.

        ``pending`` says whether a commit is on its way, ``executing`` how many run bodies were
        entered and not left, ``backing_off`` whether any is to be tried again; ``timers`` are
        those in the store.
        """

        def anybody_waits() -> bool:
            if timeline.sleeping_bodies or timeline.sleeping_outside or backing_off():
                return True

            # That results expire is waited for by nobody.
            return any(timer.kind is not TimerKind.EXPIRE for timer in timers())

        self._look_again = timeline.look_again
        while True:
            rest = await until_rest(timeline, pending, executing)
            working = rest.host and rest.bodies
            if not working and not self.over and self._next(timeline, anybody_waits):
                continue

            if not rest.host:
                self._rest()
                await rest.changed.wait()
            else:
                with anyio.move_on_after(LOOK_AGAIN):  # what the host does changes nothing here
                    await rest.changed.wait()

    def _rest(self) -> None:
        if self.on_rest is not None:
            on_rest, self.on_rest = self.on_rest, None
            on_rest()

    def _next(self, timeline: Timeline, anybody_waits: Callable[[], bool]) -> bool:
        """Let one event go; False if there is none."""
        waiting = sorted(self._waiting, key=_key)
        automatic = [event for event in waiting if event.kind in self._automatic]
        if automatic:
            self._go(automatic[0])
            return True

        if not waiting and timeline.welcome(settled=True):
            return True

        events = [*waiting, *_time(timeline, anybody_waits)]
        if not events:
            return False

        event = events[self._choose(events)]
        if event.kind is not EventKind.TIME:
            self._go(event)
            return True

        self._happens(event)
        timeline.move_to(min(timeline.next_due, _limit(timeline)))
        return True

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


def _key(event: Event) -> Key:
    return event.key


def _limit(timeline: Timeline) -> float:
    return timeline.limit if timeline.time < timeline.limit else math.inf


def _time(timeline: Timeline, anybody_waits: Callable[[], bool]) -> Sequence[Event]:
    due = timeline.next_due
    if timeline.time < timeline.limit:
        due = min(due, timeline.limit)
    elif due == math.inf or not anybody_waits():
        return ()

    elapsed = due - timeline.start
    return (
        Event(
            EventKind.TIME,
            f"time passes to {elapsed:g} s",
            (EventKind.TIME, (), 0, f"{elapsed!r}", 1),
        ),
    )


def _nothing() -> None:
    return None
