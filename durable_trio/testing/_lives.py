"""One process after another over the same store: what a crash is in a test.

Owns the task in which the parts of a runtime are opened, live, die and are made again, and
the question whether they are alive. Who asked for a crash, and where, is not known here.

 1. One life is one ``Lifecycle``. All of them are opened and closed by the same task, so
    that cancel scopes nest as they have to.
 2. A crash that was asked for is followed by the next life. Any other failure ends them, and
    is told to whoever entered the runtime.
 3. From the moment of the crash until the next life has opened, nobody is alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio

from durable_trio._exceptions import StoreWriteError
from durable_trio._host import current_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from durable_trio._host import TaskGroup
    from durable_trio.local._lifecycle import Lifecycle

    from ._memory import MemoryStore


@final
class Lives:
    """See the module's docstring.

    ``begin`` makes the parts of the next life; ``grace`` tells for how long its end waits for
    run bodies, in real seconds.
    """

    def __init__(
        self, store: MemoryStore, begin: Callable[[], Lifecycle], grace: Callable[[], float]
    ) -> None:
        self._store = store
        self._grace = grace
        self._begin = begin
        self._group: Any = None
        self._tasks: TaskGroup | None = None
        self._alive = anyio.Event()
        self._closing = anyio.Event()
        self._ended = anyio.Event()
        self._crash: StoreWriteError | None = None
        self._block: anyio.CancelScope | None = None
        self.number: int = 0
        """Which life this is, counted from 1."""
        self.failure: Exception | None = None
        """Why there is no next life."""

    # -- as a block

    async def open(self, *beside: Callable[[], Awaitable[object]]) -> None:
        """Begin the first life; ``beside`` runs outside of all of them, until the end."""
        self._group = current_host().open_group()
        self._tasks = await self._group.__aenter__()
        assert self._tasks is not None
        for work in beside:
            self._tasks.start_soon(self._guarded, work)
        self._tasks.start_soon(self._live)
        try:
            await self.alive()
        except BaseException:
            await self._leave()
            raise

        self._block = anyio.CancelScope()
        self._block.__enter__()

    async def close(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the last life. Raises the failure, if there was one."""
        assert self._block is not None
        block, self._block = self._block, None
        try:
            handled = bool(block.__exit__(exc_type, exc, traceback))
        finally:
            await self._leave()
        failure = self.failure
        if failure is not None and failure is not exc and (handled or _is_error(exc)):
            raise failure

    async def _leave(self) -> None:
        self._closing.set()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        assert self._tasks is not None
        self._tasks.cancel_scope.cancel()
        await self._group.__aexit__(None, None, None)

    # -- crashes

    def crash(self) -> None:
        """Kill the process now: nothing more is committed, and the next life begins."""
        if self._crash is None:
            self._alive = anyio.Event()
            self._crash = StoreWriteError("the test killed the process here")
            self._store.crash(self._crash)

    async def alive(self) -> int:
        """Wait until somebody lives; returns which life it is. Raises why nobody will."""
        while not self._alive.is_set():
            await self._alive.wait()
        if self.failure is not None:
            raise self.failure

        return self.number

    def is_over(self, life: int) -> bool:
        """Whether this life was ended by a crash."""
        return self.number != life or self._crash is not None

    async def _live(self) -> None:
        try:
            while await self._one_life():
                pass
        finally:
            self._ended.set()

    async def _one_life(self) -> bool:
        """True: it ended in a crash."""
        try:
            async with _Opened(self._begin(), self._grace):
                self.number += 1
                self._alive.set()
                await self._closing.wait()
        except Exception as error:
            if error is self._crash:
                self._crash = None
                return True

            self.fail(error)
        return False

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # whatever it is, it is the test's
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """There is no next life, and the block is cancelled."""
        if self.failure is None:
            self.failure = error
        self._closing.set()
        self._alive.set()
        if self._block is not None:
            self._block.cancel()


class _Opened:
    """A ``Lifecycle`` as a block."""

    def __init__(self, lifecycle: Lifecycle, grace: Callable[[], float]) -> None:
        self._lifecycle = lifecycle
        self._grace = grace

    async def __aenter__(self) -> None:
        await self._lifecycle.open()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._lifecycle.close(self._grace(), exc_type, exc, traceback)


def _is_error(exc: BaseException | None) -> bool:
    return isinstance(exc, Exception) or exc is None
