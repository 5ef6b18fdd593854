"""``LocalRuntime``: the embedded runtime as its user sees it.

Owns names, types and errors of what can be asked from outside. What happens then is
decided by the other modules of this package:

    _lifecycle  opening, failing, ending          _admission  how invocations come into being
    _client     requests, as bytes                _dispatch   who comes into memory next
    _control    what an operator does             _attempts   one invocation in memory
    _recovery   what a store holds when opened    _endings    what is written when it ends
    _mail       the way of every notification     _effects    what commands do to the world

 1. Values are encoded and decoded here and nowhere below.
 2. A failure that an invocation ended with is raised as the ``TerminalError`` that it was.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from durable_trio._duration import to_seconds
from durable_trio._exceptions import UsageError
from durable_trio._journal._entries import Failure, InvocationTarget, Value
from durable_trio._not_ready import NOT_READY, NotReady
from durable_trio._registry import ServiceRegistry
from durable_trio._target import check_key
from durable_trio.serde import serde_for

from ._calling import awakeable_signal
from ._client import Client
from ._clock import SystemClock
from ._control import Control
from ._lifecycle import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from durable_trio._duration import Duration
    from durable_trio._journal._entries import Headers, Target
    from durable_trio._options import ServiceOptions
    from durable_trio._receipt import SendReceipt
    from durable_trio._records import InvocationRecord
    from durable_trio._services import ServiceDefinition
    from durable_trio._target import Argument, CallTarget
    from durable_trio.abc import Clock, JournalStore

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")

_UNLOAD_AFTER: Final = 1.0
_SHUTDOWN_GRACE: Final = 10.0
_MAX_ACTIVE: Final = 10_000


class LocalRuntime:
    """Serves services in this process and keeps what they do in a journal store.

    An async context manager. Entering opens the store and recovers: every unfinished
    invocation goes on, timers that came due meanwhile fire, nothing completed runs again.
    Leaving drains (see ``drain``) and closes the store. When the store fails, the block is
    cancelled and the ``StoreError`` leaves it.

    ``defaults`` are options for all services. An invocation that waits for longer than
    ``unload_after`` (1 s) leaves memory and is replayed when something arrives (``math.inf``:
    never, unless others wait for a place); ``max_active``
    (10,000) bounds how many are in memory, the others wait. ``shutdown_grace`` (10 s) is how
    long leaving waits for run bodies. Durations are seconds or ``timedelta``.

    ``seed`` is for tests: a program that makes the same requests in the same order on a new
    store then has the same invocation ids in every run, and with them the same awakeable ids,
    ``ctx.random`` and ``ctx.uuid4()``. Without it ids are random and cannot be guessed, which
    keeps strangers from completing an awakeable: leave it out in production.
    """

    client: Client
    """Requests as bytes: what an ingress is made of."""
    control: Control
    """What an operator does, by invocation id and as bytes."""

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        store: JournalStore,
        *,
        clock: Clock | None = None,
        defaults: ServiceOptions | None = None,
        unload_after: Duration = _UNLOAD_AFTER,
        shutdown_grace: Duration = _SHUTDOWN_GRACE,
        max_active: int = _MAX_ACTIVE,
        seed: int | None = None,
    ) -> None:
        if max_active < 1:
            raise UsageError(f"max_active must be 1 or more, got {max_active!r}")

        self._grace = to_seconds(shutdown_grace, "shutdown_grace")
        self._registry = ServiceRegistry(services, defaults)
        self._new_lifecycle = partial(
            Lifecycle,
            self._registry,
            store,
            clock or SystemClock(),
            unload_after=(
                math.inf if unload_after == math.inf else to_seconds(unload_after, "unload_after")
            ),
            max_active=max_active,
            seed=seed,
        )
        self._assemble()
        self._entered = False

    def _assemble(self) -> None:
        """Make the parts for one opening of the store."""
        self._lifecycle = self._new_lifecycle()
        engine, dispatcher = self._lifecycle.engine, self._lifecycle.dispatcher
        self._engine = engine
        self.client: Client = Client(engine, dispatcher)
        self.control: Control = Control(engine, dispatcher)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError(
                "a LocalRuntime is entered once: make a new one to open the store again"
            )

        self._entered = True
        await self._lifecycle.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self._lifecycle.close(self._grace, exc_type, exc, traceback)

    async def drain(self, grace: Duration | None = None) -> None:
        """Stop serving: take no more requests, let running bodies finish, suspend everybody.

        Bodies that still run after ``grace`` (by default ``shutdown_grace``) are cancelled;
        they run again when the store is next opened. Whoever waits in ``call`` or
        ``attach`` gets a ``ClosedResourceError``. Leaving the block does this, if you have not.
        """
        await self._lifecycle.drain(self._grace if grace is None else to_seconds(grace, "grace"))

    @property
    def services(self) -> Mapping[str, ServiceDefinition]:
        """The services it serves, by name."""
        return self._registry.services

    # -- calling handlers

    @overload
    async def call(
        self,
        target: CallTarget[[], O],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> O: ...
    @overload
    async def call(
        self,
        target: CallTarget[[I], O],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> O: ...
    async def call(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call a handler and wait for its output: ``await runtime.call(reports.build, 3)``.

        With an ``idempotency_key`` a second call of the same handler and key gets the
        result of the first. Raises the ``TerminalError`` that the handler ended with (409
        for a second start of a workflow), ``UsageError`` for what can never be called.
        Cancelling the wait does not cancel the invocation.
        """
        check_key(target, key)
        request = self.client.request(
            target.service_name,
            target.handler_name,
            target.encode_input(*argument),
            key=key,
            idempotency_key=idempotency_key,
            headers=_headers(headers),
        )
        return target.decode_output(await self.client.call(request))

    @overload
    async def send(
        self,
        target: CallTarget[[], Any],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt: ...
    @overload
    async def send(
        self,
        target: CallTarget[[I], Any],
        argument: Argument[I],
        /,
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt: ...
    async def send(
        self,
        target: CallTarget[..., Any],
        /,
        *argument: Any,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> SendReceipt:
        """Start a handler, ``delay`` from now, and return as soon as that is durable.

        A send with the idempotency key, or to the workflow key, of an earlier one starts
        nothing; its receipt names the earlier invocation and says so.
        """
        check_key(target, key)
        return await self.submit(
            target.service_name,
            target.handler_name,
            target.encode_input(*argument),
            key=key,
            delay=delay,
            idempotency_key=idempotency_key,
            headers=_headers(headers),
        )

    async def invoke(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Headers = (),
    ) -> bytes:
        """``call`` by name, with an encoded input and output.

        ``UnknownServiceError`` if there is no such handler.
        """
        request = self.client.request(
            service, handler, body, key=key, idempotency_key=idempotency_key, headers=headers
        )
        return await self.client.call(request)

    async def submit(
        self,
        service: str,
        handler: str,
        body: bytes = b"",
        *,
        key: str | None = None,
        delay: Duration = 0.0,
        idempotency_key: str | None = None,
        headers: Headers = (),
    ) -> SendReceipt:
        """``send`` by name, with an encoded input."""
        request = self.client.request(
            service,
            handler,
            body,
            key=key,
            idempotency_key=idempotency_key,
            headers=headers,
            delay=to_seconds(delay, "delay"),
        )
        return await self.client.submit(request)

    # -- invocations

    @overload
    async def attach(self, target: Target | str, type: type[T]) -> T: ...
    @overload
    async def attach(self, target: Target | str, type: Any = ...) -> Any: ...
    async def attach(self, target: Target | str, type: Any = Any) -> Any:  # noqa: A002
        """Wait for the result of an invocation: an id, ``IdempotentTarget`` or ``WorkflowTarget``.

        The output is decoded as ``type`` (``bytes``: not at all). Raises the
        ``TerminalError`` it ended with; 404 if it is unknown.
        """
        return _decode(await self.client.attach(_target(target)), type)

    @overload
    async def output(self, target: Target | str, type: type[T]) -> T | NotReady: ...
    @overload
    async def output(self, target: Target | str, type: Any = ...) -> Any: ...
    async def output(self, target: Target | str, type: Any = Any) -> Any:  # noqa: A002
        """The result of an invocation, or ``NOT_READY``, without waiting. Otherwise as ``attach``."""
        body = await self.client.output(_target(target))
        return NOT_READY if body is None else _decode(body, type)

    async def invocation(self, invocation_id: str) -> InvocationRecord:
        """What is known of an invocation. ``TerminalError`` 404 if nothing is."""
        return await self.control.record(invocation_id)

    async def cancel(self, invocation_id: str) -> None:
        """Ask an invocation to end: its handler unwinds, and it ends with 409 "cancelled".

        One that has not started ends at once; one that is paused or backs off is woken. One
        that has completed is left alone. ``TerminalError`` 404 if it is unknown.
        """
        await self.control.cancel(invocation_id)

    async def kill(self, invocation_id: str) -> None:
        """End an invocation with 409 "killed", without asking its handler, and all that it called.

        One that has completed is left alone. ``TerminalError`` 404 if it is unknown.
        """
        await self.control.kill(invocation_id)

    async def pause(self, invocation_id: str) -> None:
        """Stop attempting an invocation until it is resumed. A body that runs is cancelled."""
        await self.control.pause(invocation_id)

    async def resume(self, invocation_id: str) -> None:
        """Attempt an invocation now that is paused or backs off; its retries start anew."""
        await self.control.resume(invocation_id)

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation; a workflow's with the state and promises of its key.

        ``UsageError`` if it has not completed, ``TerminalError`` 404 if it is unknown.
        """
        await self.control.purge(invocation_id)

    # -- events

    async def resolve_awakeable(
        self,
        awakeable_id: str,
        value: object = None,
        type: Any = Any,  # noqa: A002
    ) -> None:
        """Complete an awakeable with a value, encoded as ``type``. A second time has no effect."""
        target, signal = awakeable_signal(awakeable_id)
        await self.control.signal(target, signal, Value(serde_for(type).serialize(value)))

    async def reject_awakeable(
        self,
        awakeable_id: str,
        message: str,
        *,
        code: int = 500,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Complete an awakeable with a failure: its wait raises a ``TerminalError``."""
        target, signal = awakeable_signal(awakeable_id)
        await self.control.signal(target, signal, Failure(code, message, _headers(metadata)))

    async def resolve_signal(
        self,
        invocation_id: str,
        name: str,
        value: object = None,
        type: Any = Any,  # noqa: A002
    ) -> None:
        """Send an invocation its signal ``name`` with a value, encoded as ``type``."""
        await self.control.signal(invocation_id, name, Value(serde_for(type).serialize(value)))

    async def reject_signal(
        self,
        invocation_id: str,
        name: str,
        message: str,
        *,
        code: int = 500,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Send an invocation its signal ``name`` as a failure."""
        await self.control.signal(invocation_id, name, Failure(code, message, _headers(metadata)))

    # -- state

    @overload
    async def get_state(self, service: str, key: str) -> dict[str, bytes]: ...
    @overload
    async def get_state(self, service: str, key: str, type: type[T]) -> dict[str, T]: ...
    async def get_state(
        self,
        service: str,
        key: str,
        type: Any = bytes,  # noqa: A002
    ) -> dict[str, Any]:
        """The state of an object or workflow key, each entry decoded as ``type``."""
        serde = serde_for(type)
        state = await self.control.state(service, key)
        return {name: serde.deserialize(content) for name, content in state.items()}

    async def set_state(
        self,
        service: str,
        key: str,
        values: Mapping[str, Any],
        type: Any = bytes,  # noqa: A002
    ) -> None:
        """Replace the whole state of an object key, each entry encoded as ``type``.

        It waits for the exclusive invocation that runs and goes before those that wait.
        """
        serde = serde_for(type)
        encoded = {name: serde.serialize(value) for name, value in values.items()}
        await self.control.set_state(service, key, encoded)


def _decode(body: bytes, type: Any) -> Any:  # noqa: A002
    return serde_for(type).deserialize(body)


def _headers(headers: Mapping[str, str] | None) -> Headers:
    return tuple(headers.items()) if headers else ()


def _target(target: Target | str) -> Target:
    return InvocationTarget(target) if isinstance(target, str) else target
