"""How close the file journal comes to what the disk can do.

Measures in short slices that take turns on the same directory, so that whatever else the
disk and the processors do hits all alike, and prints the medians:

 - append: one line appended to a plain file and ``fdatasync``, a second
 - commit: one row inserted into a plain SQLite table (WAL, synchronous=FULL), a second
 - step: ``FileJournal``, one workflow that awaits each commit, a second. A step is two
   entries: its command rides in the commit of its result
 - entry: ``FileJournal``, 200 invocations that each await their commit, entries a second

The first slices, while files still grow, are not counted. A step costs a commit and two
thread switches, so ``step/commit`` depends on how fast the disk is: on one that syncs in
0.1 ms the switches show, on one that takes 1 ms they do not.

What is not measured: reading, and files larger than memory.

    python benchmarks/bench_store.py [--dir DIRECTORY] [--slices 60] [--backend trio]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from durable_trio import abc
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Slice = Callable[[], Awaitable[int]]

WARM_UP = 12
COMMITS = 100
WRITERS = 200
ROUNDS = 5
PAYLOAD = b'{"answer": 42, "words": "a result of ordinary size"}'


def appends(directory: Path, stack: AsyncExitStack) -> Slice:
    """Lines appended to a file, each synced."""
    file = os.open(directory / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    stack.callback(os.close, file)

    async def work() -> int:
        for _ in range(COMMITS):
            os.write(file, PAYLOAD + b"\n")
            os.fdatasync(file)
        return COMMITS

    return work


def commits(directory: Path, stack: AsyncExitStack) -> Slice:
    """Rows committed one by one by plain SQLite."""
    connection = sqlite3.connect(directory / "plain.db", isolation_level=None)
    stack.callback(connection.close)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, id TEXT, line TEXT)")
    line = PAYLOAD.decode()

    async def work() -> int:
        for _ in range(COMMITS):
            connection.execute("INSERT INTO entry (id, line) VALUES (?, ?)", ("inv_0", line))
        return COMMITS

    return work


async def _append(store: FileJournal, invocation_id: str, number: int) -> None:
    durable = anyio.Event()
    entry = abc.Completion(number, abc.Value(PAYLOAD))
    store.write([abc.AppendEntries(invocation_id, (entry,))], durable.set)
    await durable.wait()


def steps(store: FileJournal) -> Slice:
    """Steps of one workflow, each awaited."""
    numbers = count()

    async def work() -> int:
        for number, _ in zip(numbers, range(COMMITS), strict=False):
            command = abc.AppendEntries("inv_step", (abc.Run(number, "step"),))
            store.write([command], urgent=False)
            await _append(store, "inv_step", number)
        return COMMITS

    return work


def entries(store: FileJournal) -> Slice:
    """Entries of 200 invocations at once, each awaited by its own."""

    async def write(invocation_id: str) -> None:
        for number in range(ROUNDS):
            await _append(store, invocation_id, number)

    async def work() -> int:
        async with anyio.create_task_group() as tasks:
            for number in range(WRITERS):
                tasks.start_soon(write, f"inv_{number}")
        return WRITERS * ROUNDS

    return work


async def measure(directory: Path, slices: int) -> dict[str, list[float]]:
    """The rates of each measure, slice by slice."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(FileJournal(directory / "a.journal"))
        work: dict[str, Slice] = {
            "append": appends(directory, stack),
            "commit": commits(directory, stack),
            "step": steps(store),
            "entry": entries(store),
        }
        rates: dict[str, list[float]] = {name: [] for name in work}
        for number in range(WARM_UP + slices):
            for name, slice_of_work in work.items():
                start = time.perf_counter()
                done = await slice_of_work()
                if number >= WARM_UP:
                    rates[name].append(done / (time.perf_counter() - start))
        return rates


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description="File journal against the disk below it")
    parser.add_argument("--dir", default=".", help="a directory on the disk to measure")
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--backend", choices=("trio", "asyncio"), default="trio")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        rates = anyio.run(measure, Path(directory), options.slices, backend=options.backend)
    for name, found in rates.items():
        low, median, high = statistics.quantiles(found, n=4)
        print(f"{name:7} {median:9,.0f}/s   (quartiles {low:,.0f} and {high:,.0f})")
    pairs = zip(rates["step"], rates["commit"], strict=True)
    print(f"step/commit {statistics.median(step / commit for step, commit in pairs):.2f}")


if __name__ == "__main__":
    main()
