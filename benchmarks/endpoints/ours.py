"""The wire benchmark's handlers as durable_trio code, served for one run of it.

    python benchmarks/endpoints/ours.py NAME PORT (own|hypercorn|granian) (trio|asyncio)

The handlers of the three files in this directory do the same; a change belongs into all of them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import anyio

from durable_trio import Context, Service, gather, sleep, wait_first
from durable_trio_restate import Endpoint, endpoint, serve


async def body() -> int:
    """What a run executes."""
    return 1


def plain() -> int:
    """The same as a plain function."""
    return 1


def services(name: str) -> Service:
    """The handlers, as a service of this name."""
    bench = Service(name)

    @bench.handler
    async def noop(_ctx: Context) -> int:
        return 1

    @bench.handler
    async def sequential(ctx: Context, count: int) -> int:
        total = 0
        for _ in range(count):
            total += await ctx.run(body, name="step")
        return total

    @bench.handler
    async def sequential_inline(ctx: Context, count: int) -> int:
        total = 0
        for _ in range(count):
            total += await ctx.run(plain, name="step", on_thread=False)
        return total

    @bench.handler
    async def fan_out(ctx: Context, count: int) -> int:
        return sum(await gather(*[ctx.run(body, name="step") for _ in range(count)]))

    @bench.handler
    async def fan_out_inline(ctx: Context, count: int) -> int:
        return sum(
            await gather(*[ctx.run(plain, name="step", on_thread=False) for _ in range(count)])
        )

    @bench.handler
    async def race(ctx: Context) -> int:
        # The peers leave the losers running; so do we, to do the same.
        calls = [ctx.call(noop, on_cancel="abandon") for _ in range(3)]
        index, _ = await wait_first(*calls, ctx.timer(60))
        return index

    @bench.handler
    async def park(_ctx: Context) -> int:
        await sleep(3_600)
        return 1

    return bench


BENCH = services("Bench")
"""For ``durable-trio serve``."""


def from_environment() -> Endpoint:
    """The application that a process of Granian's asks for."""
    return endpoint([services(os.environ["SERVICE_NAME"])])


def main(name: str, port: str, server: str, backend: str) -> None:
    """Serve until terminated."""
    if server == "granian":
        os.environ["SERVICE_NAME"] = name
        # A peer, and no dependency of the project: type checkers do not know it.
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

    app = endpoint([services(name)])
    bind = f"127.0.0.1:{port}"

    async def run() -> None:
        if server == "own":
            await serve(app, bind)
            return

        config: Any = import_module("hypercorn.config").Config()
        config.bind = [bind]
        # As our own server has them: without, figures would be of Hypercorn's defaults.
        config.h2_max_concurrent_streams = 1_000
        config.max_app_queue_size = 1_000
        config.keep_alive_max_requests = sys.maxsize
        await import_module(f"hypercorn.{backend}").serve(app, config)

    anyio.run(run, backend=backend)


if __name__ == "__main__":
    main(*sys.argv[1:])
