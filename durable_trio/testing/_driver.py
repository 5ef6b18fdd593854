"""What moves a test on when nobody has anything to do: time, or whoever's turn it is.

Owns the one task that waits until all others wait, and what it does then.

 1. Nothing happens while a task is ready or a commit is on its way.
 2. Time moves by itself only while somebody wants a result and no run body is at work.
    Otherwise it moves as far as it was asked to, and no further.
 3. A body that waits for virtual time is not at work. One that waits for an event of this
    process is, but does not hold up time that was asked to move; one that the host works
    for (a thread, a socket) does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import attrs

from ._quiescence import wait_all_others_blocked, waits_for_the_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._timeline import Timeline


LOOK_AGAIN: Final = 0.002
"""Seconds of real time after which a test that waits for the host is looked at again."""


@attrs.frozen
class Rest:
    """A moment in which no task is ready and no commit is on its way."""

    changed: anyio.Event
    """Set when it is over."""
    bodies: bool
    """Whether a run body is at work: entered, not left, and not waiting for virtual time."""
    host: bool
    """Whether the host works for somebody: a thread, a socket."""


async def until_rest(
    timeline: Timeline, pending: Callable[[], bool], executing: Callable[[], int]
) -> Rest:
    """Return when all other tasks wait; see ``drive`` for what it is told."""
    while True:
        changed = timeline.watch()
        # What the host was waited for may have come, and nobody has been told yet.
        waited = waits_for_the_host()
        await wait_all_others_blocked()
        if not pending():
            bodies = executing() > timeline.sleeping_bodies
            return Rest(changed, bodies, waited or waits_for_the_host())

        await anyio.lowlevel.checkpoint()


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
        rest = await until_rest(timeline, pending, executing)
        if rest.bodies and rest.host:
            with anyio.move_on_after(LOOK_AGAIN):  # a body may begin to wait for something else
                await rest.changed.wait()
        elif not _move(timeline, working=rest.bodies, wanted=wanted()):
            await rest.changed.wait()


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
