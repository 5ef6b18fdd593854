"""Services whose journals hold every kind of entry; what is deployed is told by PARCELS.

Run as a script it serves them on PORT.
"""

from __future__ import annotations

import os
from functools import partial

import anyio

from durable_trio import (
    NOT_READY,
    Context,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    move_on_after,
    open_nursery,
    sleep,
)

peers = Service("Peers")
parcels = VirtualObject("Parcels")
journeys = Workflow("Journeys")
services = [peers, parcels, journeys]

DEPLOYED = os.environ.get("PARCELS", "first")


@peers.handler
async def echo(_: Context, text: str) -> str:
    return text


@peers.handler
async def linger(_: Context) -> None:
    await sleep(3600)


def pack(order: str) -> str:
    return f"{order} packed"


@parcels.handler
async def ship(ctx: ObjectContext, order: str) -> str:
    """Waits for an awakeable, whose id is in the journal."""
    ctx.set("parcels", await ctx.get("parcels", int, default=0) + 1)
    if DEPLOYED == "weighed":
        await ctx.run(len, order, name="weigh")
    parcel = await ctx.run(pack, order)
    identity, address = ctx.awakeable(str)
    label = f"{ctx.uuid4()} {ctx.random.random()} {ctx.request.idempotency_key} {identity}"
    ctx.set("label", label)
    async with open_nursery() as nursery:
        nursery.start_soon(sleep, 0.01)
        nursery.start_soon(sleep, 0.02)
    return f"{parcel}, {label}, {await address}"


@parcels.handler
async def rest(_: ObjectContext) -> None:
    """Sleeps for an hour."""
    await sleep(3600)


@parcels.handler
async def count(ctx: ObjectContext, steps: int) -> int:
    """So many steps, one after the other."""
    for number in range(steps):
        await ctx.run(lambda: None, name=f"step {number}", on_thread=False)
    return steps


@journeys.main
async def travel(ctx: WorkflowContext) -> list[str]:
    """Does everything there is to do."""
    assert await ctx.get("stamp") is None
    ctx.set("stamp", "red")
    ctx.set("visa", "blue")
    stamps = list(await ctx.keys())
    ctx.clear("visa")
    assert await ctx.promise("leave", str).peek() is NOT_READY
    await ctx.promise("leave", str).resolve("now")
    told = await ctx.promise("leave", str)
    async with open_nursery() as nursery:
        stamps.append(await ctx.call(echo, "hello"))
        nursery.cancel_scope.cancel()
    sent = ctx.send(echo, "later", delay=0.01, idempotency_key="once")
    identity = await sent.invocation_id()
    attached = await ctx.invocation(identity).attach(str)
    known = await ctx.invocation(identity).output(str)
    with move_on_after(0.05):
        await ctx.call(linger)
    try:
        await ctx.run(fail)
    except TerminalError as error:
        told += f" {error.code}"
    awakeable, future = ctx.awakeable(str)
    ctx.resolve_awakeable(awakeable, "woken")
    rejected, failing = ctx.awakeable(str)
    ctx.reject_awakeable(rejected, "no", code=418)
    try:
        await failing
    except TerminalError as error:
        told += f" {error.code}"
    woken = await future
    ctx.clear_all()
    return [*stamps, told, attached, str(known), woken]


@journeys.shared
async def left(ctx: WorkflowSharedContext) -> str | None:
    found = await ctx.promise("leave", str).peek()
    return found if isinstance(found, str) else None


def fail() -> None:
    raise TerminalError("lost", 410)


async def main() -> None:
    from durable_trio_restate import endpoint, serve

    await serve(endpoint(services), f"127.0.0.1:{os.environ['PORT']}")


if __name__ == "__main__":
    anyio.run(partial(main), backend=os.environ["DURABLE_TRIO_BACKEND"])
