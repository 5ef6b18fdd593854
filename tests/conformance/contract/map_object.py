"""``MapObject``: a map of strings per key, each entry a state entry of its own."""

from __future__ import annotations

import attrs

import durable_trio as dt

map_object = dt.VirtualObject("MapObject")


@attrs.frozen
class Entry:
    """One entry of the map."""

    key: str
    value: str


@map_object.handler(name="set")
async def set_entry(ctx: dt.ObjectContext, entry: Entry) -> None:
    ctx.set(entry.key, entry.value)


@map_object.handler
async def get(ctx: dt.ObjectContext, key: str) -> str:
    return await ctx.get(key, str, "")


@map_object.handler(name="clearAll")
async def clear_all(ctx: dt.ObjectContext) -> list[Entry]:
    keys = await ctx.keys()
    values = await dt.gather(*[ctx.get(key, str, "") for key in keys])
    ctx.clear_all()
    return [Entry(key, value) for key, value in zip(keys, values, strict=True)]
