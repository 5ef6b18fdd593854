"""Trying every order in which things can happen.

Owns what is tried and for how long, what has to hold each time, and the report of an order in
which it does not. Which order comes next is ``_reduction.py``'s.

 1. Every order is tried twice: with the bodies of runs executed as early as they can be, and
    as late. What was executed for nothing is found by one, what others do in between by the
    other.
 2. Where there are too many orders, the last fifth of the runs is drawn by chance.
 3. The order that is reported is a simple one: choices that are not needed are left out.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from durable_trio._options import ServiceOptions
from durable_trio._registry import ServiceRegistry

from ._chronicle import Chronicle
from ._footprints import CLIENT, EVERYTHING, WORLD, invocation, observed
from ._golden import journals_of
from ._performance import Performance, Play, Raised
from ._reduction import Search
from ._replay import replay
from ._schedule import AUTOMATIC, Playing, Schedule
from ._stage import EventKind, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from durable_trio._services import ServiceDefinition

    from ._footprints import Footprint, Resource
    from ._performance import Scenario
    from ._reduction import Key
    from ._schedule import Steps
    from ._stage import Choose, Event

T = TypeVar("T")

_MOST_LINES: Final = 60
_SIMPLIFYING: Final = 100
"""So many more runs may be spent on a simpler order that fails."""


@attrs.frozen
class ExploreReport:
    """What ``explore`` did: nothing failed."""

    schedules: int
    """How many orders were tried."""
    exhaustive: bool
    """Whether these are all that make a difference."""
    events: int
    """How many events the longest one had."""

    def __str__(self) -> str:
        extent = "all there are" if self.exhaustive else "of more"
        return f"{self.schedules} schedules ({extent}) of up to {self.events} events"


async def explore(
    services: Iterable[ServiceDefinition],
    scenario: Scenario[T],
    *,
    check: Callable[[T], object] | None = None,
    limit: int = 1000,
    seed: int = 0,
    schedule: Schedule | None = None,
    independent_steps: bool = False,
    defaults: ServiceOptions | None = None,
) -> ExploreReport:
    """Run a program in every order in which its events can come.

    ``await explore([shop, bank], scenario)``. ``scenario`` is an async function that is given
    a fresh ``testing.runtime``: it calls handlers and asserts what has to hold in every
    order. ``check`` is given what it returns, once everything has come to rest. Have it reset
    what handlers change outside.

    An event is an invocation that starts, the result of a run, an answer, a signal or a timer
    that enters a journal, time that passes to the next deadline, or something that the
    scenario asks for. One goes at a time, and the next when nothing more comes of it. Orders
    that differ only in events that commute are tried once: events of different invocations
    that use no object, promise or idempotency key in common, and, with
    ``independent_steps``, whose runs change nothing outside that the other's may depend on.
    Variables that handlers share across invocations are not seen.

    At most ``limit`` orders are tried; if there are more, some are drawn by ``seed``, and the
    report says so. With ``schedule`` only that one is: one that was reported, or one that
    Hypothesis draws (``schedules()``).

    In each order, each journal has to replay to itself, every step is executed as often as it
    has to be, and nobody waits for ever. Raises ``AssertionError`` for the first order in
    which anything fails, with what happened and a line that reproduces it.
    """
    play = Play(tuple(services), scenario, defaults or ServiceOptions(), math.inf)
    exploring = _Exploring(play, check, independent_steps)
    if schedule is not None:
        await exploring.play_one(schedule)
        return ExploreReport(1, exhaustive=False, events=exploring.events)

    exhaustive = await exploring.search("early", max(1, limit // 2), seed)
    if exploring.steps:
        exhaustive &= await exploring.search("late", max(1, limit - exploring.runs), seed)
    return ExploreReport(exploring.count, exhaustive, exploring.events)


class _Exploring:
    """What all runs have in common."""

    def __init__(
        self,
        play: Play[Any],
        check: Callable[[Any], object] | None,
        independent_steps: bool,
    ) -> None:
        self._play = play
        self._check = check
        self._independent_steps = independent_steps
        self._registry = ServiceRegistry(play.services, play.defaults)
        self.count: int = 0
        """How many orders were tried."""
        self.runs: int = 0
        """How many runs that took: some turn out to be like one that was tried."""
        self.events: int = 0
        self.steps: int = 0
        """How many bodies of runs were executed in the first order."""

    async def search(self, steps: Steps, limit: int, seed: int) -> bool:
        """Try all orders, or many; True if these were all."""
        search, started = Search(), self.runs
        while not search.finished and self.runs - started < max(1, limit * 4 // 5):
            search.begin()
            run = _Run(self._play, steps, search=search, world=not self._independent_steps)
            await self._try(run)
            run.conclude()
            self.count += not search.redundant
            search.end()
        if search.finished:
            return True

        chance = random.Random(seed)  # noqa: S311  # the same every time is what is wanted
        while self.runs - started < limit:
            self.count += 1
            await self._try(
                _Run(self._play, steps, choose=lambda events: chance.randrange(len(events)))
            )
        return False

    async def play_one(self, schedule: Schedule) -> None:
        """Try this order. ``AssertionError`` if it fails."""
        run = _of(self._play, schedule)
        error = await self._error(run)
        if error is not None:
            raise AssertionError(run.report(error)) from error

    async def _try(self, run: _Run) -> None:
        error = await self._error(run)
        if error is None:
            return

        for simpler in _simpler(run.schedule):
            simple = _of(self._play, simpler)
            reason = await self._error(simple)
            if reason is not None:
                run, error = simple, reason
                break
        raise AssertionError(run.report(error)) from error

    async def _error(self, run: _Run) -> Exception | None:
        """What is wrong with an order; None: nothing."""
        self.runs += 1
        try:
            await run.performance.run()
            await self._check_everything(run.performance)
        except Exception as error:  # whatever comes of an order is reported with it
            return error
        finally:
            self.events = max(self.events, len(run.happened))
            self.steps = self.steps or sum(
                event.kind is EventKind.STEP for event in run.stage.happened
            )
        return None

    async def _check_everything(self, performance: Performance[Any]) -> None:
        if isinstance(performance.outcome, Raised):
            raise performance.outcome.error

        if self._check is not None:
            self._check(performance.outcome)
        wrong = performance.effects.wrong()
        if wrong is not None:
            raise AssertionError(wrong)

        for journal in journals_of(performance.store):
            replayed = await replay(journal, self._registry)
            if not replayed.clean:
                raise AssertionError(f"a journal does not replay to itself: {replayed}")


class _Run:
    """One order: what happened in it, and what every event touched."""

    def __init__(
        self,
        play: Play[Any],
        steps: Steps,
        *,
        search: Search | None = None,
        choose: Choose | None = None,
        world: bool = True,
    ) -> None:
        chronicle = Chronicle()
        self._steps: Steps = steps
        self._search = search
        self._inner = choose
        self._world = world
        self._choices: list[int] = []
        self._touched: Footprint = set()
        self._created: list[Key] = []
        self.happened: list[tuple[Event, Sequence[Event]]] = []
        """Every event that was chosen, and what it was chosen from."""
        self.stage: Stage = Stage(
            chronicle, self._choose, automatic=AUTOMATIC[steps], notifications=True
        )
        self.stage.on_event = self._on_event
        self.stage.on_hold = self._on_hold
        self.performance: Performance[Any] = Performance(play, self.stage, chronicle)
        store = self.performance.store
        store.committed = observed(store.committed, self._touch)
        store.after_commit = self.performance.committed

    @property
    def schedule(self) -> Schedule:
        """The order, to be played again."""
        return Schedule(self._steps, self._choices)

    def _choose(self, events: Sequence[Event]) -> int:
        self.conclude()
        if self._search is not None:
            position = self._search.choose([event.key for event in events])
        elif self._inner is not None:
            position = self._inner(events)
        else:
            position = 0
        if len(events) > 1:
            self._choices.append(position)
        self.happened.append((events[position], events))
        return position

    def conclude(self) -> None:
        """Nothing more comes of the last event."""
        if self._search is not None and self.happened:
            self._search.touched(self._touched, self._created)
        self._touched, self._created = set(), []

    def _on_event(self, event: Event) -> None:
        if event.invocation_id is not None:
            self._touch(invocation(event.invocation_id))
        if event.kind is EventKind.STEP and self._world:
            self._touch(WORLD)
        elif event.kind is EventKind.REQUEST:
            self._touch(CLIENT)
        elif event.kind is EventKind.TIME:
            self._touch(EVERYTHING)

    def _on_hold(self, event: Event) -> None:
        self._created.append(event.key)

    def _touch(self, resource: Resource) -> None:
        self._touched.add(resource)

    def report(self, error: Exception) -> str:
        """What happened, and how to have it again."""
        what = str(error) if isinstance(error, AssertionError) and str(error) else repr(error)
        lines = [
            f"{number:>4}  {event.label}{_among(events)}"
            for number, (event, events) in enumerate(self.happened, start=1)
        ]
        if len(lines) > _MOST_LINES:
            left_out = f"      ... {len(lines) - _MOST_LINES:,} more ..."
            lines[_MOST_LINES // 2 : -_MOST_LINES // 2] = [left_out]
        return "\n".join(
            [
                f"there is an order of events in which this fails: {what}",
                f"the order, with steps executed {self._steps}:",
                *lines,
                "its journals:",
                self.performance.chronicle.tell(),
                f"to reproduce it: explore(..., schedule={self.schedule!r})",
            ]
        )


def _of(play: Play[Any], schedule: Schedule) -> _Run:
    return _Run(play, schedule.steps, choose=Playing(schedule).choose)


def _among(events: Sequence[Event]) -> str:
    return f"  (one of {len(events)})" if len(events) > 1 else ""


def _simpler(schedule: Schedule) -> Sequence[Schedule]:
    """Schedules that are simpler, the simplest first."""
    choices = list(schedule.choices)
    changed = [place for place, choice in enumerate(choices) if choice]
    simpler: list[list[int]] = [[]]
    for count in (1, 2):
        for first in range(len(changed)):
            kept = changed[first : first + count]
            if len(kept) == count < len(changed):
                simpler.append([choice if i in kept else 0 for i, choice in enumerate(choices)])
    simpler += [choices[: place + 1] for place in changed[:-1]]
    unique = dict.fromkeys(Schedule(schedule.steps, each) for each in simpler)
    return [each for each in unique if each != schedule][:_SIMPLIFYING]
