"""A schedule: in which order what is possible at the same time happens.

Owns its form, which is short and can be written down, and how it is played.

 1. Choices are taken one after the other, wherever more than one event is possible: the
    position of the one that goes, in the order in which they are offered, or the last one if
    there are not so many. Where the choices have run out it is the first one. So every list of
    numbers is a schedule, and smaller numbers are always simpler.
 2. Schedules that are simpler are shorter, with smaller numbers: a failing one can be shrunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs
from attrs.validators import in_

from ._stage import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

    from ._stage import Event

Steps: TypeAlias = Literal["early", "late"]

AUTOMATIC: dict[str, frozenset[EventKind]] = {
    "early": frozenset({EventKind.STEP}),
    "late": frozenset({EventKind.RESULT}),
}
"""What needs no choice, by when the bodies of runs are executed."""


def _as_tuple(choices: Iterable[int]) -> tuple[int, ...]:
    choices = list(choices)
    while choices and not choices[-1]:
        choices.pop()
    return tuple(choices)


@attrs.frozen
class Schedule:
    """One order of events. ``Schedule("late", [0, 2])`` reproduces what ``explore`` reports.

    ``steps`` tells when the body of a run is executed: ``"early"``, as soon as it is asked
    for, so that only its result has to wait for its turn, or ``"late"``, when its turn has
    come. ``choices`` are positions among what is possible, the first one where they run out.
    """

    steps: Steps = attrs.field(default="early", validator=in_(("early", "late")))
    choices: Sequence[int] = attrs.field(default=(), converter=_as_tuple)

    def __repr__(self) -> str:
        return f"Schedule({self.steps!r}, {list(self.choices)!r})"


class Playing:
    """A schedule being played: it chooses."""

    def __init__(self, schedule: Schedule) -> None:
        self._choices = iter(schedule.choices)

    def choose(self, events: Sequence[Event]) -> int:
        """The position of the event that goes."""
        return min(next(self._choices, 0), len(events) - 1) if len(events) > 1 else 0


def schedules(*, longest: int = 100) -> SearchStrategy[Schedule]:
    """A Hypothesis strategy for ``explore(..., schedule=...)``; what fails shrinks.

    At most ``longest`` choices are drawn. Needs Hypothesis to be installed.
    """
    from hypothesis import strategies

    choice: Any = strategies.integers(0, 1) | strategies.integers(0, 9)
    choices: Any = strategies.lists(choice, max_size=longest)
    steps: Any = strategies.sampled_from(["early", "late"])
    return strategies.builds(Schedule, steps, choices)
