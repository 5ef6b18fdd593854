"""Replay of a recorded journal of 10,000 entries, in entries a second of processor time.

The journal is recorded once on the memory store; what is measured is one attempt that
replays it from memory, without reading or decoding a file. In one handler: sequential runs,
one fan-out of runs, and runs each in a child of its own. How that grows is bench_growth.py's.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from rounds import Figure, alternate

from durable_trio import Context, Service, open_nursery
from durable_trio._attempt import Attempt
from durable_trio._invocation import InvocationStart
from durable_trio.local import LocalRuntime, SystemClock
from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio.abc import AwaitTree, Command, Entry, Failure, Value

ENTRIES = 10_000

bench = Service("Bench")


def body() -> int:
    """What a run executes; inline, so that recording is quick."""
    return 1


@bench.handler
async def sequential(ctx: Context, count: int) -> None:
    """Runs one after the other."""
    for _ in range(count):
        await ctx.run(body, on_thread=False)


@bench.handler
async def fan_out(ctx: Context, count: int) -> None:
    """Runs all at once."""
    futures = [ctx.run(body, on_thread=False) for _ in range(count)]
    for future in futures:
        await future


@bench.handler
async def in_children(ctx: Context, count: int) -> None:
    """Runs, each in a child task."""

    async def child() -> None:
        await ctx.run(body, on_thread=False)

    async with open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(child)


class Silent:
    """A journal that takes what a replay still writes, which is nothing but its output."""

    def append(self, command: Command) -> None:
        """Nothing is kept."""

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """No body runs in a replay."""
        raise AssertionError(f"run {completion_id} was executed again: {result}")

    def forget(self, completion_id: int) -> None:
        """Nothing is kept."""

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """Nothing is kept."""


def record(handler: Any, count: int) -> Sequence[Entry]:
    """The journal of one invocation."""

    async def main() -> Sequence[Entry]:
        store = MemoryStore()
        async with LocalRuntime([bench], store) as runtime:
            receipt = await runtime.send(handler, count)
            await runtime.attach(receipt.invocation_id)
            return await store.journal(receipt.invocation_id)

    return anyio.run(main, backend="trio")


def replay(handler: Any, entries: Sequence[Entry], backend: str) -> float:
    """Entries a second of one replay."""

    async def main() -> float:
        start = InvocationStart("inv", b"0" * 16, "Bench", handler.name, entries)
        attempt = Attempt(start, handler, Silent(), SystemClock())
        began = time.process_time()
        await attempt.run()
        return len(entries) / (time.process_time() - began)

    return anyio.run(main, backend=backend)


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    handlers: tuple[Any, ...] = (sequential, fan_out, in_children)
    figures: list[Figure] = []
    for handler in handlers:
        # One journal at a time: the collector walks over whatever is alive.
        journal = record(handler, ENTRIES // 2)
        measures: dict[str, Callable[[], float]] = {
            f"{backend}: {handler.name}": partial(replay, handler, journal, backend)
            for backend in ("trio", "asyncio")
        }
        figures += alternate(measures, "entries/s", rounds).values()
    return figures
