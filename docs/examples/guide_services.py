"""For the guide: a service, an object with state, and a workflow."""

from tempfile import TemporaryDirectory

import attrs
import trio

from durable_trio import (
    Context,
    ObjectContext,
    ObjectSharedContext,
    Service,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

prices = Service("Prices")
carts = VirtualObject("Cart")
orders = Workflow("Order")
services = [prices, carts, orders]


@attrs.frozen
class Item:
    name: str
    count: int = 1


PENCE = {"tea": 450, "cup": 900}


@prices.handler
async def total(ctx: Context, items: list[Item]) -> int:
    return sum(PENCE[item.name] * item.count for item in items)


@carts.handler
async def add(ctx: ObjectContext, item: Item) -> int:
    """One at a time per cart: nobody writes between the get and the set."""
    items = await ctx.get("items", list[Item], default=[])
    ctx.set("items", [*items, item], type=list[Item])
    return len(items) + 1


@carts.shared
async def items(ctx: ObjectSharedContext) -> list[Item]:
    """Beside an ``add`` that is running, and as often as you like."""
    return await ctx.get("items", list[Item], default=[])


@carts.handler
async def empty(ctx: ObjectContext) -> None:
    ctx.clear_all()


@orders.main
async def order(ctx: WorkflowContext, cart: str) -> str:
    """Once per order number, for as long as it takes."""
    price = await ctx.call(total, await ctx.call(items, key=cart))
    ctx.set("price", price)
    if not await ctx.promise("paid", bool):
        return "dropped"

    await ctx.call(empty, key=cart)
    return f"order {ctx.key}: {price} paid"


@orders.shared
async def decide(ctx: WorkflowSharedContext, paid: bool) -> None:
    await ctx.promise("paid", bool).resolve(paid)


@orders.shared
async def quoted(ctx: WorkflowSharedContext) -> int | None:
    return await ctx.get("price", int)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/shop.journal")) as runtime:
            await runtime.call(add, Item("tea", 2), key="ada")
            await runtime.call(add, Item("cup"), key="ada")
            print(await runtime.call(items, key="ada"))
            started = await runtime.send(order, "ada", key="A-17")
            await runtime.call(decide, True, key="A-17")
            print(await runtime.attach(started.invocation_id, str))


if __name__ == "__main__":
    trio.run(main)
