"""For the guide: deadlines, cancelled callees, and compensation that is never skipped."""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import (
    CancelScope,
    Context,
    Service,
    TerminalError,
    TooSlowError,
    fail_after,
    move_on_after,
    sleep,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

trips = Service("Trips")
services = [trips]
undone: list[str] = []


async def book(what: str) -> str:
    await anyio.sleep(0.001)
    return f"{what} booked"


async def cancel_booking(what: str) -> None:
    undone.append(what)


@trips.handler
async def slow_offer(ctx: Context) -> str:
    await sleep(3600)  # durable: it goes on while no process runs
    return "a cheap flight"


@trips.handler
async def offer(ctx: Context) -> str:
    with move_on_after(0.02):
        return await ctx.call(slow_offer)  # when the time is up, the callee is cancelled too
    return "no offer in time"


@trips.handler
async def strict_offer(ctx: Context) -> str:
    try:
        with fail_after(0.02):
            return await ctx.call(slow_offer, on_cancel="wait")  # and has ended before we go on
    except TooSlowError:
        raise TerminalError("nobody answered", code=504) from None


@trips.handler
async def trip(ctx: Context) -> str:
    booked: list[str] = []
    try:
        for what in ("flight", "hotel"):
            booked.append(await ctx.run(book, what))
        await sleep(3600)  # here somebody cancels the invocation, or a step fails
        return "bon voyage"
    except BaseException:  # a cancellation as well: it is raised on, below
        with CancelScope(shield=True):
            for what in reversed(booked):
                await ctx.run(cancel_booking, what)
        raise


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/trips.journal")) as runtime:
            print(await runtime.call(offer))
            try:
                await runtime.call(strict_offer)
            except TerminalError as error:
                print(error.code, error)
            started = await runtime.send(trip)
            await anyio.sleep(0.1)
            await runtime.cancel(started.invocation_id)
            try:
                await runtime.attach(started.invocation_id)
            except TerminalError as error:
                print(error.code, error, undone)


if __name__ == "__main__":
    trio.run(main)
