"""For the guide: timeouts, cancelled callees, and cleanup that journals."""

from queue import SimpleQueue
from tempfile import TemporaryDirectory

import trio

from durable_trio import (
    CancelledError,
    CancelScope,
    Context,
    Service,
    TooSlowError,
    fail_after,
    move_on_after,
    open_nursery,
    sleep,
    wait_first,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

ovens = Service("Ovens")
kitchen = Service("Kitchen")
services = [ovens, kitchen]

switches: SimpleQueue[str] = SimpleQueue()  # stands for the ovens


def switch(to: str) -> None:
    switches.put(to)


@ovens.handler
async def bake(ctx: Context, minutes: float) -> str:
    await ctx.run(switch, "on")
    try:
        await sleep(minutes * 60)
        return "a cake"
    finally:
        with CancelScope(shield=True):  # a cancelled handler may journal only in here
            await ctx.run(switch, "off")


@kitchen.handler
async def cake(ctx: Context, patience: float) -> str:
    with move_on_after(patience):
        return await ctx.call(bake, 60)
    return "biscuits"  # the oven has been told to stop


@kitchen.handler
async def cake_or_error(ctx: Context, patience: float) -> str:
    try:
        with fail_after(patience):
            return await ctx.call(bake, 60, on_cancel="wait")
    except TooSlowError:  # with "wait" the oven is off by now
        return "no cake"


@kitchen.handler(explicit_cancellation=True)
async def half_a_cake(ctx: Context, minutes: float) -> str:
    baking = ctx.call(bake, minutes)
    index, _ = await wait_first(baking, ctx.cancellation())
    return "half a cake" if index == 1 else await baking


def ask(shop: str) -> int:
    return {"corner": 4, "market": 8, "mill": 20}[shop]


@kitchen.handler
async def buy_flour(ctx: Context, kilos: int) -> list[str]:
    """Asks all shops at once; the rest is given up as soon as there is enough."""
    found: dict[str, int] = {}

    async def ask_one(shop: str) -> None:
        found[shop] = await ctx.run(ask, shop)
        if sum(found.values()) >= kilos:
            nursery.cancel_scope.cancel()

    async with open_nursery() as nursery:
        for shop in ("corner", "market", "mill"):
            nursery.start_soon(ask_one, shop)
    return list(found)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/kitchen.journal")) as runtime:
            print(await runtime.call(cake, 0.02))
            print(await runtime.call(cake_or_error, 0.02))
            print(sum(map(ask, await runtime.call(buy_flour, 12))) >= 12)

            while not switches.empty():
                switches.get()
            baking = await runtime.send(cake, 3600)
            await trio.to_thread.run_sync(switches.get)
            await runtime.cancel(baking.invocation_id)
            try:
                await runtime.attach(baking.invocation_id, str)
            except CancelledError as error:
                print(error.code, error)

            baking = await runtime.send(half_a_cake, 60)
            while await trio.to_thread.run_sync(switches.get) != "on":
                pass
            await runtime.cancel(baking.invocation_id)
            print(await runtime.attach(baking.invocation_id, str))


if __name__ == "__main__":
    trio.run(main)
