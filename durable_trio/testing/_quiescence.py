"""Waiting until nobody has anything to do.

Owns the questions whether any other task of the loop is ready, and whether the loop waits
for something outside of the process, which each host answers in its own way. What counts as
work besides tasks (commits, run bodies) is the driver's.

 1. Whoever waits here counts as having nothing to do, so that several may wait at once.
 2. A task that waits for real time, a thread or a connection has nothing to do, but the
    loop waits for the host then. When it does not, nobody will ever be ready again.
"""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any, Final
from weakref import WeakSet

import anyio
import anyio.lowlevel
import anyio.to_thread
import sniffio

_HARMLESS: Final = ("AnyIO worker thread", "Trio thread", "pytest_timeout")
"""What threads are called whose work is counted, and one that only watches."""

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


def waits_for_the_host() -> bool:
    """Whether anybody on this loop waits for real time, a thread or a file descriptor.

    True as well if that cannot be told.
    """
    if anyio.to_thread.current_default_thread_limiter().borrowed_tokens:
        return True

    if sniffio.current_async_library() == "trio":
        return _trio_waits()

    loop: Any = asyncio.get_running_loop()
    timers = getattr(loop, "_scheduled", None)
    selector = getattr(loop, "_selector", None)
    if timers is None or selector is None or getattr(loop, "_default_executor", True) is not None:
        return True

    # To sleep for ever is to sleep until infinity here. A timer that came due in this turn of the
    # loop stands behind the caller, and has done nothing yet. And the loop itself reads one end
    # of a pair of sockets, to be woken from other threads.
    due = (each for each in getattr(loop, "_ready", ()) if isinstance(each, asyncio.TimerHandle))
    sleeping = any(not timer.cancelled() and timer.when() < math.inf for timer in (*timers, *due))
    return sleeping or len(selector.get_map()) > 1


def strangers_may_act() -> bool:
    """Whether there are threads that may make somebody ready and that no loop counts.

    Such as that of a driver of a database, or the one from which a portal to this loop is used.
    """
    return any(
        thread is not threading.current_thread() and not thread.name.startswith(_HARMLESS)
        for thread in threading.enumerate()
    )


def _trio_waits() -> bool:
    import trio

    if trio.to_thread.current_default_thread_limiter().borrowed_tokens:
        return True

    statistics = trio.lowlevel.current_statistics()
    io: Any = statistics.io_statistics
    # A task of trio's own waits to be woken from other threads.
    reading = getattr(io, "tasks_waiting_read", 2)
    return (
        statistics.seconds_to_next_deadline != math.inf
        or reading > 1
        or getattr(io, "tasks_waiting_write", 0) > 0
    )
