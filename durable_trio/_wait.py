"""Waiting in a durable task for anything that is not a future: the primitives' side.

Owns the cancellation check and the interruptible park, with trio's rule: a wait either
succeeds or is cancelled, never both. Also ``sleep`` and ``checkpoint``.
"""

from __future__ import annotations

import math
import types
from typing import TYPE_CHECKING, Any

from ._task import running_task
from ._traps import Trap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ._task import DurableTask


def _nothing_to_undo() -> bool:
    return True


@types.coroutine
def check_cancelled(task: DurableTask) -> Generator[Trap, Any, None]:
    """Raise the host's cancelled exception if the task is cancelled."""
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)


@types.coroutine
def wait(
    task: DurableTask, undo: Callable[[], bool] = _nothing_to_undo
) -> Generator[Trap, Any, Any]:
    """Park until woken, and return what ``wake`` was given. Call ``check_cancelled`` first.

    ``undo`` is called when the wait is cancelled instead, before the exception is raised.
    """
    task.abort = undo
    value = yield Trap.PARK
    task.cancellations = 0
    return value


@types.coroutine
def checkpoint() -> Generator[Trap, Any, None]:
    """Let all other ready durable tasks run, and raise if cancelled. Journals nothing.

    Polling with it for a result fails as a busy wait: results arrive when every task waits.
    """
    task = running_task("checkpoint")
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)
    yield Trap.TURN
    if task.scheduler.is_cancelled(task):
        yield from task.scheduler.refuse(task)
    task.cancellations = 0


async def sleep(seconds: float) -> None:
    """Sleep durably, for ``seconds``: a journaled timer, which goes on while no process runs.

    A replay waits for the rest of the time, or not at all. ``ValueError`` for a negative time.
    """
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(f"a sleep is a number of seconds from 0 on, got {seconds!r}")

    await sleep_until(running_task("sleep").scheduler.now() + seconds)


async def sleep_until(deadline: float) -> None:
    """Sleep durably until a time in seconds since the epoch; a past one is over at once."""
    task = running_task("sleep_until")
    if math.isnan(deadline):
        raise ValueError("a sleep ends at a time in seconds since the epoch, got nan")

    if deadline == math.inf:
        await sleep_forever()

    await check_cancelled(task)
    timer, _ = task.scheduler.start_timer(deadline, "sleep")
    await timer


async def sleep_forever() -> None:
    """Wait until cancelled. Journals nothing; while all wait like this the invocation is suspended."""
    task = running_task("sleep_forever")
    await check_cancelled(task)
    while True:
        await wait(task)
