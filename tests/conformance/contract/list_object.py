"""``ListObject``: a list of strings per key, in one state entry."""

from __future__ import annotations

import durable_trio as dt

list_object = dt.VirtualObject("ListObject")


@list_object.handler
async def append(ctx: dt.ObjectContext, text: str) -> None:
    texts = await ctx.get("list", list[str], [])
    ctx.set("list", [*texts, text])


@list_object.handler
async def get(ctx: dt.ObjectContext) -> list[str]:
    texts: list[str] = await ctx.get("list", list[str], [])
    return texts


@list_object.handler
async def clear(ctx: dt.ObjectContext) -> list[str]:
    texts: list[str] = await ctx.get("list", list[str], [])
    ctx.clear("list")
    return texts
