"""The seam to the two hosts, trio and asyncio: the few things anyio does not offer.

Owns everything that touches a host's internals: its cancelled exception as a value, its
harmless traps, and whether native cancel scopes are open. Each host is one object with
the same attributes; ``current_host`` finds the one that runs.

 1. A trap is harmless if the host resumes the task on its own, soon, whatever happens:
    a plain checkpoint. Any other trap waits for something that no journal records.
 2. ``scopes`` changes its value when a native cancel scope or nursery is entered and
    takes the old one again when it is left. Durable tasks share one host task, so none
    may give up the baton inside of one. What a host has beside its scopes is ``hidden``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import anyio
import sniffio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType


class HostScope(Protocol):
    """A native cancel scope, of which only this much is used."""

    @property
    def cancel_called(self) -> bool: ...

    def cancel(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


class Tasks(Protocol):
    """Host tasks that end, at the latest, with the block that they are started in."""

    def start_soon(
        self, async_fn: Callable[..., Coroutine[Any, Any, object]], /, *args: Any
    ) -> object: ...


class TaskGroup(Tasks, Protocol):
    """A group of host tasks: trio's nursery or anyio's task group."""

    @property
    def cancel_scope(self) -> HostScope: ...


class Parking(Protocol):
    """One wait of the current host task, begun at once, until it is woken."""

    def wait(self) -> Awaitable[object]: ...

    def wake(self) -> None: ...


class Host(Protocol):
    """What the attempt needs of a host."""

    @property
    def name(self) -> Literal["trio", "asyncio"]:
        """What it is called."""
        ...

    @property
    def cancelled_type(self) -> type[BaseException]:
        """The host's cancelled exception."""
        ...

    @property
    def hidden(self) -> tuple[type, ...]:
        """Its timeouts and groups that ``scopes`` does not show."""
        ...

    @property
    def harmless_answer(self) -> object:
        """What a harmless trap is resumed with."""
        ...

    def cancelled(self) -> BaseException:
        """A new instance of the host's cancelled exception, to throw into a coroutine."""
        ...

    def is_harmless(self, trap: object) -> bool:
        """Whether a trap is a plain checkpoint."""
        ...

    def scopes(self) -> object:
        """The native cancel scopes and nurseries open in the current host task."""
        ...

    def is_cancelled(self, scopes: object) -> bool:
        """Whether a scope that ``scopes`` told of, or one around it, is cancelled."""
        ...

    def cancel_tasks(self, scopes: object) -> None:
        """Cancel the tasks of nurseries that were entered since ``scopes`` was asked for."""
        ...

    def leave(self, scopes: object) -> None:
        """Leave what was entered since ``scopes`` was asked for; a nursery's tasks are cancelled."""
        ...

    def request_counter(self) -> Callable[[], int]:
        """Tells how often the task that asks here was told to cancel itself, but for its scopes."""
        ...

    async def take_requests(self, before: int) -> None:
        """Take back the current task's requests above ``before``; those that come meanwhile stay.

        Raises the cancelled exception still to come.
        """
        ...

    def open_group(self) -> AbstractAsyncContextManager[TaskGroup]:
        """A group of host tasks that anyio's cancel scopes see; the cheapest there is."""
        ...

    def open_tasks(self) -> AbstractAsyncContextManager[Tasks]:
        """As ``open_group``, for thousands of tasks that wait: the smallest there are.

        They raise no ``Exception``, and are in no scope of anyio's.
        """
        ...

    def new_scope(self) -> HostScope:
        """A cancel scope of the host."""
        ...

    def parking(self) -> Parking:
        """A wait of the current host task; the cheapest there is."""
        ...

    def call_soon(self) -> Callable[[Callable[[], object]], None]:
        """A function, callable from any thread, that runs a callback on this event loop."""
        ...


class TrioParking:
    """A wait in trio."""

    __slots__ = ("_lowlevel", "_task")

    def __init__(self, lowlevel: Any) -> None:
        self._lowlevel = lowlevel
        self._task: Any = lowlevel.current_task()

    def wait(self) -> Awaitable[object]:
        waiting: Awaitable[object] = self._lowlevel.wait_task_rescheduled(self._abort)
        return waiting

    def wake(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            self._lowlevel.reschedule(task)

    def _abort(self, _raise_cancel: object) -> Any:
        self._task = None
        return self._lowlevel.Abort.SUCCEEDED


class AsyncioParking:
    """A wait in asyncio."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wait(self) -> Awaitable[object]:
        return self._future

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


class AsyncioTasks:
    """Tasks of asyncio's own. One of anyio's has a scope, an event and a handle: 2.5 KB more."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        try:
            if exc is None:
                await self._all_ended()
        finally:
            for task in self._tasks:
                task.cancel()
            with anyio.CancelScope(shield=True):
                await self._all_ended()

    def start_soon(
        self, async_fn: Callable[..., Coroutine[Any, Any, object]], /, *args: Any
    ) -> None:
        task = asyncio.get_running_loop().create_task(async_fn(*args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _all_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)


class TrioHost:
    """trio, through its ``lowlevel`` module."""

    @property
    def name(self) -> Literal["trio", "asyncio"]:
        return "trio"

    def __init__(self) -> None:
        import outcome
        import trio

        self._lowlevel: Any = trio.lowlevel
        # A nursery of trio's own costs half of anyio's task group, which is one around it.
        self.open_group: Any = trio.open_nursery
        self.open_tasks: Any = trio.open_nursery
        self.new_scope: Any = trio.CancelScope
        self._cancelled: Any = trio.Cancelled
        self.cancelled_type: type[BaseException] = trio.Cancelled
        self.hidden: tuple[type, ...] = ()
        self.harmless_answer: object = outcome.Value(None)

    def cancelled(self) -> BaseException:
        # The only way to a Cancelled that is not tied to a native scope; trio keeps it for
        # tests of its own and its keyword arguments have been stable since 0.31.
        error: BaseException = self._cancelled._create(source="explicit", reason="durable scope")
        return error

    def is_harmless(self, trap: object) -> bool:
        return getattr(trap, "__name__", None) == "CancelShieldedCheckpoint"

    def scopes(self) -> object:
        task = self._lowlevel.current_task()
        # ``child_nurseries`` would copy the list, and this is asked three times a step.
        return task._cancel_status, len(task._child_nurseries)

    def parking(self) -> Parking:
        return TrioParking(self._lowlevel)

    def is_cancelled(self, scopes: Any) -> bool:
        cancelled: bool = scopes[0].effectively_cancelled
        return cancelled

    def cancel_tasks(self, scopes: Any) -> None:
        _, nurseries = scopes
        for nursery in self._lowlevel.current_task().child_nurseries[nurseries:]:
            nursery.cancel_scope.cancel()

    def leave(self, scopes: Any) -> None:
        self.cancel_tasks(scopes)
        status, _ = scopes
        task = self._lowlevel.current_task()
        while task._cancel_status is not status and status.encloses(task._cancel_status):
            task._cancel_status._scope.__exit__(None, None, None)

    def request_counter(self) -> Callable[[], int]:
        return int

    async def take_requests(self, before: int) -> None:
        """Tasks of trio's cannot be cancelled but by their scopes."""

    def call_soon(self) -> Callable[[Callable[[], object]], None]:
        token = self._lowlevel.current_trio_token()
        call: Callable[[Callable[[], object]], None] = token.run_sync_soon
        return call


class AsyncioHost:
    """asyncio, with anyio's cancel scopes on it."""

    cancelled_type: type[BaseException] = asyncio.CancelledError
    hidden: tuple[type, ...] = (asyncio.Timeout, asyncio.TaskGroup)
    harmless_answer: object = None

    @property
    def name(self) -> Literal["trio", "asyncio"]:
        return "asyncio"

    def __init__(self) -> None:
        from importlib import import_module

        backend: Any = import_module("anyio._backends._asyncio")

        self._states: Any = backend._task_states
        self.open_group: Any = anyio.create_task_group
        self.open_tasks: Any = AsyncioTasks
        self.new_scope: Any = anyio.CancelScope

    def cancelled(self) -> BaseException:
        return asyncio.CancelledError("durable scope")

    def is_harmless(self, trap: object) -> bool:
        return trap is None

    def scopes(self) -> object:
        state = self._states.get(asyncio.current_task())
        return None if state is None else state.cancel_scope

    def parking(self) -> Parking:
        return AsyncioParking()

    def is_cancelled(self, scopes: Any) -> bool:
        # None: a task of asyncio's own, in no scope of anyio's.
        return scopes is not None and bool(scopes._effectively_cancelled)

    def cancel_tasks(self, scopes: Any) -> None:
        """Groups of anyio's and asyncio's do so when whoever leaves them is cancelled."""

    def leave(self, scopes: Any) -> None:
        state = self._states.get(asyncio.current_task())
        innermost = None if state is None else state.cancel_scope
        entered: list[Any] = []
        while innermost is not None and innermost is not scopes:
            entered.append(innermost)
            innermost = innermost._parent_scope
        if innermost is not scopes:
            return

        for scope in entered:
            scope.cancel()
            scope.__exit__(None, None, None)

    def request_counter(self) -> Callable[[], int]:
        return _running_task().cancelling

    async def take_requests(self, before: int) -> None:
        task = _running_task()
        requests = task.cancelling() - before
        if requests <= 0:
            return

        try:
            # Only Python 3.13 forgets the exception when the last request is taken back.
            await asyncio.sleep(0)
        finally:
            for _ in range(requests):
                task.uncancel()

    def call_soon(self) -> Callable[[Callable[[], object]], None]:
        loop = asyncio.get_running_loop()

        def call(callback: Callable[[], object]) -> None:
            loop.call_soon_threadsafe(callback)

        return call


def _running_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


_hosts: dict[str, Host] = {}
_KINDS: Final[dict[str, Callable[[], Host]]] = {"trio": TrioHost, "asyncio": AsyncioHost}


def current_host() -> Host:
    """The host that runs the calling task."""
    name = sniffio.current_async_library()
    host = _hosts.get(name)
    if host is None:
        host = _hosts[name] = _KINDS[name]()
    return host
