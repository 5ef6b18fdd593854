"""How close the file journal comes to what the disk can do.

Measures, in alternating rounds on the same directory, of which it prints the medians. The
first commits of each, while files still grow, are not counted.

 - append: one line appended to a plain file and ``fdatasync``, a second
 - commit: one row inserted into a plain SQLite table (WAL, synchronous=FULL), a second
 - steps: ``FileJournal``, one writer that awaits each commit, a second
 - entries: ``FileJournal``, 200 writers that each await their commit, entries a second

What is not measured: reading, a disk under load from others, and files larger than memory.

    python benchmarks/bench_store.py [--dir DIRECTORY] [--rounds 5] [--backend trio]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from durable_trio import abc
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP = 1_000
COMMITS = 2_000
WRITERS = 200
ROUNDS_PER_WRITER = 50
PAYLOAD = b'{"answer": 42, "words": "a result of ordinary size"}'


def _rate(work: Callable[[], object]) -> float:
    for _ in range(WARM_UP):
        work()
    start = time.perf_counter()
    for _ in range(COMMITS):
        work()
    return COMMITS / (time.perf_counter() - start)


def appends(directory: Path) -> float:
    """Lines appended to a file and synced, a second."""
    line = PAYLOAD + b"\n"
    file = os.open(directory / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def append() -> None:
        os.write(file, line)
        os.fdatasync(file)

    rate = _rate(append)
    os.close(file)
    return rate


def commits(directory: Path) -> float:
    """Rows committed one by one by plain SQLite, a second."""
    connection = sqlite3.connect(directory / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, id TEXT, line TEXT)")
    sql = "INSERT INTO entry (id, line) VALUES (?, ?)"
    line = PAYLOAD.decode()
    rate = _rate(lambda: connection.execute(sql, ("inv_0", line)))
    connection.close()
    return rate


async def _append(store: FileJournal, invocation_id: str, number: int) -> None:
    durable = anyio.Event()
    entry = abc.Completion(number, abc.Value(PAYLOAD))
    store.write([abc.AppendEntries(invocation_id, (entry,))], durable.set)
    await durable.wait()


def steps(directory: Path, backend: str) -> float:
    """Steps of one workflow, each awaited, a second: a command that rides with its result."""

    async def main() -> float:
        async with FileJournal(directory / "steps.journal") as store:

            async def steps(count: int) -> None:
                for number in range(count):
                    command = abc.AppendEntries("inv_0", (abc.Run(number, "step"),))
                    store.write([command], urgent=False)
                    await _append(store, "inv_0", number)

            await steps(WARM_UP)
            start = time.perf_counter()
            await steps(COMMITS)
            return COMMITS / (time.perf_counter() - start)

    return anyio.run(main, backend=backend)


def entries(directory: Path, backend: str) -> float:
    """Entries of 200 invocations that each await theirs, a second."""

    async def main() -> float:
        async with FileJournal(directory / "entries.journal") as store:

            async def write(invocation_id: str) -> None:
                for number in range(ROUNDS_PER_WRITER):
                    await _append(store, invocation_id, number)

            start = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for number in range(WRITERS):
                    tasks.start_soon(write, f"inv_{number}")
            return WRITERS * ROUNDS_PER_WRITER / (time.perf_counter() - start)

    return anyio.run(main, backend=backend)


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description="File journal against the disk below it")
    parser.add_argument("--dir", default=".", help="a directory on the disk to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backend", choices=("trio", "asyncio"), default="trio")
    options = parser.parse_args()
    measures: dict[str, Callable[[Path], float]] = {
        "append": appends,
        "commit": commits,
        "steps": lambda directory: steps(directory, options.backend),
        "entries": lambda directory: entries(directory, options.backend),
    }
    rates: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(options.rounds):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory(dir=options.dir) as directory:
                rates[name].append(measure(Path(directory)))
    for name, found in rates.items():
        print(
            f"{name:8} {statistics.median(found):9,.0f}/s"
            f"   (from {min(found):,.0f} to {max(found):,.0f})"
        )
    pairs = zip(rates["steps"], rates["commit"], strict=True)
    print(f"steps/commit {statistics.median(step / commit for step, commit in pairs):.2f}")


if __name__ == "__main__":
    main()
