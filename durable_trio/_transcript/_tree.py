"""A journal as a tree of branches: who did what, and what came back.

Owns the way from a flat list of entries to branches and steps. How they are written is
``_describe``'s and ``_show``'s.

 1. A command belongs to the branch that its name tells; its answers are found by their
    completion ids, wherever they are in the journal.
 2. What came from outside (signals) belongs to no branch: it stands where it arrived.
 3. What became of a command without answer is told by what else is known: nobody waits any
    more (DROPPED) if the invocation has ended, if a timer is gone, or if a run's body is at
    work nowhere because the invocation is suspended; otherwise it is PENDING.
 4. That a branch was cancelled is nowhere recorded. It is told by a callee that the branch
    cancelled, or by its last wait, if nobody waits for it any more.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from durable_trio._journal._entries import (
    CANCEL_SIGNAL,
    Call,
    Completion,
    Entry,
    InvocationId,
    OneWayCall,
    Result,
    Run,
    SendSignal,
    Signal,
    Sleep,
)
from durable_trio._journal._mismatch import branch_of
from durable_trio._records import InvocationStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

DEADLINE: Final = "deadline"
"""The name of the timers that deadlines of scopes journal."""

_SEGMENT: Final = re.compile(r"[^/]+\[\d+\]")


class Fate(enum.Enum):
    """What became of a command."""

    DONE = "done"
    """It was answered, or needs no answer."""
    PENDING = "pending"
    """Its answer may still come."""
    CANCELLED = "cancelled"
    """It is a call, and its branch has cancelled the callee."""
    DROPPED = "dropped"
    """Nobody waits for its answer any more."""


@attrs.define(eq=False)
class Step:
    """One entry that is no answer, with its answer. ``order`` is its place in the journal."""

    order: int
    entry: Entry
    name: str = ""
    """Its own name, without its branch's."""
    result: Result | None = None
    result_order: int | None = None
    callee: str | None = None
    """The invocation that a call or a send created."""
    fate: Fate = Fate.DONE


@attrs.define(eq=False)
class Branch:
    """A durable task, or the handler itself (an empty path)."""

    path: str
    items: list[Step | Branch] = attrs.field(factory=list["Step | Branch"])
    cancelled: bool = False

    @property
    def name(self) -> str:
        """The last segment of its path."""
        return self.path.rpartition("/")[2] if self.path else ""

    def steps(self) -> Iterable[tuple[Branch, Step]]:
        """All steps in it and below, each with its branch, in the order of the tree."""
        stack: list[tuple[Branch, Step | Branch]] = [(self, item) for item in reversed(self.items)]
        while stack:
            branch, item = stack.pop()
            if isinstance(item, Step):
                yield branch, item
            else:
                stack += [(item, each) for each in reversed(item.items)]


def is_deadline(step: Step) -> bool:
    """Whether a step is the timer of a scope's deadline."""
    return isinstance(step.entry, Sleep) and step.name == DEADLINE


_Answers: TypeAlias = dict[int, tuple[int, Result]]


def build_tree(
    entries: Sequence[Entry],
    status: InvocationStatus,
    timers: Collection[int] | None = None,
) -> Branch:
    """The tree of the journal of an invocation with this status.

    ``timers`` are the completion ids of its timers that have not fired; None: not known.
    """
    answers: _Answers = {}
    for order, entry in enumerate(entries, start=1):
        if isinstance(entry, Completion):
            answers.setdefault(entry.completion_id, (order, entry.result))
    root = Branch("")
    branches = {"": root}
    asked: set[int] = set()
    for order, entry in enumerate(entries, start=1):
        if isinstance(entry, Completion):
            if entry.completion_id not in asked:
                root.items.append(Step(order, entry))
            continue

        if isinstance(entry, Signal):
            root.items.append(Step(order, entry))
            continue

        path = branch_of(entry.name)
        step = _step(order, entry, entry.name[len(path) :].lstrip("/"), answers, asked)
        if step.fate is Fate.PENDING and _is_dropped(entry, status, timers):
            step.fate = Fate.DROPPED
        _branch(path, branches).items.append(step)
    for branch in branches.values():
        _conclude(branch)
    return root


def _step(order: int, entry: Any, name: str, answers: _Answers, asked: set[int]) -> Step:
    step = Step(order, entry, name)
    if isinstance(entry, Call | OneWayCall):
        asked.add(entry.invocation_id_completion)
        found = answers.get(entry.invocation_id_completion)
        if found is not None and isinstance(found[1], InvocationId):
            step.callee = found[1].id
        if isinstance(entry, OneWayCall):
            if found is None:
                step.fate = Fate.PENDING
            return step

    completion_id: int | None = getattr(entry, "completion_id", None)
    if completion_id is not None:
        asked.add(completion_id)
        if completion_id in answers:
            step.result_order, step.result = answers[completion_id]
        else:
            step.fate = Fate.PENDING
    return step


def _branch(path: str, branches: dict[str, Branch]) -> Branch:
    """The branch of this path, hung into the tree with all those above it."""
    found = branches.get(path)
    if found is not None:
        return found

    branch = branches[""]
    for segment in _SEGMENT.finditer(path):
        above, here = branch, path[: segment.end()]
        if here not in branches:
            branches[here] = Branch(here)
            above.items.append(branches[here])
        branch = branches[here]
    return branch


def _is_dropped(entry: Any, status: InvocationStatus, timers: Collection[int] | None) -> bool:
    if status is InvocationStatus.COMPLETED:
        return True

    if isinstance(entry, Run):
        return status is InvocationStatus.SUSPENDED

    return timers is not None and isinstance(entry, Sleep) and entry.completion_id not in timers


def _conclude(branch: Branch) -> None:
    """Tell which calls of a complete branch were cancelled, and whether it was itself."""
    own = [item for item in branch.items if isinstance(item, Step)]
    cancelled = {
        step.entry.target
        for step in own
        if isinstance(step.entry, SendSignal) and step.entry.signal == CANCEL_SIGNAL
    }
    callees = [step for step in own if isinstance(step.entry, Call) and step.callee in cancelled]
    for step in callees:
        if step.fate is Fate.PENDING:
            step.fate = Fate.CANCELLED
    waits = [step for step in own if not is_deadline(step)]
    dropped = bool(waits) and waits[-1].fate is Fate.DROPPED
    branch.cancelled = bool(branch.path) and (bool(callees) or dropped)
