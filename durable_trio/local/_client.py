"""Requests from outside of any invocation, as bytes.

Owns submitting and waiting. What handlers, values and errors look like to a caller is
``_runtime.py``'s; what an operator does is ``_control.py``'s.

 1. What is refused (an unknown handler, a missing key) is refused before anything is written.
 2. ``submit`` returns when the invocation is durable; a call returns its result, which
    was durable before.
 3. Whoever observes waits, or leaves: an observer that is dropped is never forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio._exceptions import ClosedResourceError, TerminalError
from durable_trio._handler import HandlerKind
from durable_trio._journal._entries import Failure
from durable_trio._ledger import error_of
from durable_trio._receipt import SendReceipt
from durable_trio._records import InvocationStatus

from ._admission import Request, check_request
from ._calling import check_target, workflow_exists
from ._control import not_found
from ._mail import Wake

if TYPE_CHECKING:
    from durable_trio._journal._entries import Headers, Target, Value
    from durable_trio._records import InvocationRecord

    from ._dispatch import Dispatcher
    from ._engine import Engine
    from ._observers import Observer


class Client:
    """See the module's docstring."""

    __slots__ = ("_dispatcher", "_engine")

    def __init__(self, engine: Engine, dispatcher: Dispatcher) -> None:
        self._engine = engine
        self._dispatcher = dispatcher

    def request(
        self,
        service: str,
        handler: str,
        body: bytes,
        *,
        key: str | None,
        idempotency_key: str | None,
        headers: Headers,
        delay: float = 0.0,
    ) -> Request:
        """A request that can be made.

        ``UsageError`` if it never can, ``TerminalError`` 400 if the handler is private.
        """
        found = self._engine.registry.find(service, handler)
        check_request(found, key, idempotency_key, headers)
        if self._engine.registry.options(found).ingress_private:
            raise TerminalError(
                f"{service}/{handler} is private: only other handlers may call it", 400
            )

        return Request(
            handler=found,
            body=body,
            key=key or None,
            headers=headers,
            idempotency_key=idempotency_key,
            start_at=self._engine.clock.now() + delay if delay > 0 else 0.0,
        )

    async def call(self, request: Request) -> bytes:
        """Create an invocation, or find the one with this identity, and wait for its output.

        ``TerminalError`` as it failed; 409 for a second start of a workflow.
        ``InvocationPausedError`` if it fails and is paused.
        """
        return _content(await self.wait(await self.begin(request)))

    async def begin(self, request: Request) -> Observer:
        """Create an invocation, or find the one with this identity, and observe it.

        ``TerminalError`` 409 for a second start of a workflow.
        """
        self._check_open()
        engine, identity = self._engine, request.identity
        if identity is None:
            return engine.observers.observe(self._admit(request).id)

        async with engine.locks.hold(identity):
            found = await engine.store.find(*identity)
            self._check_open()
            if found is None:
                return engine.observers.observe(self._admit(request).id)

            if request.handler.kind is HandlerKind.WORKFLOW:
                raise error_of(workflow_exists(found))

            return await self._observe(found.id)

    async def submit(self, request: Request) -> SendReceipt:
        """Create an invocation, or find the one with this identity, and do not wait for it."""
        receipt = await self.place(request)
        await self.durable()
        return receipt

    async def durable(self) -> None:
        """Wait until everything that was placed is durable."""
        await self._engine.store.sync()

    async def place(self, request: Request) -> SendReceipt:
        """``submit``, but it is not durable yet."""
        self._check_open()
        engine, identity = self._engine, request.identity
        found = None
        if identity is None:
            record = self._admit(request)
        else:
            async with engine.locks.hold(identity):
                found = await engine.store.find(*identity)
                self._check_open()
                record = self._admit(request) if found is None else found
        return SendReceipt(record.id, found is not None, record.scheduled_for)

    async def attach(self, target: Target) -> bytes:
        """Wait for the output of an invocation. ``TerminalError`` as it failed; 404: unknown."""
        return _content(await self.wait(await self.observe(target)))

    async def observe(self, target: Target) -> Observer:
        """Observe an invocation. ``TerminalError`` 404 if it is unknown."""
        self._check_open()
        return await self._observe(await self._id_of(target))

    async def wait(self, observer: Observer) -> Value | Failure:
        """Wait for the result of what is observed.

        ``InvocationPausedError``: not before it is resumed. ``ClosedResourceError``: not here
        any more.
        """
        try:
            return await observer.wait()
        finally:
            self._engine.observers.leave(observer)

    async def output(self, target: Target) -> bytes | None:
        """The output of an invocation, None while it has none. Errors as for ``attach``."""
        result = (await self.record(target)).result
        return None if result is None else _content(result)

    async def record(self, target: Target) -> InvocationRecord:
        """What is stored of an invocation. ``TerminalError`` 404 if it is unknown."""
        self._check_open()
        record = await self._engine.store.invocation(await self._id_of(target))
        if record is None:
            raise not_found(str(target))

        return record

    async def _id_of(self, target: Target) -> str:
        check_target(target)
        target_id = await self._dispatcher.effects.calling.target_id(target)
        if target_id is None:
            raise not_found(str(target))

        return target_id

    def _admit(self, request: Request) -> InvocationRecord:
        transaction = self._dispatcher.mail.transaction()
        record = self._dispatcher.admissions.admit(transaction, request)
        transaction.commit()
        return record

    async def _observe(self, invocation_id: str) -> Observer:
        """Observe an invocation that may have completed."""
        observers = self._engine.observers
        observer = observers.observe(invocation_id)
        try:
            record = await self._engine.store.invocation(invocation_id)
        except BaseException:
            observers.leave(observer)
            raise

        if record is None:
            observers.leave(observer)
            raise not_found(invocation_id)

        if record.result is not None:
            observer.answer(record.result)
        elif record.status is InvocationStatus.PAUSED:
            # What has been done to it may not have been seen to yet: a CANCEL wakes it.
            self._dispatcher.wake(invocation_id, Wake(0))
        return observer

    def _check_open(self) -> None:
        if self._engine.failure is not None:
            raise self._engine.failure

        if self._engine.stopping:
            raise ClosedResourceError(
                "the runtime is closing and takes no more requests; make them before the end of "
                "its `async with` block"
            )


def _content(result: Value | Failure) -> bytes:
    if isinstance(result, Failure):
        raise error_of(result)

    return result.content
