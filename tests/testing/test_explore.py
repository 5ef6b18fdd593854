"""``explore``: what it tries, and what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings

from durable_trio import (
    CancelScope,
    Context,
    Lock,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    checkpoint,
    gather,
    move_on_after,
    open_nursery,
    race,
    sleep,
    wait_first,
)
from durable_trio._journal._cursor import Cursor
from durable_trio.testing import (
    ExploreReport,
    Schedule,
    VirtualRuntime,
    _reduction,
    _stage,
    explore,
    schedules,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import DurableFuture

pytestmark = pytest.mark.anyio

shop = Service("Shop")
account = VirtualObject("Account")
order = Workflow("Order")
services = [shop, account, order]

memory: dict[str, Any] = {}
"""The world outside of the handlers."""


@pytest.fixture(autouse=True)
def _forget() -> None:
    memory.clear()


def step(ctx: Context, name: str) -> DurableFuture[str]:
    return ctx.run(lambda: name, name=name, on_thread=False)


def calling(handler: Any, *argument: Any) -> Callable[[VirtualRuntime], Any]:
    """A scenario that calls one handler."""

    async def scenario(rt: VirtualRuntime) -> Any:
        memory.clear()
        return await rt.call(handler, *argument)

    return scenario


async def outcomes(handler: Any, *argument: Any, **options: Any) -> tuple[set[str], ExploreReport]:
    """What a handler may give."""
    seen: set[str] = set()
    report = await explore(
        services,
        calling(handler, *argument),
        check=lambda outcome: seen.add(str(outcome)),
        **options,
    )
    return seen, report


# -- what it tries


@shop.handler
async def gathered(ctx: Context, width: int) -> list[str]:
    return list(await gather(*[step(ctx, f"s{number}") for number in range(width)]))


@shop.handler
async def first(ctx: Context) -> list[str]:
    _, future = await wait_first(step(ctx, "a"), step(ctx, "b"), step(ctx, "c"))
    return [await future]


@shop.handler
async def raced(ctx: Context) -> str:
    async def run(name: str) -> str:
        return await step(ctx, name)

    with move_on_after(5):
        return await race(lambda: run("a"), lambda: run("b"))
    return "late"


@account.handler
async def add(ctx: ObjectContext, cents: int) -> int:
    total = (await ctx.get("total", int, default=0)) + cents
    ctx.set("total", total)
    return total


@shop.handler
async def fan_out(ctx: Context, keys: list[str]) -> list[int]:
    return list(await gather(*[ctx.call(add, 1 + n, key=key) for n, key in enumerate(keys)]))


@shop.handler
async def two_events(ctx: Context) -> str:
    first, one = ctx.awakeable(str)
    second, two = ctx.awakeable(str)
    memory["tickets"] = [first, second]
    index, future = await wait_first(one, two)
    return f"{index} {await future}"


async def test_every_order_of_results_is_tried() -> None:
    """As many as there are: n! for n steps, twice."""
    for width, orders in ((1, 1), (2, 2), (3, 6), (4, 24)):
        seen, report = await outcomes(gathered, width)
        assert report.schedules == 2 * orders
        assert report.exhaustive
        assert seen == {str([f"s{number}" for number in range(width)])}
    assert str(report) == "48 schedules (all there are) of up to 6 events"


async def test_everybody_can_be_first() -> None:
    """Results, and the time that passes before any of them."""
    assert (await outcomes(first))[0] == {"['a']", "['b']", "['c']"}
    assert (await outcomes(raced))[0] == {"a", "b", "late"}


async def test_calls_arrive_in_every_order_and_objects_in_theirs() -> None:
    """Answers of three objects can come in six orders; calls of one object come in one."""
    seen, report = await outcomes(fan_out, ["x", "y", "z"])
    assert (seen, report.schedules) == ({"[1, 2, 3]"}, 6)
    seen, report = await outcomes(fan_out, ["x", "x"])
    assert (seen, report.exhaustive) == ({"[1, 3]"}, True)


@shop.handler
async def last_balance(ctx: Context) -> int:
    last = 0

    async def pay_in(cents: int) -> None:
        nonlocal last
        last = await ctx.call(add, cents, key="x")

    async with open_nursery() as nursery:
        nursery.start_soon(pay_in, 100)
        nursery.start_soon(pay_in, 5)
    return last


async def test_answers_of_one_key_do_not_overtake_each_other() -> None:
    """No runtime delivers them in another order than that in which they were sent."""
    assert (await outcomes(last_balance))[0] == {"105"}


async def test_events_of_the_test_itself_take_part() -> None:
    """Two awakeables that are resolved at once come in both orders."""

    async def scenario(rt: VirtualRuntime) -> str:
        receipt = await rt.send(two_events)
        await rt.clock.settle()
        async with anyio.create_task_group() as tasks:
            for ticket, text in zip(memory["tickets"], ["x", "y"], strict=True):
                tasks.start_soon(rt.resolve_awakeable, ticket, text)
        return await rt.attach(receipt.invocation_id, str)

    seen: set[str] = set()
    report = await explore(services, scenario, check=seen.add)
    assert (seen, report.exhaustive) == ({"0 x", "1 y"}, True)


@shop.handler
async def echo(ctx: Context, text: str) -> str:
    return text


async def test_who_is_first_with_an_idempotency_key_is_tried_both_ways() -> None:
    """Two that look for the same invocation are not independent."""

    async def scenario(rt: VirtualRuntime) -> list[str]:
        said: list[str] = []

        async def ask(text: str) -> None:
            said.append(await rt.call(echo, text, idempotency_key="k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "x")
            tasks.start_soon(ask, "y")
        return said

    seen: set[str] = set()
    report = await explore(services, scenario, check=lambda said: seen.add(str(said)))
    assert (seen, report.exhaustive) == ({"['x', 'x']", "['y', 'y']"}, True)


@order.main
async def place(ctx: WorkflowContext) -> str:
    return await ctx.promise("address", str)


@order.shared
async def tell(ctx: WorkflowSharedContext, address: str) -> None:
    await ctx.promise("address", str).resolve(address)


@shop.handler
async def told_by_two(ctx: Context) -> str:
    for address in ("x", "y"):
        ctx.send(tell, address, key="o")
    return await ctx.call(place, key="o")


async def test_who_is_first_at_a_promise_is_tried_both_ways() -> None:
    """Two that resolve the same promise are not independent."""
    seen, report = await outcomes(told_by_two)
    assert (seen, report.exhaustive) == ({"x", "y"}, True)


async def test_too_many_orders_are_drawn() -> None:
    """No more than the limit, the same ones for the same seed, and the report says so."""
    seen, report = await outcomes(gathered, 6, limit=40)
    assert report.schedules == 40
    assert not report.exhaustive
    assert str(report) == "40 schedules (of more) of up to 8 events"
    assert seen == {str([f"s{number}" for number in range(6)])}


@shop.handler
async def mixed(ctx: Context) -> list[str]:
    said: list[str] = []

    async def branch(name: str) -> None:
        said.append(await step(ctx, name))
        with move_on_after(2):
            said.append(str(await ctx.call(add, 1, key="x")))
        said.append(await step(ctx, f"{name} after"))

    async with open_nursery() as nursery:
        nursery.start_soon(branch, "a")
        nursery.start_soon(branch, "b")
    return said


@shop.handler
async def in_order(ctx: Context) -> list[str]:
    said: list[str] = []

    async def branch(name: str) -> None:
        said.append(await step(ctx, name))

    async with open_nursery() as nursery:
        nursery.start_soon(branch, "a")
        nursery.start_soon(branch, "b")
    return said


def at_once(handler: Any) -> Callable[[VirtualRuntime], Any]:
    """A scenario that calls a handler twice at once."""

    async def scenario(rt: VirtualRuntime) -> list[str]:
        memory.clear()
        memory["balance"] = 10
        said: list[str] = []

        async def ask(cents: int) -> None:
            said.append(f"{cents} {await rt.call(handler, cents)}")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 9)
            tasks.start_soon(ask, 10)
        return said

    return scenario


@shop.handler
async def pay(ctx: Context, cents: int) -> int:
    return await ctx.call(add, cents, key="x")


def programs() -> list[Any]:
    return [calling(fan_out, ["x", "x"]), calling(raced), at_once(pay), at_once(withdraw)]


@pytest.mark.parametrize("number", range(4), ids=["fan out", "race", "one object", "one world"])
async def test_what_is_left_out_makes_no_difference(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All orders give no outcomes and no journals but those that the tried ones give."""

    def never(*_: object) -> bool:
        return False

    scenario = programs()[number]
    reports: list[ExploreReport] = []
    found: list[set[Any]] = []
    for reduced in (True, False):
        if not reduced:
            monkeypatch.setattr(_reduction, "commute", never)
        seen: set[Any] = set()

        async def noting(rt: VirtualRuntime, seen: set[Any] = seen) -> Any:
            outcome = await scenario(rt)
            tables = rt.store.committed
            seen.add(str(outcome))
            seen.update((each.id, tables.journal(each.id)) for each in tables.invocations())
            return outcome

        reports.append(await explore(services, noting, limit=4000))
        found.append(seen)
    assert all(report.exhaustive for report in reports)
    assert found[0] == found[1]
    assert reports[0].schedules <= reports[1].schedules


async def test_steps_that_are_independent_are_said_to_be() -> None:
    """Then fewer orders make a difference; the object that both use still does."""
    dependent = await explore(services, at_once(withdraw))
    independent = await explore(services, at_once(withdraw), independent_steps=True)
    assert independent.schedules < dependent.schedules


# -- what it finds


def has(cents: int) -> bool:
    return bool(memory["balance"] >= cents)


@shop.handler
async def withdraw(ctx: Context, cents: int) -> bool:
    """The balance may change between the check and the act."""

    def take() -> None:
        memory["balance"] -= cents

    enough = await ctx.run(has, cents, name="check", on_thread=False)
    if enough:
        await ctx.run(take, name="take", on_thread=False)
    return enough


async def two_withdraw(rt: VirtualRuntime) -> None:
    memory["balance"] = 10
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rt.call, withdraw, 10)
        tasks.start_soon(rt.call, withdraw, 9)
    assert memory["balance"] >= 0, f"overdrawn: {memory['balance']}"


@shop.handler
async def lost_update(ctx: Context) -> int:
    """A branch writes back what it read before it waited."""
    total = 0

    async def count(name: str) -> None:
        nonlocal total
        before = total
        await step(ctx, name)
        total = before + 1

    async with open_nursery() as nursery:
        nursery.start_soon(count, "a")
        nursery.start_soon(count, "b")
    return total


async def counts_two(rt: VirtualRuntime) -> None:
    assert await rt.call(lost_update) == 2


def reserve(name: str) -> str:
    memory.setdefault("reserved", set()).add(name)
    return name


@shop.handler
async def forgotten_reservation(ctx: Context) -> str:
    """The loser of the race may have reserved as well."""

    async def one(name: str) -> str:
        return await ctx.run(reserve, name, name=name, on_thread=False)

    return await race(lambda: one("Grand"), lambda: one("Ritz"))


async def one_room(rt: VirtualRuntime) -> None:
    memory.clear()
    room = await rt.call(forgotten_reservation)
    assert memory["reserved"] == {room}


@shop.handler
async def lost_shield(ctx: Context) -> str:
    """The cleanup waits, in a scope that is cancelled."""
    await ctx.run(reserve, "room", on_thread=False)
    with move_on_after(60):
        try:
            return await step(ctx, "pay")
        finally:
            with CancelScope(shield=memory.get("shield", False)):
                await ctx.run(memory["reserved"].clear, name="undo", on_thread=False)
    return "too late"


async def room_is_given_back(rt: VirtualRuntime) -> None:
    memory.pop("reserved", None)
    await rt.call(lost_shield)
    assert not memory["reserved"]


@shop.handler
async def deadlock(ctx: Context) -> None:
    """Two branches take two locks in two orders."""
    locks = [Lock(), Lock()]

    async def work(order: list[Lock], name: str) -> None:
        await step(ctx, name)
        async with order[0]:
            await step(ctx, f"{name} in between")
            async with order[1]:
                await checkpoint()

    async with open_nursery() as nursery:
        nursery.start_soon(work, locks, "a")
        nursery.start_soon(work, locks[::-1], "b")


@shop.handler
async def depends_on_memory(ctx: Context) -> str:
    memory["times"] = memory.get("times", 0) + 1
    return await step(ctx, f"time {memory['times']}")


@pytest.mark.parametrize(
    ("scenario", "found"),
    [
        (two_withdraw, "overdrawn: -9"),
        (counts_two, "assert 1 == 2"),
        (one_room, r"assert .*'Ritz'.* == "),
        (room_is_given_back, r"assert not .*'room'"),
        (calling(deadlock), r"Shop/deadlock is running, waits for something of its own"),
        (calling(depends_on_memory), r"a journal does not replay to itself(.|\n)*'time 2'"),
    ],
    ids=["check-then-act", "lost update", "orphan", "lost shield", "deadlock", "nondeterminism"],
)
async def test_what_fails_in_some_order_is_found(scenario: Any, found: str) -> None:
    """What happened, the journals, and a line that reproduces it."""
    with pytest.raises(AssertionError, match=found) as caught:
        await explore(services, scenario)
    text = str(caught.value)
    assert "its journals:" in text
    schedule = eval(text.rpartition("schedule=")[2].rstrip(")") + ")")
    assert isinstance(schedule, Schedule)
    with pytest.raises(AssertionError, match=found):
        await explore(services, scenario, schedule=schedule)


async def test_what_was_repaired_passes() -> None:
    """The shield that was lost is back."""
    memory["shield"] = True
    report = await explore(services, room_is_given_back)
    assert report.exhaustive


async def test_a_terminal_error_that_leaves_the_scenario_is_a_failure() -> None:
    """Whatever the scenario raises is."""
    with pytest.raises(AssertionError, match=r"TerminalError\(.*not found") as caught:
        await explore(services, lambda rt: rt.call(refusing))
    assert isinstance(caught.value.__cause__, TerminalError)


@shop.handler
async def refusing(_: Context) -> None:
    raise TerminalError("not found", 404)


async def test_a_replay_that_takes_another_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A core that delivers recorded results in another order does not replay to itself."""
    load = Cursor.__init__

    def swapped(self: Cursor, *arguments: Any, **options: Any) -> None:
        load(self, *arguments, **options)
        self._notifications.reverse()

    monkeypatch.setattr(Cursor, "__init__", swapped)
    with pytest.raises(AssertionError, match="does not replay to itself"):
        await explore(services, calling(in_order))


async def test_a_program_that_is_another_one_each_time_is_refused() -> None:
    """What decides has to be reset by the scenario."""

    async def scenario(rt: VirtualRuntime) -> None:
        memory["runs"] = memory.get("runs", 0) + 1
        await rt.call(gathered, 3 if memory["runs"] == 1 else 2)

    with pytest.raises(AssertionError, match="the program is not the same in every run"):
        await explore(services, scenario)


@shop.handler
async def never_ends(_: Context) -> None:
    while True:
        await sleep(1)


async def test_a_program_that_never_comes_to_rest_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told what happened last, and not all of it."""
    monkeypatch.setattr(_stage, "_MOST_EVENTS", 200)
    with pytest.raises(AssertionError, match="does not come to rest: 200 events") as caught:
        await explore(services, calling(never_ends), limit=1)
    assert " ... 141 more ..." in str(caught.value)


# -- schedules


def test_a_schedule_is_short() -> None:
    """Choices at the end that change nothing are left out; it reads as it is written."""
    schedule = Schedule("late", [0, 2, 0, 0])
    assert repr(schedule) == "Schedule('late', [0, 2])"
    assert schedule == Schedule("late", (0, 2))
    with pytest.raises(ValueError, match="steps"):
        Schedule("soon")  # type: ignore[arg-type]


def test_hypothesis_draws_schedules_and_shrinks_them(anyio_backend: str) -> None:
    """The simplest schedule that fails is what is left."""
    failed: list[Schedule] = []

    @settings(
        max_examples=100,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(schedule=schedules(longest=6))
    def property_holds(schedule: Schedule) -> None:
        async def main() -> None:
            await explore(services, last_is_not_c, schedule=schedule)

        try:
            anyio.run(main, backend=anyio_backend)
        except AssertionError:
            failed.append(schedule)
            raise

    with pytest.raises(AssertionError, match="it was c"):
        property_holds()
    assert failed[-1] == Schedule("early", [2])


async def last_is_not_c(rt: VirtualRuntime) -> None:
    assert await rt.call(first) != ["c"], "it was c"
