"""Every order of events that makes a difference, one after the other.

Owns the search: which order to try next, given what those tried before touched. It knows no
runtime; an event is a key, and what it touched a set.

 1. Dynamic partial-order reduction: after each run, for every two events in it that do not
    commute and whose order was no consequence of others, the other order is tried as well.
    What one event prevents does not commute with it.
 2. Sleep sets: what was tried at a place is not tried again behind an event that commutes
    with it. So two orders are tried only if they differ in events that do not commute.
 3. It is exhaustive if two events that touch nothing in common really commute, and if the
    same choices give the same events.

A node is a place in the order of the run that is being looked at: what could happen there,
what did, and what is still to be tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from ._footprints import Resource, commute

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from ._footprints import Footprint

Key: TypeAlias = "Hashable"


@attrs.define(eq=False)
class _Node:
    enabled: Sequence[Key]
    chosen: Key
    sleeping: dict[Key, Footprint]
    """Events that need not be tried here, and what they touch."""
    footprint: Footprint = attrs.field(factory=set[Resource])
    wanted: set[Key] = attrs.field(factory=set[Key])
    """Events to be tried here."""
    tried: dict[Key, Footprint] = attrs.field(factory=dict[Key, "Footprint"])
    created: set[Key] = attrs.field(factory=set[Key])
    """Events that came into being because of this one."""


class Search:
    """See the module's docstring. ``begin``, then ``choose`` at every place, then ``end``."""

    def __init__(self) -> None:
        self._path: list[_Node] = []
        self._place = 0
        self._asleep = False
        self._possible_at_last: Sequence[Key] = ()
        """What could still happen where a run turned out to be like one that was tried."""
        self.finished: bool = False
        """Whether every order was tried."""

    def begin(self) -> None:
        """A run begins."""
        self._place = 0
        self._asleep = False
        self._possible_at_last = ()

    @property
    def redundant(self) -> bool:
        """Whether the run is like one that was tried."""
        return self._asleep

    def choose(self, enabled: Sequence[Key]) -> int:
        """What happens next, by its position in what could."""
        if self._asleep:
            return 0

        place = self._place
        self._place += 1
        if place < len(self._path):
            node = self._path[place]
            if node.chosen not in enabled:
                raise AssertionError(
                    "the program is not the same in every run: there was "
                    f"{node.chosen!r} before, and now there is {list(enabled)!r}. Let nothing but "
                    "the journal decide what handlers do, and have the scenario begin by "
                    "resetting what they change."
                )

            node.footprint = set()
            node.created = set()
            return list(enabled).index(node.chosen)

        sleeping = self._inherited(enabled)
        awake = [key for key in enabled if key not in sleeping]
        if not awake:
            self._asleep = True
            self._possible_at_last = tuple(enabled)
            return 0

        self._path.append(_Node(tuple(enabled), awake[0], sleeping, wanted={awake[0]}))
        return list(enabled).index(awake[0])

    def touched(self, footprint: Footprint, created: Sequence[Key]) -> None:
        """What came of the last choice."""
        if not self._asleep and self._place:
            node = self._path[self._place - 1]
            node.footprint |= footprint
            node.created.update(created)

    def _inherited(self, enabled: Sequence[Key]) -> dict[Key, Footprint]:
        if not self._path:
            return {}

        before = self._path[-1]
        candidates = before.sleeping | before.tried
        return {
            key: footprint
            for key, footprint in candidates.items()
            if key != before.chosen and key in enabled and commute(footprint, before.footprint)
        }

    def end(self) -> None:
        """The run has ended: find out what to try next."""
        del self._path[self._place :]
        for node in self._path:
            node.tried[node.chosen] = node.footprint
        self._find_races()
        self._find_the_prevented()
        while self._path:
            node = self._path[-1]
            rest = [
                key
                for key in node.enabled
                if key in node.wanted and key not in node.tried and key not in node.sleeping
            ]
            if rest:
                node.chosen = rest[0]
                return

            self._path.pop()
        self.finished = True

    def _find_races(self) -> None:
        path = self._path
        creators = {key: place for place, node in enumerate(path) for key in node.created}
        before: list[int] = []
        """By place, as bits: the places that have to come before it."""
        after = [0] * len(path)
        for place, node in enumerate(path):
            earlier = 0
            creator = creators.get(node.chosen)
            for other in range(place):
                if other == creator or not commute(path[other].footprint, node.footprint):
                    earlier |= 1 << other | before[other]
            for other in range(place):
                if earlier >> other & 1:
                    after[other] |= 1 << place
            before.append(earlier)
            for other in range(place):
                if (
                    earlier >> other & 1
                    and not before[place] & after[other]
                    and not commute(path[other].footprint, node.footprint)
                ):
                    self._reverse(other, place, creators)

    def _find_the_prevented(self) -> None:
        """Have what was possible, and is no more because of something else, tried before that."""
        for node, following in zip(self._path, [*self._path[1:], None], strict=True):
            possible = self._possible_at_last if following is None else following.enabled
            node.wanted.update(key for key in node.enabled if key not in possible)

    def _reverse(self, first: int, second: int, creators: dict[Key, int]) -> None:
        """Have the event at ``second`` tried before the one at ``first``, if it can be."""
        node, key = self._path[first], self._path[second].chosen
        while key not in node.enabled:
            creator = creators.get(key)
            if creator is None:
                node.wanted.update(node.enabled)
                return

            if creator <= first:
                return

            key = self._path[creator].chosen
        node.wanted.add(key)
