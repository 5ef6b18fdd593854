"""A dot plot as SVG: a row for each workload, on it a dot for each contender, on a logarithmic scale.

Owns geometry only; what it draws with is chart.py's.
"""

from __future__ import annotations

from typing import Final

import attrs
from chart import COLOURS, Axis, segment, text

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 900, 270, 210, 56, 30
_BOTTOM: Final = 52


@attrs.frozen
class Dots:
    """``rows``: to each label the values of the contenders, ``None`` for one that has none."""

    title: str
    x: str
    contenders: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]

    def svg(self) -> str:
        """The picture."""
        bottom = _TOP + _ROW * len(self.rows)
        height = bottom + _BOTTOM
        values = [value for _, row in self.rows for value in row if value is not None]
        across = Axis.over(values, _LEFT, _WIDTH - _RIGHT)
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
                'font-family="sans-serif" font-size="12">'
            ),
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            text(16, 24, self.title, size=15),
            text((_LEFT + _WIDTH - _RIGHT) / 2, height - 10, self.x, anchor="middle"),
        ]
        for power in across.ticks():
            for value in (power, 2 * power, 5 * power):
                x = across.place(value)
                if x <= _WIDTH - _RIGHT:
                    parts += [
                        segment(x, _TOP - 12, x, bottom),
                        text(x, bottom + 16, f"{value:,g}", anchor="middle"),
                    ]
        for index, (label, row) in enumerate(self.rows):
            y = _TOP + _ROW * index
            parts += [
                text(_LEFT - 16, y + 4, label, anchor="end"),
                segment(_LEFT, y, _WIDTH - _RIGHT, y),
            ]
            parts += [
                (
                    f'<circle cx="{across.place(value):.1f}" cy="{y}" r="5" '
                    f'fill="{COLOURS[number]}" fill-opacity="0.8"/>'
                )
                for number, value in enumerate(row)
                if value is not None
            ]
        for number, contender in enumerate(self.contenders):
            y = _TOP + 20 * number
            parts += [
                f'<circle cx="{_WIDTH - _RIGHT + 24}" cy="{y}" r="5" fill="{COLOURS[number]}"/>',
                text(_WIDTH - _RIGHT + 36, y + 4, contender),
            ]
        return "\n".join([*parts, "</svg>", ""])
