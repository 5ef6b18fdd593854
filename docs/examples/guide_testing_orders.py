"""For the page on testing: a bug that shows when things happen in the wrong order."""

import anyio

from durable_trio import Context, Service, move_on_after
from durable_trio.testing import Schedule, VirtualRuntime, explore

expenses = Service("Expenses")

DAY = 24 * 3600

paid: list[int] = []
tickets: list[str] = []


def ask_the_boss(ticket: str) -> None:
    tickets.append(ticket)


@expenses.handler
async def refund(ctx: Context, cents: int) -> str:
    ticket, decision = ctx.awakeable(bool)
    await ctx.run(ask_the_boss, ticket)
    verdict = "expired"
    with move_on_after(DAY):
        if await decision:
            await ctx.run(paid.append, cents, name="pay")  # the bug: the day may end here
            verdict = "refunded"
    return verdict


@expenses.handler
async def refund_safely(ctx: Context, cents: int) -> str:
    ticket, decision = ctx.awakeable(bool)
    await ctx.run(ask_the_boss, ticket)
    approved = False
    with move_on_after(DAY):
        approved = await decision
    if not approved:
        return "expired"

    await ctx.run(paid.append, cents, name="pay")
    return "refunded"


async def the_boss_agrees(rt: VirtualRuntime) -> None:
    paid.clear()
    tickets.clear()
    verdict = "none yet"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agree, rt)
        verdict = await rt.call(refund, 700)
    assert (verdict == "refunded") == bool(paid), f"{verdict}, and paid was {paid}"


async def agree(rt: VirtualRuntime) -> None:
    await rt.clock.settle()
    await rt.resolve_awakeable(tickets[0], True)


async def the_boss_agrees_safely(rt: VirtualRuntime) -> None:
    paid.clear()
    tickets.clear()
    verdict = "none yet"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agree, rt)
        verdict = await rt.call(refund_safely, 700)
    assert (verdict == "refunded") == bool(paid), f"{verdict}, and paid was {paid}"


async def test_refunds() -> None:
    report = await explore([expenses], the_boss_agrees_safely)
    assert report.exhaustive


async def test_the_order_that_failed_once() -> None:
    schedule = Schedule("early", [0, 0, 1, 1])
    await explore([expenses], the_boss_agrees_safely, schedule=schedule)


async def main() -> None:
    try:
        await explore([expenses], the_boss_agrees)
    except AssertionError as failure:
        print(failure)
    print(await explore([expenses], the_boss_agrees_safely))


if __name__ == "__main__":
    anyio.run(main, backend="trio")
