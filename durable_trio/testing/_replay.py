"""Replaying a recorded journal against today's handlers, without a runtime or a store.

Owns one attempt that does nothing: what it is given, where it stops, and what is read off
it. The comparison and its report are the core's, the words ``_verdict.py``'s.

 1. No effect happens. No run body starts, nothing is written, no time passes, and the
    context managers of a service are entered only if that is asked for.
 2. The attempt ends with the record: at the first command that is not recorded, once
    nothing recorded is left to deliver; or when everything waits.
 3. State is what was recorded. A name that the record does not know is never taken for
    absent: reading it is where the record ends.
 4. ``at`` stops in a debugger before an entry is compared, or delivered.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from durable_trio._attempt import Attempt
from durable_trio._exceptions import (
    InvalidInputError,
    NonDeterminismError,
    RetryableError,
    UsageError,
)
from durable_trio._invocation import (
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    InvocationStart,
    seed_of,
)
from durable_trio._journal._entries import Completion, Failure, Input, Output, Signal
from durable_trio._journal._mismatch import branch_of, describe
from durable_trio._registry import ServiceRegistry
from durable_trio._source import call_site, frames_to_caller, raised_at, where
from durable_trio.local._clock import SystemClock
from durable_trio.local._ids import to_raw

from ._recording import RecordedJournal, recorded
from ._verdict import NextStep, Replay, ReplayOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import AwaitTree, Command, Entry, Value
    from durable_trio._journal._jsonl import JournalHeader
    from durable_trio._options import ServiceOptions
    from durable_trio._services import ServiceDefinition

    from ._recording import Journal

Services: TypeAlias = "Iterable[ServiceDefinition] | ServiceRegistry"
"""What is served; a registry also knows the defaults that it is served with."""


_SEED_UNKNOWN: Final = (
    "The random seed of this invocation is not known, so whatever came of ctx.random and "
    "ctx.uuid4() is another value now."
)


_CONTEXTS_MISSING: Final = (
    "The `contexts` of its service were not entered, since they may do anything. If the code needs "
    "what they provide, replay it with them: contexts=True, or --contexts on the command line."
)


async def replay(
    journal: Journal, services: Services, *, at: int | None = None, contexts: bool = False
) -> Replay:
    """Run the code of today against a journal that was recorded, without doing anything.

    ``journal`` is the path of what ``durable-trio export`` wrote, its bytes, or a
    ``RecordedJournal``. Everything recorded is compared and answered from the record; where
    it ends, the replay ends. With ``at`` it stops in the debugger (``breakpoint()``) when it
    comes to the entry of that number; the input is 1. With ``contexts`` the context managers of
    the service are entered as around any attempt, for code that needs what they provide.

    What the code does wrong is in the answer, see ``Replay.check``. Raised is what is wrong
    with the question: ``UnknownServiceError`` if none of ``services`` has the handler,
    ``DefinitionError`` if they cannot be served, ``StoreCorruptError`` or
    ``StoreVersionError`` if the journal cannot be read, ``UsageError`` if it does not say
    whose it is or has no entry ``at``.
    """
    record = recorded(journal)
    registry = services if isinstance(services, ServiceRegistry) else ServiceRegistry(services)
    handler = registry.find(*record.target)
    if at is not None and not 1 <= at <= len(record.entries):
        raise UsageError(
            f"{record.name} has the entries 1 to {len(record.entries)}, and no entry {at}"
        )

    if (unreadable := _unreadable_input(record, handler)) is not None:
        return Replay(record.name, ReplayOutcome.FAILED, len(record.entries), 1, error=unreadable)

    options = registry.options(handler)
    if contexts:
        return await _Replaying(record, handler, options, at).run()

    result = await _Replaying(record, handler, attrs.evolve(options, contexts=()), at).run()
    if options.contexts and result.outcome is ReplayOutcome.FAILED:
        return attrs.evolve(result, note=" ".join(filter(None, [result.note, _CONTEXTS_MISSING])))

    return result


def _unreadable_input(record: RecordedJournal, handler: AnyHandler) -> InvalidInputError | None:
    """The error of an input that fitted when it was recorded, and fits no more."""
    commands = [entry for entry in record.entries if not isinstance(entry, Completion | Signal)]
    refused = commands[1] if len(commands) > 1 else None
    if isinstance(refused, Output) and isinstance(refused.result, Failure):
        return None

    assert isinstance(commands[0], Input)
    try:
        handler.decode_input(commands[0].content)
    except InvalidInputError as error:
        return error

    return None


class _RecordEnded(Exception):  # never seen outside: it closes the attempt
    """The code has come to the end of what was recorded."""


class _Replaying:
    """One replay. It is the ``Journal`` that the attempt writes to, and writes nothing."""

    def __init__(
        self, record: RecordedJournal, handler: AnyHandler, options: ServiceOptions, at: int | None
    ) -> None:
        self._record = record
        self._at = at
        self._next_steps: list[NextStep] = []
        self._goes_on = False
        """Whether something new would be done."""
        self._reached = 0
        self._interruption: BaseException | None = None
        """What a debugger raised: its user wants to leave."""
        numbered = list(enumerate(record.entries, start=1))
        self._commands = [pair for pair in numbered if not _is_notification(pair[1])]
        self._notifications = iter([pair for pair in numbered if _is_notification(pair[1])])
        self._attempt = Attempt(
            _start(record),
            handler,
            self,
            SystemClock(),
            options,
        )
        self._cursor = self._attempt._cursor
        self._cursor.watch = self._come_to
        self._attempt.bodies.held = True

    async def run(self) -> Replay:
        end = await self._attempt.run()
        if self._interruption is not None:
            raise self._interruption

        outcome, error = self._outcome(end)
        return Replay(
            self._record.name,
            outcome,
            len(self._record.entries),
            self._reached,
            tuple(self._next_steps) if error is None else (),
            error,
            _SEED_UNKNOWN if error is not None and _seed_is_unknown(self._record.header) else "",
        )

    def _outcome(self, end: AttemptEnd) -> tuple[ReplayOutcome, BaseException | None]:
        if isinstance(end, AttemptFailed) and not isinstance(end.error, _RecordEnded):
            if isinstance(end.error, RetryableError) and self._cursor.exhausted:
                # It polls for something outside, which may be as it was when this was recorded.
                step = NextStep(f"asks for a retry: {end.error}", "", raised_at(end.error))
                self._next_steps.append(step)
                return ReplayOutcome.CONTINUES, None

            diverged = isinstance(end.error, NonDeterminismError)
            return ReplayOutcome.DIVERGED if diverged else ReplayOutcome.FAILED, end.error

        if self._goes_on:
            return ReplayOutcome.CONTINUES, None

        completed = isinstance(end, AttemptCompleted)
        return ReplayOutcome.COMPLETED if completed else ReplayOutcome.WAITING, None

    # -- what the attempt writes

    def append(self, command: Command) -> None:
        """The code does something that is not recorded."""
        self._goes_on = True
        running = self._attempt.scheduler.running
        branch = running.path if running is not None else ""
        site = call_site() if running is not None else ""
        self._next_steps.append(NextStep(f"goes on with {describe(command)}", branch, site))
        if self._cursor.exhausted:
            self._attempt.abort(_RecordEnded())

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """Never called: no body starts."""

    def forget(self, completion_id: int) -> None:
        """There is no timer to forget."""

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """Everything waits, and nothing recorded is left."""
        del awaiting, executing
        scheduler, bodies = self._attempt.scheduler, self._attempt.bodies.pending
        sites = {task.path: where(task.coroutine) for task in scheduler.tasks}
        for body in bodies:
            self._goes_on = True
            branch = branch_of(body.name)
            self._next_steps.append(
                NextStep(f"executes run {body.name!r}", branch, sites.get(branch, ""))
            )
        executing_names = {body.name for body in bodies}
        for task in scheduler.tasks:
            future = task.waiting_on
            if future is not None and future.name not in executing_names:
                step = NextStep(f"waits for {future.name}", task.path, sites[task.path])
                self._next_steps.append(step)
        if not self._next_steps:
            # Locks, events and channels: the branches wait for each other.
            self._next_steps += [NextStep("waits", path, site) for path, site in sites.items()]
        self._attempt.abort(_RecordEnded())

    # -- where it is, and the debugger

    def _come_to(self, entry: Entry) -> None:
        number, recorded = (
            next(self._notifications)
            if _is_notification(entry)
            else self._commands[self._cursor.command_index]
        )
        self._reached = max(self._reached, number)
        if number == self._at:
            try:
                _stop(number, recorded, entry, self._attempt)
            except BaseException as error:
                self._interruption = error
                self._attempt.abort(_RecordEnded())


def _stop(number: int, recorded: Entry, now: Entry, attempt: Attempt) -> None:
    """Stop in the debugger. ``recorded`` and ``now``, what the code does, are there to look at."""
    if attempt.scheduler.running is not None:
        place = f"the code does {now!r} at {call_site()}, {frames_to_caller()} frames up"
    elif isinstance(recorded, Input):
        place = "the handler is about to start"
    else:
        tasks = attempt.scheduler.tasks
        waiting = [f"{task.path or 'the handler'} at {where(task.coroutine)}" for task in tasks]
        place = f"these wait: {', '.join(waiting)}"
    sys.stderr.write(f"entry {number} is {recorded!r}; {place}\n")
    breakpoint()  # noqa: T100  # what was asked for


def _is_notification(entry: Entry) -> bool:
    return isinstance(entry, Completion | Signal)


def _start(record: RecordedJournal) -> InvocationStart:
    header = record.header
    service, handler = record.target
    raw_id = _raw_id(header)
    return InvocationStart(
        invocation_id=header.invocation_id or record.name,
        raw_id=raw_id,
        service=service,
        handler=handler,
        recorded=record.entries,
        key=header.key or "",
        random_seed=seed_of(raw_id) if header.random_seed is None else header.random_seed,
        # What is not recorded is unknown, rather than absent.
        partial_state=True,
        idempotency_key=header.idempotency_key,
        scope=header.scope,
        limit_key=header.limit_key,
    )


def _seed_is_unknown(header: JournalHeader) -> bool:
    """Whoever says what does not follow from the id, and not the seed, does not know it."""
    return header.raw_id is not None and header.random_seed is None


def _raw_id(header: JournalHeader) -> bytes:
    if header.raw_id is not None:
        return header.raw_id

    try:
        return to_raw(header.invocation_id or "")
    except UsageError:
        # Written by hand or by another store, which says more in the header if it matters.
        return (header.invocation_id or "").encode()
