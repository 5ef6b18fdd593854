"""The tables of figures in docs/, from what ``run.py --json`` wrote: no figure is copied by hand.

    python benchmarks/results.py [FILE ...]

takes the runs of the files into docs/performance.json, each benchmark's in the place of the one
before, and fills the pages and their pictures from there. A table stands between two comments:

    <!-- results: NAME -->
    <!-- end -->

Owns where the figures are and how a table is written. Which tables there are is in tables.py.
The tests hold the pages to be filled.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from rounds import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DOCS: Final = Path(__file__).resolve().parents[1] / "docs"
PAGES: Final = (_DOCS / "performance.md", _DOCS / "scaling.md")
RUNS: Final = _DOCS / "performance.json"
PICTURES: Final = ("growth", "wire")

_PLACE: Final = re.compile(
    r"^<!-- results: (?P<name>[\w -]+) -->\n(?P<text>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL
)


class Run(TypedDict):
    """One benchmark's figures: to each name its unit and its values."""

    command: str
    date: str
    machine: str
    versions: dict[str, str]
    figures: dict[str, list[str | float]]


Runs = dict[str, Run]


def load(path: Path = RUNS) -> Runs:
    """The runs of a file."""
    found: Runs = json.loads(path.read_text("utf-8"))
    return found


def figures(run: Run) -> dict[str, Figure]:
    """The figures of one run, by name."""
    return {
        name: Figure(name, str(unit), tuple(map(float, values)))
        for name, (unit, *values) in run["figures"].items()
    }


def filled(text: str, runs: Runs, tables: Mapping[str, Callable[[Runs], str]]) -> str:
    """The page with every table as it has to be. ``KeyError`` for a table that is not known."""

    def fill(place: re.Match[str]) -> str:
        name = place["name"]
        return f"<!-- results: {name} -->\n{tables[name](runs)}\n<!-- end -->"

    return _PLACE.sub(fill, text)


def main(paths: list[str]) -> None:
    """Take the runs of these files in; fill the pages and draw the pictures."""
    runs = load() if RUNS.exists() else {}
    for path in paths:
        runs.update(load(Path(path)))
    RUNS.write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
    tables = import_module("tables").TABLES
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8"), runs, tables), "utf-8")
    # A benchmark's module starts servers as the tests do.
    sys.path.append(str(_DOCS.parent))
    for name in PICTURES:
        if name in runs:
            drawn = import_module(f"bench_{name}").picture(list(figures(runs[name]).values()))
            (_DOCS / f"{name}.svg").write_text(drawn, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
