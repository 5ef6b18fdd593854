"""Who waits where, of a store in memory.

Owns both directions: the waiters of a place, in order of arrival, and the places of a
waiter. A place is an invocation's id, or a promise's service, key and name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from durable_trio import abc

Place: TypeAlias = tuple[str, ...]


class Waiters:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._waiters: dict[Place, dict[abc.Waiter, None]] = {}
        self._places: dict[abc.Waiter, dict[Place, None]] = {}

    def put(self, waiter: abc.Waiter, *place: str) -> None:
        self._waiters.setdefault(place, {})[waiter] = None
        self._places.setdefault(waiter, {})[place] = None

    def at(self, *place: str) -> tuple[abc.Waiter, ...]:
        return tuple(self._waiters.get(place, ()))

    def places(self, waiter: abc.Waiter) -> tuple[Place, ...]:
        return tuple(self._places.get(waiter, ()))

    def clear(self, *place: str) -> None:
        for waiter in self.at(*place):
            self._leave(waiter, place)

    def leave(self, waiter: abc.Waiter) -> None:
        for place in self.places(waiter):
            self._leave(waiter, place)

    def _leave(self, waiter: abc.Waiter, place: Place) -> None:
        waiters, places = self._waiters[place], self._places[waiter]
        del waiters[waiter], places[place]
        if not waiters:
            del self._waiters[place]
        if not places:
            del self._places[waiter]
