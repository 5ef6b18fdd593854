"""Wait for all: start everything, then go on with every result.

If one of them fails, there is no use in the others: a nursery cancels them, waits until
they have ended, and raises. ``amap`` is that nursery for the usual case, one function
over many items; it gives the results in the order of the items.
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, Service, TerminalError, amap, gather
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

weather = Service("Weather")
services = [weather]

CELSIUS = {"oslo": 4, "rome": 19, "lima": 22}


async def measure(city: str) -> int:
    """Stands for a weather station; the one that does not exist fails for good."""
    await anyio.sleep(0.005)
    if city not in CELSIUS:
        raise TerminalError(f"no station in {city}", code=404)

    return CELSIUS[city]


@weather.handler
async def everywhere(ctx: Context, cities: list[str]) -> list[int]:
    """In the structured style."""

    async def ask(city: str) -> int:
        return await ctx.run(measure, city)

    return await amap(ask, cities)


@weather.handler
async def everywhere_or_nothing(ctx: Context, cities: list[str]) -> list[int]:
    """In the futures style: the first failure is raised as soon as it arrives, as it is."""
    try:
        return list(await gather(*(ctx.run(measure, city, name=city) for city in cities)))
    except TerminalError:
        return []


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/weather.journal")) as runtime:
            print(await runtime.call(everywhere, ["oslo", "rome", "lima"]))
            print(await runtime.call(everywhere_or_nothing, ["oslo", "atlantis", "lima"]))
            try:
                print(await runtime.call(everywhere, ["oslo", "atlantis", "lima"]))
            except TerminalError as error:
                print("failed:", error)


if __name__ == "__main__":
    trio.run(main)
