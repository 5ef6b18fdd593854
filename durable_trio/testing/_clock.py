"""The clock of a test, as its user sees it.

Owns names and units. What time is, is ``_timeline``'s, when it moves ``_driver``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from durable_trio._duration import to_seconds

from ._timeline import Timeline

if TYPE_CHECKING:
    from durable_trio._duration import Duration

START: Final = 1_700_000_000.0
"""When virtual time begins, in seconds since the epoch: in November 2023."""


@final
class VirtualClock:
    """The time of a test: a day passes in no time, when everybody waits for it.

    It implements ``durable_trio.abc.Clock``. Time stands still outside of a
    ``testing.runtime``, which moves it. ``start`` is in seconds since the epoch.
    """

    def __init__(self, start: float = START) -> None:
        self._timeline = Timeline(start)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._timeline.time - self._timeline.start

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return self._timeline.time

    async def sleep_until(self, deadline: float) -> None:
        """Return when ``now()`` has reached ``deadline``. Cancellable, wakes once."""
        await self._timeline.sleep_until(deadline)

    async def sleep(self, duration: Duration) -> None:
        """Take this long: for run bodies and stand-ins that are slow, and for the test itself.

        Seconds or ``timedelta``. Time passes as for a durable timer: when nothing else is
        left to do.
        """
        await self._timeline.sleep(to_seconds(duration, "duration"))

    async def advance(self, duration: Duration) -> None:
        """Let this much time pass, whoever wants it, and everybody do what comes due meanwhile.

        Seconds or ``timedelta``. A run body in a thread, or one that waits for something outside
        of this process, is waited for first; one that waits for an event in here is not.
        """
        timeline = self._timeline
        target = timeline.time + to_seconds(duration, "duration")
        timeline.limit = max(timeline.limit, target)
        await timeline.arrive(target)

    async def settle(self) -> None:
        """Return when everybody has done what there is to do by now, run bodies included."""
        await self._timeline.arrive(None)


def timeline_of(clock: VirtualClock) -> Timeline:
    """What is behind a clock."""
    return clock._timeline  # its own module
