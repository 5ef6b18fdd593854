"""What the commands of a handler do to the world: a table from command to effect.

Owns the table, and the queue of those effects that take their time.

 1. An effect is applied exactly once: either in the transaction that appends its command
    (``now``), or later, in one that also appends its completion. A command of the second
    kind without its completion is applied again when its invocation is next loaded.
 2. ``check`` says at the handler's line what can never work. It writes nothing.
 3. Effects that are applied later keep the handler's order; a call waits for those before
    it, so that calls to one object arrive in the order in which they were made.
 4. They belong to the invocation, not to the attempt: they go on when it fails, and it
    neither completes nor suspends before they are applied.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import attrs

from durable_trio._exceptions import UsageError
from durable_trio._journal._entries import (
    Attach,
    Call,
    ClearAllState,
    ClearState,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    GetOutput,
    GetPromise,
    OneWayCall,
    PeekPromise,
    SendSignal,
    SetState,
    Signal,
    Sleep,
)
from durable_trio._records import DeleteState, PutState

from ._calling import Calling
from ._promises import Promises
from ._texts import check_texts
from ._waits import PLACES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from durable_trio._journal._entries import AwaitTree, Command, Entry
    from durable_trio._records import InvocationRecord, Write

    from ._admission import Admissions
    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail, Transaction

    StateChange: TypeAlias = SetState | ClearState | ClearAllState


@attrs.frozen
class Effect:
    """What one kind of command does."""

    check: Callable[[LiveInvocation, Any], None] | None = None
    now: Callable[[LiveInvocation, Any, Transaction, list[Entry]], bool] | None = None
    """Apply it in the transaction of its command, which appends the entries. False: it has to
    be applied later."""
    later: Callable[[InvocationRecord, Any], Awaitable[None]] | None = None
    answer: Callable[[Any], int] | None = None
    """The completion id that, once recorded, says that it was applied."""
    in_order: bool = False
    """Whether it waits for the effects before it."""


_NO_EFFECT: Final = Effect()


class Effects:
    """See the module's docstring."""

    __slots__ = ("_drained", "_engine", "_queues", "_scopes", "calling", "mail", "table")

    def __init__(self, engine: Engine, mail: Mail, admissions: Admissions) -> None:
        self._engine = engine
        self._queues: dict[str, deque[Callable[[], Awaitable[None]]]] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._drained: dict[str, anyio.Event] = {}
        self.mail: Mail = mail
        self.calling: Calling = Calling(engine, mail, admissions)
        calling = self.calling
        promises = Promises(engine, mail)
        call = Effect(
            check=calling.check,
            now=calling.create,
            later=calling.find_or_create,
            answer=_invocation_id_completion,
            in_order=True,
        )
        state = Effect(check=self._check_state, now=self._change_state)
        promise = Effect(check=promises.check, later=promises.get, answer=_completion)
        self.table: dict[type[Any], Effect] = {
            Sleep: Effect(now=self._sleep),
            Call: call,
            OneWayCall: call,
            SetState: state,
            ClearState: state,
            ClearAllState: state,
            GetPromise: promise,
            PeekPromise: promise,
            CompletePromise: attrs.evolve(promise, later=promises.complete),
            Attach: Effect(check=calling.check_target, later=calling.attach, answer=_completion),
            GetOutput: Effect(check=calling.check_target, later=calling.output, answer=_completion),
            SendSignal: Effect(check=calling.check_signal, now=calling.send_signal),
            CompleteAwakeable: Effect(
                check=calling.check_awakeable, now=calling.complete_awakeable
            ),
        }
        """Commands that are missing here do nothing beyond being journaled. State is handed over
        whole, so that nobody asks for it."""

    # -- on behalf of an attempt

    def apply(
        self,
        live: LiveInvocation,
        buffer: Iterable[Command | Completion],
        transaction: Transaction,
    ) -> list[Entry]:
        """Apply commands in order, or see to it that they are. Returns the entries to append."""
        entries: list[Entry] = []
        for entry in buffer:
            entries.append(entry)
            if isinstance(entry, Completion):
                transaction.own(live, entry)
                continue

            effect = self.table.get(type(entry))
            if effect is None:
                continue

            if isinstance(entry, PLACES):
                live.waits.started(entry)
            now = effect.now
            if effect.in_order and live.id in self._queues:
                now = None
            if now is None or not now(live, entry, transaction, entries):
                self._enqueue(live.record, entry)
        return entries

    def ensure(self, live: LiveInvocation, awaiting: AwaitTree) -> None:
        """Put once more what a recorded command left in the store and an attempt comes to."""
        timers: list[Write] = []
        for wait in live.waits.ensure(awaiting):
            if isinstance(wait, Sleep):
                timers.append(live.waits.start(wait))
            else:
                live.waits.started(wait)
                self._enqueue(live.record, wait)
        if timers:
            self._engine.store.write(timers, urgent=False)

    def withdraw(self, live: LiveInvocation, transaction: Transaction) -> None:
        """Remove what is in the store because of waits that were forgotten."""
        removals = list(live.waits.removals())
        queue = self._queues.get(live.id)
        if removals and queue is not None:
            # What is to be removed may be put by what is still in the queue.
            queue.append(partial(self._write, removals))
        else:
            transaction.add(*removals)

    def resume(self, live: LiveInvocation, journal: Sequence[Entry]) -> None:
        """Apply what a journal says was done and no completion says was applied.

        Waits are applied when an attempt comes to them: it may have given them up.
        """
        if live.id in self._queues:
            return

        answered = {entry.completion_id for entry in journal if isinstance(entry, Completion)}
        for entry in journal:
            if not isinstance(entry, (Completion, Signal, *PLACES)):
                answer = self.table.get(type(entry), _NO_EFFECT).answer
                if answer is not None and answer(entry) not in answered:
                    self._enqueue(live.record, entry)

    # -- effects that take their time

    async def drained(self, invocation_id: str) -> None:
        """Wait until all effects of an invocation are applied."""
        while invocation_id in self._queues:
            await self._drained.setdefault(invocation_id, anyio.Event()).wait()

    def discard(self, invocation_id: str) -> None:
        """Do not apply what is left of an invocation that is killed."""
        queue = self._queues.get(invocation_id)
        if queue is not None:
            queue.clear()
        scope = self._scopes.get(invocation_id)
        if scope is not None:
            scope.cancel()

    def _enqueue(self, record: InvocationRecord, command: Command) -> None:
        later = self.table[type(command)].later
        assert later is not None
        step = partial(later, record, command)
        queue = self._queues.get(record.id)
        if queue is not None:
            queue.append(step)
            return

        self._queues[record.id] = deque([step])
        self._engine.spawn(partial(self._work, record.id))

    async def _work(self, invocation_id: str) -> None:
        queue = self._queues[invocation_id]
        try:
            with anyio.CancelScope() as self._scopes[invocation_id]:
                while queue:
                    await queue[0]()
                    if queue:
                        queue.popleft()
        finally:
            del self._queues[invocation_id]
            del self._scopes[invocation_id]
            drained = self._drained.pop(invocation_id, None)
            if drained is not None:
                drained.set()

    async def _write(self, writes: Sequence[Write]) -> None:
        self._engine.store.write(writes, urgent=False)

    # -- time and state

    def _sleep(
        self, live: LiveInvocation, command: Sleep, transaction: Transaction, _: list[Entry]
    ) -> bool:
        transaction.add(live.waits.start(command))
        return True

    def _check_state(self, live: LiveInvocation, command: StateChange) -> None:
        if not isinstance(command, ClearAllState):
            check_texts(command.key)
        handler = self._engine.registry.find(live.record.service, live.record.handler)
        if not handler.kind.writes_state:
            raise UsageError(
                f"{handler!r} may not write state: the exclusive handlers of a VirtualObject and "
                "the main handler of a Workflow do"
            )

    def _change_state(
        self, live: LiveInvocation, command: StateChange, transaction: Transaction, _: list[Entry]
    ) -> bool:
        service, key = _object(live.record)
        if isinstance(command, SetState):
            transaction.add(PutState(service, key, command.key, command.content))
        elif isinstance(command, ClearState):
            transaction.add(DeleteState(service, key, command.key))
        else:
            transaction.add(DeleteState(service, key))
        return True


def _object(record: InvocationRecord) -> tuple[str, str]:
    assert record.key is not None
    return record.service, record.key


def _completion(command: Any) -> int:
    number: int = command.completion_id
    return number


def _invocation_id_completion(command: Any) -> int:
    number: int = command.invocation_id_completion
    return number
