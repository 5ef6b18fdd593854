"""Virtual time: what it is, who waits for it, and how it moves.

Owns the time and its sleepers. Who decides that it moves is a driver's (``_driver.py``).

 1. It moves from deadline to deadline and never back: whoever was woken has done everything
    there was to do before it moves again.
 2. Everybody waits for events, and so has nothing to do until time moves.
"""

from __future__ import annotations

import math

import anyio
import anyio.lowlevel

from durable_trio._run import RunInfo
from durable_trio._task import current


class Timeline:
    """See the module's docstring."""

    def __init__(self, start: float) -> None:
        self.start: float = start
        self.time: float = start
        self.limit: float = start
        """How far it was asked to move, whoever wants it."""
        self.sleeping_bodies: int = 0
        """How many run bodies wait for it."""
        self.sleeping_outside: int = 0
        """How many sleep that belong to no invocation: the test's own tasks."""
        self._sleepers: dict[anyio.Event, float] = {}
        self._arrivals: list[tuple[float | None, anyio.Event]] = []
        self._changed: anyio.Event | None = None

    # -- waiting

    async def sleep_until(self, deadline: float) -> None:
        """Return when the time has come. Cancellable, wakes once."""
        if deadline <= self.time:
            await anyio.lowlevel.checkpoint()
            return

        woken = anyio.Event()
        self._sleepers[woken] = deadline
        self.look_again()
        try:
            await woken.wait()
        finally:
            self._sleepers.pop(woken, None)

    async def sleep(self, seconds: float) -> None:
        """Let time pass, for a run body or a task of the test's."""
        inside = isinstance(current.get(None), RunInfo)
        self.sleeping_bodies += inside
        self.sleeping_outside += not inside
        try:
            await self.sleep_until(self.time + seconds)
        finally:
            self.sleeping_bodies -= inside
            self.sleeping_outside -= not inside

    async def arrive(self, target: float | None) -> None:
        """Return when time has moved to ``target``, or when nobody has anything to do (None)."""
        arrival = target, anyio.Event()
        self._arrivals.append(arrival)
        self.look_again()
        try:
            await arrival[1].wait()
        finally:
            if arrival in self._arrivals:
                self._arrivals.remove(arrival)

    # -- for the driver

    def watch(self) -> anyio.Event:
        """An event that is set at the next ``look_again``."""
        self._changed = anyio.Event()
        return self._changed

    def look_again(self) -> None:
        """Something has changed that decides what comes next."""
        if self._changed is not None:
            self._changed.set()

    @property
    def asked(self) -> bool:
        """Whether the test itself waits for a time, or until all is done: it is going to act."""
        return bool(self._arrivals) or self.sleeping_outside > 0

    @property
    def next_due(self) -> float:
        """The next deadline; infinite if nobody sleeps."""
        return min(self._sleepers.values(), default=math.inf)

    def welcome(self, *, settled: bool) -> bool:
        """Let go one who has arrived; False if there is none."""
        for target, arrived in self._arrivals:
            if settled if target is None else target <= self.time:
                self._arrivals.remove((target, arrived))
                arrived.set()
                return True

        return False

    def move_to(self, time: float) -> None:
        """Move to a time, and wake everybody whose deadline it is."""
        self.time = max(self.time, time)
        for sleeper, deadline in list(self._sleepers.items()):
            if deadline <= self.time:
                del self._sleepers[sleeper]
                sleeper.set()
