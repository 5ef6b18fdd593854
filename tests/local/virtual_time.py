"""A clock that jumps to the next deadline as soon as nothing else is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from durable_trio import StoreError, UsageError

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

START = 1_000_000.0


class VirtualClock:
    """Time passes only while everybody waits: for it, or for nothing that will ever come."""

    def __init__(self, store: JournalStore) -> None:
        self._store = store
        self._deadlines: list[float] = []
        self._looks = 0
        self.time = START
        self.stopped = False
        """Whether time stands still, so that a test can look at who waits for it."""
        self.longest_jump = 7200.0
        """Retention is a day; results must not expire while a test is about to ask for them."""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self.time - START

    def now(self) -> float:
        self._looks += 1
        return self.time

    async def sleep_until(self, deadline: float) -> None:
        self._deadlines.append(deadline)
        try:
            while self.time < deadline:
                await self.settle()
                if (
                    not self.stopped
                    and deadline == min(self._deadlines)
                    and deadline - self.time <= self.longest_jump
                ):
                    self.time = max(self.time, deadline)
        finally:
            self._deadlines.remove(deadline)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody do what is due."""
        self.time += seconds
        while any(deadline <= self.time for deadline in self._deadlines):
            # Each settles for itself before it sees that its time has come.
            await self.settle()
        await self.settle()

    async def settle(self) -> None:
        """Return when everybody has done what there was to do: nobody looks at the clock."""
        # Reading an invocation takes several turns of the store, in which nobody looks.
        quiet = 0
        while quiet < 8:
            looks = self._looks
            for _ in range(20):
                await checkpoint()
            try:
                await self._store.sync()
            except (StoreError, UsageError):
                # Failed or closed: nothing of it is left to be done.
                await checkpoint()
            quiet = quiet + 1 if looks == self._looks else 0
