"""An object whose handlers end, wait and fail. As a script it serves them on PORT."""

from __future__ import annotations

import os

import anyio

from durable_trio import ObjectContext, TerminalError, VirtualObject

drawers = VirtualObject("Drawers")


@drawers.handler
async def put(ctx: ObjectContext, number: int) -> int:
    ctx.set("number", number)
    ctx.set("name", ctx.key)
    return number


@drawers.handler
async def wait(ctx: ObjectContext) -> object:
    _, letter = ctx.awakeable(str)
    return await letter


@drawers.handler
async def refuse(_: ObjectContext) -> None:
    raise TerminalError("no drawer", 418)


@drawers.handler
async def fail(_: ObjectContext) -> None:
    raise ValueError("no luck")


async def main() -> None:
    from durable_trio_restate import endpoint, serve

    await serve(endpoint([drawers]), f"127.0.0.1:{os.environ['PORT']}")


if __name__ == "__main__":
    anyio.run(main, backend=os.environ["DURABLE_TRIO_BACKEND"])
