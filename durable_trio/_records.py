"""What a ``JournalStore`` keeps beside the journals, and the writes that change it.

Owns the stored records (invocations, timers, waiters, promises) and the vocabulary of
writes. Who decides what to write is the embedded runtime; how it is kept is the store's.

 1. Records and writes are immutable; a record is replaced whole.
 2. A sequence of writes is one transaction: all of them are kept, or none.
 3. Times are seconds since the epoch.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

if TYPE_CHECKING:
    from ._journal._entries import Entry, Failure, Headers, Notification, Value


class InvocationStatus(enum.Enum):
    """Where an invocation stands. Values and meaning are those of Restate's ``sys_invocation``."""

    SCHEDULED = "scheduled"
    """Sent with a delay that has not passed yet."""
    PENDING = "pending"
    """Queued behind another invocation of the same object key."""
    RUNNING = "running"
    """Being attempted now, or to be attempted at once when the runtime opens."""
    BACKING_OFF = "backing-off"
    """Its last attempt failed; the next one waits for its delay."""
    SUSPENDED = "suspended"
    """Waits for a notification and may be out of memory."""
    PAUSED = "paused"
    """It failed for good or was told to stop: an operator resumes it, or mended code does."""
    COMPLETED = "completed"
    """Has its result, which is kept until it expires."""


class TimerKind(enum.Enum):
    """What happens when a timer comes due."""

    SLEEP = "sleep"
    """A completion is delivered to the invocation."""
    START = "start"
    """A delayed send starts."""
    RETRY = "retry"
    """The next attempt starts."""
    EXPIRE = "expire"
    """A completed invocation, or only its journal, is forgotten."""


FAULT_OF_CODE: Final = ("fault", "code")
"""In the metadata of a failure: every attempt of the same code would meet it again."""


@attrs.frozen
class InvocationRecord:
    """Everything about one invocation but its journal.

    ``exclusive`` invocations of one (service, key) run one after the other in the order
    of ``sequence``. ``result`` is there exactly when the status is COMPLETED.
    """

    id: str
    service: str
    handler: str
    status: InvocationStatus
    created_at: float
    sequence: int
    key: str | None = None
    exclusive: bool = False
    idempotency_key: str | None = None
    headers: Headers = ()
    parent: str | None = None
    scheduled_for: float | None = None
    started_at: float | None = None
    completed_at: float | None = None
    retry_count: int = 0
    first_failed_at: float | None = None
    next_attempt_at: float | None = None
    last_failure: Failure | None = None
    result: Value | Failure | None = None
    cancelled: bool = False
    journal_expires_at: float | None = None
    expires_at: float | None = None

    @property
    def waits_for_code(self) -> bool:
        """Whether it is paused for an error of code, which may be mended at the next opening."""
        failure = self.last_failure
        return (
            self.status is InvocationStatus.PAUSED
            and failure is not None
            and FAULT_OF_CODE in failure.metadata
        )


@attrs.frozen
class Timer:
    """Something that happens to an invocation at ``due``. (invocation, kind, completion) is its identity."""

    due: float
    invocation_id: str
    kind: TimerKind
    completion_id: int = 0


@attrs.frozen
class Waiter:
    """``invocation_id`` waits, under ``completion_id``, for another invocation or for a promise."""

    invocation_id: str
    completion_id: int


@attrs.frozen
class StateEntry:
    """One state entry, as an inspection lists it."""

    service: str
    key: str
    name: str
    content: bytes


# -- writes


@attrs.frozen
class AppendEntries:
    """Append to the journal of an invocation, in this order."""

    invocation_id: str
    entries: tuple[Entry, ...]


@attrs.frozen
class DeliverNotification:
    """Append to a journal unless its invocation is unknown or completed: then nothing happens.

    A second signal with the same index or name and a second completion with the same
    id are kept as well: the attempt ignores them.
    """

    invocation_id: str
    notification: Notification


@attrs.frozen
class PutInvocation:
    """Insert or replace the record."""

    record: InvocationRecord


@attrs.frozen
class DeleteInvocation:
    """Forget the record, its journal, its timers and its waiters."""

    invocation_id: str


@attrs.frozen
class DeleteJournal:
    """Forget the entries and timers of an invocation, but keep its record and result."""

    invocation_id: str


@attrs.frozen
class PutState:
    """Insert or replace one state entry."""

    service: str
    key: str
    name: str
    content: bytes


@attrs.frozen
class DeleteState:
    """Remove one state entry, or all of the object's when ``name`` is None."""

    service: str
    key: str
    name: str | None = None


@attrs.frozen
class PutTimer:
    """Insert or replace a timer."""

    timer: Timer


@attrs.frozen
class DeleteTimer:
    """Remove a timer; none there is no error."""

    invocation_id: str
    kind: TimerKind
    completion_id: int = 0


@attrs.frozen
class PutWaiter:
    """``waiter`` wants the result of invocation ``target``."""

    target: str
    waiter: Waiter


@attrs.frozen
class DeleteWaiters:
    """The waiters of ``target`` have been answered."""

    target: str


@attrs.frozen
class DeleteWaiter:
    """``waiter`` waits no longer, for an invocation or a promise; none there is no error."""

    waiter: Waiter


@attrs.frozen
class PutPromise:
    """The promise is completed. Only ever written once per name."""

    service: str
    key: str
    name: str
    result: Value | Failure


@attrs.frozen
class DeletePromises:
    """Forget the promises and promise waiters of a workflow key."""

    service: str
    key: str


@attrs.frozen
class PutPromiseWaiter:
    """``waiter`` wants the promise."""

    service: str
    key: str
    name: str
    waiter: Waiter


@attrs.frozen
class DeletePromiseWaiters:
    """The waiters of the promise have been answered."""

    service: str
    key: str
    name: str


Write: TypeAlias = (
    AppendEntries
    | DeliverNotification
    | PutInvocation
    | DeleteInvocation
    | DeleteJournal
    | PutState
    | DeleteState
    | PutTimer
    | DeleteTimer
    | PutWaiter
    | DeleteWaiters
    | DeleteWaiter
    | PutPromise
    | DeletePromises
    | PutPromiseWaiter
    | DeletePromiseWaiters
)
"""One change of what a store keeps."""
