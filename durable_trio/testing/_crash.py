"""Crashing a program everywhere.

Owns the list of the points at which a process can die, and the comparison of what came of
each with what comes of no crash at all.

 1. A process dies before a transaction is durable, or after it and before anybody was told.
    In between two of these nothing changes that survives.
 2. Every run makes the same events in the same order, so that a number names a point. What
    survives a crash is what was durable; the test itself survives as well, as a client does.
 3. The first point that fails is reported, and names itself so that it can be tried alone.
"""

from __future__ import annotations

import random
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from durable_trio._exceptions import UsageError
from durable_trio._options import ServiceOptions

from ._chronicle import Chronicle
from ._performance import Performance, Play
from ._runtime import lives_of
from ._stage import Event, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from durable_trio._records import Write
    from durable_trio._services import ServiceDefinition

    from ._performance import Scenario

T = TypeVar("T")

_UNLOAD_AFTER: Final = 1.0
_POINT: Final = re.compile(r"(before|after) ([1-9]\d*)")


@attrs.frozen
class CrashReport:
    """What ``crash_everywhere`` did: nothing failed."""

    commits: int
    """How many transactions the undisturbed program makes."""
    crashes: int
    """How many runs had one crash: one before and one after every transaction."""
    double_crashes: int
    """How many runs had two."""
    double_points: int
    """How many pairs of points there are."""

    def __str__(self) -> str:
        return (
            f"{self.commits} transactions: survived {self.crashes} single crashes and "
            f"{self.double_crashes} of {self.double_points} double ones"
        )


async def crash_everywhere(
    services: Iterable[ServiceDefinition],
    scenario: Scenario[T],
    *,
    check: Callable[[T], object] | None = None,
    double: int = 50,
    only: str | None = None,
    defaults: ServiceOptions | None = None,
    seed: int = 0,
) -> CrashReport:
    """Run a program, then again for every point at which the process can die, dying there.

    ``await crash_everywhere([shop, bank], lambda rt: rt.call(buy, 12))``. ``scenario`` is an
    async function that is given a fresh ``testing.runtime`` and returns what is to be
    compared. It is the client: it survives the crashes, and what it asked is answered by the
    next life of the process, with the same ids. Have it reset what handlers change outside.

    The process dies before each transaction, and after it was made durable but before anybody
    was told; then, ``double`` times, once more while it recovers (all pairs of points, or so
    many drawn by ``seed``). Each time the program has to come to rest by itself with

    - the same outcome of the scenario, or, with ``check``, one that ``check`` raises nothing
      for: for programs whose outcome depends on who is first, or whose values are encoded
      differently each time;
    - without ``check``, the same result of every invocation, and the same state of every key;
    - every step executed as often as it has to be: a run whose result was recorded never
      again, any other one at most once in each attempt;
    - code that does what the journals say.

    Raises ``AssertionError`` for the first point that fails, with the journals up to it. The
    point has a name, such as ``"after 7"``; with ``only`` it is the only one. Errors of the
    undisturbed run are raised as they are. A run takes some ten or twenty milliseconds.
    """
    play = Play(tuple(services), scenario, defaults or ServiceOptions(), _UNLOAD_AFTER)
    undisturbed = _Run(play, ())
    await undisturbed.performance.run()
    trial = _Trial(play, undisturbed, check)
    problem = trial.problem(undisturbed)
    if problem is not None:
        raise AssertionError(f"even without a crash {problem}")

    if only is not None:
        await trial.attempt(_parsed(only))
        return CrashReport(undisturbed.commits[0], 1, 0, 0)

    points = list(_points(undisturbed.commits[0]))
    pairs: list[tuple[Point, Point]] = []
    for point in points:
        run = await trial.attempt((point,))
        pairs += [(point, second) for second in _points(run.commits[-1])]
    drawn = pairs
    if len(pairs) > double:
        drawn = sorted(random.Random(seed).sample(pairs, double))  # noqa: S311
    for pair in drawn:
        await trial.attempt(pair)
    return CrashReport(undisturbed.commits[0], len(points), len(drawn), len(pairs))


@attrs.frozen(order=True)
class Point:
    """Where a process dies: at which of its transactions, and whether that was durable."""

    commit: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.commit}"


def _points(commits: int) -> Iterator[Point]:
    for commit in range(1, commits + 1):
        yield Point(commit, after=False)
        yield Point(commit, after=True)


def _parsed(text: str) -> tuple[Point, ...]:
    found = [_POINT.fullmatch(part.strip()) for part in text.split(",")]
    points = tuple(Point(int(match[2]), match[1] == "after") for match in found if match)
    if len(points) < len(found):
        raise UsageError(
            f"{text!r} names no point: it is 'before 7' or 'after 7', two of them with a comma "
            "for a double crash, as a report names it"
        )

    return points


class _Run:
    """One run, with crashes at these points."""

    def __init__(self, play: Play[Any], points: Sequence[Point]) -> None:
        chronicle = Chronicle()
        self.points: Sequence[Point] = points
        self.left: deque[Point] = deque(points)
        self.commits: list[int] = [0]
        """How many transactions every life has made."""
        self.crashes: list[int] = []
        """How long the story was at every crash."""
        self.performance: Performance[Any] = Performance(
            play, Stage(chronicle, _first, deliveries=True), chronicle
        )
        store = self.performance.store
        store.before_commit, store.after_commit = self._before, self._after

    def _before(self, _: Sequence[Write]) -> None:
        self.commits[-1] += 1
        self._die(after=False)

    def _after(self, writes: Sequence[Write]) -> None:
        self.performance.committed(writes)
        self._die(after=True)

    def _die(self, *, after: bool) -> None:
        if self.left and self.left[0] == Point(self.commits[-1], after):
            self.left.popleft()
            self.commits.append(0)
            self.crashes.append(len(self.performance.chronicle))
            lives_of(self.performance.runtime).crash()

    def story(self) -> str:
        """The journals, with the crashes in them."""
        return self.performance.chronicle.tell(
            {
                place: f"---- crash: {_explained(point)}"
                for place, point in zip(self.crashes, self.points, strict=False)
            }
        )


def _explained(point: Point) -> str:
    if point.after:
        return f"transaction {point.commit} was durable, and nobody was told yet"

    return f"transaction {point.commit} was about to be made durable"


class _Trial:
    """The undisturbed run, and what all others are held to."""

    def __init__(
        self,
        play: Play[Any],
        undisturbed: _Run,
        check: Callable[[Any], object] | None,
    ) -> None:
        self._play = play
        self._undisturbed = undisturbed
        self._check = check

    async def attempt(self, points: Sequence[Point]) -> _Run:
        """Die at these points. ``AssertionError`` if that changes anything."""
        run = _Run(self._play, points)
        cause: Exception | None = None
        try:
            await run.performance.run()
            problem = self.problem(run)
        except Exception as error:  # whatever the program makes of a crash is to be reported
            cause = error
            problem = str(error) if isinstance(error, AssertionError) else repr(error)
        if problem is None:
            return run

        name = ", ".join(map(str, points))
        raise AssertionError(
            f"the program does not survive a crash {name}: {problem}\n"
            f"its journals, of {self._undisturbed.commits[0]} transactions without a crash:\n"
            f"{run.story()}\n"
            f"to try this alone: crash_everywhere(..., only={name!r})"
        ) from cause

    def problem(self, run: _Run) -> str | None:
        """What is wrong with a run that came to rest."""
        performance = run.performance
        if self._check is not None:
            self._check(performance.outcome)
            return performance.effects.wrong()

        return self._undisturbed.performance.difference(performance) or performance.effects.wrong()


def _first(_: Sequence[Event]) -> int:
    return 0
