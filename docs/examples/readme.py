import anyio

from durable_trio import Context, Service, move_on_after, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

greeter = Service("Greeter")


async def look_up(name: str) -> str:  # a side effect: anything goes in here
    await anyio.sleep(0.1)
    return f"Hello {name}"


@greeter.handler
async def greet(ctx: Context, names: list[str]) -> list[str]:
    greetings: list[str] = []

    async def polite(name: str) -> None:
        greeting = await ctx.run(look_up, name)  # journaled: once it is done, it never runs again
        greetings.append(f"{greeting}!")  # in the order of arrival, the same on every replay

    with move_on_after(10):  # a durable timer: it goes on while no process runs
        async with open_nursery() as nursery:
            for name in names:
                nursery.start_soon(polite, name)
    return greetings


async def main() -> None:
    async with LocalRuntime([greeter], FileJournal("greetings.journal")) as runtime:
        print(await runtime.call(greet, ["Ada", "Grace"], idempotency_key="first"))


if __name__ == "__main__":
    anyio.run(main)  # or anyio.run(main, backend="trio")
