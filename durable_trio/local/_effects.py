"""What the commands of a handler do to the world: a table from command to effect.

Owns the effects. Which invocation is created how is the admission's business, how a
notification travels is the mail's.

 1. An effect is applied exactly once: either in the transaction that appends its command
    (``now``), or later, in one that also appends its completion. A command of the second
    kind without its completion is applied again when its invocation is next loaded.
 2. ``check`` says at the handler's line what can never work. It writes nothing.
 3. Effects that are applied later keep the handler's order; a call waits for those before
    it, so that calls to one object arrive in the order in which they were made.
 4. They belong to the invocation, not to the attempt: they go on when it suspends or
    fails, and an invocation completes only when it has none left.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from durable_trio._exceptions import UnknownServiceError, UsageError
from durable_trio._handler import HandlerKind
from durable_trio._invocation import parse_awakeable_id
from durable_trio._journal._entries import (
    VOID,
    Attach,
    Call,
    ClearAllState,
    ClearState,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Failure,
    GetOutput,
    GetPromise,
    GetState,
    GetStateKeys,
    IdempotentTarget,
    InvocationId,
    InvocationTarget,
    OneWayCall,
    PeekPromise,
    SendSignal,
    SetState,
    Signal,
    Sleep,
    StateKeys,
    Value,
)
from durable_trio._records import (
    DeletePromiseWaiters,
    DeleteState,
    PutPromise,
    PutPromiseWaiter,
    PutState,
    PutTimer,
    PutWaiter,
    Timer,
    TimerKind,
    Waiter,
)

from ._admission import Request, check_request, main_of
from ._ids import to_raw, to_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import Command, Entry, Notification, Target
    from durable_trio._records import InvocationRecord

    from ._admission import Admissions, Identity
    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail, Transaction

NOT_FOUND: Final = Failure(404, "no such invocation: it never was, or its retention has passed")

_SERVICE_GONE: Final = 404


@attrs.frozen
class Effect:
    """What one kind of command does. Without ``now`` it is always applied ``later``."""

    check: Callable[[Effects, LiveInvocation, Any], None] | None = None
    now: Callable[[Effects, LiveInvocation, Any, Transaction, list[Entry]], bool] | None = None
    """Apply it in the transaction of its command. False: it has to be applied later."""
    later: Callable[[Effects, InvocationRecord, Any], Awaitable[None]] | None = None
    answer: Callable[[Any], int] | None = None
    """The completion id that, once recorded, says that it was applied."""


class Effects:
    """See the module's docstring."""

    __slots__ = ("_drained", "_engine", "_queues", "_scopes", "admissions", "mail")

    def __init__(self, engine: Engine, mail: Mail, admissions: Admissions) -> None:
        self._engine = engine
        self.mail = mail
        self.admissions = admissions
        self._queues: dict[str, deque[tuple[InvocationRecord, Command]]] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._drained: dict[str, anyio.Event] = {}

    # -- on behalf of an attempt

    def apply(
        self, live: LiveInvocation, buffer: Iterable[Command | Completion], transaction: Transaction
    ) -> list[Entry]:
        """Apply commands in order, or see to it that they are. Returns the entries to append."""
        entries: list[Entry] = []
        for entry in buffer:
            entries.append(entry)
            if isinstance(entry, Completion):
                transaction.own(live, entry)
                continue

            effect = EFFECTS.get(type(entry))
            if effect is None:
                continue

            if effect.now is None or not effect.now(self, live, entry, transaction, entries):
                self.enqueue(live.record, entry)
        return entries

    def resume(self, live: LiveInvocation, journal: Sequence[Entry]) -> None:
        """Apply what a journal says was done and no completion says was applied."""
        if live.id in self._queues:
            return

        answered = {entry.completion_id for entry in journal if isinstance(entry, Completion)}
        for command in journal:
            effect = EFFECTS.get(type(command))  # pyright: ignore[reportArgumentType]
            if effect is None or effect.answer is None:
                continue

            if effect.answer(command) not in answered:
                self.enqueue(live.record, command)  # type: ignore[arg-type]

    # -- effects that take their time

    def enqueue(self, record: InvocationRecord, command: Command) -> None:
        """Apply a command after those that are still to be applied."""
        queue = self._queues.get(record.id)
        if queue is not None:
            queue.append((record, command))
            return

        self._queues[record.id] = deque([(record, command)])
        self._engine.spawn(partial(self._work, record.id))

    def pending(self, invocation_id: str) -> bool:
        """Whether an invocation has effects that are not applied yet."""
        return invocation_id in self._queues

    async def drained(self, invocation_id: str) -> None:
        """Wait until all effects of an invocation are applied."""
        while invocation_id in self._queues:
            await self._drained.setdefault(invocation_id, anyio.Event()).wait()

    def discard(self, invocation_id: str) -> None:
        """Do not apply what is left of an invocation that is killed."""
        scope = self._scopes.get(invocation_id)
        if scope is not None:
            scope.cancel()
        queue = self._queues.get(invocation_id)
        if queue is not None:
            queue.clear()

    async def _work(self, invocation_id: str) -> None:
        queue = self._queues[invocation_id]
        try:
            with anyio.CancelScope() as self._scopes[invocation_id]:
                while queue:
                    record, command = queue[0]
                    later = EFFECTS[type(command)].later
                    assert later is not None
                    await later(self, record, command)
                    if queue:
                        queue.popleft()
        finally:
            del self._queues[invocation_id], self._scopes[invocation_id]
            drained = self._drained.pop(invocation_id, None)
            if drained is not None:
                drained.set()

    # -- calls

    def check_call(self, _live: LiveInvocation, call: Call | OneWayCall) -> None:
        handler = self._engine.registry.find(call.service, call.handler)
        check_request(handler, call.key or None, call.idempotency_key)
        if call.scope is not None or call.limit_key is not None:
            raise UsageError(
                "scopes and limit keys are features of a Restate server; the embedded runtime has "
                f"none: leave out scope={call.scope!r} and limit_key={call.limit_key!r}"
            )

    def call_now(
        self,
        live: LiveInvocation,
        call: Call | OneWayCall,
        transaction: Transaction,
        entries: list[Entry],
    ) -> bool:
        handler = self._engine.registry.find(call.service, call.handler)
        request = _request(handler, live.id, call)
        if request.identity is not None or live.id in self._queues:
            return False

        record = self.admissions.admit(transaction, request, _waiter(live.id, call))
        completion = Completion(call.invocation_id_completion, InvocationId(record.id))
        entries.append(completion)
        transaction.own(live, completion)
        return True

    async def call_later(self, caller: InvocationRecord, call: Call | OneWayCall) -> None:
        transaction = self.mail.transaction()
        try:
            handler = self._engine.registry.find(call.service, call.handler)
        except UnknownServiceError as error:
            # It was served when the call was made; this is another process.
            gone = Failure(_SERVICE_GONE, str(error))
            transaction.post(caller.id, Completion(call.invocation_id_completion, gone))
            if isinstance(call, Call):
                transaction.post(caller.id, Completion(call.completion_id, gone))
            transaction.commit()
            return

        request = _request(handler, caller.id, call)
        waiter = _waiter(caller.id, call)
        if request.identity is None:
            self._create(request, waiter, call, transaction)
            return

        async with self._engine.locks.hold(request.identity):
            found = await self._engine.store.find(*request.identity)
            if found is None:
                self._create(request, waiter, call, self.mail.transaction())
                return

            created = Completion(call.invocation_id_completion, InvocationId(found.id))
            if handler.kind is HandlerKind.WORKFLOW and isinstance(call, Call):
                transaction = self.mail.transaction()
                transaction.post(caller.id, created)
                transaction.post(caller.id, Completion(call.completion_id, workflow_exists(found)))
                transaction.commit()
            elif waiter is not None:
                await self.join(found.id, waiter, created)
            else:
                transaction = self.mail.transaction()
                transaction.post(caller.id, created)
                transaction.commit()

    def _create(
        self,
        request: Request,
        waiter: Waiter | None,
        call: Call | OneWayCall,
        transaction: Transaction,
    ) -> None:
        assert request.parent is not None
        record = self.admissions.admit(transaction, request, waiter)
        transaction.post(
            request.parent, Completion(call.invocation_id_completion, InvocationId(record.id))
        )
        transaction.commit()

    # -- other invocations

    async def join(self, target_id: str, waiter: Waiter, *before: Notification) -> None:
        """Answer ``waiter`` with the result of an invocation, now or when it has one.

        The notifications ``before`` are sent to the waiter in the same transaction.
        """
        engine = self._engine
        async with engine.locks.hold(target_id):
            # Held, nobody comes into memory to complete behind our back.
            target: InvocationRecord | None = None
            waiters: Sequence[Waiter] = ()
            if target_id not in engine.lives:
                target = await engine.store.invocation(target_id)
                waiters = await engine.store.waiters(target_id)
            transaction = self.mail.transaction()
            for notification in before:
                transaction.post(waiter.invocation_id, notification)
            live = engine.lives.get(target_id)
            if live is not None:
                target, waiters = live.record, live.waiters
            result = NOT_FOUND if target is None else target.result
            if result is not None:
                transaction.post(waiter.invocation_id, Completion(waiter.completion_id, result))
            elif waiter not in waiters:
                transaction.add(PutWaiter(target_id, waiter))
                if live is not None:
                    live.waiters.append(waiter)
            transaction.commit()

    async def attach_later(self, caller: InvocationRecord, attach: Attach) -> None:
        target_id = await self.target_id(attach.target)
        if target_id is None:
            self._answer(caller, attach.completion_id, NOT_FOUND)
        else:
            await self.join(target_id, Waiter(caller.id, attach.completion_id))

    async def output_later(self, caller: InvocationRecord, look: GetOutput) -> None:
        target_id = await self.target_id(look.target)
        target = None if target_id is None else await self._engine.store.invocation(target_id)
        if target is None:
            self._answer(caller, look.completion_id, NOT_FOUND)
        else:
            self._answer(caller, look.completion_id, target.result or VOID)

    async def target_id(self, target: Target) -> str | None:
        """The id of the invocation that a target means, if there is one."""
        if isinstance(target, InvocationTarget):
            return target.invocation_id

        if isinstance(target, IdempotentTarget):
            identity: Identity = (
                target.service,
                target.key,
                target.handler,
                target.idempotency_key,
            )
        else:
            main = main_of(self._engine, target.workflow)
            if main is None:
                return None

            identity = (target.workflow, target.key, main.name, None)
        async with self._engine.locks.hold(identity):
            record = await self._engine.store.find(*identity)
        return None if record is None else record.id

    def check_signal(self, _live: LiveInvocation, command: SendSignal) -> None:
        to_raw(command.target)

    def signal_now(
        self,
        _live: LiveInvocation,
        command: SendSignal,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        transaction.post(command.target, Signal(command.signal, command.result))
        return True

    def check_awakeable(self, _live: LiveInvocation, command: CompleteAwakeable) -> None:
        awakeable_signal(command.awakeable_id)

    def awakeable_now(
        self,
        _live: LiveInvocation,
        command: CompleteAwakeable,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        target, signal = awakeable_signal(command.awakeable_id)
        transaction.post(target, Signal(signal, command.result))
        return True

    # -- time and state

    def sleep_now(
        self,
        live: LiveInvocation,
        command: Sleep,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        timer = Timer(command.wake_up_time / 1000, live.id, TimerKind.SLEEP, command.completion_id)
        transaction.add(PutTimer(timer))
        self._engine.timers.add(timer)
        live.sleeps.add(command.completion_id)
        return True

    def check_state(
        self, live: LiveInvocation, _command: SetState | ClearState | ClearAllState
    ) -> None:
        handler = self._engine.registry.find(live.record.service, live.record.handler)
        if not handler.kind.writes_state:
            raise UsageError(
                f"{handler!r} may not write state: the exclusive handlers of a VirtualObject and "
                "the main handler of a Workflow do"
            )

    def state_now(
        self,
        live: LiveInvocation,
        command: SetState | ClearState | ClearAllState,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        service, key = _object(live.record)
        if isinstance(command, SetState):
            transaction.add(PutState(service, key, command.key, command.content))
        elif isinstance(command, ClearState):
            transaction.add(DeleteState(service, key, command.key))
        else:
            transaction.add(DeleteState(service, key))
        return True

    async def state_later(self, caller: InvocationRecord, command: GetState | GetStateKeys) -> None:
        state = await self._engine.store.state(*_object(caller))
        if isinstance(command, GetStateKeys):
            self._answer(caller, command.completion_id, StateKeys(tuple(sorted(state))))
        else:
            content = state.get(command.key)
            self._answer(caller, command.completion_id, VOID if content is None else Value(content))

    # -- promises

    def check_promise(
        self, live: LiveInvocation, command: GetPromise | PeekPromise | CompletePromise
    ) -> None:
        if live.record.key is None or main_of(self._engine, live.record.service) is None:
            raise UsageError(
                f"{live.record.service}/{live.record.handler} has no promise {command.key!r}: only "
                "the handlers of a Workflow share promises; elsewhere use an awakeable"
            )

    async def promise_later(
        self, caller: InvocationRecord, command: GetPromise | PeekPromise
    ) -> None:
        engine = self._engine
        name = (*_object(caller), command.key)
        async with engine.locks.hold(("promise", name)):
            result = await engine.store.promise(*name)
            if result is not None or isinstance(command, PeekPromise):
                self._answer(caller, command.completion_id, result or VOID)
                return

            waiter = Waiter(caller.id, command.completion_id)
            if waiter not in await engine.store.promise_waiters(*name):
                engine.store.write([PutPromiseWaiter(*name, waiter)], urgent=False)

    async def complete_promise_later(
        self, caller: InvocationRecord, command: CompletePromise
    ) -> None:
        engine = self._engine
        name = (*_object(caller), command.key)
        async with engine.locks.hold(("promise", name)):
            if await engine.store.promise(*name) is not None:
                failure = Failure(
                    409, f"the promise {command.key!r} is completed already; it completes once"
                )
                self._answer(caller, command.completion_id, failure)
                return

            waiters = await engine.store.promise_waiters(*name)
            transaction = self.mail.transaction()
            transaction.add(PutPromise(*name, command.result))
            if waiters:
                transaction.add(DeletePromiseWaiters(*name))
            for waiter in waiters:
                transaction.post(
                    waiter.invocation_id, Completion(waiter.completion_id, command.result)
                )
            transaction.post(caller.id, Completion(command.completion_id, VOID))
            transaction.commit()

    def _answer(self, caller: InvocationRecord, completion_id: int, result: Any) -> None:
        transaction = self.mail.transaction()
        transaction.post(caller.id, Completion(completion_id, result))
        transaction.commit()


def workflow_exists(record: InvocationRecord) -> Failure:
    """What a second start of a workflow is answered with."""
    return Failure(
        409,
        f"the workflow {record.service} was already started with the key {record.key!r} and runs "
        "once per key: attach to it for its result, or use another key",
        (("invocation_id", record.id),),
    )


def awakeable_signal(awakeable_id: str) -> tuple[str, int]:
    """The invocation and the signal index of an awakeable. ``UsageError`` if the id is none."""
    try:
        raw_id, signal = parse_awakeable_id(awakeable_id)
    except ValueError as error:
        raise UsageError(f"{awakeable_id!r} is no awakeable id: {error}") from error

    target = to_text(raw_id)
    to_raw(target)
    return target, signal


def _request(handler: AnyHandler, caller_id: str, call: Call | OneWayCall) -> Request:
    return Request(
        handler=handler,
        body=call.parameter,
        key=call.key or None,
        headers=call.headers,
        idempotency_key=call.idempotency_key,
        parent=caller_id,
        start_at=call.invoke_time / 1000 if isinstance(call, OneWayCall) else 0.0,
    )


def _waiter(caller_id: str, call: Call | OneWayCall) -> Waiter | None:
    return Waiter(caller_id, call.completion_id) if isinstance(call, Call) else None


def _object(record: InvocationRecord) -> tuple[str, str]:
    assert record.key is not None
    return record.service, record.key


def _by_completion(command: Any) -> int:
    number: int = command.completion_id
    return number


def _by_invocation_id(command: Any) -> int:
    number: int = command.invocation_id_completion
    return number


_CALL: Final = Effect(
    check=Effects.check_call,
    now=Effects.call_now,
    later=Effects.call_later,
    answer=_by_invocation_id,
)
_STATE: Final = Effect(check=Effects.check_state, now=Effects.state_now)
_PROMISE: Final = Effect(
    check=Effects.check_promise, later=Effects.promise_later, answer=_by_completion
)

EFFECTS: Final[dict[type[Any], Effect]] = {
    Sleep: Effect(now=Effects.sleep_now),
    Call: _CALL,
    OneWayCall: _CALL,
    SetState: _STATE,
    ClearState: _STATE,
    ClearAllState: _STATE,
    GetState: Effect(later=Effects.state_later, answer=_by_completion),
    GetStateKeys: Effect(later=Effects.state_later, answer=_by_completion),
    GetPromise: _PROMISE,
    PeekPromise: _PROMISE,
    CompletePromise: Effect(
        check=Effects.check_promise, later=Effects.complete_promise_later, answer=_by_completion
    ),
    Attach: Effect(later=Effects.attach_later, answer=_by_completion),
    GetOutput: Effect(later=Effects.output_later, answer=_by_completion),
    SendSignal: Effect(check=Effects.check_signal, now=Effects.signal_now),
    CompleteAwakeable: Effect(check=Effects.check_awakeable, now=Effects.awakeable_now),
}
"""Commands that are missing here do nothing beyond being journaled."""
