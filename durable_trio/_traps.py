"""The only functions that ever yield to the scheduler.

1. A durable task gives up the baton by yielding one of the ``Trap`` members below.
Whatever else reaches the scheduler was meant for the host: see ``_attempt.py``.
2. What to do next (who wakes the task, how the wait is aborted) is set on the task
before it yields; nothing runs in between.
"""

from __future__ import annotations

import enum
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


class Trap(enum.Enum):
    """What a durable task yields."""

    PARK = enum.auto()
    """Wait until somebody calls the task's ``wake``."""
    TURN = enum.auto()
    """Go to the end of the ready queue."""
    ABANDON = enum.auto()
    """The task swallows its cancellation; it is never to be resumed."""


@types.coroutine
def park() -> Generator[Trap, Any, Any]:
    """Give up the baton until woken; returns what ``wake`` was given."""
    return (yield Trap.PARK)


@types.coroutine
def host(trap: object) -> Generator[object, Any, Any]:
    """Hand a trap of the host's on to the host. Only the driver of an attempt does this."""
    return (yield trap)
