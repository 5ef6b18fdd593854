"""For the guide: what is seen when the code changes while an invocation is in flight."""

from queue import SimpleQueue
from tempfile import TemporaryDirectory

import trio

from durable_trio import Context, Service, TerminalError
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

before = Service("Parcels")
after = Service("Parcels", on_journal_mismatch="fail")


packed: SimpleQueue[str] = SimpleQueue()  # so that we know when to stop


def pack(order: str) -> str:
    packed.put(order)
    return f"{order} packed"


def weigh(parcel: str) -> int:
    return len(parcel)


@before.handler
async def ship(ctx: Context, order: str) -> str:
    parcel = await ctx.run(pack, order)
    return f"{parcel}, {await ctx.signal('address', str)}"


@after.handler(name="ship")
async def ship_weighed(ctx: Context, order: str) -> str:
    await ctx.run(weigh, order)
    parcel = await ctx.run(pack, order)
    return f"{parcel}, {await ctx.signal('address', str)}"


async def main() -> None:
    with TemporaryDirectory() as folder:
        store = FileJournal(f"{folder}/parcels.journal")
        async with LocalRuntime([before], store) as runtime:
            sent = await runtime.send(ship, "A-17")
            await trio.to_thread.run_sync(packed.get)
        async with LocalRuntime([after], store) as runtime:
            await runtime.resolve_signal(sent.invocation_id, "address", "Baker Street")
            try:
                await runtime.attach(sent.invocation_id)
            except TerminalError as error:
                print(error.code, error)


if __name__ == "__main__":
    trio.run(main)
