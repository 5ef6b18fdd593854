"""A service in several versions, and the journal of the first one.

Owns ``parcels``: what a team deploys one after the other while a parcel is on its way.
"""

from __future__ import annotations

from typing import Any

import attrs

from durable_trio import Context, Service, open_nursery
from durable_trio.abc import Completion, Entry, Input, JournalHeader, Output, Run, Signal, Value
from durable_trio.testing import RecordedJournal

HEADER = JournalHeader("inv_1AAAAAAAAAAAAAAAAAAAAAA", "Parcels", "ship")

ON_ITS_WAY: tuple[Entry, ...] = (
    Input(b'"A-17"'),
    Run(1, "pack"),
    Completion(1, Value(b'"A-17 packed"')),
    Run(2, "leg[0]/drive"),
    Run(3, "leg[1]/drive"),
    Completion(3, Value(b"7")),
)
"""Two legs are driven at once, and the second one was faster."""

ARRIVED: tuple[Entry, ...] = (
    *ON_ITS_WAY,
    Completion(2, Value(b"5")),
    Signal("address", Value(b'"Baker Street"')),
    Output(Value(b'"A-17 packed, 12 km, Baker Street"')),
)


def journal(*entries: Entry, **header: Any) -> RecordedJournal:
    """A journal of these entries."""
    return RecordedJournal(attrs.evolve(HEADER, **header), entries)


@attrs.define(eq=False)
class Parcels:
    """One version of the service. ``done`` tells what was really done."""

    service: Service
    done: list[str] = attrs.field(factory=list[str])

    def pack(self, order: str) -> str:
        self.done.append(f"pack {order}")
        return f"{order} packed"

    def weigh(self, parcel: str) -> int:
        self.done.append(f"weigh {parcel}")
        return len(parcel)

    async def drive(self, leg: int) -> int:
        self.done.append(f"drive {leg}")
        return 5 + 2 * leg


Body = "Callable[[Parcels, Context, str], Any]"


def version(body: Any, **options: Any) -> Parcels:
    """A version of the service whose handler is ``body(parcels, ctx, order)``."""
    parcels = Parcels(Service("Parcels", **options))

    async def ship(ctx: Context, order: str) -> str:
        result: str = await body(parcels, ctx, order)
        return result

    parcels.service.handler(ship)
    return parcels


async def first(parcels: Parcels, ctx: Context, order: str) -> str:
    """What was recorded."""
    parcel = await ctx.run(parcels.pack, order)
    kilometres: list[int] = []

    async def leg(number: int) -> None:
        kilometres.append(await ctx.run(parcels.drive, number))

    async with open_nursery() as nursery:
        nursery.start_soon(leg, 0)
        nursery.start_soon(leg, 1)
    return f"{parcel}, {sum(kilometres)} km, {await ctx.signal('address', str)}"
