"""A ``JournalStore`` in memory that a test can crash and open again.

Owns the queue between ``write`` and commit, the hooks at a commit, and what survives.
What a write means is in ``_tables``.

 1. A transaction commits at a later turn of the loop, never inside ``write``; each one is
    a commit of its own, in queue order, and its callback runs before the next commit.
 2. What was committed survives leaving, a crash and the end of the loop; what was not
    committed is gone after a crash.
 3. After a failure or a crash nothing is committed and no callback runs until reopened.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio

from durable_trio._exceptions import StoreError, StoreLockedError, StoreWriteError, UsageError
from durable_trio._loop import CallSoon, call_all, current_call_soon

from ._tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from durable_trio import abc

    Hook: TypeAlias = Callable[[Sequence[abc.Write]], object]

T = TypeVar("T")


class MemoryStore:
    """Keeps everything in memory, in this object, across any number of ``async with`` blocks.

    ``before_commit`` and ``after_commit`` are called on the event loop with the writes of
    each transaction. An exception that ``before_commit`` raises is a crash before the
    commit: this transaction and all later ones are lost. One that ``after_commit`` raises
    is a crash between the commit and its acknowledgement. Either way the store has failed
    (see ``failed``) until it is entered again. Both may be set at any time.

    One task tree at a time may have it open: entering twice raises ``StoreLockedError``.
    """

    def __init__(
        self, *, before_commit: Hook | None = None, after_commit: Hook | None = None
    ) -> None:
        self.before_commit = before_commit
        self.after_commit = after_commit
        self.committed: Tables = Tables()
        """What is durable now, to look at without an event loop."""
        self.commits: int = 0
        """How many transactions were committed since this object was made."""
        self.on_queue: Callable[[], object] | None = None
        """Called whenever something is queued, a write or a read."""
        self._queue: list[Callable[[], object]] = []
        self._queued = 0
        self._call_soon: CallSoon | None = None
        self._turn_comes = False
        self._error: StoreError | None = None
        self._failed = anyio.Event()

    async def __aenter__(self) -> Self:
        # A loop that ended without leaving the block took its claim with it.
        if self._call_soon is not None and self._call_soon(lambda: None):
            raise StoreLockedError(
                "This MemoryStore is already open. Leave the first `async with` block before"
                " entering another one, or give each runtime a store of its own."
            )
        self._call_soon = current_call_soon()
        self._queue = []
        self._queued = 0
        self._turn_comes = False
        self._error = None
        self._failed = anyio.Event()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._wait_for_turn(lambda: None)
        self._call_soon = None
        if self._error is not None and exc is None:
            raise self._error

    @property
    def pending(self) -> bool:
        """Whether a commit or a read is on its way."""
        return self._queued > 0

    def crash(self, error: Exception | None = None) -> None:
        """From now on nothing is committed, as if the process had been killed here."""
        if self._error is None:
            if not isinstance(error, StoreError):
                cause = error
                error = StoreWriteError(f"simulated crash: {cause or 'crash() was called'}")
                error.__cause__ = cause
            self._error = error
            self._failed.set()

    def write(
        self,
        writes: Sequence[abc.Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        del urgent
        self._enqueue(partial(self._commit, tuple(writes), on_commit))

    def _enqueue(self, step: Callable[[], object]) -> None:
        if self._call_soon is None:
            raise UsageError("This MemoryStore is not open. Enter it with `async with` first.")
        self._queue.append(partial(self._serve, step))
        self._queued += 1
        if not self._turn_comes:
            self._turn_comes = True
            self._call_soon(self._take_turn)
        if self.on_queue is not None:
            self.on_queue()

    def _serve(self, step: Callable[[], object]) -> None:
        try:
            step()
        finally:
            self._queued -= 1

    def _take_turn(self) -> None:
        self._turn_comes = False
        queue, self._queue = self._queue, []
        if self._call_soon is not None:
            call_all(self._call_soon, queue)

    def _commit(
        self, writes: tuple[abc.Write, ...], on_commit: Callable[[], object] | None
    ) -> None:
        if self._error is not None:
            return
        try:
            if self.before_commit is not None:
                self.before_commit(writes)
            # A hook may also crash the store by hand.
            if self._error is None:
                self.committed.apply(writes)
                self.commits += 1
                if self.after_commit is not None:
                    self.after_commit(writes)
        except Exception as exc:
            self.crash(exc)
        if self._error is None and on_commit is not None:
            on_commit()

    async def _wait_for_turn(self, read: Callable[[], T]) -> T:
        answers: list[T] = []
        answered = anyio.Event()

        def answer() -> None:
            answers.append(read())
            answered.set()

        self._enqueue(answer)
        await answered.wait()
        return answers[0]

    async def _read(self, read: Callable[[], T]) -> T:
        answer = await self._wait_for_turn(read)
        if self._error is not None:
            raise self._error
        return answer

    async def failed(self) -> Exception:
        while self._error is None:
            await self._failed.wait()
        return self._error

    async def sync(self) -> None:
        await self._read(lambda: None)

    async def invocation(self, invocation_id: str) -> abc.InvocationRecord | None:
        return await self._read(lambda: self.committed.invocation(invocation_id))

    async def journal(self, invocation_id: str) -> Sequence[abc.Entry]:
        return await self._read(lambda: self.committed.journal(invocation_id))

    async def find(
        self, service: str, key: str | None, handler: str, idempotency_key: str | None
    ) -> abc.InvocationRecord | None:
        return await self._read(lambda: self.committed.find(service, key, handler, idempotency_key))

    async def queued(self, service: str, key: str) -> abc.InvocationRecord | None:
        return await self._read(lambda: self.committed.queued(service, key))

    async def unfinished(self) -> Sequence[abc.InvocationRecord]:
        return await self._read(self.committed.unfinished)

    async def holders(self) -> Sequence[abc.InvocationRecord]:
        return await self._read(self.committed.holders)

    async def backlog(self) -> Sequence[tuple[str, str]]:
        return await self._read(self.committed.backlog)

    async def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[abc.InvocationStatus] | None = None,
        limit: int | None = None,
    ) -> Sequence[abc.InvocationRecord]:
        return await self._read(
            lambda: self.committed.invocations(service=service, key=key, status=status, limit=limit)
        )

    async def last_sequence(self) -> int:
        return await self._read(lambda: self.committed.last_sequence)

    async def state(self, service: str, key: str) -> Mapping[str, bytes]:
        return await self._read(lambda: self.committed.state(service, key))

    async def timers(self, *, due_by: float, limit: int) -> Sequence[abc.Timer]:
        return await self._read(lambda: self.committed.timers(due_by=due_by, limit=limit))

    async def next_timer(self, *, after: float) -> abc.Timer | None:
        return await self._read(lambda: self.committed.next_timer(after=after))

    async def waiters(self, target: str) -> Sequence[abc.Waiter]:
        return await self._read(lambda: self.committed.waiters(target))

    async def promise(self, service: str, key: str, name: str) -> abc.Value | abc.Failure | None:
        return await self._read(lambda: self.committed.promise(service, key, name))

    async def promise_waiters(self, service: str, key: str, name: str) -> Sequence[abc.Waiter]:
        return await self._read(lambda: self.committed.promise_waiters(service, key, name))
