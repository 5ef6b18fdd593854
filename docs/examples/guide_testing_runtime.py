"""For the page on testing: a runtime in memory, in which a week passes at once."""

import anyio

from durable_trio import Context, Service, TerminalError, move_on_after
from durable_trio.testing import fake, runtime

orders = Service("Orders")
bank = Service("Bank")

DAY = 24 * 3600
WEEK = 7 * DAY

tickets: list[str] = []


@bank.handler
async def charge(ctx: Context, cents: int) -> str:
    raise TerminalError("the real bank is not for tests")


@orders.handler
async def order(ctx: Context, cents: int) -> str:
    receipt = await ctx.call(charge, cents)
    ticket, delivery = ctx.awakeable(str)
    await ctx.run(tickets.append, ticket, name="tell the carrier")
    with move_on_after(WEEK):
        place: str = await delivery
        return f"{receipt}, delivered {place}"
    return f"{receipt}, lost"


@orders.handler
async def first_order(ctx: Context, cents: int) -> str:
    receipt = await ctx.call(charge, cents)
    ticket, delivery = ctx.awakeable(str)
    await ctx.run(tickets.append, ticket, name="tell the carrier")
    with move_on_after(7 * 24):  # the bug: these are hours
        place: str = await delivery
        return f"{receipt}, delivered {place}"
    return f"{receipt}, lost"


def charged(cents: int) -> str:
    return f"{cents} charged"


# A stand-in takes the place of a service. Payloads go through that one's types.
services = [orders, fake(bank, charge=charged)]


async def test_a_week_passes() -> None:
    async with runtime(services) as rt:
        assert await rt.call(order, 1200) == "1200 charged, lost"
        assert rt.clock.elapsed == WEEK


async def test_the_first_version_gives_up_after_168_seconds() -> None:
    async with runtime(services) as rt:
        assert await rt.call(first_order, 1200) == "1200 charged, lost"
        assert rt.clock.elapsed == 168  # not WEEK


async def test_it_is_delivered() -> None:
    async with runtime(services) as rt:
        sent = await rt.send(order, 1200)
        await rt.clock.settle()  # until everybody waits
        await rt.resolve_awakeable(tickets[-1], "at the back door")
        assert await rt.attach(sent.invocation_id) == "1200 charged, delivered at the back door"
        assert rt.clock.elapsed == 0


async def test_the_carrier_does_not_answer_at_first() -> None:
    async with runtime(services) as rt:
        rt.fail("tell the carrier", ConnectionError("no line"), times=3)
        await rt.send(order, 1200)
        await rt.clock.advance(60)
        assert rt.executions["tell the carrier"] == 4


async def test_the_process_dies_on_wednesday() -> None:
    async with runtime(services) as rt:
        sent = await rt.send(order, 1200)
        await rt.clock.advance(3 * DAY)
        await rt.crash()  # kill -9, and started again
        assert await rt.attach(sent.invocation_id) == "1200 charged, lost"
        assert rt.clock.elapsed == WEEK
        assert rt.executions["tell the carrier"] == 1


async def main() -> None:
    await test_a_week_passes()
    await test_the_first_version_gives_up_after_168_seconds()
    await test_it_is_delivered()
    await test_the_carrier_does_not_answer_at_first()
    await test_the_process_dies_on_wednesday()
    print("5 passed, in no time")


if __name__ == "__main__":
    anyio.run(main, backend="trio")
