"""Services that clients call: served by whoever a test asks for.

Run as a script it is an endpoint on PORT for a Restate server.
"""

from __future__ import annotations

import os

import anyio
import attrs

from durable_trio import (
    Context,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    sleep_forever,
)


@attrs.frozen
class Order:
    """Something with fields."""

    id: str
    amounts: list[int] = attrs.field(factory=list[int])


desk = Service("Desk")
counter = VirtualObject("Counter")
box = Workflow("Box")
services = [desk, counter, box]


@desk.handler
async def ping(ctx: Context) -> None:
    """Neither input nor output."""


@desk.handler
async def double(ctx: Context, order: Order) -> Order:
    return Order(order.id, [2 * each for each in order.amounts])


@desk.handler
async def greet(ctx: Context, name: str = "you") -> str:
    return f"hello {name}"


@desk.handler(accept="text/plain", content_type="text/plain")
async def shout(ctx: Context, text: bytes) -> bytes:
    return text.upper()


@desk.handler
async def fail(ctx: Context, code: int) -> None:
    raise TerminalError("nö", code)


@desk.handler
async def fail_with_labels(ctx: Context) -> None:
    raise TerminalError("no", 422, {"field": "é"})


@desk.handler
async def header(ctx: Context, name: str) -> str | None:
    return ctx.request.headers.get(name)


@desk.handler(ingress_private=True)
async def private(ctx: Context) -> None: ...


@desk.handler
async def wait(ctx: Context, name: str) -> str:
    """Wait for an awakeable, whose id is in the box of this name."""
    awakeable = ctx.awakeable(str)
    await ctx.call(put, awakeable.id, key=name)
    word: str = await awakeable.future
    return word


@desk.handler
async def wait_for_ever(ctx: Context, name: str) -> None:
    await ctx.call(put, "waiting", key=name)
    await sleep_forever()


@counter.handler
async def add(ctx: ObjectContext, amount: int) -> int:
    total = await ctx.get("total", int, 0) + amount
    ctx.set("total", total)
    return total


@desk.handler
async def buy(ctx: Context, name: str) -> str:
    """Buy once, then wait for the delivery: an awakeable, whose id is in the box of this name.

    The end of it is told in another box.
    """
    bought = await ctx.call(add, 1, key=name)
    awakeable = ctx.awakeable(str)
    await ctx.call(put, awakeable.id, key=name)
    word: str = await awakeable.future
    await ctx.call(put, word, key=f"{name} delivered")
    return f"{name} {word}, {bought} bought"


@desk.handler
async def count(ctx: Context, name: str) -> int:
    """One more in the counter of this name."""
    return await ctx.call(add, 1, key=name)


@counter.handler
async def name_of(ctx: ObjectContext) -> str:
    return ctx.key


@box.main
async def taken(ctx: WorkflowContext) -> str:
    """What somebody put in here: so a test waits for it."""
    return await ctx.promise("content", str)


@box.shared
async def put(ctx: WorkflowSharedContext, content: str) -> None:
    await ctx.promise("content", str).resolve(content)


async def main() -> None:
    from durable_trio_restate import endpoint, serve

    await serve(endpoint(services), f"127.0.0.1:{os.environ['PORT']}")


if __name__ == "__main__":
    anyio.run(main, backend=os.environ["DURABLE_TRIO_BACKEND"])
