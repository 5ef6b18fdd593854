"""The laws of replay and structure, which hold for every program under every schedule.

Owns the laws. Programs, their meaning and the world they run in are given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs

from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    Call,
    Completion,
    Entry,
    Failure,
    InvocationId,
    Notification,
    Output,
    Run,
    SendSignal,
    Signal,
    Value,
)

from . import programs as p
from .interpreter import Stage
from .world import START, Stuck, World, other

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .programs import Program

CANCEL = Signal(CANCEL_SIGNAL, VOID)

OFFERS: dict[str, Notification] = {
    **{f"signal {name}": Signal(name, Value(b'"signalled"')) for name in "aabb"},
    **{f"awakeable {index}": Signal(index, Value(b'"resolved"')) for index in range(17, 22)},
    "reject": Signal(17, Failure(422, "rejected")),
    "cancel": CANCEL,
}

STATE = {"a": b'"initial"'}


class Played:
    """One play of a program: its stage, its world and its end."""

    count: ClassVar[int] = 0
    """How many there were in this process."""

    def __init__(
        self,
        program: Program,
        *,
        recorded: Sequence[Entry] | None = None,
        schedule: Sequence[int] = (),
        script: Sequence[tuple[Notification, float]] = (),
        time: float = START,
        partial_state: bool = False,
        suspending: bool = False,
        forgetful: bool = True,
    ) -> None:
        Played.count += 1
        self.stage = Stage(program)
        self.world = self.stage.world = World(
            self.stage.handler,
            recorded=recorded,
            schedule=schedule,
            script=script,
            time=time,
            offers=OFFERS,
            answer=_answer,
            suspending=suspending,
            forgetful=forgetful,
            rescues=True,
            start={"state": STATE, "partial_state": partial_state},
        )
        self.end: AttemptEnd | None = None

    def play(self, backend: str) -> Played:
        """Play to the end."""
        try:
            self.end = self.world.play(backend)
        except Stuck:
            # In a shield nobody cancels what waits for another branch.
            if not waits_in_a_shield(self.stage.program, shielded=False):
                raise
        self._check_nothing_is_left()
        return self

    def replay(self, backend: str) -> Played:
        """Play only what is recorded."""
        self.end = self.world.replay(backend)
        self._check_nothing_is_left()
        return self

    @property
    def entries(self) -> list[Entry]:
        """The journal."""
        return self.world.entries

    @property
    def outcome(self) -> object:
        """How it ended, as far as that is compared."""
        return self.end.failure if isinstance(self.end, AttemptFailed) else self.end

    def _check_nothing_is_left(self) -> None:
        stage = self.stage
        assert stage.bodies == 0, "a run body is still at work"
        assert stage.left == stage.entered, "a branch of the handler was not unwound"
        assert not [
            happening
            for happening in self.world.happenings
            if happening.startswith(("run", "clock"))
        ], "a run body still waits"


def check(
    program: Program,
    schedule: Sequence[int],
    second_schedule: Sequence[int],
    cuts: Sequence[int],
    backend: str,
    *,
    partial_state: bool,
    suspending: bool,
) -> Played:
    """Play a program and check every law on it."""

    def played(recorded: Sequence[Entry] | None, drawn: Sequence[int] = ()) -> Played:
        return Played(program, recorded=recorded, schedule=drawn, partial_state=partial_state)

    first = Played(
        program,
        schedule=schedule,
        partial_state=partial_state,
        suspending=suspending,
        forgetful=False,
    ).play(backend)
    check_structure(first)

    # the same on the other backend, live and from the journal
    twin = Played(
        program,
        schedule=schedule,
        partial_state=partial_state,
        suspending=suspending,
        forgetful=False,
    ).play(other(backend))
    assert twin.entries == first.entries
    assert twin.outcome == first.outcome
    check_replay(first, played(first.entries).replay(other(backend)))

    for cut in cuts:
        recorded = first.entries[: 1 + cut % len(first.entries)]
        seen = played(recorded).replay(other(backend) if cut % 2 else backend)
        assert seen.stage.trace == first.stage.trace[: len(seen.stage.trace)]
        assert not seen.stage.effects, "a replay has run a body"

        if first.end is not None:
            check_crash(first, len(recorded), partial_state=partial_state, backend=backend)
        if not seen.stage.ended:
            check_cancellation(played([*recorded, CANCEL], second_schedule).play(backend))
        resumed = played(recorded, second_schedule).play(backend)
        assert resumed.stage.trace[: len(seen.stage.trace)] == seen.stage.trace
        assert resumed.entries[: len(recorded)] == recorded
        again = _done(recorded) & set(resumed.stage.effects)
        assert not again, f"completed steps ran again: {again}"
        check_structure(resumed)
        check_replay(resumed, played(resumed.entries).replay(other(backend)))
    return first


def check_replay(first: Played, replayed: Played) -> None:
    """A whole journal gives the same outcome and trace again, and nothing new."""
    assert replayed.outcome == first.outcome
    assert replayed.stage.trace == first.stage.trace
    assert replayed.entries == first.entries
    assert not replayed.stage.effects


def check_crash(first: Played, cut: int, *, partial_state: bool, backend: str) -> None:
    """Whoever goes on from any point of a journal ends the same, if the same things happen."""
    entries, times = first.entries, first.world.times
    script = [
        (entry, time)
        for entry, time in zip(entries[cut:], times[cut:], strict=True)
        if isinstance(entry, Completion | Signal)
    ]
    again = Played(
        first.stage.program,
        recorded=entries[:cut],
        script=script,
        time=times[cut - 1],
        partial_state=partial_state,
        forgetful=False,
    ).play(backend)
    assert again.entries == entries
    assert again.outcome == first.outcome
    assert again.stage.trace == first.stage.trace


def check_cancellation(cancelled: Played) -> None:
    """CANCEL at any point ends the invocation, with all its cleanups and no orphan."""
    check_structure(cancelled)
    if isinstance(cancelled.end, AttemptCompleted):
        assert isinstance(cancelled.end.result, Failure), "CANCEL was swallowed"


def check_structure(played: Played) -> None:
    """Nothing outlives what it belongs to, and every cleanup was done once."""
    if not isinstance(played.end, AttemptCompleted):
        return

    assert isinstance(played.world.commands[-1], Output)
    _check_cleanups(played)
    _check_calls(played)


def _check_cleanups(played: Played) -> None:
    counts = played.stage.cleanups
    for number in {number for number, _ in counts}:
        for stage in ("entered", "began", "ended"):
            assert counts[number, stage] == 1, (number, counts)


def _check_calls(played: Played) -> None:
    entries = played.entries
    answers = {
        entry.completion_id: index
        for index, entry in enumerate(entries)
        if isinstance(entry, Completion)
    }
    invocations = {
        entry.completion_id: entry.result.id
        for entry in entries
        if isinstance(entry, Completion) and isinstance(entry.result, InvocationId)
    }
    signalled = [
        entry.target for entry in entries if isinstance(entry, SendSignal) and entry.signal == 1
    ]
    assert len(signalled) == len(set(signalled)), "a callee was sent CANCEL twice"
    output = next(index for index, entry in enumerate(entries) if isinstance(entry, Output))
    for call in entries:
        if not isinstance(call, Call):
            continue

        number = re.search(r"\d+$", call.name)
        assert number is not None
        if int(number.group()) in played.stage.detached:
            continue

        answered = answers.get(call.completion_id, output) < output
        cancelled = invocations.get(call.invocation_id_completion) in signalled
        if b"abandon" in call.parameter:
            assert not cancelled, f"{call.name} was to be abandoned"
        elif b"wait" in call.parameter:
            assert answered, f"{call.name} was not waited for"
        else:
            assert answered or cancelled, f"{call.name} is an orphan"


def waits_in_a_shield(program: object, *, shielded: bool) -> bool:
    """Whether a program may wait for ever for a primitive where no cancellation comes."""
    if isinstance(program, p.Signal):
        return shielded and program.do in {"wait", "await notification", "send", "receive"}

    if isinstance(program, p.Guarded) and shielded:
        return True

    if isinstance(program, tuple):
        parts = cast("tuple[object, ...]", program)
        return any(waits_in_a_shield(part, shielded=shielded) for part in parts)

    if not attrs.has(type(program)):
        return False

    inside = shielded or isinstance(program, p.Cleanup)
    if isinstance(program, p.Scope):
        inside = inside or program.shield or program.cancel == "unshield"
    return any(
        waits_in_a_shield(getattr(program, field.name), shielded=inside)
        for field in attrs.fields(cast("Any", type(program)))
    )


def _done(recorded: Sequence[Entry]) -> set[str]:
    """The names of the runs whose results are recorded."""
    answered = {entry.completion_id for entry in recorded if isinstance(entry, Completion)}
    return {
        entry.name.rpartition("/")[2]
        for entry in recorded
        if isinstance(entry, Run) and entry.completion_id in answered
    }


def _answer(call: Call) -> Value | Failure | None:
    if call.parameter.startswith(b'"fail'):
        return Failure(444, "the callee failed")

    return None if call.parameter.startswith(b'"never') else Value(call.parameter)
