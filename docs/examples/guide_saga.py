"""For the guide: a saga, which undoes what it has done if it fails or is cancelled."""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import CancelScope, Context, Service, TerminalError, TooSlowError, fail_after
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

trips = Service("Trips")
services = [trips]

bookings: dict[str, str] = {}  # stands for the booking office


async def book(stop: str, number: str) -> None:
    """A request that may arrive twice: the second one with the same number changes nothing."""
    if stop == "moon hotel":
        raise TerminalError("no rooms on the moon", code=404)

    bookings[number] = stop


async def cancel(number: str) -> None:
    """A booking that was never made is cancelled already."""
    bookings.pop(number, None)


@trips.handler
async def trip(ctx: Context, stops: list[str]) -> list[str]:
    numbers: list[str] = []
    try:
        with fail_after(3600):
            for stop in stops:
                number = str(ctx.uuid4())
                numbers.append(number)  # before the step: one that is interrupted may have booked
                await ctx.run(book, stop, number)
    except (TerminalError, TooSlowError, anyio.get_cancelled_exc_class()):
        with CancelScope(shield=True):
            for number in reversed(numbers):
                await ctx.run(cancel, number)
        raise
    return stops


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/trips.journal")) as runtime:
            print(await runtime.call(trip, ["train", "hotel"]))
            try:
                await runtime.call(trip, ["rocket", "moon hotel"])
            except TerminalError as error:
                print(error, "-", sorted(bookings.values()))


if __name__ == "__main__":
    trio.run(main)
