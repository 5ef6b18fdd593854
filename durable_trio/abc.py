"""The ports: what an adapter, a store, a clock and a serde have to implement.

Owns the Protocols; the vocabulary they speak is re-exported here so that an adapter
imports everything it needs from this one module.

 1. ``Journal`` is where one attempt writes. It never blocks and never raises for I/O:
    trouble is reported to the attempt, which then ends.
 2. ``JournalStore`` is what the embedded runtime keeps everything in. Writes are queued
    in order and become durable in order; reads see exactly what was queued before them.
 3. ``Clock`` is the only source of time, ``Serde`` the only way from values to bytes.
 4. ``Ingress`` and ``Admin`` are what is asked from outside of any invocation, of the embedded
    runtime in this process or of a server over HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from ._admin import Admin as Admin
from ._ingress import Ingress as Ingress
from ._invocation import AttemptCompleted as AttemptCompleted
from ._invocation import AttemptEnd as AttemptEnd
from ._invocation import AttemptFailed as AttemptFailed
from ._invocation import AttemptSuspended as AttemptSuspended
from ._invocation import InvocationStart as InvocationStart
from ._journal._entries import CANCEL_SIGNAL as CANCEL_SIGNAL
from ._journal._entries import FIRST_AWAKEABLE_SIGNAL as FIRST_AWAKEABLE_SIGNAL
from ._journal._entries import VOID as VOID
from ._journal._entries import Attach as Attach
from ._journal._entries import AwaitKind as AwaitKind
from ._journal._entries import AwaitTree as AwaitTree
from ._journal._entries import Call as Call
from ._journal._entries import ClearAllState as ClearAllState
from ._journal._entries import ClearState as ClearState
from ._journal._entries import Command as Command
from ._journal._entries import CompleteAwakeable as CompleteAwakeable
from ._journal._entries import CompletePromise as CompletePromise
from ._journal._entries import Completion as Completion
from ._journal._entries import Entry as Entry
from ._journal._entries import Failure as Failure
from ._journal._entries import GetEagerState as GetEagerState
from ._journal._entries import GetEagerStateKeys as GetEagerStateKeys
from ._journal._entries import GetOutput as GetOutput
from ._journal._entries import GetPromise as GetPromise
from ._journal._entries import GetState as GetState
from ._journal._entries import GetStateKeys as GetStateKeys
from ._journal._entries import Headers as Headers
from ._journal._entries import Input as Input
from ._journal._entries import InvocationId as InvocationId
from ._journal._entries import InvocationTarget as InvocationTarget
from ._journal._entries import Notification as Notification
from ._journal._entries import OneWayCall as OneWayCall
from ._journal._entries import Output as Output
from ._journal._entries import PeekPromise as PeekPromise
from ._journal._entries import Result as Result
from ._journal._entries import Run as Run
from ._journal._entries import SendSignal as SendSignal
from ._journal._entries import SetState as SetState
from ._journal._entries import Signal as Signal
from ._journal._entries import Sleep as Sleep
from ._journal._entries import StateKeys as StateKeys
from ._journal._entries import Target as Target
from ._journal._entries import Value as Value
from ._journal._entries import Void as Void
from ._journal._jsonl import JournalHeader as JournalHeader
from ._records import AppendEntries as AppendEntries
from ._records import DeleteInvocation as DeleteInvocation
from ._records import DeleteJournal as DeleteJournal
from ._records import DeletePromises as DeletePromises
from ._records import DeletePromiseWaiters as DeletePromiseWaiters
from ._records import DeleteState as DeleteState
from ._records import DeleteTimer as DeleteTimer
from ._records import DeleteWaiter as DeleteWaiter
from ._records import DeleteWaiters as DeleteWaiters
from ._records import DeliverNotification as DeliverNotification
from ._records import InvocationRecord as InvocationRecord
from ._records import InvocationStatus as InvocationStatus
from ._records import PutInvocation as PutInvocation
from ._records import PutPromise as PutPromise
from ._records import PutPromiseWaiter as PutPromiseWaiter
from ._records import PutState as PutState
from ._records import PutTimer as PutTimer
from ._records import PutWaiter as PutWaiter
from ._records import StateEntry as StateEntry
from ._records import Timer as Timer
from ._records import TimerKind as TimerKind
from ._records import Waiter as Waiter
from ._records import Write as Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


class Clock(Protocol):
    """Where time comes from. Seconds since the epoch; waiting happens on the running backend."""

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        ...

    async def sleep_until(self, deadline: float) -> None:
        """Return when ``now()`` has reached ``deadline``. Cancellable, wakes once."""
        ...


@runtime_checkable
class Serde(Protocol[T]):
    """Turns values of one type into bytes and back. Stateless; used for every payload of that type."""

    @property
    def content_type(self) -> str:
        """What the bytes are, as a media type. A plain attribute will do."""
        ...

    def serialize(self, value: T) -> bytes:
        """Encode. Raises ``SerializationError`` for a value that cannot be encoded.

        Gives the same bytes for the same value, since a replay compares them; for handlers with
        ``check_payloads=False`` it need not.
        """
        ...

    def deserialize(self, data: bytes) -> T:
        """Decode. Raises ``SerializationError`` that names the offending field."""
        ...


class Journal(Protocol):
    """Where one attempt writes what it does. Called only by the attempt, on its event loop."""

    def append(self, command: Command) -> None:
        """Take the next command. It may be buffered until ``flush``.

        Raises ``UsageError`` for a command that can never work here (an unknown
        service), so that it fails at the caller's line.
        """
        ...

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """A run body ended. The adapter makes the result durable, then delivers the completion."""
        ...

    def forget(self, completion_id: int) -> None:
        """Nobody waits for this completion any more. A hint: it may still be delivered."""
        ...

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """The attempt is quiescent: write what was appended.

        ``awaiting`` tells what it waits for, at a cost that grows with the number of
        waiting tasks: call it only if it is needed. ``executing`` says whether a run
        body is at work.
        """
        ...


class JournalStore(Protocol):
    """Everything the embedded runtime keeps: journals, invocations, state, timers, promises.

    An async context manager: entering opens (and locks, and recovers) the storage,
    leaving makes all queued writes durable and closes it. A read sees every write that
    was queued before it was called, durably, and none that was queued later: who calls
    it knows what is in the answer and what is still to come. ``write`` never blocks. All
    methods are called from the event loop that entered it.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def write(
        self,
        writes: Sequence[Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        """Queue one transaction. ``on_commit`` is called on the event loop once it is durable.

        Transactions commit in the order they were queued; several may be committed
        together. A transaction that is not ``urgent`` may wait a few milliseconds for
        an urgent one to ride with. Callbacks run in queue order. After a failed write
        no later transaction is written and no callback runs: see ``failed``.
        """
        ...

    async def failed(self) -> Exception:
        """Wait until a write has failed for good, and return the ``StoreError``."""
        ...

    async def sync(self) -> None:
        """Return when everything queued so far is durable. Raises the store's ``StoreError``."""
        ...

    async def invocation(self, invocation_id: str) -> InvocationRecord | None:
        """The record, or None."""
        ...

    async def journal(self, invocation_id: str) -> Sequence[Entry]:
        """All entries in order; empty when unknown or expired."""
        ...

    async def find(
        self, service: str, key: str | None, handler: str, idempotency_key: str | None
    ) -> InvocationRecord | None:
        """The newest invocation of this handler, key and idempotency key (None: the newest without one)."""
        ...

    async def queued(self, service: str, key: str) -> InvocationRecord | None:
        """The PENDING exclusive invocation of this object key with the lowest sequence."""
        ...

    async def unfinished(self) -> Sequence[InvocationRecord]:
        """Every record in RUNNING, BACKING_OFF or PAUSED, by sequence: what a recovery starts with."""
        ...

    async def holders(self) -> Sequence[InvocationRecord]:
        """Every exclusive record in RUNNING, BACKING_OFF, SUSPENDED or PAUSED: who holds an object key."""
        ...

    async def backlog(self) -> Sequence[tuple[str, str]]:
        """Every (service, key) with a PENDING exclusive invocation."""
        ...

    async def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[InvocationStatus] | None = None,
        limit: int | None = None,
    ) -> Sequence[InvocationRecord]:
        """Records that match, newest first."""
        ...

    async def last_sequence(self) -> int:
        """The highest ``sequence`` ever stored, 0 when empty."""
        ...

    async def state(self, service: str, key: str) -> Mapping[str, bytes]:
        """All state entries of one object."""
        ...

    async def timers(self, *, due_by: float, limit: int) -> Sequence[Timer]:
        """Timers due at or before ``due_by``, earliest first, ``limit`` at most."""
        ...

    async def next_timer(self, *, after: float) -> Timer | None:
        """The earliest timer due later than ``after``."""
        ...

    async def waiters(self, target: str) -> Sequence[Waiter]:
        """Who waits for the result of this invocation, in order of arrival."""
        ...

    async def promise(self, service: str, key: str, name: str) -> Value | Failure | None:
        """The promise's result, None while it is pending."""
        ...

    async def promise_waiters(self, service: str, key: str, name: str) -> Sequence[Waiter]:
        """Who waits for this promise, in order of arrival."""
        ...
