"""Durable steps a second on the file journal, against what the disk below it can do.

One workflow alone, 200 at once, and a fan-out of 1,000 in one; raw SQLite commits of one row and
append + fdatasync on the same directory, in the same rounds. A step is ``await ctx.run`` of
an async body that does nothing. Not measured: payloads of any size, a disk under load.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from rounds import Figure, alternate, ratio

from durable_trio import Context, Service
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Callable

ALONE, AT_ONCE, EACH, WIDTH = 600, 200, 60, 1_000

bench = Service("Bench")


async def body() -> int:
    """What a step executes."""
    return 1


@bench.handler
async def sequential(ctx: Context, count: int) -> None:
    """Steps one after the other."""
    for _ in range(count):
        await ctx.run(body)


@bench.handler
async def fan_out(ctx: Context, count: int) -> None:
    """Steps all at once."""
    futures = [ctx.run(body) for _ in range(count)]
    for future in futures:
        await future


def steps(backend: str, kind: str) -> float:
    """Steps a second."""

    async def main(directory: str) -> float:
        store = FileJournal(Path(directory) / "bench.journal")
        async with LocalRuntime([bench], store) as runtime:
            await runtime.call(sequential, 50)
            start = time.perf_counter()
            if kind == "alone":
                await runtime.call(sequential, ALONE)
                return ALONE / (time.perf_counter() - start)

            if kind == "fan-out":
                await runtime.call(fan_out, WIDTH)
                return WIDTH / (time.perf_counter() - start)

            async with anyio.create_task_group() as group:
                for _ in range(AT_ONCE):
                    group.start_soon(runtime.call, sequential, EACH)
            return AT_ONCE * EACH / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as directory:
        return anyio.run(main, directory, backend=backend)


PAYLOAD = '{"completion": 1, "value": "a result of ordinary size"}'


def commits() -> float:
    """Rows committed one by one by plain SQLite (WAL, synchronous=FULL), a second."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as directory:
        connection = sqlite3.connect(Path(directory) / "plain.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, line TEXT)")
        rate = _rate(partial(connection.execute, "INSERT INTO entry (line) VALUES (?)", (PAYLOAD,)))
        connection.close()
    return rate


def appends() -> float:
    """Lines appended to a file and synced with fdatasync, a second."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as directory:
        file = os.open(Path(directory) / "plain", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

        def append() -> None:
            os.write(file, PAYLOAD.encode())
            os.fdatasync(file)

        rate = _rate(append)
        os.close(file)
    return rate


def _rate(work: Callable[[], object]) -> float:
    for _ in range(50):
        work()
    start = time.perf_counter()
    for _ in range(ALONE):
        work()
    return ALONE / (time.perf_counter() - start)


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    found = alternate(
        {
            "SQLite commits of one row": commits,
            "append + fdatasync": appends,
            **{
                f"{backend}: {kind}": partial(steps, backend, kind)
                for backend in ("trio", "asyncio")
                for kind in ("alone", "200 at once", "fan-out")
            },
        },
        "/s",
        rounds,
    )
    floor = found["SQLite commits of one row"]
    return [
        *found.values(),
        *(
            ratio(f"{backend}: alone / commits", found[f"{backend}: alone"], floor)
            for backend in ("trio", "asyncio")
        ),
    ]
