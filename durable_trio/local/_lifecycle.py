"""How a runtime opens, fails and ends.

Owns the order of opening and ending, and the scope around the block of whoever entered
the runtime. What runs in the background is in ``_background.py``.

 1. Opening is opening the store and recovering. If that fails nothing is left behind.
 2. A failure (of the store, or a bug of ours) aborts all attempts, answers everybody who
    waits, cancels the block, and leaves the ``async with`` as itself, not in a group.
 3. Ending is graceful, even if the block was cancelled: run bodies may finish, attempts
    suspend, what is left after the grace period is torn down. All of it goes on at the
    next opening. The store is closed last, with everything that was queued.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from durable_trio._exceptions import ClosedResourceError

from ._background import Background
from ._dispatch import Dispatcher
from ._engine import Engine
from ._ids import Ids
from ._live import Phase
from ._recovery import recover
from ._residency import Residency
from ._timers import TimerQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from durable_trio._registry import ServiceRegistry
    from durable_trio.abc import Clock, JournalStore


class Lifecycle:
    """See the module's docstring."""

    def __init__(
        self,
        registry: ServiceRegistry,
        store: JournalStore,
        clock: Clock,
        *,
        unload_after: float,
        max_active: int,
        seed: int | None,
    ) -> None:
        timers = TimerQueue(store, clock)
        self._background = Background(self.fail)
        self.engine = Engine(
            store, clock, registry, timers, self._background.spawn, self.fail, Ids(seed)
        )
        self.residency = Residency(clock, limit=max_active, unload_after=unload_after)
        self.dispatcher = Dispatcher(self.engine, self.residency)
        self._block: anyio.CancelScope | None = None
        self._until_stopped: list[anyio.CancelScope] = []

    async def open(self) -> None:
        """Open the store, start what runs in the background, and recover."""
        engine = self.engine
        await engine.store.__aenter__()
        await self._background.open()
        self._block = anyio.CancelScope()
        self._block.__enter__()
        try:
            engine.spawn(self._watch_store)
            await recover(engine, self.dispatcher)
            fire = partial(engine.timers.run, self.dispatcher.fire)
            for work in (self.residency.sweep, fire):
                engine.spawn(partial(self._run_until_stopped, work))
        except BaseException as error:
            await self.close(0, type(error), error, error.__traceback__)
            raise

    async def drain(self, grace: float) -> None:
        """Stop: let run bodies finish for ``grace`` seconds, suspend everybody, tear down the rest."""
        engine = self.engine
        engine.stopping = True
        for scope in self._until_stopped:
            scope.cancel()
        for live in list(engine.lives.values()):
            live.deaf = True
            self.residency.unload(live)
        with anyio.move_on_after(grace):
            await self.residency.vacant()
        for live in list(engine.lives.values()):
            if live.scope is not None:
                live.scope.cancel()
        await self.residency.vacant()
        engine.observers.fail(
            ClosedResourceError(
                "the runtime is closed and the invocation has not ended; it goes on when its store "
                "is opened again: attach to it then"
            )
        )

    async def close(
        self,
        grace: float,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the block. Raises the failure, if there was one."""
        assert self._block is not None
        block, self._block = self._block, None
        try:
            handled = bool(block.__exit__(exc_type, exc, traceback))
        finally:
            await self._end(grace)
        # Whatever else an error of the block was, it came from the failure. Cancellation of the
        # block from outside, and what ends the process, goes before it.
        failure = self.engine.failure
        if failure is not None and failure is not exc and (handled or _is_error(exc)):
            raise failure

    def fail(self, error: Exception) -> None:
        """Nothing can go on: tell everybody, and cancel the block."""
        engine = self.engine
        if engine.failure is not None:
            return

        engine.failure = error
        engine.stopping = True
        for live in list(engine.lives.values()):
            if live.attempt is not None and live.phase is not Phase.LOADING:
                live.attempt.abort(error)
        engine.observers.fail(error)
        if self._block is not None:
            self._block.cancel()

    async def _end(self, grace: float) -> None:
        try:
            if self.engine.failure is None:
                with anyio.CancelScope(shield=True):
                    await self.drain(grace)
        finally:
            self.engine.stopping = True
            try:
                await self._background.close()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._close_store()

    async def _close_store(self) -> None:
        try:
            await self.engine.store.__aexit__(None, None, None)
        except Exception as error:  # reported as the failure it is
            self.fail(error)

    async def _watch_store(self) -> None:
        self.fail(await self.engine.store.failed())

    async def _run_until_stopped(self, work: Callable[[], Awaitable[object]]) -> None:
        with anyio.CancelScope() as scope:
            self._until_stopped.append(scope)
            if not self.engine.stopping:
                await work()


def _is_error(exc: BaseException | None) -> bool:
    return isinstance(exc, Exception) or exc is None
