"""For the guide: golden journals hold later code to what is in flight. Run it with pytest, or as a script."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from durable_trio import Context, Service
from durable_trio.testing import GoldenJournals, VirtualRuntime, crash_everywhere, runtime

parcels = Service("Parcels")
services = [parcels]


def pack(order: str) -> str:
    return f"{order} packed"


def drive(parcel: str) -> str:
    return f"{parcel}, delivered"


@parcels.handler
async def ship(ctx: Context, order: str) -> str:
    parcel = await ctx.run(pack, order)
    return await ctx.run(drive, parcel)


async def test_ship(durable_runtime: Any, golden_journals: GoldenJournals) -> None:
    async with durable_runtime(services) as rt:
        assert await rt.call(ship, "A-17") == "A-17 packed, delivered"
        golden_journals.keep(rt.store)
    await golden_journals.check(services)


async def test_ship_wherever_it_dies(golden_journals: GoldenJournals) -> None:
    async def scenario(rt: VirtualRuntime) -> str:
        return await rt.call(ship, "A-17")

    await crash_everywhere(services, golden_journals.keeping(scenario))
    await golden_journals.check(services)


async def without_pytest(directory: Path) -> None:
    golden = GoldenJournals(directory, update=True)  # False, once they are recorded
    async with runtime(services) as rt:
        await rt.call(ship, "A-17")
        golden.keep(rt.store)
    for replay in await golden.check(services):
        print(replay.outcome.value)


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        trio.run(without_pytest, Path(folder))
