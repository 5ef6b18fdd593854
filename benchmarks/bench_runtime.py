"""Durable steps a second on the file journal, against what the disk below it can do.

One workflow alone, 200 at once, and a fan-out of 1,000 in one; raw SQLite commits of one row and
append + fdatasync on the same directory, in the same rounds. A step is ``await ctx.run`` of
an async body that does nothing. Not measured: payloads of any size, a disk under load.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import anyio
from bench_store import appends, commits
from rounds import Figure, alternate, ratio

from durable_trio import Context, Service
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

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

    with tempfile.TemporaryDirectory(dir=".") as directory:
        return anyio.run(main, directory, backend=backend)


def disk(kind: str) -> float:
    """Raw commits or appends a second."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        return (commits if kind == "commits" else appends)(Path(directory))


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    found = alternate(
        {
            "SQLite commits of one row": lambda: disk("commits"),
            "append + fdatasync": lambda: disk("appends"),
            **{
                f"{backend}: {kind}": lambda b=backend, k=kind: steps(b, k)  # type: ignore[misc]
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
