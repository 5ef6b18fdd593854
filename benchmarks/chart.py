"""A line chart as SVG, both axes logarithmic, and what other charts draw with. No library.

Owns geometry and colours only.
"""

from __future__ import annotations

import math
from typing import Final
from xml.sax.saxutils import escape

import attrs

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 230, 40, 48
COLOURS: Final = (
    "#1b6ca8",
    "#c44536",
    "#3a7d44",
    "#8e5ea2",
    "#b7791f",
    "#0f8b8d",
    "#7a7a7a",
    "#d1568e",
)


@attrs.frozen
class Line:
    """Points in order of x."""

    label: str
    points: tuple[tuple[float, float], ...]


@attrs.frozen
class Chart:
    """What is drawn. All values are above zero."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]

    def svg(self) -> str:
        """The picture."""
        points = [point for line in self.lines for point in line.points]
        across = Axis.over([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
        up = Axis.over([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
                'font-family="sans-serif" font-size="12">'
            ),
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
            text(_LEFT, 24, self.title, size=15),
            text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, self.x, anchor="middle"),
            (
                f'<text transform="translate(16 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)" '
                f'text-anchor="middle">{escape(self.y)}</text>'
            ),
        ]
        for value in across.ticks():
            x = across.place(value)
            parts += [
                segment(x, _TOP, x, _HEIGHT - _BOTTOM),
                text(x, _HEIGHT - _BOTTOM + 16, f"{value:,g}", anchor="middle"),
            ]
        for value in up.ticks():
            y = up.place(value)
            parts += [
                segment(_LEFT, y, _WIDTH - _RIGHT, y),
                text(_LEFT - 8, y + 4, f"{value:,g}", anchor="end"),
            ]
        for number, line in enumerate(self.lines):
            colour = COLOURS[number % len(COLOURS)]
            places = [(across.place(x), up.place(y)) for x, y in line.points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places
            ]
            y = _TOP + 14 + 20 * number
            parts += [
                (
                    f'<rect x="{_WIDTH - _RIGHT + 16}" y="{y - 9}" width="12" height="10" '
                    f'fill="{colour}"/>'
                ),
                text(_WIDTH - _RIGHT + 34, y, line.label),
            ]
        return "\n".join([*parts, "</svg>", ""])


@attrs.frozen
class Axis:
    """A logarithmic axis from whole power to whole power of ten."""

    first: int
    last: int
    start: float
    end: float

    @classmethod
    def over(cls, values: list[float], start: float, end: float) -> Axis:
        """One that has all these values between ``start`` and ``end``."""
        first = math.floor(math.log10(min(values)))
        return cls(first, max(math.ceil(math.log10(max(values))), first + 1), start, end)

    def ticks(self) -> list[float]:
        """The whole powers."""
        return [10.0**power for power in range(self.first, self.last + 1)]

    def place(self, value: float) -> float:
        """Where a value stands."""
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self.start + share * (self.end - self.start)


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    """A line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(words)}</text>"
    )


def segment(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line of the grid."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'
