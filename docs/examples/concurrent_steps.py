"""Concurrent durable steps: different things at once, each with a type of its own.

Each step is retried by itself: while the database is down, the other two are not asked
again, and after a crash only what was not done is done. The type checker knows which
result is which.
"""

from tempfile import TemporaryDirectory

import anyio
import attrs
import trio

from durable_trio import Context, Service, gather, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

trips = Service("Trips")
services = [trips]


@attrs.define
class Trip:
    sky: str = ""
    rate: float = 0.0
    hotels: list[str] = attrs.field(factory=list[str])


async def forecast(city: str) -> str:
    """Stands for one API."""
    await anyio.sleep(0.005)
    return f"clear over {city}"


async def exchange_rate(currency: str) -> float:
    """Stands for another API."""
    await anyio.sleep(0.005)
    return {"EUR": 0.92}[currency]


def read_hotels(city: str) -> list[str]:
    """Stands for a database whose driver blocks: a plain function runs in a thread."""
    return [f"Grand {city}", f"Hotel {city}"]


@trips.handler
async def plan(ctx: Context, city: str) -> Trip:
    """In the nursery style: the fair weather is needed before hotels are looked for."""
    trip = Trip()

    async def find_hotels() -> None:
        trip.sky = await ctx.run(forecast, city)
        if trip.sky.startswith("clear"):
            trip.hotels = await ctx.run(read_hotels, city)

    async with open_nursery() as nursery:
        nursery.start_soon(find_hotels)
        trip.rate = await ctx.run(exchange_rate, "EUR")
    return trip


@trips.handler
async def quick_plan(ctx: Context, city: str) -> Trip:
    """In the futures style: three steps begin, and are waited for together."""
    sky, rate, hotels = await gather(
        ctx.run(forecast, city), ctx.run(exchange_rate, "EUR"), ctx.run(read_hotels, city)
    )
    return Trip(sky, rate, hotels)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/trips.journal")) as runtime:
            print(await runtime.call(plan, "Lisbon"))
            print(await runtime.call(quick_plan, "Lisbon"))


if __name__ == "__main__":
    trio.run(main)
