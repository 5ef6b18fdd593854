"""The ledger of an attempt: commands issued, and the futures their answers end.

Owns completion ids, signal indexes and the way from a notification to its future. The
order of tasks is the scheduler's, comparison the cursor's, run bodies ``_bodies.py``'s.

 1. Completion ids are allocated from 1 in the order of the commands (J2).
 2. While recorded commands are left, an issued command is matched and nothing is
    written; after that it is appended.
 3. A notification is decoded when it is delivered, ends at most one future, and is
    ignored if that future was cancelled: at the same place live and on replay.
 4. A call that is cancelled before its invocation id is known leaves an *intent*: the
    cancel signal is issued when the id is delivered, before any waiter runs. The
    handler's output waits until there are no intents left. An answer that is no id ends it.
 5. Signals that come before anybody waits for them are kept, in order.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._exceptions import (
    CancelledError,
    InvalidInputError,
    InvocationTimeoutError,
    TerminalError,
    UsageError,
)
from ._future import DurableFuture, FutureStatus
from ._journal._entries import (
    CANCEL_SIGNAL,
    FIRST_AWAKEABLE_SIGNAL,
    VOID,
    AwaitKind,
    AwaitTree,
    Completion,
    Failure,
    InvocationId,
    SendSignal,
    Signal,
)
from ._journal._mismatch import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._journal._cursor import Cursor
    from ._journal._entries import Command, Notification, Result
    from ._scheduler import Scheduler
    from .abc import Journal

C = TypeVar("C", bound="Command")


_ERRORS: Final[Mapping[int, type[TerminalError]]] = {
    400: InvalidInputError,
    408: InvocationTimeoutError,
}


def error_of(failure: Failure) -> TerminalError:
    """The exception that stands for a recorded failure; the same class on every replay."""
    metadata = dict(failure.metadata)
    if failure.code == 409 and failure.message == "cancelled":
        return CancelledError(failure.message, failure.code, metadata)

    kind = _ERRORS.get(failure.code, TerminalError)

    return kind(failure.message, failure.code, metadata)


class Ledger:
    """See the module's docstring. ``diverged`` fails the attempt with a mismatch and raises."""

    __slots__ = (
        "_diverged",
        "_early",
        "_expected",
        "_intents",
        "_journal",
        "_listeners",
        "_next_completion",
        "_next_signal",
        "_on_cancel",
        "commands",
        "cursor",
        "scheduler",
    )

    def __init__(
        self,
        cursor: Cursor,
        journal: Journal,
        scheduler: Scheduler,
        diverged: Callable[[Mismatch], BaseException],
        on_cancel: Callable[[], None],
    ) -> None:
        self.cursor: Cursor = cursor
        self.scheduler: Scheduler = scheduler
        self.commands: int = 0
        self._journal = journal
        self._diverged = diverged
        self._on_cancel = on_cancel
        self._next_completion = 1
        self._next_signal = FIRST_AWAKEABLE_SIGNAL
        self._expected: dict[int, DurableFuture[Any]] = {}
        self._listeners: dict[
            int | str, deque[tuple[DurableFuture[Any], Callable[[Any], Any]]]
        ] = {}
        self._early: dict[int | str, deque[Result]] = {}
        self._intents: dict[int, str] = {}

    # -- commands

    def allocate(self) -> int:
        """The next completion id."""
        number = self._next_completion
        self._next_completion += 1
        return number

    def allocate_signal(self) -> int:
        """The signal index of the next awakeable."""
        number = self._next_signal
        self._next_signal += 1
        return number

    def issue(self, command: C) -> C:
        """Do a command: match it against the recorded one, or append it.

        Returns the recorded command on replay, the given one otherwise. Raises the
        host's cancelled exception during teardown, and when the command diverges; the
        journal's ``UsageError`` for a command that can never work, which ends the attempt.
        """
        scheduler = self.scheduler
        if scheduler.closed:
            raise scheduler.cancelled()

        if self.cursor.replaying:
            try:
                command = self.cursor.match(command)
            except Mismatch as mismatch:
                raise self._diverged(mismatch) from None
        else:
            try:
                self._journal.append(command)
            except UsageError as error:
                # Caught by the handler it would be a mismatch on replay: nothing is recorded.
                scheduler.fail(error)
                raise
        self.commands += 1
        scheduler.progress()
        return command

    def expect(
        self, completion_id: int, future: DurableFuture[Any], decode: Callable[[Any], Any]
    ) -> None:
        """The completion with this id ends ``future``."""
        future._decode = decode
        self._expected[completion_id] = future

    def listen(
        self, signal: int | str, future: DurableFuture[Any], decode: Callable[[Any], Any]
    ) -> None:
        """The next signal of this index or name ends ``future``; at once if it came early."""
        early = self._early.get(signal)
        if early:
            settle(future, decode, early.popleft())
            return

        self._listeners.setdefault(signal, deque()).append((future, decode))

    def forget(self, completion_id: int) -> None:
        """Tell the adapter that nobody waits for this completion any more."""
        if not self.scheduler.closed:
            self._journal.forget(completion_id)

    # -- cancelling callees

    @property
    def intents(self) -> tuple[int, ...]:
        """The completion ids of the invocation ids that cancel signals wait for."""
        return tuple(self._intents)

    def cancel_callee(self, invocation: DurableFuture[str], completion_id: int, name: str) -> None:
        """Send CANCEL to a callee: now, or as soon as its invocation id is known."""
        if self.scheduler.closed:
            return

        if invocation.succeeded:
            self._send_cancel(invocation.return_value, name)
        elif not invocation.done:
            self._intents[completion_id] = name

    def _send_cancel(self, invocation_id: str, name: str) -> None:
        # A divergence has failed the attempt; nothing of the user's is on the stack to be told.
        with suppress(self.scheduler.cancelled_type):
            self.issue(SendSignal(invocation_id, CANCEL_SIGNAL, VOID, name))

    # -- notifications

    def deliver(self, notification: Notification) -> None:
        """Take one notification: end the future it answers (S4)."""
        if isinstance(notification, Signal):
            self._deliver_signal(notification)
            return

        future = self._expected.pop(notification.completion_id, None)
        if future is None:
            self._unexpected(notification)
            return

        assert future._decode is not None
        settle(future, future._decode, notification.result)
        if self._intents and notification.completion_id in self._intents:
            name = self._intents.pop(notification.completion_id)
            if isinstance(notification.result, InvocationId):
                self._send_cancel(notification.result.id, name)

    def _deliver_signal(self, notification: Signal) -> None:
        if notification.signal == CANCEL_SIGNAL:
            self._on_cancel()
            return

        listeners = self._listeners.get(notification.signal)
        while listeners:
            future, decode = listeners.popleft()
            if not future.done:
                settle(future, decode, notification.result)
                return

        if isinstance(notification.signal, str) or notification.signal >= self._next_signal:
            self._early.setdefault(notification.signal, deque()).append(notification.result)

    def _unexpected(self, notification: Completion) -> None:
        # A second answer to the same command is ignored; an answer to a command that
        # was never issued means that the code now does less than it did.
        if notification.completion_id >= self._next_completion:
            if self.cursor.replaying:
                raise self.cursor.left_over(ended=False)

            raise Mismatch(
                recorded=None, now=None, last=self.cursor.last, index=self.cursor.command_index
            )


def settle(future: DurableFuture[Any], decode: Callable[[Any], Any], result: Result) -> None:
    """End a future with a result."""
    if future.done:
        return

    if isinstance(result, Failure):
        future._end(FutureStatus.FAILED, lambda: error_of(result))
        return

    try:
        value = decode(result)
    except Exception as error:  # whatever a serde raises belongs to the awaiter
        future._end(FutureStatus.FAILED, error)
    else:
        future._end(FutureStatus.FINISHED, value)


def awaited(futures: list[DurableFuture[Any]], intents: tuple[int, ...]) -> AwaitTree:
    """What an attempt waits for: CANCEL, or any of what its tasks and deadlines wait for."""
    completions: list[int] = list(intents)
    signals: list[int | str] = [CANCEL_SIGNAL]
    nested: list[AwaitTree] = []
    for future in futures:
        tree = future._await_tree()
        if tree is None:
            continue

        if tree.kind is AwaitKind.FIRST_COMPLETED and not tree.nested:
            completions.extend(tree.completions)
            signals.extend(tree.signals)
        else:
            nested.append(tree)
    return AwaitTree(
        AwaitKind.FIRST_COMPLETED,
        tuple(dict.fromkeys(completions)),
        tuple(dict.fromkeys(signals)),
        tuple(nested),
    )
