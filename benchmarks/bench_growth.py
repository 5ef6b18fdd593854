"""Growth: what one more costs when there are many. Microseconds of processor time each.

Fan-outs of 10 to 10,000 runs and of as many children on the memory store, and replays of sequential and
fanned-out journals of 10 to 100,000 entries. Linear growth is a flat line: each point is divided
by its size. What is done once (opening a runtime, starting an attempt) shows at the left.
``picture`` draws them.
"""

from __future__ import annotations

import gc
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from bench_replay import Silent, fan_out, record, sequential
from chart import Chart, Line
from rounds import Figure, alternate

from durable_trio import Context, Service, checkpoint, open_nursery
from durable_trio._attempt import Attempt
from durable_trio._invocation import InvocationStart
from durable_trio.local import LocalRuntime, SystemClock
from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio.abc import Entry

BRANCHES: Final = (10, 100, 1_000, 10_000)
ENTRIES: Final = (10, 100, 1_000, 10_000, 100_000)
_REPEATED: Final = 1_000
"""Small sizes are repeated until there are as many, since a single one is too short to be timed."""

growth = Service("Growth")


async def body() -> int:
    """What a run executes."""
    return 1


@growth.handler
async def live_runs(ctx: Context, count: int) -> None:
    """A fan-out of runs."""
    futures = [ctx.run(body) for _ in range(count)]
    for future in futures:
        await future


@growth.handler
async def live_children(_ctx: Context, count: int) -> None:
    """A nursery with children that each wait once."""

    async def child() -> None:
        await checkpoint()

    async with open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(child)


def live(handler: Any, count: int, backend: str) -> float:
    """Microseconds a branch."""
    times = max(1, _REPEATED // count)

    async def main() -> float:
        async with LocalRuntime([growth], MemoryStore()) as runtime:
            start = time.process_time()
            for _ in range(times):
                await runtime.call(handler, count)
            return (time.process_time() - start) / count / times * 1e6

    return anyio.run(main, backend=backend)


def replayed(handler: Any, entries: Sequence[Entry], backend: str) -> float:
    """Microseconds an entry."""
    times = max(1, _REPEATED // len(entries))

    async def main() -> float:
        start = InvocationStart("inv", b"0" * 16, "Bench", handler.name, entries)
        began = time.process_time()
        for _ in range(times):
            await Attempt(start, handler, Silent(), SystemClock()).run()
        return (time.process_time() - began) / len(entries) / times * 1e6

    return anyio.run(main, backend=backend)


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    journals = {
        (handler.name, count): (handler, record(handler, count // 2))
        for handler in (sequential, fan_out)
        for count in ENTRIES
    }
    # Or the collector walks over the journals of this benchmark whenever objects are made.
    gc.collect()
    gc.freeze()
    measures: dict[str, Callable[[], float]] = {}
    for backend in ("trio", "asyncio"):
        for handler in (live_runs, live_children):
            for count in BRANCHES:
                name = f"{backend}: {handler.name}, {count:,}"
                measures[name] = partial(live, handler, count, backend)
        for (name, count), (replayer, journal) in journals.items():
            measures[f"{backend}: replay of {name}, {count:,} entries"] = partial(
                replayed, replayer, journal, backend
            )
    return list(alternate(measures, "us each", rounds).values())


def picture(figures: Sequence[Figure]) -> str:
    """The figures as one picture, in SVG."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for figure in figures:
        match = re.fullmatch(r"(.*), ([\d,]+)(?: entries)?", figure.name)
        assert match is not None
        label = match[1].replace("live_runs", "runs").replace("live_children", "children")
        label = label.replace("fan_out", "a fan-out")
        lines.setdefault(label, []).append((float(match[2].replace(",", "")), figure.median))
    chart = Chart(
        title="What one more costs",
        x="branches of one fan-out, or entries of one journal",
        y="µs of processor time each",
        lines=tuple(Line(label, tuple(points)) for label, points in lines.items()),
    )
    return chart.svg()
