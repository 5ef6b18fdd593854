"""For the first day: a handler of several steps, wherever it is served."""

import anyio

from durable_trio import Context, Service, open_nursery, sleep

greeter = Service("Greeter")
services = [greeter]


async def look_up(name: str) -> str:
    await anyio.sleep(0.1)
    return f"Hello {name}"


@greeter.handler
async def greet(ctx: Context, names: list[str]) -> list[str]:
    greetings: list[str] = []

    async def polite(name: str) -> None:
        greetings.append(await ctx.run(look_up, name))

    async with open_nursery() as nursery:
        for name in names:
            nursery.start_soon(polite, name)
    await sleep(3)  # time for you to kill it
    return sorted(greetings)
