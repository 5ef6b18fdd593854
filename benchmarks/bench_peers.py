"""Embedded durable execution on the same disk: the file journal beside DBOS on SQLite.

Durable steps a second, of one workflow and of 200 at once, sequential and as a fan-out of 100, and the
milliseconds of processor time that a step takes; each in a process of its own, in alternating rounds,
with the disk's own floors in the same rounds. A step is an async function that does nothing.

The peers' settings are their own defaults: DBOS commits in SQLite's rollback journal, we commit
in its write-ahead log with ``synchronous=FULL``. Both survive a loss of power.

DBOS may be in an environment of its own (see peers.py); it is left out and named if it is not there. 200 fan-outs
of 100 are ours alone: DBOS starts a thread for each of the 20,000 steps, and was given up after ten minutes, at
18,000 threads; beside it there are 10. Not measured: DBOS on PostgreSQL, and peers that need a server of their own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from bench_runtime import appends, commits
from peers import PIP_INSTALL, python_with
from rounds import Figure, alternate, ratio

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE: Final = Path(__file__).resolve().parent / "embedded"
_BACKENDS: Final = ("trio", "asyncio")
_PEER: Final = "DBOS on SQLite"


@attrs.frozen
class Workload:
    """``workflows`` at once, each with ``count`` steps. ``ours``: too much for the peers."""

    name: str
    kind: str
    count: int
    workflows: int
    ours: bool = False


WORKLOADS: Final = (
    Workload("one sequential workflow", "sequential", 200, 1),
    Workload("one fan-out of 100", "fan_out", 100, 1),
    Workload("200 sequential workflows at once", "sequential", 5, 200),
    Workload("10 fan-outs of 100 at once", "fan_out", 100, 10),
    Workload("200 fan-outs of 100 at once", "fan_out", 100, 200, ours=True),
)


@attrs.define(eq=False)
class Contender:
    """A script that does the steps and prints what they took. Keeps the processor time."""

    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    ours: bool = False
    processor: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])

    def rate(self, workload: Workload) -> float:
        """Steps a second."""
        with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as directory:
            command = [
                *(*self.command, workload.kind, str(workload.count), str(workload.workflows)),
                *(str(Path(directory).resolve()), *self.arguments),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, processor = map(float, done.split())
        steps = workload.count * workload.workflows
        self.processor.setdefault(workload.name, []).append(processor / steps * 1e3)
        return steps / wall


def contenders() -> dict[str, Contender]:
    """Ours, and the peers that are installed; the others are named."""
    ours = (sys.executable, str(_HERE / "ours.py"))
    found = {
        f"file journal, {backend}": Contender(ours, (backend,), ours=True) for backend in _BACKENDS
    }
    python = python_with("dbos")
    if python is None:
        print(f"  left out: DBOS: {PIP_INSTALL}")
    else:
        found[_PEER] = Contender((python, str(_HERE / "dbos_sqlite.py")))
    return found


def measure(rounds: int) -> list[Figure]:
    """All figures of all that is installed."""
    installed = contenders()
    floor = "SQLite commits of one row"
    figures: list[Figure] = []
    for workload in WORKLOADS:
        found = {name: each for name, each in installed.items() if each.ours or not workload.ours}
        measures: dict[str, Callable[[], float]] = {floor: commits, "append + fdatasync": appends}
        for name, contender in found.items():
            measures[name] = partial(contender.rate, workload)
        rates = alternate(measures, "/s", rounds)
        for name, rate in rates.items():
            figures.append(Figure(f"{workload.name}: {name}", "/s", rate.values))
        for name, contender in found.items():
            title = f"{workload.name}: {name}"
            figures.append(ratio(f"{title} / commits", rates[name], rates[floor]))
            if _PEER in found and name != _PEER:
                figures.append(ratio(f"{title} / {_PEER}", rates[name], rates[_PEER]))
            spent = contender.processor[workload.name][1:]
            figures.append(Figure(f"{title}: processor time of a step", "ms", tuple(spent)))
    return figures
