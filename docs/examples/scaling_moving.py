"""For the page on scaling: the state of objects, moved from a journal file to a Restate server."""

from collections.abc import Iterable

from durable_trio import ObjectContext, VirtualObject
from durable_trio.client import AdminClient
from durable_trio.local import LocalRuntime

counters = VirtualObject("Counters")
services = [counters]


@counters.handler
async def add(ctx: ObjectContext, amount: int) -> int:
    total = await ctx.get("total", int, default=0) + amount
    ctx.set("total", total)
    return total


async def move_state(
    runtime: LocalRuntime, admin: AdminClient, service: str, keys: Iterable[str]
) -> None:
    for key in keys:
        await admin.set_state(service, key, await runtime.get_state(service, key))
