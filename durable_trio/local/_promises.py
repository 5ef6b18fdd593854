"""Workflow promises: values that the handlers of one key complete for each other.

Owns what the promise commands do. Promises live in the store, as long as their workflow.

 1. A promise completes once. Who completes it holds its lock, and those who begin to wait
    share it, so that nobody waits for what has come already.
 2. It may be completed before anybody waits, and before the workflow has started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from durable_trio._exceptions import UsageError
from durable_trio._journal._entries import VOID, Completion, Failure, PeekPromise
from durable_trio._records import (
    DeletePromiseWaiters,
    PutPromise,
    PutPromiseWaiter,
    Waiter,
)

from ._admission import main_of
from ._texts import check_texts

if TYPE_CHECKING:
    from durable_trio._journal._entries import CompletePromise, GetPromise
    from durable_trio._records import InvocationRecord

    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Mail

    PromiseCommand: TypeAlias = GetPromise | PeekPromise | CompletePromise


class Promises:
    """See the module's docstring."""

    __slots__ = ("_engine", "_mail")

    def __init__(self, engine: Engine, mail: Mail) -> None:
        self._engine = engine
        self._mail = mail

    def check(self, live: LiveInvocation, command: PromiseCommand) -> None:
        """``UsageError`` outside of a workflow."""
        record = live.record
        check_texts(command.key)
        if record.key is None or main_of(self._engine, record.service) is None:
            raise UsageError(
                f"{record.service}/{record.handler} has no promise {command.key!r}: only the "
                "handlers of a Workflow share promises; elsewhere use an awakeable"
            )

    async def get(self, caller: InvocationRecord, command: GetPromise | PeekPromise) -> None:
        """Answer with the promise's result, now or, unless it is only looked at, later."""
        store, name = self._engine.store, _name(caller, command)
        async with self._engine.locks.share(("promise", name)):
            result = await store.promise(*name)
            if result is not None:
                self._mail.answer(caller.id, command.completion_id, result)
            elif isinstance(command, PeekPromise):
                self._mail.answer(caller.id, command.completion_id, VOID)
            else:
                waiter = Waiter(caller.id, command.completion_id)
                store.write([PutPromiseWaiter(*name, waiter)], urgent=False)

    async def complete(self, caller: InvocationRecord, command: CompletePromise) -> None:
        """Complete it and answer everybody who waits; the second time is a failure."""
        store, name = self._engine.store, _name(caller, command)
        async with self._engine.locks.hold(("promise", name)):
            if await store.promise(*name) is not None:
                failure = Failure(
                    409, f"the promise {command.key!r} is completed already; it completes once"
                )
                self._mail.answer(caller.id, command.completion_id, failure)
                return

            waiters = await store.promise_waiters(*name)
            transaction = self._mail.transaction()
            transaction.add(PutPromise(*name, command.result))
            if waiters:
                transaction.add(DeletePromiseWaiters(*name))
            for waiter in waiters:
                transaction.post(
                    waiter.invocation_id, Completion(waiter.completion_id, command.result)
                )
            transaction.post(caller.id, Completion(command.completion_id, VOID))
            transaction.commit()


def _name(caller: InvocationRecord, command: PromiseCommand) -> tuple[str, str, str]:
    assert caller.key is not None
    return caller.service, caller.key, command.key
