"""The wall clock.

1. Waiting is for a time, not for a length of time: the wall clock is looked at again at
   least every ``_LOOK_AGAIN`` seconds, so that a clock that is set, or a machine that
   slept, delays a timer by no more than that.
2. A clock that is set back makes timers later, as it would anybody's alarm clock.
"""

from __future__ import annotations

import time
from typing import Final

import anyio

_LOOK_AGAIN: Final = 15.0


class SystemClock:
    """The time of this machine, in seconds since the epoch."""

    __slots__ = ()

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return time.time()

    async def sleep_until(self, deadline: float) -> None:
        """Return when ``now()`` has reached ``deadline``. Cancellable, wakes once."""
        while (remaining := deadline - time.time()) > 0:  # noqa: ASYNC110  # nobody sets an event
            await anyio.sleep(min(remaining, _LOOK_AGAIN))
