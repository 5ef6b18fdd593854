"""How much of a connection's traffic may be of no use.

Owns the count. What is of use is the connection's to say.
"""

from __future__ import annotations


class FrameBudget:
    """Frames that may still be wasted: used up by frames, restored by time and by use."""

    __slots__ = ("_capacity", "_left", "_rate")

    def __init__(self, capacity: int, rate: float) -> None:
        self._capacity = capacity
        self._rate = rate
        self._left: float = capacity

    def spend(self, frames: int) -> None:
        """Frames were received."""
        self._left -= frames

    def restore(self, frames: float) -> None:
        """Some of them were of use."""
        self._left = min(self._capacity, self._left + frames)

    def pass_time(self, seconds: float) -> None:
        """Time has passed."""
        self.restore(seconds * self._rate)

    @property
    def used_up(self) -> bool:
        """Whether more was wasted than may be."""
        return self._left < 0
