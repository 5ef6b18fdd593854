"""What is written when an invocation completes, suspends, fails or is stopped.

Owns the records' way through the statuses, once they have left PENDING and SCHEDULED, and
the retention of results.

 1. An ending is one transaction: the record, what the attempt had not written yet, the
    answers to everybody who waits, and the timers that follow or are not needed any more.
 2. The retry count counts failed attempts since the journal last grew. An attempt that was
    cancelled is followed by another one at once.
 3. A result is kept for the retention that its kind has; without any, the invocation is
    forgotten at once, after everybody who waits has been answered.
 4. An error of the code is met again by every attempt of the same process. So the
    invocation is paused at once, unless its options say otherwise; it is marked, and
    attempted again when the runtime is next opened: the code may have been mended.
 5. Who waits outside for what is paused because it failed is told so.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from durable_trio._exceptions import (
    InvocationPausedError,
    NonDeterminismError,
    UnknownServiceError,
)
from durable_trio._handler import HandlerKind
from durable_trio._journal._entries import Completion, Failure
from durable_trio._options import ServiceOptions
from durable_trio._outcome import is_usage_error
from durable_trio._records import (
    FAULT_OF_CODE,
    DeleteInvocation,
    DeletePromises,
    DeleteState,
    DeleteWaiters,
    InvocationRecord,
    InvocationStatus,
    PutInvocation,
    PutTimer,
    Timer,
    TimerKind,
)
from durable_trio._retry import InvocationRetryPolicy
from durable_trio._source import exc_info

from ._waits import removal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from durable_trio._handler import AnyHandler
    from durable_trio._invocation import AttemptFailed
    from durable_trio._journal._entries import Value
    from durable_trio._options import OnUsageError
    from durable_trio._records import Waiter

    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail, Transaction
    from ._waits import Wait

    OnFailure: TypeAlias = Callable[
        [InvocationRecord, AttemptFailed, InvocationRetryPolicy], object
    ]

_log = logging.getLogger("durable_trio.local")

_DAY: Final = 86_400.0
_DEFAULT_POLICY: Final = InvocationRetryPolicy()
_NO_OPTIONS: Final = ServiceOptions()

CANCELLED: Final = Failure(409, "cancelled")
KILLED: Final = Failure(409, "killed")


class Endings:
    """See the module's docstring."""

    __slots__ = ("_engine", "_mail", "on_failure")

    def __init__(self, engine: Engine, mail: Mail) -> None:
        self._engine = engine
        self._mail = mail
        self.on_failure: OnFailure | None = None
        """For a test that looks at errors as they were raised: told of every failed attempt."""

    # -- of an attempt

    def completed(self, live: LiveInvocation, result: Value | Failure) -> None:
        """The handler ended."""
        transaction = self._mail.transaction()
        _take(live, transaction)
        self.retire(transaction, live.record, result, live.waiters, live.waits.outstanding)

    def suspended(self, live: LiveInvocation) -> None:
        """It waits, and leaves memory."""
        transaction = self._mail.transaction()
        _take(live, transaction)
        record = attrs.evolve(live.record, status=InvocationStatus.SUSPENDED)
        if live.progressed:
            record = attrs.evolve(record, retry_count=0, first_failed_at=None, last_failure=None)
        transaction.add(PutInvocation(record))
        transaction.commit(urgent=False)

    def failed(self, live: LiveInvocation, end: AttemptFailed) -> bool:
        """The attempt failed: it is made again after a delay, or this was the last one.

        True: the invocation has completed.
        """
        record, now = live.record, self._engine.clock.now()
        known = record.last_failure
        if live.progressed or record.first_failed_at is None:
            count, first = 1, now
        else:
            count, first = record.retry_count + 1, record.first_failed_at
        record = attrs.evolve(
            record, retry_count=count, first_failed_at=first, last_failure=end.failure
        )
        options = self._options(record)
        policy = options.retry_policy or _DEFAULT_POLICY
        if self.on_failure is not None:
            self.on_failure(record, end, policy)
        on_fault = _on_fault(end.error, options)
        pause, complete = on_fault == "pause", on_fault == "fail"
        if end.retry_after is None and policy.exhausted(count) and not (pause or complete):
            pause, complete = policy.pauses, not policy.pauses
        delay = policy.delay(count) if end.retry_after is None else end.retry_after
        if live.cancel_arrived:
            # It may have come too late for this attempt, and is not to wait for the next one.
            pause, delay = False, 0.0
        what = "it has failed" if complete else f"the next one in {delay:g} s"
        self._log(record, end, known, "it is paused" if pause else what)
        transaction = self._mail.transaction()
        _take(live, transaction)
        if complete:
            self.retire(transaction, record, end.failure, live.waiters, live.waits.outstanding)
            return True

        if pause:
            self._pause(transaction, record, end.failure, of_code=on_fault == "pause")
            return False

        timer = Timer(now + delay, live.id, TimerKind.RETRY)
        record = attrs.evolve(
            record, status=InvocationStatus.BACKING_OFF, next_attempt_at=timer.due
        )
        transaction.add(PutInvocation(record), PutTimer(timer))
        self._engine.timers.add(timer)
        transaction.commit(urgent=False)
        return False

    def unable(self, live: LiveInvocation, reason: str, *, of_code: bool) -> None:
        """It cannot be attempted: it is paused. ``of_code``: other code may be able to."""
        record = live.record
        _log.warning("%s/%s (%s) is paused: %s", record.service, record.handler, live.id, reason)
        self._pause(self._mail.transaction(), record, Failure(500, reason), of_code=of_code)

    def _pause(
        self, transaction: Transaction, record: InvocationRecord, failure: Failure, *, of_code: bool
    ) -> None:
        if of_code:
            failure = attrs.evolve(failure, metadata=(*failure.metadata, FAULT_OF_CODE))
        paused = attrs.evolve(record, status=InvocationStatus.PAUSED, last_failure=failure)
        transaction.add(PutInvocation(paused))
        observers = self._engine.observers
        transaction.then(partial(observers.refuse, record.id, paused_error(paused)))
        transaction.commit(urgent=record.id in observers)

    # -- of an invocation

    def retire(
        self,
        transaction: Transaction,
        record: InvocationRecord,
        result: Value | Failure,
        waiters: Collection[Waiter],
        waits: Iterable[Wait] = (),
    ) -> None:
        """Complete an invocation, answer everybody, and commit. Its key is not released."""
        engine, now = self._engine, self._engine.clock.now()
        journal, total = self._retention(record)
        if total <= 0:
            self.forget(transaction, record)
        else:
            record = attrs.evolve(
                record,
                status=InvocationStatus.COMPLETED,
                result=result,
                completed_at=now,
                next_attempt_at=None,
                journal_expires_at=now + journal,
                expires_at=now + total,
            )
            expiry = Timer(now + min(journal, total), record.id, TimerKind.EXPIRE)
            transaction.add(PutInvocation(record), PutTimer(expiry))
            engine.timers.add(expiry)
            if waiters:
                transaction.add(DeleteWaiters(record.id))
        transaction.add(*(removal(record.id, wait, engine.timers) for wait in waits))
        for waiter in waiters:
            transaction.post(waiter.invocation_id, Completion(waiter.completion_id, result))
        observed = record.id in engine.observers
        transaction.then(partial(engine.observers.resolve, record.id, result))
        transaction.commit(urgent=observed or bool(waiters))

    def forget(self, transaction: Transaction, record: InvocationRecord) -> None:
        """Remove an invocation, and with a workflow's main one the state and promises of its key."""
        transaction.add(DeleteInvocation(record.id))
        handler = self._handler(record)
        if handler is not None and handler.kind is HandlerKind.WORKFLOW and record.key is not None:
            transaction.add(
                DeleteState(record.service, record.key), DeletePromises(record.service, record.key)
            )

    def _retention(self, record: InvocationRecord) -> tuple[float, float]:
        """For how long the journal and the whole invocation are kept."""
        options, handler = self._options(record), self._handler(record)
        journal = _or_day(options.journal_retention)
        if handler is not None and handler.kind is HandlerKind.WORKFLOW:
            total = _or_day(options.workflow_retention)
        elif record.idempotency_key is not None:
            total = _or_day(options.idempotency_retention)
        else:
            total = journal
        return min(journal, total), total

    def _handler(self, record: InvocationRecord) -> AnyHandler | None:
        try:
            return self._engine.registry.find(record.service, record.handler)
        except UnknownServiceError:
            return None

    def _options(self, record: InvocationRecord) -> ServiceOptions:
        handler = self._handler(record)
        return _NO_OPTIONS if handler is None else self._engine.registry.options(handler)

    def _log(
        self,
        record: InvocationRecord,
        end: AttemptFailed,
        known: Failure | None,
        what: str,
    ) -> None:
        _log.warning(
            "%s/%s (%s): attempt %d failed: %s; %s",
            record.service,
            record.handler,
            record.id,
            record.retry_count,
            end.failure.message,
            what,
            # The same failure again and again needs its traceback once.
            exc_info=None if known == end.failure else exc_info(end.error),
        )


def paused_error(record: InvocationRecord) -> InvocationPausedError:
    """What whoever waits outside for a paused invocation is told."""
    assert record.last_failure is not None
    resume = f"`durable-trio resume {record.id}` (or runtime.resume())"
    remedy = f"It goes on from there when it is resumed: mend what is wrong, then {resume}"
    if record.waits_for_code:
        remedy = (
            "It goes on from there with mended code: mend it, and start again whatever serves it. "
            f"If the cause was not the code, {resume} is enough"
        )
    return InvocationPausedError(
        f"{record.service}/{record.handler} ({record.id}) is paused: "
        f"{record.last_failure.message.rstrip('.')}. {remedy}. Attach to it for its result; or kill "
        "it.",
        record.id,
    )


def resumed(record: InvocationRecord) -> InvocationRecord:
    """A paused invocation that is attempted again; its retries start anew."""
    return attrs.evolve(
        record,
        status=InvocationStatus.RUNNING,
        retry_count=0,
        first_failed_at=None,
        next_attempt_at=None,
        last_failure=None,
    )


def _on_fault(error: BaseException, options: ServiceOptions) -> OnUsageError | None:
    """What the options say of an error of the code's; None: it is another one."""
    if isinstance(error, NonDeterminismError):
        return options.on_journal_mismatch or "pause"

    if is_usage_error(error):
        return options.on_usage_error or "pause"

    return None


def _take(live: LiveInvocation, transaction: Transaction) -> None:
    if live.journal is not None:
        live.journal.take(transaction)
        live.journal.closed = True


def _or_day(seconds: float | None) -> float:
    return _DAY if seconds is None else seconds
