"""A clock that jumps to the next deadline as soon as nothing else is left to do.

Owns the time and who waits for it. Who may want time to pass is told to it by functions;
whether tasks are ready is asked of ``_quiescence``.

 1. Time never moves while a task is ready or a commit is pending, and moves by itself only
    while somebody wants a result and no run body executes. Otherwise it moves as far as
    ``advance`` was asked to, and no further.
 2. It moves from deadline to deadline: whoever was woken has done everything there was to
    do before it moves again. It never moves back.
 3. One task moves it. Everybody else waits for events, and so has nothing to do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from durable_trio._duration import to_seconds

from ._quiescence import wait_all_others_blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._duration import Duration

START: Final = 1_700_000_000.0
"""When virtual time begins, in seconds since the epoch: in November 2023."""


class VirtualClock:
    """The time of a test: a day passes in no time, when everybody waits for it.

    It implements ``durable_trio.abc.Clock``. Time stands still until ``drive`` runs, which
    ``testing.runtime`` takes care of. ``start`` is in seconds since the epoch.
    """

    def __init__(self, start: float = START) -> None:
        self._start = start
        self._time = start
        self._limit = start
        self._sleepers: dict[anyio.Event, float] = {}
        self._arrivals: list[tuple[float | None, anyio.Event]] = []
        self._changed: anyio.Event | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._time - self._start

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return self._time

    async def sleep_until(self, deadline: float) -> None:
        """Return when ``now()`` has reached ``deadline``. Cancellable, wakes once."""
        if deadline <= self._time:
            await anyio.lowlevel.checkpoint()
            return

        woken = anyio.Event()
        self._sleepers[woken] = deadline
        self.look_again()
        try:
            await woken.wait()
        finally:
            self._sleepers.pop(woken, None)

    async def advance(self, duration: Duration) -> None:
        """Let this much time pass, whoever wants it, and everybody do what comes due meanwhile.

        Seconds or ``timedelta``. A run body that waits for something real does not hold it up.
        """
        target = self._time + to_seconds(duration, "duration")
        self._limit = max(self._limit, target)
        await self._arrive(target)

    async def settle(self) -> None:
        """Return when everybody has done what there is to do by now, run bodies included."""
        await self._arrive(None)

    async def _arrive(self, target: float | None) -> None:
        arrival = target, anyio.Event()
        self._arrivals.append(arrival)
        self.look_again()
        try:
            await arrival[1].wait()
        finally:
            if arrival in self._arrivals:
                self._arrivals.remove(arrival)

    def look_again(self) -> None:
        """Something has changed that decides whether time may move."""
        if self._changed is not None:
            self._changed.set()

    async def drive(
        self,
        *,
        pending: Callable[[], bool],
        executing: Callable[[], bool],
        wanted: Callable[[], bool],
    ) -> None:
        """Move time, for ever.

        ``pending`` says whether a commit is on its way, ``executing`` whether a run body is
        at work, ``wanted`` whether somebody waits for a result. Call ``look_again`` when one
        of them may have changed.
        """
        while True:
            self._changed = anyio.Event()
            await wait_all_others_blocked()
            if pending():
                await anyio.lowlevel.checkpoint()
            elif not self._move(executing=executing(), wanted=wanted()):
                await self._changed.wait()

    def _move(self, *, executing: bool, wanted: bool) -> bool:
        """Do one thing that is possible now; False if there is none."""
        for target, arrived in self._arrivals:
            if (not executing) if target is None else target <= self._time:
                self._arrivals.remove((target, arrived))
                arrived.set()
                return True

        limit = math.inf if wanted and not executing else self._limit
        due = min(self._sleepers.values(), default=math.inf)
        if due <= limit and due < math.inf:
            self._move_to(due)
        elif self._time < self._limit:
            self._move_to(self._limit)
        else:
            return False
        return True

    def _move_to(self, time: float) -> None:
        self._time = max(self._time, time)
        for sleeper, deadline in list(self._sleepers.items()):
            if deadline <= self._time:
                del self._sleepers[sleeper]
                sleeper.set()
