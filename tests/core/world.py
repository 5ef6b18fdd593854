"""A deterministic world for attempts: it plays the adapter, the clock and everybody outside.

Owns the journal of one invocation, what may happen next, and who decides what does. The
handler under test is the test's.

 1. The world acts only when the attempt waits and all run bodies have done what they can:
    one happening at a time, so that trio's and asyncio's own order cannot show.
 2. What happens next is decided by the ``script`` (notifications and their times, as another
    world saw them), then by the ``plan``, then by the ``schedule`` (numbers drawn by
    Hypothesis), then naturally: what is at hand first, timers by their time, offers last.
 3. Time is virtual. Nothing sleeps.
 4. A world goes on from any journal: what was not answered there is answered here.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from durable_trio import Service, VirtualObject, Workflow
from durable_trio._attempt import Attempt
from durable_trio._exceptions import UsageError
from durable_trio._invocation import parse_awakeable_id
from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    Attach,
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    AttemptSuspended,
    AwaitKind,
    AwaitTree,
    Call,
    Command,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Entry,
    Failure,
    GetOutput,
    GetPromise,
    GetState,
    GetStateKeys,
    Input,
    InvocationId,
    InvocationStart,
    Notification,
    OneWayCall,
    PeekPromise,
    Result,
    Run,
    SendSignal,
    Signal,
    Sleep,
    StateKeys,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from durable_trio._options import ServiceOptions

SETTLING = 8
"""Turns of the host after which everything that can go on has gone on."""

START = 1_000_000.0
"""The time at which a world begins."""

OFFERED = 1 << 30
"""The number of what comes from outside."""

PATIENCE = 20_000
"""Turns of the host without anything to do after which the world gives up: a deadlock."""

AnyHandler: TypeAlias = Any
"""A handler of whatever context, input and output; tests make them on the spot."""


def other(backend: str) -> str:
    """The backend that a journal is replayed on."""
    return "asyncio" if backend == "trio" else "trio"


def service_handler(function: Callable[..., Any], **options: Any) -> AnyHandler:
    """``function`` as the handler of a service."""
    return Service("S").handler(**options)(function)


def object_handler(function: Callable[..., Any], **options: Any) -> AnyHandler:
    """``function`` as an exclusive handler of an object."""
    return VirtualObject("O").handler(**options)(function)


def shared_handler(function: Callable[..., Any], **options: Any) -> AnyHandler:
    """``function`` as a shared handler of an object."""
    return VirtualObject("O").shared(**options)(function)


def workflow_handler(function: Callable[..., Any], **options: Any) -> AnyHandler:
    """``function`` as the main handler of a workflow."""
    return Workflow("W").main(**options)(function)


def unanswered(_: Call) -> None:
    """As ``answer``: no callee ends by itself."""


class Replayed(Exception):
    """A replay has come to the end of what was recorded."""


class Stuck(AssertionError):
    """The handler waits, and nothing can happen any more."""


@attrs.define(eq=False)
class Happening:
    """Something that may happen next."""

    label: str
    number: int
    act: Callable[[], None]
    time: float | None = None
    """When it is due; None: at once."""


class VirtualClock:
    """Time that passes only when the world lets it."""

    def __init__(self, world: World, time: float) -> None:
        self._world = world
        self.time = time

    def now(self) -> float:
        """See ``abc.Clock``."""
        return self.time

    async def sleep_until(self, deadline: float) -> None:
        """See ``abc.Clock``."""
        await self._world.gate("clock", deadline)

    def advance(self, time: float) -> None:
        """Let time pass until ``time``, if it is not past."""
        self.time = max(self.time, time)


class World:
    """See the module's docstring. It implements ``abc.Journal`` for one invocation.

    ``plan`` names happenings in the order in which they are to happen: a label, as
    ``Happening`` has it (``"commit a"``, ``"id b"``, ``"result b"``, ``"timer deadline"``,
    ``"clock"``, an offer's own). ``offers`` are notifications from outside.
    With ``rescues`` the world ends what would be awaited for ever. ``answer`` is what a call's callee returns; None: it does not end by itself.
    """

    def __init__(
        self,
        handler: AnyHandler,
        *,
        recorded: Sequence[Entry] | None = None,
        argument: bytes = b"",
        plan: Iterable[str] = (),
        schedule: Iterable[int] = (),
        script: Iterable[tuple[Notification, float]] = (),
        time: float = START,
        offers: Mapping[str, Notification] | None = None,
        answer: Callable[[Call], Value | Failure | None] | None = None,
        unknown: Iterable[str] = (),
        forgetful: bool = True,
        suspending: bool = False,
        rescues: bool = False,
        options: ServiceOptions | None = None,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        self.handler = handler
        self.entries: list[Entry] = list(recorded or [Input(argument)])
        self.clock = VirtualClock(self, time)
        self.times = [time] * len(self.entries)
        """When each entry was written."""
        self.script = deque(script)
        self.plan = list(plan)
        self.schedule = list(schedule)
        self.suspending = suspending
        self._rescues = rescues
        self.attempts = 0
        self.flushes = 0
        self.cancelled: set[str] = set()
        """Invocation ids that were sent CANCEL."""
        self.forgotten: set[int] = set()
        self.proposed: Counter[int] = Counter()
        self.attempt: Attempt | None = None
        self.ends: list[AttemptEnd] = []
        """How the attempts ended, one after the other."""
        self.last_error: BaseException | None = None
        """What the attempt of a replay failed with."""
        self._answer = answer or _echo
        self._unknown = frozenset(unknown)
        self._forgetful = forgetful
        self._options = options
        self._start = dict(start or {})
        self.known_state: Mapping[str, bytes] = self._start.get("state", {})
        """What the world answers lazy reads of the state with."""
        self._happenings: dict[int, Happening] = {}
        self._calls: dict[str, Call] = {}
        self._promises: dict[str, Value | Failure] = {}
        self._number = 0
        self._flushed = len(self.entries)
        self._failure: BaseException | None = None
        self._replay_only = False
        for label, notification in (offers or {}).items():
            self._offer(label, notification)
        answered = {entry.completion_id for entry in self.entries if isinstance(entry, Completion)}
        for entry in self.entries:
            if not isinstance(entry, Completion | Signal):
                self._command(entry, answered)
            elif isinstance(entry, Completion) and isinstance(entry.result, InvocationId):
                self._invoked(entry)

    # -- running

    def play(self, backend: str) -> AttemptEnd:
        """Run attempts until the invocation completes or fails."""
        return anyio.run(self.run, backend=backend)

    def replay(self, backend: str) -> AttemptEnd | None:
        """Run one attempt that stops where the record does. None: it stopped there."""
        self._replay_only = True
        end = anyio.run(self._one_attempt, backend=backend)
        self.last_error = end.error if isinstance(end, AttemptFailed) else None
        stopped = isinstance(self.last_error, Replayed)
        return None if stopped else end

    async def run(self) -> AttemptEnd:
        """As ``play``, on the running backend."""
        while True:
            end = await self._one_attempt()
            if not isinstance(end, AttemptSuspended):
                return end

            if not self.suspending:
                raise AssertionError(f"suspended, though the input was open: {end}")

            self._resume(end.awaiting)

    async def _one_attempt(self) -> AttemptEnd:
        self.attempts += 1
        fields: dict[str, Any] = {
            "invocation_id": "inv_1",
            "raw_id": b"0123456789abcdef",
            "service": self.handler.service_name,
            "handler": self.handler.handler_name,
            "recorded": tuple(self.entries),
            "key": "k" if self.handler.keyed else "",
            "random_seed": 7,
            "attempt": self.attempts,
            **self._start,
        }
        attempt = self.attempt = Attempt(
            InvocationStart(**fields), self.handler, self, self.clock, self._options
        )
        if self.suspending:
            attempt.close_input()
        async with anyio.create_task_group() as group:
            group.start_soon(self._crank, attempt)
            self.ends.append(await attempt.run())
            group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

        return self.ends[-1]

    async def _crank(self, attempt: Attempt) -> None:
        try:
            patience = PATIENCE
            while True:
                await self._settle(attempt)
                if self._flushed < len(self.entries) and not isinstance(
                    self.entries[-1], Completion | Signal
                ):
                    raise AssertionError("a quiescent attempt has not flushed its commands")

                happening = self._choose() or self._rescue(attempt.awaiting)
                if happening is not None:
                    happening.act()
                    patience = PATIENCE
                elif attempt.executing:
                    # A thread may be at work, which no turn of the host waits for.
                    patience -= 1
                    if not patience:
                        raise Stuck("a body that never ends")
                else:
                    # A body that ends without a result has woken the attempt just now.
                    await self._settle(attempt)
                    if not (attempt.executing or self._happenings):
                        raise Stuck(f"waiting for {attempt.awaiting}")
        except AssertionError as error:
            self._failure = error
            attempt.abort(error)

    async def _settle(self, attempt: Attempt) -> None:
        for _ in range(PATIENCE):
            for _ in range(SETTLING):
                await anyio.lowlevel.checkpoint()
            if self._idle(attempt):
                return
        raise AssertionError("the attempt never waits")

    def _idle(self, attempt: Attempt) -> bool:
        return attempt.awaiting is not None

    def _resume(self, awaiting: AwaitTree) -> None:
        """Let things happen until what a suspended attempt waits for has come."""
        since = len(self.entries)
        while not _satisfied(awaiting, self.entries[since:]):
            happening = self._choose(suspended=True) or self._rescue(awaiting)
            if happening is None:
                raise Stuck(f"nothing wakes a suspended invocation: {awaiting}")

            happening.act()

    # -- what may happen

    def offer(self, label: str, notification: Notification) -> None:
        """Something that may come from outside from now on."""
        self._offer(label, notification)

    async def gate(self, label: str, time: float | None = None) -> None:
        """Wait in a run body until the world lets it go on."""
        opened = anyio.Event()
        number = self._add(label, opened.set, time, number=-1)
        try:
            await opened.wait()
        finally:
            self._happenings.pop(number, None)

    def _add(
        self, label: str, act: Callable[[], None], time: float | None = None, number: int = 0
    ) -> int:
        self._number += 1
        key = self._number

        def happen() -> None:
            del self._happenings[key]
            if time is not None:
                self.clock.advance(time)
            act()

        self._happenings[key] = Happening(label, number, happen, time)
        return key

    def _offer(self, label: str, notification: Notification) -> None:
        self._add(label, lambda: self._note(notification), None, number=OFFERED)

    def _choose(self, *, suspended: bool = False) -> Happening | None:
        if self.script:
            return self._follow()

        possible = sorted(
            self._happenings.values(), key=lambda happening: (happening.number, happening.label)
        )
        if self.suspending and not suspended:
            # The input is closed: only bodies go on, and what they propose is delivered.
            possible = [
                happening
                for happening in possible
                if happening.number == -1 or happening.label.startswith("commit ")
            ]
        if not possible:
            return None

        for label in self.plan:
            for happening in possible:
                if happening.label == label:
                    self.plan.remove(label)
                    return happening
        if self.schedule:
            drawn = self.schedule.pop(0)
            inside = [happening for happening in possible if happening.number != OFFERED]
            return possible[-1] if drawn > 94 or not inside else inside[drawn % len(inside)]

        natural = [happening for happening in possible if happening.label not in self.plan]
        return min(natural or possible, key=_natural)

    def _follow(self) -> Happening:
        """What brings about the next notification of the script, or comes nearer to it."""
        notification, _ = self.script[0]
        if isinstance(notification, Signal) or self._answered(notification.completion_id):
            return Happening("scripted", OFFERED, self._repeat)

        number = notification.completion_id
        for key, happening in self._happenings.items():
            if happening.number == number:
                # A step that begins again may come to another result: it is taken for the first.
                return Happening("scripted", number, partial(self._repeat, key))

        runs = [
            entry.name.rpartition("/")[2]
            for entry in self.entries
            if isinstance(entry, Run) and entry.completion_id == number
        ]
        for happening in self._happenings.values():
            if runs and happening.label in {*runs, "clock"}:
                return Happening("scripted", -1, partial(self._in_no_time, happening))
        # It was proposed, or would have been, by a body that is cancelled by now.
        return Happening("scripted", OFFERED, self._repeat)

    def _repeat(self, key: int = 0) -> None:
        self._happenings.pop(key, None)
        notification, self.clock.time = self.script.popleft()
        self._note(notification)

    def _in_no_time(self, happening: Happening) -> None:
        time = self.clock.time
        happening.act()
        self.clock.time = time

    def _rescue(self, awaiting: AwaitTree | None) -> Happening | None:
        """What is awaited and would never come by itself: the result of a call, a signal."""
        if awaiting is None or not self._rescues:
            return None

        for leaf in _leaves(awaiting):
            notification: Notification
            if isinstance(leaf, int):
                notification = Completion(leaf, Value(b'"rescued"'))
            elif leaf == f"signal {CANCEL_SIGNAL}":
                continue
            else:
                name = leaf.removeprefix("signal ")
                signal = int(name) if name.isdigit() else name
                notification = Signal(signal, Value(b'"rescued"'))
            return Happening("rescue", OFFERED, partial(self._note, notification))
        return None

    def _note(self, notification: Notification) -> None:
        self.entries.append(notification)
        self.times.append(self.clock.time)
        if isinstance(notification, Completion) and isinstance(notification.result, InvocationId):
            self._invoked(notification)
        if self.attempt is not None:
            self.attempt.deliver(notification)

    def _complete(self, completion_id: int, result: Result) -> None:
        self._note(Completion(completion_id, result))

    # -- what commands lead to

    def _command(self, command: Command, answered: set[int]) -> None:
        match command:
            case Sleep(time, completion_id, name) if completion_id not in answered:
                self._will(f"timer {name}", completion_id, VOID, time / 1000)
            case Call():
                invocation = f"inv_{command.completion_id}"
                self._calls[invocation] = command
                label = command.name or command.handler
                if command.invocation_id_completion not in answered:
                    self._will(
                        f"id {label}", command.invocation_id_completion, InvocationId(invocation)
                    )
            case OneWayCall() if command.invocation_id_completion not in answered:
                number = command.invocation_id_completion
                self._will(f"id {command.name}", number, InvocationId(f"inv_{number}"))
            case GetState(key, completion_id, _) if completion_id not in answered:
                content = self.known_state.get(key)
                result = VOID if content is None else Value(content)
                self._will(f"state {key}", completion_id, result)
            case GetStateKeys(completion_id, _) if completion_id not in answered:
                keys = StateKeys(tuple(sorted(self.known_state)))
                self._will("keys", completion_id, keys)
            case CompletePromise(key, result, completion_id, _):
                known = self._promises.setdefault(key, result)
                refused = Failure(409, "already completed")
                if completion_id not in answered:
                    answer = VOID if known is result else refused
                    self._will(f"promise {key}", completion_id, answer)
            case GetPromise(key, completion_id, _) if completion_id not in answered:
                promised = self._promises.get(key, Value(b'"promised"'))
                self._will(f"promise {key}", completion_id, promised)
            case PeekPromise(key, completion_id, _) if completion_id not in answered:
                self._will(f"peek {key}", completion_id, self._promises.get(key, VOID))
            case Attach(_, completion_id, _) if completion_id not in answered:
                self._will("attach", completion_id, Value(b'"attached"'))
            case GetOutput(_, completion_id, _) if completion_id not in answered:
                self._will("output", completion_id, VOID)
            case SendSignal(target, signal, _, _) if signal == CANCEL_SIGNAL:
                self.cancelled.add(target)
                self._cancel_callee(target)
            case CompleteAwakeable(text, result, _):
                _, index = parse_awakeable_id(text)
                if not any(isinstance(e, Signal) and e.signal == index for e in self.entries):
                    self._add(f"awakeable {index}", lambda: self._note(Signal(index, result)))
            case _:
                pass

    def _will(
        self, label: str, completion_id: int, result: Result, time: float | None = None
    ) -> None:
        self._add(label, lambda: self._complete(completion_id, result), time, completion_id)

    def _invoked(self, notification: Completion) -> None:
        """An invocation id is known: its result may come."""
        assert isinstance(notification.result, InvocationId)
        call = self._calls.get(notification.result.id)
        if call is None or self._answered(call.completion_id):
            return

        result = self._answer(call)
        if result is not None:
            self._will(f"result {call.name or call.handler}", call.completion_id, result)

    def _cancel_callee(self, invocation: str) -> None:
        call = self._calls.get(invocation)
        if call is None or self._answered(call.completion_id):
            return

        label = call.name or call.handler
        for key, happening in list(self._happenings.items()):
            if happening.number == call.completion_id:
                del self._happenings[key]
        self._will(f"result {label}", call.completion_id, Failure(409, "cancelled"))

    def _answered(self, completion_id: int) -> bool:
        return any(
            isinstance(entry, Completion) and entry.completion_id == completion_id
            for entry in self.entries
        )

    # -- the journal's side

    def append(self, command: Command) -> None:
        """See ``abc.Journal``."""
        if isinstance(command, Call | OneWayCall) and command.service in self._unknown:
            raise UsageError(f"nobody serves {command.service}")

        self.entries.append(command)
        self.times.append(self.clock.time)
        self._command(command, set())

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """See ``abc.Journal``."""
        self.proposed[completion_id] += 1
        names = [
            entry.name
            for entry in self.entries
            if isinstance(entry, Run) and entry.completion_id == completion_id
        ]
        self._will(f"commit {names[0]}", completion_id, result)

    def forget(self, completion_id: int) -> None:
        """See ``abc.Journal``."""
        self.forgotten.add(completion_id)
        if self._forgetful:
            for key, happening in list(self._happenings.items()):
                if happening.number == completion_id:
                    del self._happenings[key]

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """See ``abc.Journal``."""
        self.flushes += 1
        self._flushed = len(self.entries)
        if self._replay_only:
            assert self.attempt is not None
            self.attempt.abort(Replayed())

    # -- reading

    @property
    def happenings(self) -> list[str]:
        """The labels of all that may happen."""
        return [happening.label for happening in self._happenings.values()]

    @property
    def commands(self) -> list[Command]:
        """All commands but the input."""
        return [entry for entry in self.entries[1:] if not isinstance(entry, Completion | Signal)]

    @property
    def names(self) -> list[str]:
        """Kind and name of all commands but input and output, as ``"Run a"``."""
        return [
            f"{type(command).__name__} {command.name}".strip()
            for command in self.commands
            if type(command).__name__ != "Output"
        ]


def _echo(call: Call) -> Value | Failure | None:
    return Value(call.parameter)


def _natural(happening: Happening) -> tuple[int, float, int, str]:
    offered = happening.number == OFFERED
    timed = happening.time is not None
    return (2 if offered else 1 if timed else 0, happening.time or 0, happening.number, "")


def _satisfied(tree: AwaitTree, notifications: Sequence[Entry]) -> bool:
    """Whether an invocation that waits for ``tree`` is woken by what has come."""
    results: dict[int | str, Result] = {}
    for entry in notifications:
        if isinstance(entry, Completion):
            results.setdefault(entry.completion_id, entry.result)
        elif isinstance(entry, Signal):
            results.setdefault(f"signal {entry.signal}", entry.result)
    return _state_of(tree, results) is not None


def _own_leaves(tree: AwaitTree) -> list[int | str]:
    return [*tree.completions, *(f"signal {signal}" for signal in tree.signals)]


def _leaves(tree: AwaitTree) -> list[int | str]:
    return [*_own_leaves(tree), *(leaf for nested in tree.nested for leaf in _leaves(nested))]


def _state_of(tree: AwaitTree, results: Mapping[int | str, Result]) -> bool | None:
    """True: succeeded, False: failed, None: still open."""
    states: list[bool | None] = [
        None if leaf not in results else not isinstance(results[leaf], Failure)
        for leaf in _own_leaves(tree)
    ]
    states.extend(_state_of(nested, results) for nested in tree.nested)
    ended = [state for state in states if state is not None]
    match tree.kind:
        case AwaitKind.FIRST_COMPLETED:
            return ended[0] if ended else None
        case AwaitKind.ALL_COMPLETED:
            return True if None not in states else None
        case AwaitKind.FIRST_SUCCEEDED_OR_ALL_FAILED:
            return True if True in ended else None if None in states else False
        case AwaitKind.ALL_SUCCEEDED_OR_FIRST_FAILED:
            return False if False in ended else None if None in states else True


# -- the usual ways to play


def play(handler: AnyHandler, backend: str, **world: Any) -> tuple[AttemptEnd, World]:
    """Run a handler, and replay its journal on the other backend: it has to end the same."""
    made = World(handler, **world)
    end = made.play(backend)
    again = World(handler, recorded=made.entries, **_again(world))
    replayed = again.replay(other(backend))
    if isinstance(end, AttemptCompleted):
        assert replayed == end
    assert again.entries == made.entries
    return end, made


def _again(world: dict[str, Any]) -> dict[str, Any]:
    left_out = {"recorded", "argument", "plan", "schedule", "offers", "suspending"}
    return {key: value for key, value in world.items() if key not in left_out}


def value(handler: AnyHandler, backend: str, **world: Any) -> Any:
    """What the handler returns, after a replay of its journal on the other backend."""
    end, _ = play(handler, backend, **world)
    assert isinstance(end, AttemptCompleted), end
    assert isinstance(end.result, Value), end
    return json.loads(end.result.content)


def failure(handler: AnyHandler, backend: str, **world: Any) -> Failure:
    """What the handler fails with for good, after a replay on the other backend."""
    end, _ = play(handler, backend, **world)
    assert isinstance(end, AttemptCompleted), end
    assert isinstance(end.result, Failure), end
    return end.result


def error(handler: AnyHandler, backend: str, **world: Any) -> BaseException:
    """What an attempt fails with."""
    end = World(handler, **world).play(backend)
    assert isinstance(end, AttemptFailed), end
    return end.error
