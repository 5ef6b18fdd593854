"""What moves a test on when nobody has anything to do: time, or whoever's turn it is.

Owns the one task that waits until all others wait, and what it does then.

 1. Nothing happens while a task is ready or a commit is on its way.
 2. Time moves by itself only while somebody wants a result and no run body is at work.
    Otherwise it moves as far as it was asked to, and no further.
 3. A body that waits for virtual time is not at work. One that waits for an event of this
    process is, but does not hold up time that was asked to move; one that the host works
    for (a thread, a socket) does.
 4. Before time moves by itself, those are told who wait in vain whatever comes. That nothing
    comes any more is said only where nobody else could act: no body, no host, no thread, no
    other runtime in this process.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import attrs

from ._quiescence import strangers_may_act, wait_all_others_blocked, waits_for_the_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._timeline import Timeline


LOOK_AGAIN: Final = 0.002
"""Seconds of real time after which a test that waits for the host is looked at again."""

_SELDOM: Final = 0.1
"""How long that becomes for one that waits for nothing else, and does not look at the time."""

_driving: Final[set[Timeline]] = set()


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
    tell: Callable[[bool], bool],
) -> None:
    """Move time, for ever.

    ``pending`` says whether a commit is on its way, ``executing`` how many run bodies were
    entered and not left, ``wanted`` whether somebody waits for a result. Call the timeline's
    ``look_again`` when one of them may have changed. ``tell`` tells those who wait in vain, and
    whether there are any; it is told whether nothing is left to come.
    """
    _driving.add(timeline)
    try:
        patience = LOOK_AGAIN
        while True:
            rest = await until_rest(timeline, pending, executing)
            moved = not (rest.bodies and rest.host) and _move(timeline, rest, wanted, tell)
            if moved:
                patience = LOOK_AGAIN
            elif rest.host and (rest.bodies or wanted()):
                # What the host does changes nothing here: a body may begin to wait for something
                # else, or nobody act any more.
                with anyio.move_on_after(LOOK_AGAIN if rest.bodies else patience):
                    await rest.changed.wait()
                patience = min(2 * patience, _SELDOM)
            else:
                await rest.changed.wait()
    finally:
        _driving.discard(timeline)


def _move(
    timeline: Timeline, rest: Rest, wanted: Callable[[], bool], tell: Callable[[bool], bool]
) -> bool:
    """Do one thing that is possible now; False if there is none."""
    working = rest.bodies
    if timeline.welcome(settled=not working) or (not working and tell(False)):
        return True

    if _pass(timeline, working=working, wanted=wanted()):
        return True

    alone = len(_driving) == 1 and not (working or rest.host or strangers_may_act())
    return alone and tell(True)


def _pass(timeline: Timeline, *, working: bool, wanted: bool) -> bool:
    """Let time pass; False if there is nothing that it could pass for."""
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
