"""Waiting until nobody has anything to do.

Owns the question whether any other task of the loop is ready, which each host answers in
its own way. What counts as work besides tasks (commits, run bodies) is the clock's.

 1. Whoever waits here counts as having nothing to do, so that several may wait at once.
 2. A task that waits for real time, a thread or a connection has nothing to do.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakSet

import anyio
import anyio.lowlevel
import sniffio

_watching: Final[WeakSet[asyncio.Task[Any]]] = WeakSet()


async def wait_all_others_blocked() -> None:
    """Return when every other task of this event loop waits for something."""
    if sniffio.current_async_library() == "trio":
        await anyio.wait_all_tasks_blocked()
        return

    # anyio's own sleeps for a tenth of a second whenever it finds a task that is ready.
    task = asyncio.current_task()
    assert task is not None
    _watching.add(task)
    try:
        quiet = 0
        while quiet < 2:  # callbacks of the turn before may have made somebody ready
            await anyio.lowlevel.checkpoint()
            quiet = 0 if any(map(_is_ready, asyncio.all_tasks())) else quiet + 1
    finally:
        _watching.discard(task)


def _is_ready(task: asyncio.Task[Any]) -> bool:
    if task in _watching:
        return False

    # The one place where asyncio says what a task waits for.
    waits_for: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    return waits_for is None or waits_for.done()
