"""The wire benchmark's handlers as code of the official Python SDK, served for one run of it.

    python benchmarks/endpoints/restate_sdk.py NAME PORT (hypercorn|granian)

Needs ``pip install restate-sdk granian``. Annotations are evaluated by the SDK, so there is no
``from __future__ import annotations`` here.
"""

import asyncio
import os
import sys
from datetime import timedelta
from importlib import import_module
from typing import Any

# The peers are no dependencies of the project: type checkers do not know them.
restate: Any = import_module("restate")


async def body() -> int:
    """What a run executes."""
    return 1


def application(name: str) -> Any:
    """The handlers, as an ASGI application with a service of this name."""
    bench = restate.Service(name)

    async def noop(_ctx: Any) -> int:
        return 1

    answer = bench.handler("noop")(noop)

    async def sequential(ctx: Any, count: int) -> int:
        total = 0
        for _ in range(count):
            total += await ctx.run_typed("step", body)
        return total

    async def fan_out(ctx: Any, count: int) -> int:
        futures = await restate.gather(*[ctx.run_typed("step", body) for _ in range(count)])
        return sum([await future for future in futures])

    async def race(ctx: Any) -> int:
        calls = {f"call{number}": ctx.service_call(answer, arg=None) for number in range(3)}
        winner = await restate.select(**calls, timer=ctx.sleep(timedelta(seconds=60)))
        return [*calls, "timer"].index(winner[0])

    async def park(ctx: Any) -> int:
        await ctx.sleep(timedelta(hours=1))
        return 1

    for handler in (sequential, fan_out, race, park):
        bench.handler()(handler)
    return restate.app([bench])


def from_environment() -> Any:
    """The application that a process of Granian's asks for."""
    return application(os.environ["SERVICE_NAME"])


def main(name: str, port: str, server: str) -> None:
    """Serve until terminated."""
    if server == "granian":
        os.environ["SERVICE_NAME"] = name
        granian: Any = import_module("granian")
        granian.Granian(
            f"{__file__}:from_environment",
            port=int(port),
            interface="asgi",
            factory=True,
            # As our own server has it; by default a connection has 200 streams.
            http2_settings=import_module("granian.http").HTTP2Settings(
                max_concurrent_streams=1_000
            ),
            backpressure=10_000,
        ).serve()
        return

    config: Any = import_module("hypercorn.config").Config()
    config.bind = [f"127.0.0.1:{port}"]
    # As durable_trio's own server has them: without, figures would be of Hypercorn's defaults.
    config.h2_max_concurrent_streams = 1_000
    config.max_app_queue_size = 1_000
    config.keep_alive_max_requests = sys.maxsize
    hypercorn: Any = import_module("hypercorn.asyncio")
    asyncio.run(hypercorn.serve(application(name), config))


if __name__ == "__main__":
    main(*sys.argv[1:])
