"""What moves a test on when nobody has anything to do: time, or whoever's turn it is.

Owns the one task that waits until all others wait, and what it does then.

 1. Nothing happens while a task is ready or a commit is on its way.
 2. Time moves by itself only while somebody wants a result and no run body is at work.
    Otherwise it moves as far as it was asked to, and no further.
 3. A body that waits for virtual time is not at work.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio.lowlevel

from ._quiescence import wait_all_others_blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._timeline import Timeline


async def drive(
    timeline: Timeline,
    *,
    pending: Callable[[], bool],
    executing: Callable[[], int],
    wanted: Callable[[], bool],
) -> None:
    """Move time, for ever.

    ``pending`` says whether a commit is on its way, ``executing`` how many run bodies were
    entered and not left, ``wanted`` whether somebody waits for a result. Call the timeline's
    ``look_again`` when one of them may have changed.
    """
    while True:
        changed = timeline.watch()
        await wait_all_others_blocked()
        if pending():
            await anyio.lowlevel.checkpoint()
            continue

        working = executing() > timeline.sleeping_bodies
        if not _move(timeline, working=working, wanted=wanted()):
            await changed.wait()


def _move(timeline: Timeline, *, working: bool, wanted: bool) -> bool:
    """Do one thing that is possible now; False if there is none."""
    if timeline.welcome(settled=not working):
        return True

    wanted = wanted or timeline.sleeping_outside > 0
    limit = math.inf if wanted and not working else timeline.limit
    due = timeline.next_due
    if due <= limit and due < math.inf:
        timeline.move_to(due)
    elif timeline.time < timeline.limit:
        timeline.move_to(timeline.limit)
    else:
        return False
    return True
