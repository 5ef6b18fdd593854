"""Fan-out, fan-in: spread a batch over many workers and sum up what comes back.

``limit`` bounds how many are under way at once: starting everything is rarely what the
service at the other end wants. ``as_completed`` sums up in the order of arrival, which is
journaled. All failures are named, not only the first.
"""

from tempfile import TemporaryDirectory

import attrs
import trio

from durable_trio import Context, Service, TerminalError, amap, as_completed
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

workers = Service("Workers")
invoices = Service("Invoices")
services = [workers, invoices]


@attrs.frozen
class Invoice:
    number: int
    cents: int


def book(invoice: Invoice) -> int:
    """Stands for a booking; one that cannot be booked fails for good."""
    if invoice.cents < 0:
        raise TerminalError(f"invoice {invoice.number} is negative")

    return invoice.cents


@workers.handler
async def process(ctx: Context, invoice: Invoice) -> int:
    return await ctx.run(book, invoice, name=f"book {invoice.number}")


@invoices.handler
async def total(ctx: Context, batch: list[Invoice]) -> int:
    """In the structured style: at most three at a time."""

    async def one(invoice: Invoice) -> int:
        return await ctx.call(process, invoice)

    return sum(await amap(one, batch, limit=3))


@invoices.handler
async def total_or_errors(ctx: Context, batch: list[Invoice]) -> int:
    """In the futures style: everything at once."""
    booked, errors = 0, list[str]()
    async for call in as_completed(*(ctx.call(process, invoice) for invoice in batch)):
        try:
            booked += call.return_value
        except TerminalError as error:
            errors.append(str(error))
    if errors:
        raise TerminalError(f"{len(errors)} failed: {', '.join(sorted(errors))}")

    return booked


async def main() -> None:
    batch = [Invoice(number, number * 100) for number in range(1, 8)]
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/invoices.journal")) as runtime:
            print(await runtime.call(total, batch))
            print(await runtime.call(total_or_errors, batch))


if __name__ == "__main__":
    trio.run(main)
