"""Alternating rounds: two or more things are measured in turn, so that a noisy machine is fair.

Owns the loop and the table. What is measured is the benchmarks' business.
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@attrs.frozen
class Figure:
    """What a measurement gave over all rounds."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        spread = f"{min(self.values):,.4g} to {max(self.values):,.4g}"
        return f"{self.name:78} {self.median:>10,.4g} {self.unit:12} ({spread})"


def alternate(
    measures: Mapping[str, Callable[[], float]], unit: str, rounds: int
) -> dict[str, Figure]:
    """Measure each in turn, ``rounds`` times, after one round that does not count."""
    values: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                values[name].append(value)
        print(f"\r{number}/{rounds} rounds", end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    return {name: Figure(name, unit, tuple(found)) for name, found in values.items()}


def ratio(name: str, above: Figure, below: Figure) -> Figure:
    """``above`` divided by ``below``, round by round."""
    pairs = zip(above.values, below.values, strict=True)
    return Figure(name, "x", tuple(first / second for first, second in pairs))
