"""Lives of ``directory_report.py`` that end by SIGKILL: a process that forks one per request.

Reads requests from stdin, one JSON object a line, and answers each with the exit status of
the life, negative for a signal. A life runs the program's own ``main``; only its journal
is one that kills the process, and every step it executes is logged from outside.

Forking saves the imports: a life takes a few dozen milliseconds, so that many can be had.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from durable_trio import ServiceOptions
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from types import ModuleType

    from durable_trio import RunInfo
    from durable_trio.abc import Write

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "directory_report.py"


def die() -> None:
    """No ``finally``, no ``atexit``, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalJournal(FileJournal):
    """A file journal that kills its process at its ``kill_at``-th transaction, counted from 1.

    Either instead of writing it, or once it is written and before anybody is told.
    """

    def __init__(self, path: Path, *, kill_at: int, written: bool) -> None:
        super().__init__(path, synchronous="normal")
        self._left = kill_at
        self._written = written

    def write(
        self,
        writes: Sequence[Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        self._left -= 1
        if self._left == 0:
            if not self._written:
                die()
            on_commit = die
        super().write(writes, on_commit, urgent=urgent)


@asynccontextmanager
async def logged(log: str, run: RunInfo) -> AsyncGenerator[None]:
    """Logs the start of a step in a file that survives everything."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{run.name}\n".encode())
    os.close(file)
    yield


def live(report: ModuleType, request: dict[str, Any]) -> int:
    """One life."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    options = ServiceOptions(run_contexts=[partial(logged, request["log"])])
    replaced: Any = report
    replaced.LocalRuntime = partial(LocalRuntime, defaults=options)
    replaced.FileJournal = partial(
        MortalJournal, kill_at=request["kill_at"], written=request["written"]
    )
    status = report.main(request["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    return int(status)


def serve() -> None:
    """Fork a life for every request."""
    spec = importlib.util.spec_from_file_location("directory_report", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    report = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = report
    spec.loader.exec_module(report)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                status = live(report, json.loads(line))
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
