"""One live invocation after its start: load, attempt, and what follows from its end.

Owns the loop that every invocation in memory runs through. What an ending writes is
``_endings.py``'s, who comes into memory the dispatcher's.

 1. An invocation that was just created starts from memory; any other one from what the
    store has: its journal, whoever waits for it, and the state of its key.
 2. A suspended attempt that missed something meanwhile is replayed at once.
 3. An attempt's end is written only when the effects of the invocation are all applied.
 4. A torn down attempt writes nothing: whoever tore it down does, or the next recovery
    goes on with it, since it is RUNNING in the store. So it is with one that would have
    to be loaded again while the runtime stops.

| the attempt ends with | then                                                          |
| --------------------- | ------------------------------------------------------------- |
| ``AttemptCompleted``  | COMPLETED, its key passes on                                  |
| ``AttemptSuspended``  | SUSPENDED; loaded again if it missed something                |
| ``AttemptFailed``     | BACKING_OFF, PAUSED, or COMPLETED and its key passes on       |
| nothing (torn down)   | the record stays as it is                                     |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from durable_trio._attempt import Attempt
from durable_trio._exceptions import StoreCorruptError, StoreVersionError, UnknownServiceError
from durable_trio._invocation import (
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    InvocationStart,
    seed_of,
)

from ._journal import AttemptJournal
from ._live import Phase
from ._waits import Waits, unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from durable_trio._handler import AnyHandler
    from durable_trio._records import InvocationRecord

    from ._effects import Effects
    from ._endings import Endings
    from ._engine import Engine
    from ._live import LiveInvocation
    from ._residency import Residency


class Attempts:
    """See the module's docstring. ``released`` is told of every invocation that completes."""

    __slots__ = ("_effects", "_endings", "_engine", "_released", "_residency")

    def __init__(
        self,
        engine: Engine,
        effects: Effects,
        endings: Endings,
        residency: Residency,
        released: Callable[[InvocationRecord], None],
    ) -> None:
        self._engine = engine
        self._effects = effects
        self._endings = endings
        self._residency = residency
        self._released = released

    async def run(self, live: LiveInvocation) -> None:
        """Attempt a live invocation until it leaves memory."""
        if self._engine.lives.get(live.id) is not live:
            # Torn down before it began.
            return

        try:
            with anyio.CancelScope() as live.scope:
                await self._run(live)
        finally:
            if live.journal is not None:
                live.journal.closed = True
            self._residency.ended(live)
            self._depart(live)

    async def _run(self, live: LiveInvocation) -> None:
        while not self._engine.stopping:
            handler = self._handler(live)
            if handler is None:
                return

            try:
                if not live.recorded:
                    await self._load(live)
                state = await self._state(live)
            except (StoreCorruptError, StoreVersionError) as error:
                # What a newer version wrote goes on when that is started again.
                newer = isinstance(error, StoreVersionError)
                reason = f"its journal or state cannot be read: {error}"
                self._endings.unable(live, reason, of_code=newer)
                return

            if self._engine.stopping:
                return

            end = await self._attempt(live, handler, state)
            if self._engine.failure is not None:
                return

            assert live.journal is not None
            if isinstance(end, AttemptFailed):
                live.journal.give_up()
            else:
                live.journal.write_effects()
            # A crash would leave effects unapplied. They are found again by a load, and a
            # recovery loads who is RUNNING, nobody else.
            await self._effects.drained(live.id)
            if isinstance(end, AttemptCompleted):
                self._endings.completed(live, end.result)
                self._completed(live)
                return

            if isinstance(end, AttemptFailed):
                if self._endings.failed(live, end):
                    self._completed(live)
                return

            if not (live.inflight or live.late):
                self._endings.suspended(live)
                return

    async def _load(self, live: LiveInvocation) -> None:
        engine = self._engine
        live.phase = Phase.LOADING
        live.attempt = live.journal = None
        async with engine.locks.hold(live.id):
            live.backlog.clear()
            live.late = False
            live.generation += 1
            entries = await engine.store.journal(live.id)
            waiters = await engine.store.waiters(live.id)
        live.recorded = entries
        live.waiters = dict.fromkeys(waiters)
        live.waits = Waits(live.id, engine.timers, unanswered(entries))
        self._effects.resume(live, entries)

    async def _state(self, live: LiveInvocation) -> Mapping[str, bytes]:
        live.phase = Phase.LOADING
        record = live.record
        if record.key is None:
            return {}

        return await self._engine.store.state(record.service, record.key)

    async def _attempt(
        self, live: LiveInvocation, handler: AnyHandler, state: Mapping[str, bytes]
    ) -> AttemptEnd:
        engine, record = self._engine, live.record
        raw_id = live.raw_id
        start = InvocationStart(
            invocation_id=record.id,
            raw_id=raw_id,
            service=record.service,
            handler=record.handler,
            recorded=live.recorded,
            key=record.key or "",
            random_seed=seed_of(raw_id),
            state=state,
            attempt=record.retry_count + 1,
            retry_count=record.retry_count,
            retry_elapsed=self._retry_elapsed(live),
            idempotency_key=record.idempotency_key,
        )
        live.recorded = ()
        live.progressed = live.cancel_arrived = False
        live.journal = AttemptJournal(live, engine, self._effects, self._residency)
        live.attempt = attempt = Attempt(
            start, handler, live.journal, engine.clock, engine.registry.options(handler)
        )
        live.phase = Phase.RUNNING
        for notification in live.backlog:
            attempt.deliver(notification)
        live.backlog.clear()
        end = await attempt.run()
        self._residency.ended(live)
        return end

    def _retry_elapsed(self, live: LiveInvocation) -> float:
        first = live.record.first_failed_at
        return 0.0 if first is None else max(0.0, self._engine.clock.now() - first)

    def _handler(self, live: LiveInvocation) -> AnyHandler | None:
        """The handler; None: it is not served any more, and its invocation is paused."""
        record = live.record
        try:
            return self._engine.registry.find(record.service, record.handler)
        except UnknownServiceError as error:
            self._endings.unable(live, f"{error} Serve it again.", of_code=True)
            return None

    def _completed(self, live: LiveInvocation) -> None:
        self._depart(live)
        self._released(live.record)

    def _depart(self, live: LiveInvocation) -> None:
        if self._engine.lives.get(live.id) is live:
            del self._engine.lives[live.id]
        live.gone.set()
