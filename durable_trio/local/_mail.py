"""How notifications get into journals, and from there to the attempts that wait for them.

Owns the one path that all of them take, whatever caused them: first the store, then, once
they are durable, the attempt, in the same order.

 1. A result is released to user code only after the commit that holds it.
 2. A transaction is filled and committed without awaiting in between: who is live when a
    notification is added is who is live when it is queued.
 3. A notification to an invocation that is not in memory leaves a *wake mark* in the same
    transaction: a timer that is due at once. It is removed when the invocation has been
    woken (or need not be). A crash in between cannot lose the wake-up.
"""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from durable_trio._journal._entries import CANCEL_SIGNAL, Completion, Signal
from durable_trio._records import (
    DeleteTimer,
    DeliverNotification,
    InvocationRecord,
    PutTimer,
    Timer,
    TimerKind,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._journal._entries import Notification, Result

    KeepBack: TypeAlias = Callable[[str, Notification, Callable[[], None]], bool]

    from ._engine import Engine
    from ._live import LiveInvocation


class Wake(enum.Flag):
    """Why an invocation that is not in memory is looked at."""

    NOTIFIED = enum.auto()
    CANCELLED = enum.auto()
    RETRY = enum.auto()
    START = enum.auto()
    READY = enum.auto()
    """It is RUNNING already and waits for a place in memory."""


WAKE_MARKS: Final = (Wake.NOTIFIED, Wake.CANCELLED)
"""The reasons that are persisted as wake marks; the value is the mark's completion id."""


def is_cancel(notification: Notification) -> bool:
    """Whether it is the CANCEL signal."""
    return isinstance(notification, Signal) and notification.signal == CANCEL_SIGNAL


@attrs.frozen(eq=False)
class _Letter:
    target: str
    notification: Notification
    live: LiveInvocation | None
    generation: int


class Mail:
    """See the module's docstring. ``wake`` is told of invocations that are to be looked at."""

    __slots__ = ("_engine", "keep_back", "wake")

    def __init__(self, engine: Engine, wake: Callable[[str, Wake], None]) -> None:
        self._engine = engine
        self.wake: Callable[[str, Wake], None] = wake
        self.keep_back: KeepBack | None = None
        """For a test that decides when things arrive. It is told of every notification before
        it is written, and what writes it; True: it calls that later."""

    def transaction(self) -> Transaction:
        """A new, empty transaction."""
        return Transaction(self)

    def answer(self, target: str, completion_id: int, result: Result) -> None:
        """Send one completion, in a transaction of its own."""
        transaction = Transaction(self)
        transaction.post(target, Completion(completion_id, result))
        transaction.commit()

    def post_now(self, target: str, notification: Notification) -> None:
        """Send what was kept back, in a transaction of its own."""
        transaction = Transaction(self)
        transaction.post_now(target, notification)
        transaction.commit()

    def live(self, invocation_id: str) -> LiveInvocation | None:
        """The invocation if it is in memory."""
        return self._engine.lives.get(invocation_id)

    def mark(self, target: str, reason: Wake) -> PutTimer:
        """What makes sure that ``target`` is woken, even after a crash."""
        return PutTimer(Timer(self._engine.clock.now(), target, TimerKind.RETRY, reason.value))

    def unmark(self, target: str, reasons: Wake) -> list[Write]:
        """What removes the wake marks for these reasons."""
        writes: list[Write] = []
        for mark in WAKE_MARKS:
            if mark & reasons:
                self._engine.timers.remove(target, TimerKind.RETRY, mark.value)
                writes.append(DeleteTimer(target, TimerKind.RETRY, mark.value))
        return writes

    def commit(self, transaction: Transaction, *, urgent: bool) -> None:
        """Queue it."""
        if transaction.writes:
            callback = (
                partial(self._committed, transaction) if transaction.has_consequences else None
            )
            self._engine.store.write(transaction.writes, callback, urgent=urgent)

    def _committed(self, transaction: Transaction) -> None:
        try:
            transaction.committed()
        except Exception as error:  # a bug of ours must not be the host's to report
            self._engine.fail(error)

    def delivered(self, letter: _Letter) -> None:
        """A notification is durable: hand it to its attempt, or wake its invocation."""
        live, target, notification = letter.live, letter.target, letter.notification
        current = self._engine.lives.get(target)
        if live is None:
            reason = Wake.CANCELLED if is_cancel(notification) else Wake.NOTIFIED
            if current is None:
                self.wake(target, reason)
            else:
                # It was loaded after this was queued, so it has read this.
                self._engine.store.write(self.unmark(target, reason), urgent=False)
            return

        live.inflight -= 1
        if current is live:
            if live.generation == letter.generation:
                live.receive(notification)
        elif current is None and is_cancel(notification):
            self.wake(target, Wake.CANCELLED)


class Transaction:
    """Writes that are kept together, and what happens once they are durable."""

    __slots__ = ("_after", "_letters", "_mail", "_own", "writes")

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self.writes: list[Write] = []
        self._own: list[_Letter] = []
        self._letters: list[_Letter] = []
        self._after: list[Callable[[], object]] = []

    def add(self, *writes: Write) -> None:
        """Append writes."""
        self.writes.extend(writes)

    def post(self, target: str, notification: Notification) -> None:
        """Send a notification to an invocation, in memory or not."""
        keep_back = self._mail.keep_back
        if keep_back is None or not keep_back(
            target, notification, partial(self._mail.post_now, target, notification)
        ):
            self.post_now(target, notification)

    def post_now(self, target: str, notification: Notification) -> None:
        """``post``, whatever a test says."""
        self.writes.append(DeliverNotification(target, notification))
        live = self._mail.live(target)
        if live is None:
            reason = Wake.CANCELLED if is_cancel(notification) else Wake.NOTIFIED
            self.writes.append(self._mail.mark(target, reason))
            self._letters.append(_Letter(target, notification, None, 0))
        else:
            if is_cancel(notification):
                live.record = _cancelled(live.record)
                live.cancel_arrived = True
            self._letters.append(_letter(live, notification))

    def own(self, live: LiveInvocation, notification: Notification) -> None:
        """Deliver, once durable, what is in the entries that this transaction appends.

        They come before everything that it posts, whatever was added first.
        """
        self._own.append(_letter(live, notification))

    def then(self, callback: Callable[[], object]) -> None:
        """Call this once the transaction is durable, after its notifications are delivered."""
        self._after.append(callback)

    def commit(self, *, urgent: bool = True) -> None:
        """Queue the transaction. It must not be used any more."""
        self._mail.commit(self, urgent=urgent)

    @property
    def has_consequences(self) -> bool:
        """Whether anything is to be done once it is durable."""
        return bool(self._own or self._letters or self._after)

    def committed(self) -> None:
        """It is durable."""
        for letter in (*self._own, *self._letters):
            self._mail.delivered(letter)
        for callback in self._after:
            callback()


def _letter(live: LiveInvocation, notification: Notification) -> _Letter:
    live.inflight += 1
    live.progressed = True
    return _Letter(live.id, notification, live, live.generation)


def _cancelled(record: InvocationRecord) -> InvocationRecord:
    return record if record.cancelled else attrs.evolve(record, cancelled=True)
