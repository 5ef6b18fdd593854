"""Calls, sends, attaching: what an invocation has to do with other invocations.

Owns what these commands do. How an invocation is created is ``_admission.py``'s.

 1. A call creates its callee in the transaction that appends the call, if nothing has to be
    looked up first. A call that can find somebody else's invocation (an idempotency key,
    a workflow) holds the identity's lock while it looks, creates or attaches.
 2. Who waits for an invocation is known to it, in memory and in the store, before it can
    complete: while an invocation's lock is shared, nobody comes into memory to complete.
    Any number of them join at once: each looks at the record, and nobody at the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from durable_trio._exceptions import UnknownServiceError, UsageError
from durable_trio._handler import HandlerKind
from durable_trio._invocation import parse_awakeable_id
from durable_trio._journal._entries import (
    VOID,
    Call,
    Completion,
    Failure,
    IdempotentTarget,
    InvocationId,
    InvocationTarget,
    OneWayCall,
    Signal,
)
from durable_trio._records import PutWaiter, Waiter

from ._admission import Request, check_request, main_of
from ._ids import RAW_SIZE, to_raw, to_text
from ._texts import check_texts

if TYPE_CHECKING:
    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import (
        Attach,
        CompleteAwakeable,
        Entry,
        GetOutput,
        Notification,
        SendSignal,
        Target,
    )
    from durable_trio._records import InvocationRecord

    from ._admission import Admissions, Identity
    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail, Transaction

_NOT_FOUND: Final = Failure(404, "no such invocation: it never was, or its retention has passed")


class Calling:
    """See the module's docstring."""

    __slots__ = ("_admissions", "_engine", "_mail")

    def __init__(self, engine: Engine, mail: Mail, admissions: Admissions) -> None:
        self._engine = engine
        self._mail = mail
        self._admissions = admissions

    # -- calls and sends

    def check(self, _live: LiveInvocation, call: Call | OneWayCall) -> None:
        """``UsageError`` for a call that can never be made here."""
        handler = self._engine.registry.find(call.service, call.handler)
        check_request(handler, call.key or None, call.idempotency_key, call.headers)
        if call.scope is not None or call.limit_key is not None:
            raise UsageError(
                "scopes and limit keys are features of a Restate server; the embedded runtime has "
                f"none: leave out scope={call.scope!r} and limit_key={call.limit_key!r}"
            )

    def create(
        self,
        live: LiveInvocation,
        call: Call | OneWayCall,
        transaction: Transaction,
        entries: list[Entry],
    ) -> bool:
        """Create the callee. False: somebody has to be looked up first."""
        handler = self._engine.registry.find(call.service, call.handler)
        request = _request(handler, live.id, call)
        if request.identity is not None:
            return False

        record = self._admissions.admit(transaction, request, _waiter(live.id, call))
        completion = Completion(call.invocation_id_completion, InvocationId(record.id))
        entries.append(completion)
        transaction.own(live, completion)
        return True

    async def find_or_create(self, caller: InvocationRecord, call: Call | OneWayCall) -> None:
        """Create the callee, or find the invocation that the call means."""
        try:
            handler = self._engine.registry.find(call.service, call.handler)
        except UnknownServiceError as error:
            # It was served when the call was made, by another process.
            self._refuse(caller, call, Failure(404, str(error)))
            return

        request = _request(handler, caller.id, call)
        if request.identity is None:
            self._create(request, call)
            return

        async with self._engine.locks.hold(request.identity):
            found = await self._engine.store.find(*request.identity)
            if found is None:
                self._create(request, call)
                return

            named = Completion(call.invocation_id_completion, InvocationId(found.id))
            if isinstance(call, OneWayCall):
                self._mail.answer(caller.id, named.completion_id, named.result)
            elif handler.kind is HandlerKind.WORKFLOW:
                transaction = self._mail.transaction()
                transaction.post(caller.id, named)
                transaction.post(caller.id, Completion(call.completion_id, workflow_exists(found)))
                transaction.commit()
            else:
                await self._join(found.id, Waiter(caller.id, call.completion_id), named)

    def _create(self, request: Request, call: Call | OneWayCall) -> None:
        assert request.parent is not None
        transaction = self._mail.transaction()
        record = self._admissions.admit(transaction, request, _waiter(request.parent, call))
        transaction.post(
            request.parent, Completion(call.invocation_id_completion, InvocationId(record.id))
        )
        transaction.commit()

    def _refuse(self, caller: InvocationRecord, call: Call | OneWayCall, failure: Failure) -> None:
        transaction = self._mail.transaction()
        transaction.post(caller.id, Completion(call.invocation_id_completion, failure))
        if isinstance(call, Call):
            transaction.post(caller.id, Completion(call.completion_id, failure))
        transaction.commit()

    # -- the results of others

    async def attach(self, caller: InvocationRecord, attach: Attach) -> None:
        """Answer with the result of another invocation, now or when it has one."""
        target_id = await self.target_id(attach.target)
        if target_id is None:
            self._mail.answer(caller.id, attach.completion_id, _NOT_FOUND)
        else:
            await self._join(target_id, Waiter(caller.id, attach.completion_id))

    async def output(self, caller: InvocationRecord, look: GetOutput) -> None:
        """Answer with the result of another invocation, or that there is none yet."""
        target_id = await self.target_id(look.target)
        target = None if target_id is None else await self._engine.store.invocation(target_id)
        result = _NOT_FOUND if target is None else target.result or VOID
        self._mail.answer(caller.id, look.completion_id, result)

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
        record = await self._engine.store.find(*identity)
        return None if record is None else record.id

    async def _join(self, target_id: str, waiter: Waiter, *before: Notification) -> None:
        """Answer ``waiter`` with the result of an invocation, now or when it has one.

        The notifications ``before`` reach it first, in the same transaction.
        """
        lives, store = self._engine.lives, self._engine.store
        async with self._engine.locks.share(target_id):
            target: InvocationRecord | None = None
            if target_id not in lives:
                target = await store.invocation(target_id)
            live = lives.get(target_id)
            if live is not None:
                target = live.record
            transaction = self._mail.transaction()
            for notification in before:
                transaction.post(waiter.invocation_id, notification)
            result = _NOT_FOUND if target is None else target.result
            if result is not None:
                transaction.post(waiter.invocation_id, Completion(waiter.completion_id, result))
            elif live is None or waiter not in live.waiters:
                transaction.add(PutWaiter(target_id, waiter))
                if live is not None:
                    live.waiters[waiter] = None
            transaction.commit()

    def check_target(self, _live: LiveInvocation, command: Attach | GetOutput) -> None:
        """``UsageError`` if the target can be nobody."""
        check_target(command.target)

    # -- signals

    def check_signal(self, _live: LiveInvocation, command: SendSignal) -> None:
        """``UsageError`` if the target is no invocation id."""
        to_raw(command.target)

    def send_signal(
        self,
        _live: LiveInvocation,
        command: SendSignal,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        """Send it."""
        transaction.post(command.target, Signal(command.signal, command.result))
        return True

    def check_awakeable(self, _live: LiveInvocation, command: CompleteAwakeable) -> None:
        """``UsageError`` if the id is no awakeable's."""
        awakeable_signal(command.awakeable_id)

    def complete_awakeable(
        self,
        _live: LiveInvocation,
        command: CompleteAwakeable,
        transaction: Transaction,
        _entries: list[Entry],
    ) -> bool:
        """Send the signal that completes it."""
        target, signal = awakeable_signal(command.awakeable_id)
        transaction.post(target, Signal(signal, command.result))
        return True


def check_target(target: Target) -> None:
    """``UsageError`` if it can be nobody."""
    if isinstance(target, InvocationTarget):
        to_raw(target.invocation_id)
    elif isinstance(target, IdempotentTarget):
        check_texts(target.service, target.handler, target.idempotency_key, target.key)
    else:
        check_texts(target.workflow, target.key)


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

    if len(raw_id) != RAW_SIZE:
        raise UsageError(
            f"{awakeable_id!r} is no awakeable id of this runtime: pass on, unchanged, the id that "
            "ctx.awakeable() gave"
        )

    return to_text(raw_id), signal


def _request(handler: AnyHandler, caller_id: str, call: Call | OneWayCall) -> Request:
    return Request(
        handler=handler,
        body=call.parameter,
        key=call.key or None,
        headers=call.headers,
        idempotency_key=call.idempotency_key,
        parent=caller_id,
        asked_by=call.invocation_id_completion,
        start_at=call.invoke_time / 1000 if isinstance(call, OneWayCall) else 0.0,
    )


def _waiter(caller_id: str, call: Call | OneWayCall) -> Waiter | None:
    return Waiter(caller_id, call.completion_id) if isinstance(call, Call) else None
