"""Who is looked at, started and loaded next.

Owns the ready queue and every decision to bring an invocation into memory: a new one, one
that is notified, retried, started by its timer, recovered, or next on its key.

 1. A decision about an invocation that is not live is made while its lock is held, on the
    record read under it. The hand-over of a key needs no lock: it makes live, without
    awaiting, what it found, and looks again if anything left a queue meanwhile.
 2. Who is ready and has no place waits as an id. It is RUNNING in the store, or has a
    timer or a wake mark there, so that a crash loses nobody.
 3. Once the runtime stops, nobody is brought into memory any more.
 4. Who begins to wait outside for what is paused has it looked at, in turn: if it is left
    paused, for a failure, they are told.

| status      | comes into memory                           | or completes, cancelled |
| ----------- | ------------------------------------------- | ----------------------- |
| RUNNING     | for any reason                              |                         |
| SUSPENDED   | for any reason                              |                         |
| BACKING_OFF | for RETRY and CANCELLED                     |                         |
| PAUSED      | for CANCELLED                               |                         |
| SCHEDULED   | for START; is PENDING if its key is held    | for CANCELLED           |
| PENDING     | when its key is handed over                 | for CANCELLED           |
| COMPLETED   | never                                       |                         |
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from durable_trio._journal._entries import VOID, Completion
from durable_trio._records import DeleteTimer, InvocationStatus, PutInvocation, TimerKind

from ._admission import Admissions
from ._attempts import Attempts
from ._effects import Effects
from ._endings import CANCELLED, Endings, paused_error
from ._live import LiveInvocation, Phase
from ._mail import Mail, Wake
from ._retention import Retention
from ._waits import Waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._records import InvocationRecord, Timer, Waiter

    from ._engine import Engine
    from ._keys import ObjectKey
    from ._mail import Transaction
    from ._residency import Residency

RUNS_FOR: Final = {
    InvocationStatus.RUNNING: ~Wake(0),
    InvocationStatus.SUSPENDED: ~Wake(0),
    InvocationStatus.BACKING_OFF: Wake.RETRY | Wake.CANCELLED,
    InvocationStatus.PAUSED: Wake.CANCELLED,
    InvocationStatus.SCHEDULED: Wake.START,
    InvocationStatus.PENDING: Wake(0),
    InvocationStatus.COMPLETED: Wake(0),
}
"""The reasons for which an invocation that is looked at comes into memory."""

NOT_STARTED: Final = frozenset({InvocationStatus.SCHEDULED, InvocationStatus.PENDING})
"""Cancelled in one of these, an invocation completes without having run."""

_TIMERS: Final = ((Wake.RETRY, TimerKind.RETRY), (Wake.START, TimerKind.START))


class Dispatcher:
    """See the module's docstring."""

    __slots__ = (
        "_attempts",
        "_engine",
        "_ready",
        "_residency",
        "_withdrawn",
        "admissions",
        "effects",
        "endings",
        "mail",
        "retention",
    )

    def __init__(self, engine: Engine, residency: Residency) -> None:
        self._engine = engine
        self._residency = residency
        self._ready: dict[str, Wake] = {}
        self._withdrawn = 0
        self.mail: Mail = Mail(engine, self.wake)
        self.admissions: Admissions = Admissions(engine, self.dispatch)
        self.effects: Effects = Effects(engine, self.mail, self.admissions)
        self.endings: Endings = Endings(engine, self.mail)
        self.retention: Retention = Retention(engine, self.mail, self.endings)
        self._attempts = Attempts(engine, self.effects, self.endings, residency, self.release)

    # -- what happens

    def dispatch(self, live: LiveInvocation) -> None:
        """A new invocation is durable and may run."""
        if self._engine.lives.get(live.id) is not live:
            return

        if self._engine.stopping or self._residency.full:
            self.drop(live)
            self.wake(live.id, Wake.READY)
        else:
            self._start(live)

    def wake(self, invocation_id: str, reason: Wake) -> None:
        """Look at an invocation that is not in memory, as soon as there is a place."""
        self._ready[invocation_id] = self._ready.get(invocation_id, reason) | reason
        self._pump()

    def fire(self, timers: Sequence[Timer]) -> None:
        """Timers came due."""
        transaction = self.mail.transaction()
        expired: list[str] = []
        for timer in timers:
            target, kind = timer.invocation_id, timer.kind
            if kind is TimerKind.SLEEP:
                self._fire_sleep(transaction, timer)
            elif kind is TimerKind.START:
                self.wake(target, Wake.START)
            elif kind is TimerKind.EXPIRE:
                expired.append(target)
            else:
                # With a completion id it is a wake mark, which names the reason.
                self.wake(target, Wake(timer.completion_id) if timer.completion_id else Wake.RETRY)
        transaction.commit()
        if expired:
            self._engine.spawn(partial(self.retention.expire, expired))

    def _fire_sleep(self, transaction: Transaction, timer: Timer) -> None:
        target, completion_id = timer.invocation_id, timer.completion_id
        self._engine.timers.remove(target, TimerKind.SLEEP, completion_id)
        transaction.post(target, Completion(completion_id, VOID))
        transaction.add(DeleteTimer(target, TimerKind.SLEEP, completion_id))
        live = self._engine.lives.get(target)
        if live is not None:
            live.waits.answered(completion_id)

    # -- keys

    def withdraw(self) -> None:
        """A PENDING invocation completes without having had its turn."""
        self._withdrawn += 1

    def release(self, record: InvocationRecord) -> None:
        """An invocation has completed: if it held a key, pass it on."""
        if record.exclusive and record.key is not None:
            key = (record.service, record.key)
            if self._engine.keys.holder(key) == record.id:
                self.release_key(key)

    def release_key(self, key: ObjectKey) -> None:
        """Pass a key on to whoever is next."""
        if self._engine.keys.release(key):
            self.hand_over(key)

    def hand_over(self, key: ObjectKey) -> None:
        """Find out who is next on a key in transit."""
        if not self._engine.stopping:
            self._engine.spawn(partial(self._hand_over, key))

    async def _hand_over(self, key: ObjectKey) -> None:
        keys = self._engine.keys
        while True:
            withdrawn, arrivals = self._withdrawn, keys.arrivals(key)
            record = await self._engine.store.queued(*key)
            if self._engine.stopping:
                return

            next_id = None if record is None else record.id
            if withdrawn == self._withdrawn and keys.hand_over(key, next_id, arrivals):
                break
        if record is not None:
            transaction = self.mail.transaction()
            live = self._make_live(transaction, record, Wake.READY)
            transaction.commit(urgent=False)
            assert live is not None
            if self._residency.full:
                self.drop(live)
                self.wake(live.id, Wake.READY)
            else:
                self._start(live)

    # -- into memory

    def drop(self, live: LiveInvocation) -> None:
        """Take an invocation whose attempt has not begun out of memory."""
        del self._engine.lives[live.id]
        live.gone.set()

    def _pump(self) -> None:
        ready, residency = self._ready, self._residency
        while ready and not residency.full and not self._engine.stopping:
            invocation_id = next(iter(ready))
            reasons = ready.pop(invocation_id)
            residency.enter()
            self._engine.spawn(partial(self._look, invocation_id, reasons))
        residency.press(len(ready))

    def _start(self, live: LiveInvocation) -> None:
        self._residency.enter()
        self._engine.spawn(partial(self._run, live))

    async def _run(self, live: LiveInvocation) -> None:
        try:
            await self._attempts.run(live)
        finally:
            self._residency.leave()
            self._pump()

    async def _look(self, invocation_id: str, reasons: Wake) -> None:
        try:
            live = await self._decide(invocation_id, reasons)
            if live is not None:
                await self._attempts.run(live)
        finally:
            self._residency.leave()
            self._pump()

    async def _decide(self, invocation_id: str, reasons: Wake) -> LiveInvocation | None:
        """Bring an invocation into memory, complete it, or leave it where it is."""
        lives, store = self._engine.lives, self._engine.store
        async with self._engine.locks.hold(invocation_id):
            record = None if invocation_id in lives else await store.invocation(invocation_id)
            if record is not None and record.status in NOT_STARTED and reasons & Wake.CANCELLED:
                waiters = await store.waiters(invocation_id)
                if invocation_id not in lives:
                    self._cancel(record, reasons, waiters)
                    return None

            transaction = self.mail.transaction()
            self._clear(transaction, invocation_id, reasons)
            live = None
            if (
                record is not None
                and invocation_id not in lives
                and reasons & RUNS_FOR[record.status]
            ):
                live = self._make_live(transaction, record, reasons)
            elif (
                record is not None
                and record.status is InvocationStatus.PAUSED
                and record.last_failure is not None
            ):
                self._engine.observers.refuse(invocation_id, paused_error(record))
            transaction.commit(urgent=False)
            return live

    def _cancel(self, record: InvocationRecord, reasons: Wake, waiters: Sequence[Waiter]) -> None:
        self.withdraw()
        transaction = self.mail.transaction()
        self._clear(transaction, record.id, reasons | Wake.START)
        self.endings.retire(transaction, attrs.evolve(record, cancelled=True), CANCELLED, waiters)

    def _make_live(
        self, transaction: Transaction, record: InvocationRecord, reasons: Wake
    ) -> LiveInvocation | None:
        engine, status = self._engine, record.status
        if status is InvocationStatus.SCHEDULED and record.exclusive:
            assert record.key is not None
            if not engine.keys.acquire((record.service, record.key), record.id):
                # It arrives now: whoever came while it was scheduled goes first.
                pending = attrs.evolve(
                    record, status=InvocationStatus.PENDING, sequence=engine.next_sequence()
                )
                transaction.add(PutInvocation(pending))
                return None

        if status is InvocationStatus.BACKING_OFF:
            self._clear(transaction, record.id, Wake.RETRY)
        running = attrs.evolve(
            record,
            status=InvocationStatus.RUNNING,
            started_at=engine.clock.now() if record.started_at is None else record.started_at,
            next_attempt_at=None,
            cancelled=record.cancelled or bool(reasons & Wake.CANCELLED),
            last_failure=None if status is InvocationStatus.PAUSED else record.last_failure,
        )
        if running != record:
            transaction.add(PutInvocation(running))
        live = engine.lives[record.id] = LiveInvocation(
            running, Phase.LOADING, Waits(record.id, engine.timers)
        )
        return live

    def _clear(self, transaction: Transaction, invocation_id: str, reasons: Wake) -> None:
        """Remove the timers and wake marks that were the reasons."""
        transaction.add(*self.mail.unmark(invocation_id, reasons))
        for reason, kind in _TIMERS:
            if reason & reasons:
                self._engine.timers.remove(invocation_id, kind)
                transaction.add(DeleteTimer(invocation_id, kind))
