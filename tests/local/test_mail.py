"""The way of a notification: the store first, then whoever waits, wherever it is by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio._registry import ServiceRegistry
from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    Completion,
    InvocationRecord,
    InvocationStatus,
    PutInvocation,
    Signal,
    TimerKind,
)
from durable_trio.local._engine import Engine
from durable_trio.local._ids import to_text
from durable_trio.local._live import LiveInvocation, Phase
from durable_trio.local._mail import Mail, Wake
from durable_trio.local._timers import TimerQueue
from durable_trio.local._waits import Waits

from .virtual_time import START, VirtualClock

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore, Notification

pytestmark = pytest.mark.anyio

ID = to_text(bytes(16))
RECORD = InvocationRecord(
    ID, "Svc", "handler", InvocationStatus.RUNNING, created_at=START, sequence=1
)
CANCEL = Signal(CANCEL_SIGNAL, VOID)
ANSWER = Completion(1, VOID)


class Office:
    """Mail for one invocation, which a test puts into memory and takes out of it."""

    def __init__(self, store: JournalStore) -> None:
        self.store = store
        self.woken: list[tuple[str, Wake]] = []
        clock = VirtualClock(store)
        self.engine = Engine(
            store,
            clock,
            ServiceRegistry([]),
            TimerQueue(store, clock),
            spawn=lambda _: pytest.fail("nothing is to be started"),
            fail=self._fail,
        )
        self.mail = Mail(self.engine, lambda target, reason: self.woken.append((target, reason)))
        store.write([PutInvocation(RECORD)])

    def _fail(self, error: Exception) -> None:
        raise error

    def live(self) -> LiveInvocation:
        live = self.engine.lives[ID] = LiveInvocation(
            RECORD, Phase.LOADING, Waits(ID, self.engine.timers)
        )
        return live

    def send(self, notification: Notification) -> None:
        transaction = self.mail.transaction()
        transaction.post(ID, notification)
        transaction.commit()

    async def marks(self) -> list[int]:
        timers = await self.store.timers(due_by=START, limit=10)
        assert all(timer.kind is TimerKind.RETRY for timer in timers)
        return [timer.completion_id for timer in timers]


async def test_who_is_in_memory_gets_it_once_it_is_durable(store: JournalStore) -> None:
    """Not before, and without a wake mark."""
    async with store:
        office = Office(store)
        live = office.live()
        office.send(ANSWER)

        assert (live.backlog, live.inflight) == ([], 1)
        assert await store.journal(ID) == (ANSWER,)
        assert (live.backlog, live.inflight) == ([ANSWER], 0)
        assert office.woken == []
        assert await office.marks() == []


@pytest.mark.parametrize(
    ("notification", "reason"), [(ANSWER, Wake.NOTIFIED), (CANCEL, Wake.CANCELLED)]
)
async def test_who_is_not_in_memory_is_woken(
    store: JournalStore, notification: Notification, reason: Wake
) -> None:
    """And there is a mark for the case that nobody is left to wake it."""
    async with store:
        office = Office(store)
        office.send(notification)

        assert office.woken == []
        assert await office.marks() == [reason.value]
        assert office.woken == [(ID, reason)]


async def test_who_was_loaded_meanwhile_has_read_it(store: JournalStore) -> None:
    """It is not delivered a second time, and its mark goes."""
    async with store:
        office = Office(store)
        office.send(ANSWER)
        live = office.live()

        await store.sync()
        assert live.backlog == []
        assert office.woken == []
        assert await office.marks() == []


async def test_who_was_loaded_again_has_read_it(store: JournalStore) -> None:
    """A notification of an earlier generation is not delivered."""
    async with store:
        office = Office(store)
        live = office.live()
        office.send(ANSWER)
        live.generation += 1
        office.send(CANCEL)

        await store.sync()
        assert live.backlog == [CANCEL]
        assert live.inflight == 0
        assert live.record.cancelled


async def test_a_cancel_that_comes_too_late_wakes(store: JournalStore) -> None:
    """Whoever failed meanwhile is not to back off; an answer can wait."""
    async with store:
        office = Office(store)
        office.live()
        office.send(ANSWER)
        office.send(CANCEL)
        del office.engine.lives[ID]

        await store.sync()
        assert office.woken == [(ID, Wake.CANCELLED)]
