"""Who stays in memory: how many attempts at once, and for how long an idle one.

Owns the count of places and the order of idleness. It loads and unloads nobody itself:
an attempt that is asked to suspend does so, and its place becomes free.

 1. At most ``limit`` invocations have a place; the dispatcher keeps the others waiting.
 2. An attempt that has been idle for ``unload_after`` seconds is asked to suspend, and
    sooner while others wait for a place: those that were idle for longest first. So waiting
    invocations cannot use up all the places.
 3. An attempt whose run body executes is never idle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import anyio

from ._live import Phase

if TYPE_CHECKING:
    from durable_trio.abc import Clock

    from ._live import LiveInvocation


class Residency:
    """See the module's docstring."""

    __slots__ = (
        "_clock",
        "_closing",
        "_idle",
        "_limit",
        "_nap",
        "_places",
        "_unload_after",
        "_vacant",
        "_waiting",
    )

    def __init__(self, clock: Clock, *, limit: int, unload_after: float) -> None:
        self._clock = clock
        self._limit = limit
        self._unload_after = unload_after
        self._places = 0
        self._waiting = 0
        self._vacant: anyio.Event | None = None
        self._idle: dict[LiveInvocation, float] = {}
        self._closing: set[LiveInvocation] = set()
        self._nap: anyio.CancelScope | None = None

    # -- places

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return self._places >= self._limit

    def enter(self) -> None:
        """Take a place."""
        self._places += 1

    def leave(self) -> None:
        """Give a place back."""
        self._places -= 1
        if not self._places and self._vacant is not None:
            self._vacant.set()
            self._vacant = None

    async def vacant(self) -> None:
        """Wait until no place is taken."""
        while self._places:
            if self._vacant is None:
                self._vacant = anyio.Event()
            await self._vacant.wait()

    def press(self, waiting: int) -> None:
        """So many wait for a place: ask as many idle ones to suspend."""
        self._waiting = waiting
        while self._idle and len(self._closing) < waiting:
            self.unload(next(iter(self._idle)))

    # -- idleness

    def busy(self, live: LiveInvocation) -> None:
        """It is not idle."""
        self._idle.pop(live, None)

    def idle(self, live: LiveInvocation) -> None:
        """It waits for something to arrive, from now on."""
        idle = self._idle
        if len(self._closing) < self._waiting:
            self.unload(live)
            return

        if idle.pop(live, None) is None and not idle and self._nap is not None:
            self._nap.cancel()
        idle[live] = self._clock.now()

    def unload(self, live: LiveInvocation) -> None:
        """Ask its attempt to suspend."""
        self._idle.pop(live, None)
        if live.phase is Phase.RUNNING and live.attempt is not None:
            live.phase = Phase.CLOSING
            self._closing.add(live)
            live.attempt.close_input()

    def ended(self, live: LiveInvocation) -> None:
        """Its attempt has ended."""
        self._idle.pop(live, None)
        self._closing.discard(live)

    async def sweep(self) -> None:
        """Unload who has been idle for too long, for ever."""
        if self._unload_after == math.inf:
            return

        while True:
            with anyio.CancelScope() as self._nap:
                if not self._idle:
                    await anyio.sleep_forever()
                await self._clock.sleep_until(next(iter(self._idle.values())) + self._unload_after)
            self._nap = None
            now = self._clock.now()
            for live, since in list(self._idle.items()):
                if since + self._unload_after > now:
                    break
                self.unload(live)
