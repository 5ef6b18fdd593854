"""Memory of invocations that wait: KiB each, resident, in a fresh process.

Waiting in memory (not unloaded yet), and unloaded: 2,000 and 20,000 invocations that sleep for a day, on a
file journal. The runtime's own size is taken out by measuring with none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
from rounds import Figure

from durable_trio import Context, Service, sleep
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

bench = Service("Bench")
PAGE = os.sysconf("SC_PAGE_SIZE")


@bench.handler
async def wait(_ctx: Context) -> None:
    """Sleep for a day."""
    await sleep(86_400)


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
    ]


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), backend=sys.argv[4])
