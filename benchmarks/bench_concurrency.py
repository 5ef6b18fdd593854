"""1,000 branches and 1,000 runs, durable on the memory store, against a plain anyio task group.

Each side does the same: a branch waits once; a run's body waits once and returns. Measured in
processor time, within one event loop, from inside, without starting it. Not measured: bodies
that do any work, and the file journal (see bench_runtime.py).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
from rounds import Figure, alternate, ratio

from durable_trio import Context, Service, checkpoint, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WIDTH = 1_000

bench = Service("Bench")


async def body() -> int:
    """What a run executes."""
    await anyio.lowlevel.checkpoint()
    return 1


@bench.handler
async def children(_ctx: Context) -> None:
    """A nursery with children that each wait once."""

    async def child() -> None:
        await checkpoint()

    async with open_nursery() as nursery:
        for _ in range(WIDTH):
            nursery.start_soon(child)


@bench.handler
async def runs(ctx: Context) -> None:
    """A fan-out of runs."""
    futures = [ctx.run(body) for _ in range(WIDTH)]
    for future in futures:
        await future


@bench.handler
async def child_runs(ctx: Context) -> None:
    """A nursery with children that each do one run."""

    async def child() -> None:
        await ctx.run(body)

    async with open_nursery() as nursery:
        for _ in range(WIDTH):
            nursery.start_soon(child)


async def plain() -> None:
    """The same in a plain task group: children that wait once and store a result."""
    results: list[int] = []

    async def child() -> None:
        results.append(await body())

    async with anyio.create_task_group() as group:
        for _ in range(WIDTH):
            group.start_soon(child)


def timed(work: Callable[[], Awaitable[object]], backend: str) -> float:
    """Microseconds a branch."""

    async def main() -> float:
        start = time.process_time()
        await work()
        return (time.process_time() - start) / WIDTH * 1e6

    return anyio.run(main, backend=backend)


def durable(handler: Any, backend: str) -> float:
    """Microseconds a branch, in an open runtime."""

    async def main() -> float:
        async with LocalRuntime([bench], MemoryStore()) as runtime:
            start = time.process_time()
            await runtime.call(handler)
            return (time.process_time() - start) / WIDTH * 1e6

    return anyio.run(main, backend=backend)


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    figures: list[Figure] = []
    for backend in ("trio", "asyncio"):
        found = alternate(
            {
                f"{backend}: plain anyio task group": partial(timed, plain, backend),
                f"{backend}: durable children": partial(durable, children, backend),
                f"{backend}: durable runs": partial(durable, runs, backend),
                f"{backend}: durable children with a run": partial(durable, child_runs, backend),
            },
            "us/branch",
            rounds,
        )
        base, *others = found.values()
        figures.extend(found.values())
        figures.extend(ratio(f"{other.name} / plain", other, base) for other in others)
    return figures
