"""What is written when an invocation completes, suspends, fails or is stopped.

Owns the records' way through the statuses, once they have left PENDING and SCHEDULED, and
the retention of results.

 1. An ending is one transaction: the record, what the attempt had not written yet, the
    answers to everybody who waits, and the timers that follow or are not needed any more.
 2. The retry count counts failed attempts since the journal last grew. An attempt that was
    cancelled is followed by another one at once.
 3. A result is kept for the retention that its kind has; without any, the invocation is
    forgotten at once, after everybody who waits has been answered.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from durable_trio._exceptions import NonDeterminismError, UnknownServiceError
from durable_trio._handler import HandlerKind
from durable_trio._journal._entries import Completion, Failure
from durable_trio._options import ServiceOptions
from durable_trio._records import (
    DeleteInvocation,
    DeletePromises,
    DeleteState,
    DeleteTimer,
    DeleteWaiters,
    InvocationRecord,
    InvocationStatus,
    PutInvocation,
    PutTimer,
    Timer,
    TimerKind,
)
from durable_trio._retry import InvocationRetryPolicy

if TYPE_CHECKING:
    from collections.abc import Collection

    from durable_trio._handler import AnyHandler
    from durable_trio._invocation import AttemptFailed
    from durable_trio._journal._entries import Value
    from durable_trio._records import Waiter

    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail, Transaction

_log = logging.getLogger("durable_trio.local")

_DAY: Final = 86_400.0
_DEFAULT_POLICY: Final = InvocationRetryPolicy()
_NO_OPTIONS: Final = ServiceOptions()

CANCELLED: Final = Failure(409, "cancelled")
KILLED: Final = Failure(409, "killed")


class Endings:
    """See the module's docstring."""

    __slots__ = ("_engine", "_mail")

    def __init__(self, engine: Engine, mail: Mail) -> None:
        self._engine = engine
        self._mail = mail

    # -- of an attempt

    def completed(self, live: LiveInvocation, result: Value | Failure) -> None:
        """The handler ended."""
        transaction = self._mail.transaction()
        _take(live, transaction)
        self.retire(transaction, live.record, result, live.waiters, live.sleeps.outstanding)

    def suspended(self, live: LiveInvocation) -> None:
        """It waits, and leaves memory."""
        transaction = self._mail.transaction()
        _take(live, transaction)
        record = attrs.evolve(live.record, status=InvocationStatus.SUSPENDED)
        if live.progressed:
            record = attrs.evolve(record, retry_count=0, first_failed_at=None)
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
        pause = complete = False
        if isinstance(end.error, NonDeterminismError) and options.on_journal_mismatch != "retry":
            pause = options.on_journal_mismatch == "pause"
            complete = options.on_journal_mismatch == "fail"
        if end.retry_after is None and policy.exhausted(count) and not complete:
            pause, complete = pause or policy.pauses, not policy.pauses
        delay = policy.delay(count) if end.retry_after is None else end.retry_after
        if live.cancel_arrived:
            # It may have come too late for this attempt, and is not to wait for the next one.
            pause, delay = False, 0.0
        self._log(record, end, known, delay=None if pause or complete else delay)
        transaction = self._mail.transaction()
        _take(live, transaction)
        if complete:
            self.retire(transaction, record, end.failure, live.waiters, live.sleeps.outstanding)
            return True

        if pause:
            transaction.add(PutInvocation(attrs.evolve(record, status=InvocationStatus.PAUSED)))
        else:
            timer = Timer(now + delay, live.id, TimerKind.RETRY)
            record = attrs.evolve(
                record, status=InvocationStatus.BACKING_OFF, next_attempt_at=timer.due
            )
            transaction.add(PutInvocation(record), PutTimer(timer))
            self._engine.timers.add(timer)
        transaction.commit(urgent=False)
        return False

    # -- of an invocation

    def retire(
        self,
        transaction: Transaction,
        record: InvocationRecord,
        result: Value | Failure,
        waiters: Collection[Waiter],
        sleeps: Collection[int] = (),
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
            for completion_id in sleeps:
                transaction.add(DeleteTimer(record.id, TimerKind.SLEEP, completion_id))
        for completion_id in sleeps:
            engine.timers.remove(record.id, TimerKind.SLEEP, completion_id)
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
        *,
        delay: float | None,
    ) -> None:
        _log.warning(
            "%s/%s (%s): attempt %d failed: %s; %s",
            record.service,
            record.handler,
            record.id,
            record.retry_count,
            end.failure.message,
            "no more attempts" if delay is None else f"next one in {delay:g} s",
            # The same failure again and again needs its traceback once.
            exc_info=None if known == end.failure else end.error,
        )


def _take(live: LiveInvocation, transaction: Transaction) -> None:
    if live.journal is not None:
        live.journal.take(transaction)
        live.journal.closed = True


def _or_day(seconds: float | None) -> float:
    return _DAY if seconds is None else seconds
