"""For the guide: a channel, a limiter and an event between the branches of one handler."""

from tempfile import TemporaryDirectory

import trio

from durable_trio import (
    CapacityLimiter,
    Context,
    Event,
    MemorySendChannel,
    Service,
    open_memory_channel,
    open_nursery,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

archive = Service("Archive")
services = [archive]


def fetch(page: int) -> str:
    return f"page {page}"


def store(text: str) -> int:
    return len(text)


@archive.handler
async def copy(ctx: Context, pages: int) -> int:
    """One branch per page fetches, two at a time; another branch stores what they found."""
    send, receive = open_memory_channel[str](max_buffer_size=4)
    two = CapacityLimiter(2)
    sizes: list[int] = []

    async def fetch_one(page: int, send: MemorySendChannel[str]) -> None:
        with send:  # the channel ends when the last of its senders is closed
            async with two:
                text = await ctx.run(fetch, page)
            await send.send(text)

    async def store_all() -> None:
        async for text in receive:
            sizes.append(await ctx.run(store, text))

    async with open_nursery() as nursery:
        nursery.start_soon(store_all)
        for page in range(pages):
            nursery.start_soon(fetch_one, page, send.clone())
        send.close()
    return sum(sizes)


@archive.handler
async def readers(ctx: Context) -> list[str]:
    done: list[str] = []
    ready = Event()

    async def reader(name: str) -> None:
        await ready.wait()
        done.append(name)

    async with open_nursery() as nursery:
        nursery.start_soon(reader, "first")
        nursery.start_soon(reader, "second")
        await ctx.run(store, "index")
        ready.set()
    return done


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/archive.journal")) as runtime:
            print(await runtime.call(copy, 5))
            print(await runtime.call(readers))


if __name__ == "__main__":
    trio.run(main)
