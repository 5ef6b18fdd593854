"""Invocations that wait: KiB each, resident, in a fresh process; and how they all wake at once.

Waiting in memory (not unloaded yet), and unloaded: 2,000 and 20,000 invocations that sleep for a day, on a
file journal. The runtime's own size is taken out by measuring with none.

All woken at once: those who are attached to one workflow, unloaded, until its result is there
and all of them have ended. Their number is an argument of ``wake``: 5,000 here, 100,000 by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
from rounds import Figure

from durable_trio import (
    Context,
    Service,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    WorkflowTarget,
    sleep,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

bench = Service("Bench")
gate = Workflow("Gate")
PAGE = os.sysconf("SC_PAGE_SIZE")


@bench.handler
async def wait(_ctx: Context) -> None:
    """Sleep for a day."""
    await sleep(86_400)


@gate.main
async def run(ctx: WorkflowContext) -> str:
    """Wait until the gate is opened."""
    return await ctx.promise("open", str)


@gate.shared
async def unlock(ctx: WorkflowSharedContext) -> None:
    """Open it."""
    await ctx.promise("open", str).resolve("open")


@bench.handler
async def attached(ctx: Context) -> str:
    """Wait for the gate."""
    return await ctx.invocation(WorkflowTarget("Gate", "gate")).attach(str)


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def main(journal: str, count: int, unload_after: float) -> None:
    """Start ``count`` waiting invocations; print the bytes each takes."""
    store = FileJournal(journal, synchronous="off")
    async with LocalRuntime([bench], store, unload_after=unload_after) as runtime:
        await runtime.send(wait)
        await anyio.sleep(0.5)
        before = resident()
        for _ in range(count):
            await runtime.send(wait)
        await anyio.sleep(unload_after * 3 if unload_after < 10 else 0.5)
        print((resident() - before) / count)


async def wake(journal: str, count: int) -> None:
    """``count`` wait for one workflow, unloaded; print the milliseconds each takes when it ends."""
    store = FileJournal(journal, synchronous="off")
    async with LocalRuntime([bench, gate], store, unload_after=0.2) as runtime:
        await runtime.submit("Gate", "run", key="gate")

        async def send(each: int) -> None:
            receipts = [await runtime.send(attached) for _ in range(each)]
            ids.extend(receipt.invocation_id for receipt in receipts)

        ids: list[str] = []
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(send, count // 100)
        running = frozenset({InvocationStatus.RUNNING})
        while await store.invocations(status=running, limit=1):  # noqa: ASYNC110  # a poll is meant
            await anyio.sleep(0.1)
        began = time.perf_counter()
        await runtime.submit("Gate", "unlock", key="gate")
        for each in ids:
            await runtime.attach(each)
        print((time.perf_counter() - began) / count * 1000)


def woken(count: int, backend: str) -> float:
    """Milliseconds each, from a process of its own."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        arguments = [str(Path(directory) / "bench.journal"), str(count), "wake", backend]
        out = subprocess.run(
            [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
        ).stdout
    return float(out)


def one(count: int, unload_after: float, backend: str) -> float:
    """KiB each, from a process of its own."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as directory:
        arguments = [str(Path(directory) / "bench.journal"), str(count), str(unload_after), backend]
        out = subprocess.run(
            [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True
        ).stdout
    return float(out) / 1024


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    return [
        Figure(name, "KiB each", tuple(one(count, after, backend) for _ in range(rounds)))
        for backend in ("trio", "asyncio")
        for name, count, after in (
            (f"{backend}: 2,000 waiting in memory", 2_000, 3_600.0),
            (f"{backend}: 20,000 unloaded", 20_000, 0.2),
        )
    ] + [
        Figure(
            f"{backend}: 5,000 woken at once",
            "ms each",
            tuple(woken(5_000, backend) for _ in range(rounds)),
        )
        for backend in ("trio", "asyncio")
    ]


if __name__ == "__main__":
    file, number, after, host = sys.argv[1:]
    if after == "wake":
        anyio.run(wake, file, int(number), backend=host)
    else:
        anyio.run(main, file, int(number), float(after), backend=host)
