"""What happens to the invocations that a store already holds when the runtime opens.

Owns the order in which memory is rebuilt. It reads statuses, never journals: those are
loaded when their turn comes.

 1. Who holds a key is known before anything runs.
 2. RUNNING invocations are ready at once, and those that were paused for an error of their
    code, which may be other code now. BACKING_OFF, SCHEDULED and sleeping ones have
    timers in the store; those that came due meanwhile fire first. SUSPENDED and other PAUSED
    ones are left alone, COMPLETED ones are never looked at.
 3. Keys whose holder completed just before the crash are handed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._records import InvocationStatus, PutInvocation, Timer, TimerKind

from ._endings import resumed
from ._mail import Wake

if TYPE_CHECKING:
    from ._dispatch import Dispatcher
    from ._engine import Engine


async def recover(engine: Engine, dispatcher: Dispatcher) -> None:
    """Take up what the store holds."""
    store = engine.store
    engine.sequence = await store.last_sequence()
    engine.ids.opened(engine.sequence)
    holders = [
        ((record.service, record.key), record.id)
        for record in await store.holders()
        if record.key is not None
    ]
    in_transit = engine.keys.restore(holders, await store.backlog())
    for record in await store.unfinished():
        if record.status is InvocationStatus.RUNNING:
            dispatcher.wake(record.id, Wake.READY)
        elif record.waits_for_code:
            store.write([PutInvocation(resumed(record))], urgent=False)
            dispatcher.wake(record.id, Wake.READY)
        elif record.next_attempt_at is not None:
            engine.timers.add(Timer(record.next_attempt_at, record.id, TimerKind.RETRY))
    for key in in_transit:
        dispatcher.hand_over(key)
