"""When what has completed is forgotten.

Owns expiry and purging. How long what is kept is decided when it completes (``_endings.py``).

 1. The journal goes first, then the invocation with its result; the main invocation of a
    workflow takes the state and the promises of its key with it.
 2. Nobody is forgotten between being found under an identity and being attached to: the
    identity's lock is held for both.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from durable_trio._exceptions import UsageError
from durable_trio._records import (
    DeleteJournal,
    DeleteTimer,
    InvocationStatus,
    PutInvocation,
    PutTimer,
    Timer,
    TimerKind,
)

from ._admission import identity_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from durable_trio._records import InvocationRecord

    from ._endings import Endings
    from ._engine import Engine
    from ._mail import Mail


class Retention:
    """See the module's docstring."""

    __slots__ = ("_endings", "_engine", "_mail")

    def __init__(self, engine: Engine, mail: Mail, endings: Endings) -> None:
        self._engine = engine
        self._mail = mail
        self._endings = endings

    async def expire(self, invocation_ids: Iterable[str]) -> None:
        """Forget what has expired of these."""
        for invocation_id in invocation_ids:
            async with self._held(invocation_id) as record:
                if record is None or record.status is not InvocationStatus.COMPLETED:
                    self._drop_timer(invocation_id)
                elif record.expires_at is None or record.expires_at <= self._engine.clock.now():
                    self._forget(record)
                else:
                    self._forget_journal(record, record.expires_at)

    async def purge(self, invocation_id: str) -> bool:
        """Forget a completed invocation now. False: there is none of this id."""
        async with self._held(invocation_id) as record:
            if record is None:
                return False

            if record.status is not InvocationStatus.COMPLETED:
                raise UsageError(
                    f"the invocation {invocation_id} is {record.status.value}: only one that has "
                    "completed can be purged; cancel or kill it first"
                )

            self._forget(record)
            return True

    @asynccontextmanager
    async def _held(self, invocation_id: str) -> AsyncGenerator[InvocationRecord | None]:
        """The record, with the locks of its identity and of itself held."""
        engine = self._engine
        record = await engine.store.invocation(invocation_id)
        async with AsyncExitStack() as stack:
            identity = None if record is None else identity_of(engine, record)
            if identity is not None:
                await stack.enter_async_context(engine.locks.hold(identity))
            await stack.enter_async_context(engine.locks.hold(invocation_id))
            yield await engine.store.invocation(invocation_id)

    def _forget(self, record: InvocationRecord) -> None:
        self._engine.timers.remove(record.id, TimerKind.EXPIRE)
        transaction = self._mail.transaction()
        self._endings.forget(transaction, record)
        transaction.commit(urgent=False)

    def _forget_journal(self, record: InvocationRecord, expires_at: float) -> None:
        timer = Timer(expires_at, record.id, TimerKind.EXPIRE)
        self._engine.timers.add(timer)
        self._engine.store.write(
            [
                DeleteJournal(record.id),
                PutInvocation(attrs.evolve(record, journal_expires_at=None)),
                PutTimer(timer),
            ],
            urgent=False,
        )

    def _drop_timer(self, invocation_id: str) -> None:
        self._engine.timers.remove(invocation_id, TimerKind.EXPIRE)
        self._engine.store.write([DeleteTimer(invocation_id, TimerKind.EXPIRE)], urgent=False)
