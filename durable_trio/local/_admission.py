"""How invocations come into being.

Owns what is checked before one is created, what is written when it is, and the identities
under which a second request finds the first one (idempotency keys, workflow keys).

 1. An invocation, its input, its place in the queue of its key and whoever waits for it
    are one transaction, together with whatever caused it.
 2. It is dispatched only after that transaction is durable; RUNNING is what a recovery
    goes by if it never gets there.
 3. An identity is looked up and taken while its lock is held: of two requests with one
    identity exactly one creates.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs

from durable_trio._exceptions import UsageError
from durable_trio._handler import HandlerKind
from durable_trio._journal._entries import Input
from durable_trio._records import (
    AppendEntries,
    InvocationRecord,
    InvocationStatus,
    PutInvocation,
    PutTimer,
    PutWaiter,
    Timer,
    TimerKind,
)

from ._ids import to_text
from ._live import LiveInvocation, Phase
from ._texts import check_texts
from ._waits import Waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._handler import AnyHandler
    from durable_trio._journal._entries import Headers
    from durable_trio._records import Waiter

    from ._engine import Engine
    from ._mail import Transaction

Identity: TypeAlias = tuple[str, str | None, str, str | None]
"""Service, key, handler, idempotency key: what ``JournalStore.find`` asks for."""


@attrs.frozen
class Request:
    """What is asked for when an invocation is created. ``start_at``: epoch seconds, 0 is now.

    ``parent`` is the invocation that asks, None: somebody outside; ``asked_by`` the completion id
    of its command that is answered with the new invocation's id.
    """

    handler: AnyHandler
    body: bytes
    key: str | None = None
    headers: Headers = ()
    idempotency_key: str | None = None
    parent: str | None = None
    asked_by: int = 0
    start_at: float = 0.0

    @property
    def identity(self) -> Identity | None:
        """What makes a second request the same invocation; None: nothing does."""
        if self.handler.kind is HandlerKind.WORKFLOW or self.idempotency_key is not None:
            return (
                self.handler.service_name,
                self.key,
                self.handler.name,
                self.idempotency_key,
            )

        return None


def identity_of(engine: Engine, record: InvocationRecord) -> Identity | None:
    """Under which identity an invocation is found; None: only under its id."""
    if record.idempotency_key is None:
        main = main_of(engine, record.service)
        if main is None or main.name != record.handler:
            return None

    return record.service, record.key, record.handler, record.idempotency_key


def check_request(
    handler: AnyHandler, key: str | None, idempotency_key: str | None, headers: Headers
) -> None:
    """``UsageError`` for a combination that can never be invoked."""
    check_texts(key, idempotency_key, *itertools.chain.from_iterable(headers))
    label = f"{handler.service_name}/{handler.name}"
    if handler.keyed and not key:
        raise UsageError(
            f"{label} belongs to an object or workflow, of which there is one per key: pass a key "
            f"that is not empty (got {key!r})"
        )

    if not handler.keyed and key:
        raise UsageError(f"{label} belongs to a Service, which has no keys: leave out {key!r}")

    if idempotency_key == "":
        raise UsageError(
            f"the idempotency key for {label} is empty: pass a string that is not, or none at all"
        )

    if idempotency_key is not None and handler.kind is HandlerKind.WORKFLOW:
        raise UsageError(
            f"{label} is the main handler of a workflow, which runs once per key: its key is its "
            f"identity, so leave out the idempotency key {idempotency_key!r}"
        )


def main_of(engine: Engine, workflow: str) -> AnyHandler | None:
    """The main handler of a workflow, if it is served here."""
    definition = engine.registry.services.get(workflow)
    for handler in definition.handlers.values() if definition is not None else ():
        if handler.kind is HandlerKind.WORKFLOW:
            return handler

    return None


class Admissions:
    """See the module's docstring. ``dispatch`` gets every invocation that can run at once."""

    __slots__ = ("_dispatch", "_engine")

    def __init__(self, engine: Engine, dispatch: Callable[[LiveInvocation], None]) -> None:
        self._engine = engine
        self._dispatch = dispatch

    def admit(
        self, transaction: Transaction, request: Request, waiter: Waiter | None = None
    ) -> InvocationRecord:
        """Create an invocation in ``transaction``."""
        engine, handler = self._engine, request.handler
        now = engine.clock.now()
        invocation_id = to_text(engine.ids.new(request.parent, request.asked_by))
        exclusive = handler.kind is HandlerKind.EXCLUSIVE
        scheduled = request.start_at > now
        status = InvocationStatus.RUNNING
        if scheduled:
            status = InvocationStatus.SCHEDULED
        elif exclusive:
            assert request.key is not None
            if not engine.keys.acquire((handler.service_name, request.key), invocation_id):
                status = InvocationStatus.PENDING
        record = InvocationRecord(
            id=invocation_id,
            service=handler.service_name,
            handler=handler.name,
            status=status,
            created_at=now,
            sequence=engine.next_sequence(),
            key=request.key,
            exclusive=exclusive,
            idempotency_key=request.idempotency_key,
            headers=request.headers,
            parent=request.parent,
            scheduled_for=request.start_at if scheduled else None,
            started_at=now if status is InvocationStatus.RUNNING else None,
        )
        entries = (Input(request.body, request.headers),)
        transaction.add(PutInvocation(record), AppendEntries(invocation_id, entries))
        if waiter is not None:
            transaction.add(PutWaiter(invocation_id, waiter))
        if scheduled:
            timer = Timer(request.start_at, invocation_id, TimerKind.START)
            transaction.add(PutTimer(timer))
            engine.timers.add(timer)
        elif status is InvocationStatus.RUNNING:
            waiters = {} if waiter is None else {waiter: None}
            live = LiveInvocation(
                record,
                Phase.ADMITTED,
                Waits(invocation_id, engine.timers),
                recorded=entries,
                waiters=waiters,
            )
            engine.lives[invocation_id] = live
            transaction.then(partial(self._dispatch, live))
        return record
