"""``AwakeableHolder``: keeps the id of an awakeable, so that somebody else can complete it."""

from __future__ import annotations

import durable_trio as dt

awakeable_holder = dt.VirtualObject("AwakeableHolder")


@awakeable_holder.handler
async def hold(ctx: dt.ObjectContext, awakeable_id: str) -> None:
    ctx.set("id", awakeable_id)


@awakeable_holder.handler(name="hasAwakeable")
async def has_awakeable(ctx: dt.ObjectContext) -> bool:
    return await ctx.get("id", str) is not None


@awakeable_holder.handler
async def unlock(ctx: dt.ObjectContext, payload: str) -> None:
    awakeable_id = await ctx.get("id", str)
    if awakeable_id is None:
        raise dt.TerminalError(f"no awakeable is held under {ctx.key!r}")

    ctx.resolve_awakeable(awakeable_id, payload)
