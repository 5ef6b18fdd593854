"""``Counter``: an integer per key."""

from __future__ import annotations

import attrs

import durable_trio as dt

counter = dt.VirtualObject("Counter")


@attrs.frozen
class Update:
    """The value before and after."""

    oldValue: int
    newValue: int


@counter.handler
async def add(ctx: dt.ObjectContext, amount: int) -> Update:
    old = await ctx.get("counter", int, 0)
    ctx.set("counter", old + amount)
    return Update(old, old + amount)


@counter.handler(name="addThenFail")
async def add_then_fail(ctx: dt.ObjectContext, amount: int) -> None:
    ctx.set("counter", await ctx.get("counter", int, 0) + amount)
    raise dt.TerminalError(ctx.key)


@counter.shared
async def get(ctx: dt.ObjectSharedContext) -> int:
    return await ctx.get("counter", int, 0)


@counter.handler
async def reset(ctx: dt.ObjectContext) -> None:
    ctx.clear("counter")
