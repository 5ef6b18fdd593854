"""``crash_everywhere``: what it survives, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    Context,
    ObjectContext,
    Service,
    TerminalError,
    UsageError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    move_on_after,
    open_nursery,
    sleep,
)
from durable_trio._journal._cursor import Cursor
from durable_trio.abc import Completion, Entry
from durable_trio.testing import VirtualRuntime, crash_everywhere, fake
from durable_trio.testing._crash import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.anyio

shop = Service("Shop")
account = VirtualObject("Account")
order = Workflow("Order")
services = [shop, account, order]

memory: dict[str, Any] = {}
"""What the buggy handlers keep outside of any journal."""


@pytest.fixture(autouse=True)
def _forget() -> None:
    memory.clear()


async def step(ctx: Context, name: str) -> str:
    return await ctx.run(lambda: name, name=name, on_thread=False)


@account.handler
async def add(ctx: ObjectContext, cents: int) -> int:
    total = (await ctx.get("total", int, default=0)) + cents
    await sleep(5)
    ctx.set("total", total)
    return total


@shop.handler
async def everything(ctx: Context, cents: int) -> list[Any]:
    """Branches, deadlines, calls, sends, ids."""
    legs: list[str] = []
    async with open_nursery() as nursery:
        both = [nursery.start_soon(leg, ctx, number) for number in (1, 2)]
        legs += [await leg for leg in both]
    ctx.send(add, 7, key="later", delay=3600)
    return [
        legs,
        ctx.uuid4().hex,
        await ctx.call(add, cents, key="x"),
    ]


async def leg(ctx: Context, number: int) -> str:
    text = await step(ctx, f"leg {number}")
    with move_on_after(3):
        text += f" {await ctx.call(add, number, key='x')}"
    return text


@order.main
async def place(ctx: WorkflowContext) -> str:
    ticket, paid = ctx.awakeable(str)
    ctx.set("ticket", ticket)
    address = await ctx.promise("address", str)
    return f"{await paid} to {address}"


@order.shared
async def tell(ctx: WorkflowSharedContext, address: str) -> None:
    await ctx.promise("address", str).resolve(address)


async def test_a_program_of_many_parts_survives() -> None:
    """Calls, sends, timers, deadlines, one object, ids: all of it, from any point on."""
    report = await crash_everywhere(services, lambda rt: rt.call(everything, 12), double=10)
    assert report.crashes == 2 * report.commits > 40
    assert report.double_crashes == 10 < report.double_points
    assert str(report).startswith(f"{report.commits} transactions: survived")


async def test_the_test_outlives_the_crashes() -> None:
    """What it asked is answered by the next life; its awakeables, promises and state are there."""

    async def scenario(rt: VirtualRuntime) -> Any:
        await rt.set_state("Account", "x", {"total": 5}, int)
        sent = await rt.send(place, key="o-1")
        await rt.clock.settle()
        ticket = (await rt.get_state("Order", "o-1", str))["ticket"]
        await rt.call(tell, "Rome", key="o-1")
        await rt.resolve_awakeable(ticket, "paid")
        again = await rt.send(place, key="o-1")
        assert again.previously_accepted
        return [
            await rt.attach(sent.invocation_id, str),
            await rt.call(add, 3, key="x", idempotency_key="once"),
        ]

    await crash_everywhere(services, scenario, double=20)


async def test_a_terminal_error_is_an_outcome() -> None:
    """It is compared like any other."""

    report = await crash_everywhere([shop, fake(account, add=_refuse)], _buy, double=0)
    assert report.crashes == 2 * report.commits


def _refuse(cents: int) -> int:
    raise TerminalError(f"not {cents}", 402)


async def _buy(rt: VirtualRuntime) -> Any:
    return await rt.call(pay, 3)


@shop.handler
async def pay(ctx: Context, cents: int) -> int:
    return await ctx.call(add, cents, key="x")


@shop.handler
async def real_time(ctx: Context) -> str:
    async def look() -> str:
        with anyio.move_on_after(0.003):
            await anyio.sleep_forever()
        return "looked"

    return await ctx.run(look)


async def test_a_step_that_waits_for_real_time_is_waited_for() -> None:
    """A program is not at rest while its host still waits for something."""
    await crash_everywhere([shop], lambda rt: rt.call(real_time), double=10)


@account.handler
async def append(ctx: ObjectContext, name: str) -> str:
    text = (await ctx.get("text", str, default="")) + name
    ctx.set("text", text)
    return text


@shop.handler
async def wait_and_append(ctx: Context, name: str) -> str:
    await sleep(0.5)
    return await ctx.call(append, name, key="x")


async def test_who_is_told_by_one_transaction_reacts_in_order() -> None:
    """Three timers fire at once and race for one object: the same one wins in every run."""

    async def scenario(rt: VirtualRuntime) -> list[str]:
        texts: list[str] = []

        async def ask(name: str) -> None:
            texts.append(await rt.call(wait_and_append, name))

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(ask, name)
        return sorted(texts)

    seen: list[list[str]] = []
    await crash_everywhere(services, scenario, check=seen.append, double=5)
    assert seen[0] == ["a", "ab", "abc"]
    assert all(texts == seen[0] for texts in seen)


# -- what it finds


@shop.handler
async def effect_outside_of_a_run(ctx: Context) -> int:
    memory["sent"] = memory.get("sent", 0) + 1
    await step(ctx, "one")
    return int(memory["sent"])


@shop.handler
async def branch_on_memory(ctx: Context) -> str:
    memory["been here"] = memory.get("been here", 0) + 1
    await step(ctx, "first")
    await step(ctx, "again" if memory["been here"] > 1 else "second")
    return "done"


@shop.handler
async def wait_on_memory(ctx: Context) -> str:
    key, event = ctx.awakeable(str)
    await step(ctx, "one")
    if "resolved" not in memory:
        memory["resolved"] = True
        ctx.resolve_awakeable(key, "done")
    return f"it is {await event}"


@shop.handler
async def survives_one_crash(ctx: Context) -> int:
    memory["lives"] = memory.get("lives", 0) + 1
    await step(ctx, "one")
    return int(memory["lives"] > 2)


@shop.handler
async def step_that_cannot_be_repeated(ctx: Context) -> int:
    def charge() -> int:
        memory["charged"] = memory.get("charged", 0) + 1
        return 1

    await ctx.run(charge, on_thread=False)
    return 0


def calling(handler: Any) -> Callable[[VirtualRuntime], Any]:
    """A scenario that calls a handler, and compares what it left behind."""

    async def scenario(rt: VirtualRuntime) -> Any:
        memory.clear()
        return await rt.call(handler), memory.get("charged")

    return scenario


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        (effect_outside_of_a_run, r"crash before 2: the outcome differs\n +undisturbed: \(1, None"),
        (branch_on_memory, r"the code does not do what its journal says it did(.|\n)*'again'"),
        (wait_on_memory, r"Shop/wait_on_memory is .*, waits for something of its own"),
        (survives_one_crash, r"crash before 2, before 1: the outcome differs"),
        (step_that_cannot_be_repeated, r"differs\n +undisturbed: \(0, 1\)\n +here: +\(0, 2\)"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_what_does_not_survive_is_found(handler: Any, found: str) -> None:
    """The first point, what differs there, and how to try it alone."""
    with pytest.raises(AssertionError, match=found) as caught:
        await crash_everywhere([shop], calling(handler), double=1000)
    text = str(caught.value)
    assert "---- crash: transaction" in text
    name = text.rpartition("only='")[2].rstrip("')")
    with pytest.raises(AssertionError, match=f"crash {name}:"):
        await crash_everywhere([shop], calling(handler), only=name)


@shop.handler
async def whoever_is_first(ctx: Context) -> str:
    memory["attempts"] = memory.get("attempts", 0) + 1
    return await step(ctx, "both") + ("a" if memory["attempts"] % 2 else "b")


async def test_a_check_takes_the_place_of_the_comparison() -> None:
    """For outcomes that depend on chance; it is asked of every run."""
    seen: list[str] = []

    async def scenario(rt: VirtualRuntime) -> str:
        memory.clear()
        return await rt.call(whoever_is_first)

    await crash_everywhere([shop], scenario, check=seen.append)
    assert set(seen) == {"botha", "bothb"}

    def refuse(outcome: str) -> None:
        assert outcome == "botha"

    with pytest.raises(AssertionError, match="does not survive a crash before 2"):
        await crash_everywhere([shop], scenario, check=refuse)


async def test_what_is_wrong_without_a_crash_is_said_so() -> None:
    """Errors of the scenario are its own; what waits for ever is named."""
    with pytest.raises(KeyError):
        await crash_everywhere([shop], _broken)
    with pytest.raises(AssertionError, match=r"Order/o-1/place is .*, waits for promise address"):
        await crash_everywhere(services, lambda rt: rt.call(place, key="o-1"))


async def _broken(_: VirtualRuntime) -> None:
    raise KeyError("mine")


async def test_a_run_that_is_executed_although_it_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A core that forgets results repeats steps: the journals bound how often."""
    load = Cursor.__init__

    def forgetful(self: Cursor, recorded: Sequence[Entry], **options: Any) -> None:
        load(self, [each for each in recorded if not isinstance(each, Completion)], **options)

    monkeypatch.setattr(Cursor, "__init__", forgetful)
    with pytest.raises(AssertionError, match="step 'one' was executed in attempt 2, although"):
        await crash_everywhere([shop], calling(two_steps))


@shop.handler
async def two_steps(ctx: Context) -> str:
    return await step(ctx, "one") + await step(ctx, "two")


@pytest.mark.parametrize("text", ["", "after", "after 0", "during 3", "after 3,"])
async def test_only_takes_the_name_of_a_point(text: str) -> None:
    """Anything else is refused, and told how they look."""
    with pytest.raises(UsageError, match="names no point"):
        await crash_everywhere([shop], calling(two_steps), only=text)


def test_points_name_themselves() -> None:
    """As ``only`` takes them."""
    assert str(Point(7, after=True)) == "after 7"
