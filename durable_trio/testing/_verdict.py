"""What a replay found out, and how it is told to a person.

Owns the outcomes, their text, and the error that stands for each. Finding out is
``_replay.py``'s; the diff of a divergence is the core's (J4).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, cast

import attrs

from durable_trio._exceptions import NonDeterminismError
from durable_trio._source import raised_at

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReplayOutcome(enum.Enum):
    """How a recorded journal and today's code agree."""

    COMPLETED = "replays cleanly to its end"
    """The code did everything that was recorded, up to the output."""
    WAITING = "replays cleanly up to where it waits"
    """The code did everything that was recorded, and waits for something to come."""
    CONTINUES = "replays cleanly up to where it goes on"
    """The code did everything that was recorded, and would now do something new."""
    DIVERGED = "diverges"
    """The code does something else than was recorded."""
    FAILED = "fails"
    """An error left the code that fails the attempt: a wrong use, a value that cannot be decoded,
    any error that is retried."""
    IMPOSSIBLE = "cannot be replayed"
    """The journal cannot be read, or nobody serves its handler."""


_CLEAN: Final = frozenset({ReplayOutcome.COMPLETED, ReplayOutcome.WAITING, ReplayOutcome.CONTINUES})


@attrs.frozen
class NextStep:
    """Something the code would do, or waits for, where the record ends.

    ``branch`` is the path of the durable task, empty for the handler itself; ``site`` is
    ``file:line``, empty where no line is to blame.
    """

    what: str
    branch: str
    site: str

    def __str__(self) -> str:
        branch = f"{self.branch}: " if self.branch else ""
        return f"{branch}{self.what}{f', at {self.site}' if self.site else ''}"


@attrs.frozen
class Replay:
    """What came of replaying a recorded journal. ``str()`` of it is the whole report."""

    name: str
    """What the journal is called: its file or its invocation."""
    outcome: ReplayOutcome
    entries: int
    """How many entries were recorded."""
    reached: int
    """The number of the last entry that the code came to; the first one is 1."""
    next_steps: tuple[NextStep, ...] = ()
    """What comes where the record ends."""
    error: BaseException | None = None
    """What it failed with: a ``NonDeterminismError`` if it diverged."""
    note: str = ""
    """What else there is to know of an outcome that is not clean."""

    @property
    def clean(self) -> bool:
        """Whether the code does all that was recorded."""
        return self.outcome in _CLEAN

    def check(self) -> None:
        """Raise what the code failed with, if it did; ``NonDeterminismError`` if it diverged."""
        if self.error is not None:
            raise self.error

    @property
    def site(self) -> str:
        """``file:line`` of what the code does wrong; empty if no line is to blame."""
        if self.error is None:
            return ""

        if isinstance(self.error, NonDeterminismError):
            return self.error.site

        return raised_at(next(_leaves(self.error)))

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.details()])

    @property
    def summary(self) -> str:
        """The first line of the report: what the journal is called, and what came of it."""
        return f"{self.name} {self.outcome.value}{self._extent()}"

    def _extent(self) -> str:
        if self.outcome is ReplayOutcome.COMPLETED:
            return f" ({self.entries} entries)"

        if self.outcome is ReplayOutcome.IMPOSSIBLE:
            return ""

        return f" at entry {self.reached} of {self.entries}"

    def details(self) -> Iterator[str]:
        """The rest of the report, which does not name the journal."""
        if self.outcome is ReplayOutcome.DIVERGED:
            yield str(self.error)
        elif self.error is not None:
            for leaf in _leaves(self.error):
                text = f"{type(leaf).__name__}: {leaf}"
                site = raised_at(leaf)
                yield f"  {site}: {text}" if site else f"  {text}"
        yield from (f"  {step}" for step in self.next_steps)
        if self.note:
            yield self.note


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group consists of, at any depth; the error itself if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(each)
    else:
        yield error
