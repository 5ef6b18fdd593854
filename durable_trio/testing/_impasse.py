"""Waiting in vain: who waits from outside for a result that does not come by itself.

Owns how that is found out when everybody waits, and how it is told. What failed is
``_setbacks.py``'s; that nobody has anything to do is the driver's.

 1. No alarm is false. An invocation that waits for anything that may still come (a timer, an
    awakeable, a step that has not failed for long) may go on, and so may its callers.
 2. A *dead end* is an invocation that is paused for a failure, or of which a step or the handler
    fails for ever. Whoever waits for it, through whatever calls and held keys, waits in vain,
    whatever else goes on: they are told at once, as those are who wait for it directly.
 3. When nothing at all is left to come, or nothing but tries of what fails for ever, everybody
    is told what everybody waits for.
 4. While the test itself waits for a time, or until all is done, it is going to act: nobody is
    told anything then.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio._exceptions import InvocationPausedError
from durable_trio._failures import described
from durable_trio._invocation import awakeable_id
from durable_trio._journal._entries import (
    CANCEL_SIGNAL,
    FIRST_AWAKEABLE_SIGNAL,
    Attach,
    Call,
    Completion,
    InvocationId,
    InvocationTarget,
    Run,
    Signal,
)
from durable_trio._records import InvocationStatus, TimerKind
from durable_trio._transcript._describe import Words, target_name
from durable_trio._transcript._tree import Step
from durable_trio.local._ids import to_raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from durable_trio._journal._entries import AwaitTree
    from durable_trio._records import InvocationRecord
    from durable_trio.local._engine import Engine

    from ._memory import MemoryStore
    from ._setbacks import Setback, Setbacks
    from ._timeline import Timeline

    Ways: TypeAlias = dict[str, tuple[str, ...] | None]
    """What was found out of each invocation that was looked at."""

_MANY: Final = 10_000
_MOST_LINES: Final = 20

_UNFINISHED: Final = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}


class Stuck(AssertionError):  # for the reports of this package
    """The program waits for what cannot come."""


class _Journal:
    """What an invocation waits for, looked up in its journal."""

    def __init__(self, store: MemoryStore, invocation_id: str) -> None:
        self.commands: dict[int, Any] = {}
        self.callees: dict[int, str] = {}
        """By the completion ids of calls."""
        self.answered: set[int | None] = set()
        begun: dict[int, str] = {}
        for entry in store.committed.journal(invocation_id):
            if isinstance(entry, Completion):
                self.answered.add(entry.completion_id)
                if isinstance(entry.result, InvocationId):
                    begun[entry.completion_id] = entry.result.id
            elif not isinstance(entry, Signal):
                number = getattr(entry, "completion_id", None)
                if number is not None:
                    self.commands[number] = entry
        for number, command in self.commands.items():
            if isinstance(command, Call) and command.invocation_id_completion in begun:
                self.callees[number] = begun[command.invocation_id_completion]
            elif isinstance(command, Attach) and isinstance(command.target, InvocationTarget):
                self.callees[number] = command.target.invocation_id


class Impasse:
    """See the module's docstring."""

    def __init__(self, store: MemoryStore, setbacks: Setbacks, timeline: Timeline) -> None:
        self._store = store
        self._setbacks = setbacks
        self._timeline = timeline
        self._suspended: dict[str, AwaitTree] = {}
        """What those wait for that are not in memory."""
        self._engine: Engine

    def attend(self, engine: Engine) -> None:
        """This one's invocations are looked at from now on."""
        self._engine = engine
        paused = self._store.committed.invocations(status=frozenset({InvocationStatus.PAUSED}))
        self._setbacks.suspects.update(record.id for record in paused)

    def begins(self, invocation_id: str) -> None:
        """An attempt begins."""
        self._suspended.pop(invocation_id, None)

    def suspends(self, invocation_id: str, awaiting: AwaitTree | None) -> None:
        """An attempt has ended, suspended for that, or in another way (None)."""
        if awaiting is not None:
            self._suspended[invocation_id] = awaiting

    # -- at rest

    def tell(self, *, at_the_end: bool) -> bool:
        """Tell those who wait in vain. ``at_the_end``: nothing is left to come.

        False: nobody was told, since nobody does, or there is no telling.
        """
        observers = self._engine.observers
        if self._timeline.asked or not observers:
            return False

        told = False
        if self._has_dead_ends():
            for observed in list(observers):
                way = self._dead_end(observed, {})
                if way is not None:
                    observers.refuse(observed, self._vain(way))
                    told = True
        if not told and (at_the_end or self._nothing_but_failures()):
            told = True
            for observed in list(observers):
                observers.refuse(observed, self._stuck(observed))
        return told

    def _has_dead_ends(self) -> bool:
        suspects = self._setbacks.suspects
        for suspect in list(suspects):
            record = self._record(suspect)
            if record is None or record.status is InvocationStatus.COMPLETED:
                suspects.discard(suspect)
        return any(map(self._is_dead_end, suspects))

    def _is_dead_end(self, invocation_id: str) -> bool:
        record = self._record(invocation_id)
        paused = record is not None and record.status is InvocationStatus.PAUSED
        return paused or any(setback.final for _, setback in self._failing(invocation_id))

    def _failing(self, invocation_id: str) -> Iterator[tuple[int | None, Setback]]:
        """What fails of an invocation: steps by their numbers, None for the handler."""
        for (owner, number), setback in self._setbacks.runs.items():
            if owner == invocation_id:
                yield number, setback
        attempts = self._setbacks.attempts.get(invocation_id)
        if attempts is not None:
            yield None, attempts

    def _dead_end(self, invocation_id: str, seen: Ways) -> tuple[str, ...] | None:
        """The way from an invocation to the dead end it waits for; None: it may go on."""
        if invocation_id not in seen:
            seen[invocation_id] = None  # of those that wait for each other, none is the end
            seen[invocation_id] = self._way(invocation_id, seen)
        return seen[invocation_id]

    def _way(self, invocation_id: str, seen: Ways) -> tuple[str, ...] | None:
        record = self._record(invocation_id)
        if record is None:
            return None

        ends, leads = False, None
        if record.status is InvocationStatus.PAUSED:
            ends = record.last_failure is not None  # else somebody wants it to be
        elif record.status is InvocationStatus.BACKING_OFF:
            ends = self._fails_for_ever(invocation_id)
        elif record.status is InvocationStatus.PENDING:
            holder = self._engine.keys.holder((record.service, record.key or ""))
            leads = self._dead_end(holder, seen) if holder else None
        elif record.status in {InvocationStatus.RUNNING, InvocationStatus.SUSPENDED}:
            leads = self._awaited(invocation_id, seen)
            ends = leads == ()
        if ends:
            return (invocation_id,)

        return None if leads is None else (invocation_id, *leads)

    def _awaited(self, invocation_id: str, seen: Ways) -> tuple[str, ...] | None:
        """The way on from an invocation that waits; empty: it is a dead end itself."""
        tree = self._tree(invocation_id)
        if tree is None or any(map(_may_come, _signals(tree))):
            return None

        journal = _Journal(self._store, invocation_id)
        found: tuple[str, ...] | None = None
        for number in _completions(tree):
            command = journal.commands.get(number)
            way: tuple[str, ...] | None = None
            if number not in journal.answered and isinstance(command, Run):
                setback = self._setbacks.runs.get((invocation_id, number))
                way = () if setback is not None and setback.final else None
            elif number not in journal.answered and number in journal.callees:
                way = self._dead_end(journal.callees[number], seen)
            if way is None:
                return None

            found = way if found is None else found
        return found

    def _nothing_but_failures(self) -> bool:
        """Whether time could only pass for tries of what fails for ever."""
        setbacks, failing = self._setbacks, False
        if self._timeline.sleeping_bodies or not self._has_dead_ends():
            return False

        for timer in self._store.committed.timers(due_by=math.inf, limit=_MANY):
            if timer.kind is TimerKind.EXPIRE:
                continue

            retry = timer.kind is TimerKind.RETRY and not timer.completion_id  # else a wake mark
            if not retry or not self._fails_for_ever(timer.invocation_id):
                return False

            failing = True
        for live in self._engine.lives.values():
            for number in () if live.attempt is None else live.attempt.bodies.backing_off:
                setback = setbacks.runs.get((live.id, number))
                if setback is None or not setback.final:
                    return False

                failing = True
        return failing

    # -- what is known

    def _fails_for_ever(self, invocation_id: str) -> bool:
        answered = _Journal(self._store, invocation_id).answered
        return self._setbacks.fails_for_ever(invocation_id, answered)

    def _record(self, invocation_id: str) -> InvocationRecord | None:
        return self._store.committed.invocation(invocation_id)

    def _tree(self, invocation_id: str) -> AwaitTree | None:
        """What an invocation waits for; None: it is at work, or that is not known."""
        live = self._engine.lives.get(invocation_id)
        if live is None:
            return self._suspended.get(invocation_id)

        return None if live.attempt is None else live.attempt.awaiting

    # -- in words

    def _vain(self, way: Sequence[str]) -> Exception:
        """What whoever waits for the first of these is told; the last one is the dead end."""
        *_, end = way
        record = self._record(end)
        assert record is not None
        story = self._name(way[0])
        for before, after in pairwise(way):
            pending = self._status(before) is InvocationStatus.PENDING
            link = "waits for its key, held by" if pending else "waits for"
            story = f"{story}{', which' if before != way[0] else ''} {link} {self._name(after)}"
        if len(way) > 1:
            story += ", which"
        if record.status is not InvocationStatus.PAUSED:
            return self.endless(end, story)

        failure = record.last_failure
        assert failure is not None
        error: Exception = InvocationPausedError(
            f"{story} is paused: {failure.message.rstrip('.')}. Nobody of these goes on before it is "
            f"resumed: mend what is wrong. A test that is about that resumes it, `await "
            f"rt.resume({end!r})`, and attaches to {way[0]} for the result.",
            end,
        )
        error.__cause__ = self._setbacks.cause(end)
        return error

    def endless(self, invocation_id: str, story: str = "") -> Stuck:
        """What is told of a step or a handler that fails for ever."""
        journal = _Journal(self._store, invocation_id)
        number, setback = next(
            (number, setback)
            for number, setback in self._failing(invocation_id)
            if number not in journal.answered and (setback.final or setback.endless)
        )
        if number is None:
            what = "fails for ever"
            policy = "`retry_policy=InvocationRetryPolicy(max_attempts=3, on_max_attempts='kill')`"
        else:
            command = journal.commands.get(number)
            step = f"the step {command.name!r}" if isinstance(command, Run) else "a step"
            what = f"fails at {step} for ever"
            policy = "`ctx.run(..., retry=RetryPolicy(max_attempts=3))`"
        count = max(setback.count, setback.at_once)
        stuck = Stuck(
            f"{story or self._name(invocation_id)} {what}: {count} times in a row, the last time with "
            f"{described(setback.error)}. Nothing but the next try is left to wait for, and time "
            "passes at once here, so that it would never end. Let it succeed (with a stand-in, or with "
            f"`rt.fail(..., times=3)`), let it end after some tries with {policy}, or say how long it "
            "is to fail: `await rt.clock.advance(...)`."
        )
        stuck.__cause__ = setback.error
        self._setbacks.forgive(invocation_id)
        return stuck

    def _stuck(self, observed: str) -> Stuck:
        """What whoever waits is told when nothing is left to come."""
        records = self._store.committed.invocations(status=_UNFINISHED)[::-1]
        lines = [f"  {self._waiting(record)}" for record in records[:_MOST_LINES]]
        if len(records) > _MOST_LINES:
            lines.append(f"  and {len(records) - _MOST_LINES} more")
        stuck = Stuck(
            f"{self._name(observed)} has no result, and nothing is left to happen:\n"
            + "\n".join(lines)
            + "\nComplete what they wait for (rt.resolve_awakeable, rt.resolve_signal, rt.resume) from "
            "another task of the test, or before the result is waited for: rt.send, then "
            "rt.clock.settle(), then that, then rt.attach."
        )
        causes = [
            setback.error
            for record in records
            for _, setback in self._failing(record.id)
            if setback.final or record.status is InvocationStatus.PAUSED
        ]
        stuck.__cause__ = causes[0] if causes else None
        for record in records:
            self._setbacks.forgive(record.id)
        return stuck

    def _waiting(self, record: InvocationRecord) -> str:
        failure = record.last_failure
        failed = "" if failure is None else f" (it failed with {failure.message})"
        said = f"{self._name(record.id)} is {record.status.value}{failed}"
        if record.status is InvocationStatus.PENDING:
            return f"{said}, waits for its key"

        if record.status not in {InvocationStatus.RUNNING, InvocationStatus.SUSPENDED}:
            return said

        waits = list(self._words(record.id, self._tree(record.id)))
        return f"{said}, waits for {', '.join(waits) or 'something of its own: a lock, an event'}"

    def _words(self, invocation_id: str, tree: AwaitTree | None) -> Iterator[str]:
        words, journal = Words(invocation_id), _Journal(self._store, invocation_id)
        # Of one that an earlier runtime has suspended, the journal tells what was not answered.
        for number in journal.commands if tree is None else _completions(tree):
            command = journal.commands.get(number)
            if command is not None and number not in journal.answered:
                yield words.action(Step(0, command, command.name))
            setback = self._setbacks.runs.get((invocation_id, number))
            if setback is not None:
                yield f"which fails: {described(setback.error)}"
        for signal in () if tree is None else filter(_may_come, _signals(tree)):
            if isinstance(signal, int) and signal >= FIRST_AWAKEABLE_SIGNAL:
                yield f"the awakeable {awakeable_id(to_raw(invocation_id), signal)}"
            else:
                yield f"the signal {signal!r}"

    def _name(self, invocation_id: str) -> str:
        record = self._record(invocation_id)
        if record is None:
            return invocation_id

        return f"{target_name(record.service, record.key, record.handler)} ({invocation_id})"

    def _status(self, invocation_id: str) -> InvocationStatus | None:
        record = self._record(invocation_id)
        return None if record is None else record.status


def _completions(tree: AwaitTree) -> Iterator[int]:
    yield from tree.completions
    for nested in tree.nested:
        yield from _completions(nested)


def _signals(tree: AwaitTree) -> Iterator[int | str]:
    yield from tree.signals
    for nested in tree.nested:
        yield from _signals(nested)


def _may_come(signal: int | str) -> bool:
    # That somebody cancels it is nothing it waits for.
    return signal != CANCEL_SIGNAL
