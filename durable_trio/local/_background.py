"""The tasks of a runtime: attempts, effects, timers.

Owns the group they run in, and how anybody adds to it.

 1. Tasks may be added from anywhere on the loop. Commits are reported outside of any task,
    and asyncio has no task group start one there, so they wait for the next turn.
 2. The group is shielded: cancelling whoever entered the runtime cancels nothing in here.
    Attempts end when the runtime says so.
 3. An error in a task is handed to ``fail`` and ends nothing else.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from durable_trio._host import current_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._host import HostScope


class Background:
    """See the module's docstring."""

    __slots__ = ("_closing", "_fail", "_group", "_new", "_scope", "_waiting")

    def __init__(self, fail: Callable[[Exception], None]) -> None:
        self._fail = fail
        self._group: Any = None
        self._scope: HostScope | None = None
        self._waiting: deque[Callable[[], Awaitable[object]]] = deque()
        self._new: anyio.Event | None = None
        self._closing = False

    async def open(self) -> None:
        """Tasks run from now on. It neither waits nor fails."""
        self._group = current_host().open_group()
        group = await self._group.__aenter__()
        group.start_soon(self._serve)

    def spawn(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run a task."""
        self._waiting.append(work)
        if self._new is not None:
            self._new.set()

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        self._closing = True
        if self._scope is not None:
            self._scope.cancel()
        await self._group.__aexit__(None, None, None)

    async def _serve(self) -> None:
        with anyio.CancelScope(shield=True):
            async with current_host().open_group() as group:
                self._scope = group.cancel_scope
                while not self._closing:
                    while self._waiting:
                        group.start_soon(self._guarded, self._waiting.popleft())
                    self._new = anyio.Event()
                    await self._new.wait()

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as error:  # whatever it is, it ends the runtime
            self._fail(error)
