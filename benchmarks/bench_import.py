"""Time to import, in a fresh process: milliseconds of processor time beyond Python's own start.

The peers are measured the same way if they are installed. Files are in the page cache and compiled.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from peers import PIP_INSTALL, python_with
from rounds import Figure, alternate

if TYPE_CHECKING:
    from collections.abc import Callable

_STATEMENTS: Final = {
    "python itself": ("", "pass"),
    "trio": ("trio", "import trio"),
    "durable_trio": ("durable_trio", "import durable_trio"),
    "durable_trio with runtime and file journal": (
        "durable_trio",
        "import durable_trio.local, durable_trio_file",
    ),
    "durable_trio with the Restate endpoint": (
        "durable_trio",
        "import durable_trio, durable_trio_restate",
    ),
    "the same, and its own server": (
        "durable_trio",
        "import durable_trio, durable_trio_restate._server._server",
    ),
    "restate-sdk": ("restate", "import restate"),
    "dbos": ("dbos", "import dbos"),
}


def _processor(python: str, statement: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def measure(rounds: int) -> list[Figure]:
    """All figures of all that is installed."""
    measures: dict[str, Callable[[], float]] = {}
    for name, (module, statement) in _STATEMENTS.items():
        python = python_with(module) if module else sys.executable
        if python is None:
            print(f"  left out: {name}: {PIP_INSTALL}")
        else:
            measures[f"import of {name}"] = partial(_processor, python, statement)
    found = list(alternate(measures, "ms", rounds).values())
    base = found[0].median
    return [
        found[0],
        *(Figure(each.name, "ms", tuple(v - base for v in each.values)) for each in found[1:]),
    ]
