"""For the guide: durable steps, their retries, time and chance."""

from datetime import timedelta
from functools import partial
from tempfile import TemporaryDirectory

import anyio
import attrs
import trio

from durable_trio import (
    Context,
    RetryableError,
    RetryPolicy,
    Service,
    TerminalError,
    current_run,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

payments = Service("Payments")
services = [payments]


@attrs.frozen
class Receipt:
    number: str
    cents: int


async def charge(card: str, cents: int) -> Receipt:
    """Stands for a request to a bank, which knows by ``once`` a request that it had before."""
    once = current_run().idempotency_key
    if cents > 100_000:
        raise TerminalError(f"{card} has a limit", code=402)

    await anyio.sleep(0.001)
    return Receipt(f"{card}-{once}", cents)


@payments.handler
async def pay(ctx: Context, cents: int) -> Receipt:
    return await ctx.run(charge, "visa", cents)


PATIENT = RetryPolicy(max_attempts=5, max_duration=timedelta(minutes=2), initial_interval=0.001)
refused: list[str] = []


def rate(currency: str, *, day: float) -> float:
    """Stands for a server that is busy at first, and says when to come back."""
    if currency not in refused:
        refused.append(currency)
        raise RetryableError("busy", retry_after=0.002)

    return 1.25 if day else 1.0


@payments.handler
async def in_dollar(ctx: Context, cents: int) -> float:
    today = partial(rate, day=await ctx.now())
    try:
        return cents * await ctx.run(today, "usd", retry=PATIENT)
    except TerminalError as error:
        ctx.log.warning("no rate: %s", error)
        raise TerminalError("no dollars today", code=503) from error


@payments.handler
async def lottery(ctx: Context, numbers: int) -> list[int]:
    return [ctx.random.randint(1, 49) for _ in range(numbers)]


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/payments.journal")) as runtime:
            print((await runtime.call(pay, 1200)).cents)
            print(await runtime.call(in_dollar, 1200))
            print(len(await runtime.call(lottery, 6)))
            try:
                await runtime.call(pay, 200_000)
            except TerminalError as error:
                print(error.code, error)


if __name__ == "__main__":
    trio.run(main)
