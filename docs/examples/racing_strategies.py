"""Racing strategies: try several ways at once and take the first *good* answer.

What is good is a rule of yours, so the race is a nursery: a branch that finds something
cancels the rest, one that finds nothing just ends. A cancelled strategy stops for real,
in the service that it has called too.
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, Service, TerminalError, first_success, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

search = Service("Search")
shop = Service("Shop")
services = [search, shop]

FOUND = {"exact": [], "fuzzy": ["teapot", "teacup"], "semantic": ["kettle"]}
SECONDS = {"exact": 0.001, "fuzzy": 0.01, "semantic": 60.0}


async def look_up(strategy: str) -> list[str]:
    """Stands for an index."""
    await anyio.sleep(SECONDS[strategy])
    return FOUND[strategy]


@search.handler
async def find(ctx: Context, strategy: str) -> list[str]:
    return await ctx.run(look_up, strategy, name=f"{strategy} search")


@search.handler
async def find_something(ctx: Context, strategy: str) -> list[str]:
    hits = await find(ctx, strategy)  # a handler is a function too
    if not hits:
        raise TerminalError(f"{strategy} search found nothing", code=404)

    return hits


@shop.handler
async def results(ctx: Context) -> str:
    """In the nursery style: the first strategy that finds anything wins."""
    best = "nothing found"

    async def attempt(strategy: str) -> None:
        nonlocal best
        hits = await ctx.call(find, strategy)
        if hits:
            best = f"{strategy}: {', '.join(hits)}"
            nursery.cancel_scope.cancel()

    async with open_nursery() as nursery:
        for strategy in FOUND:
            nursery.start_soon(attempt, strategy, name=strategy)
    return best


@shop.handler
async def any_results(ctx: Context) -> list[str]:
    """In the futures style: the first to succeed wins, so finding nothing is an error."""
    return await first_success(*(ctx.call(find_something, strategy) for strategy in FOUND))


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/shop.journal")) as runtime:
            print(await runtime.call(results))
            print(await runtime.call(any_results))


if __name__ == "__main__":
    trio.run(main)
