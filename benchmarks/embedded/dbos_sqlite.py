"""Durable steps of DBOS on SQLite, in a process of its own: prints wall and processor seconds.

    python benchmarks/embedded/dbos_sqlite.py (sequential|fan_out) COUNT WORKFLOWS DIRECTORY

Needs ``pip install dbos``. The settings of its database are those that DBOS makes by itself.
"""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import import_module
from typing import Any

# A peer, and no dependency of the project: type checkers do not know it.
DBOS: Any = import_module("dbos").DBOS


@DBOS.step()  # type: ignore[untyped-decorator]
async def body() -> int:
    """What a step executes."""
    return 1


@DBOS.workflow()  # type: ignore[untyped-decorator]
async def sequential(count: int) -> int:
    """Steps one after the other."""
    total = 0
    for _ in range(count):
        total += await body()
    return total


@DBOS.workflow()  # type: ignore[untyped-decorator]
async def fan_out(count: int) -> int:
    """Steps all at once."""
    return sum(await asyncio.gather(*[body() for _ in range(count)]))


async def main(kind: str, count: int, workflows: int, directory: str) -> None:
    """Run it once to warm up, and once for the figure."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{directory}/dbos.sqlite",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    workflow = {"sequential": sequential, "fan_out": fan_out}[kind]
    await workflow(20)
    wall, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*[workflow(count) for _ in range(workflows)])
    print(time.perf_counter() - wall, time.process_time() - processor)
    DBOS.destroy()


if __name__ == "__main__":
    name, each, at_once, place = sys.argv[1:]
    asyncio.run(main(name, int(each), int(at_once), place))
