"""Durable steps on the file journal, in a process of its own: prints wall and processor seconds.

python benchmarks/embedded/ours.py (sequential|fan_out) COUNT WORKFLOWS DIRECTORY (trio|asyncio)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import anyio

from durable_trio import Context, Service, gather
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

bench = Service("Bench")


async def body() -> int:
    """What a step executes."""
    return 1


@bench.handler
async def sequential(ctx: Context, count: int) -> int:
    """Steps one after the other."""
    total = 0
    for _ in range(count):
        total += await ctx.run(body)
    return total


@bench.handler
async def fan_out(ctx: Context, count: int) -> int:
    """Steps all at once."""
    return sum(await gather(*[ctx.run(body) for _ in range(count)]))


async def main(kind: str, count: int, workflows: int, directory: str) -> None:
    """Run it once to warm up, and once for the figure."""
    handler = {"sequential": sequential, "fan_out": fan_out}[kind]
    async with LocalRuntime([bench], FileJournal(Path(directory) / "ours.journal")) as runtime:
        await runtime.call(handler, 20)
        wall, processor = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as group:
            for _ in range(workflows):
                group.start_soon(runtime.call, handler, count)
        print(time.perf_counter() - wall, time.process_time() - processor)


if __name__ == "__main__":
    name, each, at_once, place, backend = sys.argv[1:]
    anyio.run(main, name, int(each), int(at_once), place, backend=backend)
