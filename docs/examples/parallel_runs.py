"""Parallel runs: several durable steps at once, and all of their results.

``ctx.run`` journals a step when it is called and gives a future back, so calling it three
times makes three steps that execute side by side. In the nursery style each exchange gets
a branch of its own, and a branch may go on with further steps: the order in which they
finish is journaled, and a replay repeats it.
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, Service, TaskHandle, current_context, gather, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

prices = Service("Prices")
services = [prices]

QUOTES = {"amsterdam": 41.5, "new york": 47.0, "tokyo": 6600.0}
RATES = {"amsterdam": 1.0, "new york": 0.9, "tokyo": 0.006}


async def fetch_quote(exchange: str) -> float:
    """Stands for an HTTP request."""
    await anyio.sleep(0.005)
    return QUOTES[exchange]


async def fetch_rate(exchange: str) -> float:
    """Stands for another one."""
    await anyio.sleep(0.005)
    return RATES[exchange]


async def price_in_euro(exchange: str) -> float:
    """One branch: two steps, one after the other."""
    ctx = current_context()
    quote = await ctx.run(fetch_quote, exchange)
    return round(quote * await ctx.run(fetch_rate, exchange), 2)


@prices.handler
async def in_euro(ctx: Context) -> dict[str, float]:
    """In the nursery style: a branch per exchange. All have ended when the block is left."""
    branches: dict[str, TaskHandle[float]] = {}
    async with open_nursery() as nursery:
        for exchange in QUOTES:
            branches[exchange] = nursery.start_soon(price_in_euro, exchange)
    return {name: branch.return_value for name, branch in branches.items()}


@prices.handler
async def quoted(ctx: Context) -> list[float]:
    """In the futures style: for single steps the futures are enough."""
    steps = [ctx.run(fetch_quote, exchange, name=exchange) for exchange in QUOTES]
    return list(await gather(*steps))


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/prices.journal")) as runtime:
            print(await runtime.call(in_euro))
            print(await runtime.call(quoted))


if __name__ == "__main__":
    trio.run(main)
