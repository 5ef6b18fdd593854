"""Embedded durable execution on the same disk: the file journal beside DBOS on SQLite.

Durable steps a second, of one sequential workflow and of one fan-out of 100, and the milliseconds of
processor time that a step takes; each in a process of its own, in alternating rounds, with
the disk's own floors in the same rounds. A step is an async function that does nothing.

The peers' settings are their own defaults: DBOS commits in SQLite's rollback journal, we commit
in its write-ahead log with ``synchronous=FULL``. Both survive a loss of power.

Needs ``pip install dbos``; it is left out and named if it is not there. Not measured: DBOS on
PostgreSQL, and peers that need a server of their own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from bench_runtime import appends, commits
from rounds import Figure, alternate, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE: Final = Path(__file__).resolve().parent / "embedded"


@attrs.define(eq=False)
class Contender:
    """A script that does ``steps`` and prints what they took. Keeps the processor time."""

    script: str
    arguments: tuple[str, ...] = ()
    processor: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])

    def rate(self, kind: str, count: int, workflows: int) -> float:
        """Steps a second."""
        with tempfile.TemporaryDirectory(dir=".") as directory:
            command = [
                *(sys.executable, str(_HERE / self.script), kind, str(count), str(workflows)),
                *(str(Path(directory).resolve()), *self.arguments),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, processor = map(float, done.split())
        steps = count * workflows
        self.processor.setdefault(kind, []).append(processor / steps * 1e3)
        return steps / wall


def measure(rounds: int) -> list[Figure]:
    """All figures of all that is installed."""
    contenders = {
        f"file journal, {backend}": Contender("ours.py", (backend,))
        for backend in ("trio", "asyncio")
    }
    if importlib.util.find_spec("dbos"):
        contenders["DBOS on SQLite"] = Contender("dbos_sqlite.py")
    else:
        print("  left out: DBOS: pip install dbos")
    measures: dict[str, Callable[[], float]] = {
        "SQLite commits of one row": commits,
        "append + fdatasync": appends,
    }
    for name, contender in contenders.items():
        measures[f"{name}: sequential"] = partial(contender.rate, "sequential", 200, 1)
        measures[f"{name}: fan-out of 100"] = partial(contender.rate, "fan_out", 100, 1)
    rates = alternate(measures, "/s", rounds)
    floor = rates["SQLite commits of one row"]
    return [
        *rates.values(),
        *(
            ratio(f"{name}: sequential / commits", rates[f"{name}: sequential"], floor)
            for name in contenders
        ),
        *(
            Figure(f"{name}: processor time of a step, {kind}", "ms", tuple(values[1:]))
            for name, contender in contenders.items()
            for kind, values in contender.processor.items()
        ),
    ]
