"""What an operator does to invocations: cancel, kill, pause, resume; signals from outside.

Owns these operations on one invocation, wherever it stands. Each returns when what it
did is durable.

 1. ``kill``, ``pause`` and ``resume`` decide while the invocation's lock is held. A live
    one is torn down first, so that there is only one case: a record in the store.
 2. Cancelling is asking: the handler unwinds and may run cleanup. Killing is not.
 3. A kill reaches everything that was called and has not answered, never what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from durable_trio._exceptions import TerminalError, UnknownServiceError, UsageError
from durable_trio._journal._entries import (
    CANCEL_SIGNAL,
    VOID,
    Call,
    Completion,
    InvocationId,
    Signal,
)
from durable_trio._names import known
from durable_trio._records import (
    DeleteState,
    DeleteTimer,
    InvocationStatus,
    PutInvocation,
    PutState,
    TimerKind,
)
from durable_trio._services import ServiceKind

from ._endings import KILLED, resumed
from ._ids import to_raw
from ._mail import Wake
from ._texts import check_texts
from ._waits import unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from durable_trio._journal._entries import Entry, Failure, Value, Void
    from durable_trio._records import InvocationRecord
    from durable_trio._services import ServiceDefinition

    from ._dispatch import Dispatcher
    from ._engine import Engine

_PAUSES: Final = frozenset(
    {InvocationStatus.RUNNING, InvocationStatus.SUSPENDED, InvocationStatus.BACKING_OFF}
)
_RESUMES: Final = frozenset(
    {InvocationStatus.PAUSED, InvocationStatus.SUSPENDED, InvocationStatus.BACKING_OFF}
)


def not_found(what: str) -> TerminalError:
    """Nobody of that name is known."""
    return TerminalError(
        f"no invocation {what} is known here: it never was, or its retention has passed", 404
    )


class Control:
    """See the module's docstring."""

    __slots__ = ("_dispatcher", "_engine")

    def __init__(self, engine: Engine, dispatcher: Dispatcher) -> None:
        self._engine = engine
        self._dispatcher = dispatcher

    async def record(self, invocation_id: str) -> InvocationRecord:
        """The record. ``TerminalError`` 404 if there is none."""
        to_raw(invocation_id)
        live = self._engine.lives.get(invocation_id)
        if live is not None:
            return live.record

        record = await self._engine.store.invocation(invocation_id)
        if record is None:
            raise not_found(invocation_id)

        return record

    async def cancel(self, invocation_id: str) -> None:
        """Send CANCEL; nothing happens to one that has completed."""
        await self.signal(invocation_id, CANCEL_SIGNAL, VOID)

    async def signal(
        self, invocation_id: str, signal: int | str, result: Void | Value | Failure
    ) -> None:
        """Send a signal; nothing happens to an invocation that has completed."""
        record = await self.record(invocation_id)
        if record.status is InvocationStatus.COMPLETED:
            return

        transaction = self._dispatcher.mail.transaction()
        transaction.post(invocation_id, Signal(signal, result))
        transaction.commit()
        await self._engine.store.sync()

    async def kill(self, invocation_id: str) -> None:
        """Complete an invocation with 409 "killed", and whatever it called, without asking."""
        await self.record(invocation_id)
        doomed = [invocation_id]
        while doomed:
            doomed.extend(await self._kill(doomed.pop()))
        await self._engine.store.sync()

    async def pause(self, invocation_id: str) -> None:
        """Stop attempting an invocation until it is resumed or cancelled."""
        engine = self._engine
        async with engine.locks.hold(invocation_id):
            record = await self._stopped(invocation_id)
            if record is None:
                raise not_found(invocation_id)

            if record.status is InvocationStatus.PAUSED:
                return

            if record.status not in _PAUSES:
                raise UsageError(
                    f"the invocation {invocation_id} is {record.status.value}: only one that has "
                    "started and not completed can be paused; cancel or kill one that must not start"
                )

            engine.timers.remove(invocation_id, TimerKind.RETRY)
            engine.store.write(
                [
                    PutInvocation(
                        attrs.evolve(record, status=InvocationStatus.PAUSED, next_attempt_at=None)
                    ),
                    DeleteTimer(invocation_id, TimerKind.RETRY),
                ]
            )
        await engine.store.sync()

    async def resume(self, invocation_id: str) -> None:
        """Attempt a paused, suspended or backing off invocation now; its retries start anew."""
        engine = self._engine
        async with engine.locks.hold(invocation_id):
            record = await self.record(invocation_id)
            if invocation_id in engine.lives or record.status is InvocationStatus.RUNNING:
                return

            if record.status not in _RESUMES:
                raise UsageError(
                    f"the invocation {invocation_id} is {record.status.value}: only one that has "
                    "started and not completed can be resumed; call the handler again if it has "
                    "completed, the others start by themselves"
                )

            engine.timers.remove(invocation_id, TimerKind.RETRY)
            engine.store.write(
                [PutInvocation(resumed(record)), DeleteTimer(invocation_id, TimerKind.RETRY)]
            )
        self._dispatcher.wake(invocation_id, Wake.READY)
        await engine.store.sync()

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation."""
        to_raw(invocation_id)
        if not await self._dispatcher.retention.purge(invocation_id):
            raise not_found(invocation_id)

        await self._engine.store.sync()

    async def state(self, service: str, key: str) -> Mapping[str, bytes]:
        """The state of an object or workflow key."""
        self._keyed(service, key)
        return await self._engine.store.state(service, key)

    async def set_state(self, service: str, key: str, values: Mapping[str, bytes]) -> None:
        """Replace the state of an object key while no exclusive invocation holds it."""
        check_texts(*values)
        definition = self._keyed(service, key)
        if definition.kind is not ServiceKind.VIRTUAL_OBJECT:
            raise UsageError(
                f"{definition!r}: the state of a workflow key is written by its main handler only"
            )

        engine, name = self._engine, (service, key)
        turn = engine.keys.reserve(name)
        if turn is not None:
            try:
                await turn.wait()
            except BaseException:
                if turn.is_set():
                    self._dispatcher.release_key(name)
                else:
                    engine.keys.withdraw(name, turn)
                raise
        puts = [PutState(service, key, entry, content) for entry, content in values.items()]
        engine.store.write([DeleteState(service, key), *puts])
        self._dispatcher.release_key(name)
        await engine.store.sync()

    def _keyed(self, service: str, key: str) -> ServiceDefinition:
        check_texts(key)
        definition = self._engine.registry.services.get(service)
        if definition is None:
            raise UnknownServiceError(
                f"no service {service!r} is served here; served are: "
                f"{known(self._engine.registry.services, 'none')}"
            )

        if definition.kind is ServiceKind.SERVICE:
            raise UsageError(
                f"{definition!r} has no keys and no state: name a VirtualObject or a Workflow"
            )

        return definition

    async def _kill(self, invocation_id: str) -> list[str]:
        """Kill one invocation; returns what it waits for."""
        engine, dispatcher = self._engine, self._dispatcher
        async with engine.locks.hold(invocation_id):
            while True:
                record = await self._stopped(invocation_id)
                if record is None or record.status is InvocationStatus.COMPLETED:
                    return []

                dispatcher.effects.discard(invocation_id)
                await dispatcher.effects.drained(invocation_id)
                entries = await engine.store.journal(invocation_id)
                waiters = await engine.store.waiters(invocation_id)
                if invocation_id not in engine.lives:
                    break

            if record.status is InvocationStatus.PENDING:
                dispatcher.withdraw()
            transaction = dispatcher.mail.transaction()
            for kind in (TimerKind.RETRY, TimerKind.START):
                engine.timers.remove(invocation_id, kind)
                transaction.add(DeleteTimer(invocation_id, kind))
            dispatcher.endings.retire(transaction, record, KILLED, waiters, unanswered(entries))
            dispatcher.release(record)
            return _unanswered(entries)

    async def _stopped(self, invocation_id: str) -> InvocationRecord | None:
        """The record of an invocation that is not in memory, or not any more."""
        engine = self._engine
        while True:
            live = engine.lives.get(invocation_id)
            if live is None:
                record = await engine.store.invocation(invocation_id)
                if invocation_id not in engine.lives:
                    return record

            elif live.scope is None:
                self._dispatcher.drop(live)
            else:
                live.scope.cancel()
                await live.gone.wait()


def _unanswered(entries: Sequence[Entry]) -> list[str]:
    """The ids of the invocations that were called and have not answered."""
    results = {
        entry.completion_id: entry.result for entry in entries if isinstance(entry, Completion)
    }
    unanswered: list[str] = []
    for entry in entries:
        if isinstance(entry, Call) and entry.completion_id not in results:
            callee = results.get(entry.invocation_id_completion)
            if isinstance(callee, InvocationId):
                unanswered.append(callee.id)
    return unanswered
