"""Waiting for several futures: arrival decides, nothing is journaled, losers go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    DurableFuture,
    Event,
    FutureCancelledError,
    TerminalError,
    UsageError,
    amap,
    as_completed,
    checkpoint,
    first_success,
    gather,
    move_on_after,
    open_nursery,
    race,
    remote,
    sleep,
    sleep_forever,
    wait_all,
    wait_first,
)
from durable_trio.abc import AttemptCompleted, Value

from .world import World, error, play, service_handler, unanswered, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


async def refuse(text: str) -> Any:
    raise TerminalError(text)


# -- wait_first


@pytest.mark.parametrize(("first", "index"), [("a", 0), ("b", 1)])
def test_the_first_to_arrive_is_the_first(backend: str, first: str, index: int) -> None:
    """``wait_first`` tells its index and the future; the other one is still pending."""

    async def handler(ctx: Context) -> list[Any]:
        futures = [ctx.run(give, name, name=name) for name in "ab"]
        found, future = await wait_first(*futures)
        return [found, future.return_value, futures[1 - found].status.name]

    plan = [f"commit {first}", "commit a", "commit b"]

    assert value(service_handler(handler), backend, plan=plan) == [index, first, "PENDING"]


def test_arrival_also_decides_between_futures_that_have_ended(backend: str) -> None:
    """The order of the arguments never does."""

    async def handler(ctx: Context) -> list[Any]:
        a, b = ctx.run(give, "a", name="a"), ctx.run(give, "b", name="b")
        await gather(a, b)
        index, _ = await wait_first(a, b)
        order = [future.return_value async for future in as_completed(a, b)]
        return [index, *order, await first_success(a, b)]

    plan = ["commit b", "commit a"]

    assert value(service_handler(handler), backend, plan=plan) == [1, "b", "a", "b"]


def test_wait_first_does_not_raise_what_a_future_failed_with(backend: str) -> None:
    """Ask the future."""

    async def handler(ctx: Context) -> list[Any]:
        index, future = await wait_first(ctx.run(refuse, "no"))
        return [index, future.status.name, str(future.exception)]

    assert value(service_handler(handler), backend) == [0, "FAILED", "no"]


def test_one_future_given_twice_is_first_at_its_first_place(backend: str) -> None:
    """Pending or ended, the lower index is told."""

    async def handler(ctx: Context) -> list[int]:
        future = ctx.run(give, 1)
        pending, _ = await wait_first(future, future)
        ended, _ = await wait_first(future, future)
        return [pending, ended]

    assert value(service_handler(handler), backend) == [0, 0]


# -- gather and wait_all


def test_whoever_awaits_a_future_first_goes_on_first(backend: str) -> None:
    """Whatever their branches' order is."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        future = ctx.run(give, 1)

        async def child(name: str, turns: int) -> None:
            for _ in range(turns):
                await checkpoint()
            await future
            order.append(name)

        async with open_nursery() as nursery:
            for name, turns in (("a", 2), ("b", 0), ("c", 1)):
                nursery.start_soon(child, name, turns)
        return order

    assert value(service_handler(handler), backend) == ["b", "c", "a"]


def test_gather_gives_the_values_in_the_order_of_the_arguments(backend: str) -> None:
    """Whatever the order of arrival."""

    async def handler(ctx: Context) -> list[str]:
        return list(await gather(ctx.run(give, "a", name="a"), ctx.run(give, "b", name="b")))

    plan = ["commit b", "commit a"]

    assert value(service_handler(handler), backend, plan=plan) == ["a", "b"]


def test_gather_fails_as_soon_as_one_fails(backend: str) -> None:
    """The other futures go on, and may be awaited afterwards."""

    async def handler(ctx: Context) -> list[Any]:
        slow, bad = ctx.run(give, "slow", name="slow"), ctx.run(refuse, "bad")
        with pytest.raises(TerminalError, match="bad"):
            await gather(slow, bad)
        return [slow.status.name, await slow]

    plan = ["commit refuse", "commit slow"]

    assert value(service_handler(handler), backend, plan=plan) == ["PENDING", "slow"]


def test_gather_of_a_cancelled_future_fails(backend: str) -> None:
    """As awaiting that future would."""

    async def handler(ctx: Context) -> str:
        future = ctx.timer(60)
        future.cancel()
        with pytest.raises(FutureCancelledError):
            await gather(future)
        return gather(future).status.name

    assert value(service_handler(handler), backend) == "FAILED"


def test_gather_of_nothing_is_an_empty_tuple(backend: str) -> None:
    """And so is ``wait_all``'s."""

    async def handler(ctx: Context) -> list[int]:
        none: list[DurableFuture[int]] = []
        return [len(await gather(*none)), len(await wait_all(*none))]

    assert value(service_handler(handler), backend) == [0, 0]


def test_wait_all_waits_for_failures_too(backend: str) -> None:
    """It gives the futures themselves, and raises none of their errors."""

    async def handler(ctx: Context) -> list[str]:
        futures = await wait_all(ctx.run(refuse, "no"), ctx.run(give, 1))
        return [future.status.name for future in futures]

    assert value(service_handler(handler), backend) == ["FAILED", "FINISHED"]


@pytest.mark.parametrize("combine", [gather, wait_all, first_success])
def test_one_future_may_be_given_twice(
    backend: str, combine: Callable[..., DurableFuture[Any]]
) -> None:
    """It counts at both places."""

    async def handler(ctx: Context) -> str:
        future = ctx.run(give, 1)
        pending = combine(future, future)
        await pending
        ended = combine(future, future)
        await ended
        return ended.status.name

    assert value(service_handler(handler), backend) == "FINISHED"


# -- first_success


def test_first_success_overlooks_failures(backend: str) -> None:
    """The first that succeeds counts."""

    async def handler(ctx: Context) -> str:
        return await first_success(  # type: ignore[no-any-return]
            ctx.run(refuse, "no", name="a"), ctx.run(give, "yes"), ctx.timer(60)
        )

    plan = ["commit a", "commit give"]

    assert value(service_handler(handler), backend, plan=plan) == "yes"


def test_first_success_of_failures_raises_the_last_one(backend: str) -> None:
    """The one that failed last."""

    async def handler(ctx: Context) -> str:
        a, b = ctx.run(refuse, "a", name="a"), ctx.run(refuse, "b", name="b")
        with pytest.raises(TerminalError) as pending:
            await first_success(a, b)
        with pytest.raises(TerminalError) as ended:
            await first_success(a, b)
        return f"{pending.value} {ended.value}"

    plan = ["commit b", "commit a"]

    assert value(service_handler(handler), backend, plan=plan) == "a a"


# -- as_completed


def test_as_completed_yields_in_the_order_of_arrival(backend: str) -> None:
    """Each future once, ended, whatever it ended with."""

    async def handler(ctx: Context) -> list[str]:
        futures = [ctx.run(give, name, name=name) for name in "abc"]
        return [future.return_value async for future in as_completed(*futures)]

    plan = ["commit c", "commit a", "commit b"]

    assert value(service_handler(handler), backend, plan=plan) == ["c", "a", "b"]


def test_as_completed_yields_a_future_given_twice_once(backend: str) -> None:
    """It is the same future."""

    async def handler(ctx: Context) -> int:
        future = ctx.run(give, 1)
        return len([each async for each in as_completed(future, future)])

    assert value(service_handler(handler), backend) == 1


def test_as_completed_of_nothing_is_over_at_once(backend: str) -> None:
    """An empty iteration."""

    async def handler(ctx: Context) -> int:
        nothing: list[DurableFuture[Any]] = []
        return len([each async for each in as_completed(*nothing)])

    assert value(service_handler(handler), backend) == 0


def test_what_arrives_while_nobody_waits_is_kept(backend: str) -> None:
    """A slow consumer gets every future."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        async for future in as_completed(*(ctx.run(give, name, name=name) for name in "ab")):
            order.append(future.return_value)
            await sleep(1)
        return order

    assert value(service_handler(handler), backend) == ["a", "b"]


def test_one_task_at_a_time_waits_for_the_next_completion(backend: str) -> None:
    """A second one is told to take an iteration of its own."""

    async def handler(ctx: Context) -> str:
        iteration = as_completed(ctx.timer(5))

        async def consumer() -> None:
            async for _ in iteration:
                pass

        async with open_nursery() as nursery:
            nursery.start_soon(consumer)
            await checkpoint()
            with pytest.raises(UsageError, match="another task waits"):
                await consumer()
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_a_cancelled_iteration_can_be_taken_up_again(backend: str) -> None:
    """Nothing is lost by giving up a wait."""

    async def handler(ctx: Context) -> list[Any]:
        iteration = as_completed(ctx.timer(60, name="slow"))
        with move_on_after(5) as scope:
            await anext(iteration)
        later = await anext(iteration)
        return [scope.cancelled_caught, later.status.name]

    assert value(service_handler(handler), backend) == [True, "FINISHED"]


def test_an_iteration_in_a_cancelled_scope_raises(backend: str) -> None:
    """Even if a future has ended."""

    async def handler(ctx: Context) -> list[Any]:
        future = ctx.run(give, 1)
        await future
        iteration = as_completed(future)
        with CancelScope() as scope:
            scope.cancel()
            await anext(iteration)
        return [scope.cancelled_caught, (await anext(iteration)).return_value]

    assert value(service_handler(handler), backend) == [True, 1]


def test_a_waiting_call_in_as_completed_holds_its_cancelled_waiter(backend: str) -> None:
    """A cancelled task that waits for a callee to end feels it afterwards."""

    async def handler(ctx: Context) -> list[Any]:
        calls: list[DurableFuture[str]] = []
        with move_on_after(5) as scope:
            calls.append(ctx.call(PEER, "x", on_cancel="wait"))
            async for _ in as_completed(*calls):
                raise AssertionError("not reached")
        return [scope.cancelled_caught, *(call.status.name for call in calls)]

    handled = service_handler(handler)

    assert value(handled, backend, answer=unanswered) == [True, "CANCELLED"]


# -- all of them


@pytest.mark.parametrize("combine", [wait_first, gather, wait_all, first_success, as_completed])
def test_only_durable_futures_are_combined(backend: str, combine: Callable[..., Any]) -> None:
    """A coroutine is closed and refused with what to use instead."""

    async def handler(ctx: Context) -> None:
        with pytest.raises(UsageError, match="got int"):
            combine(1)
        combine(give(1))

    assert "race(), amap() or a nursery" in str(error(service_handler(handler), backend))


@pytest.mark.parametrize("combine", [wait_first, first_success])
def test_combining_nothing_would_wait_for_ever(backend: str, combine: Callable[..., Any]) -> None:
    """It is refused."""

    async def handler(ctx: Context) -> None:
        combine()

    assert "wait for ever" in str(error(service_handler(handler), backend))


@pytest.mark.parametrize("combine", [wait_first, gather, wait_all, first_success, as_completed])
def test_futures_of_another_invocation_are_not_combined(
    backend: str, combine: Callable[..., Any]
) -> None:
    """Their order is in nobody's journal; ended or not."""
    leaked: list[DurableFuture[Any]] = []

    async def first(ctx: Context) -> None:
        leaked.append(ctx.run(give, 1))
        await leaked[0]

    async def second(ctx: Context) -> None:
        combine(leaked[0])

    World(service_handler(first)).play(backend)

    assert "another invocation" in str(error(service_handler(second), backend))


@pytest.mark.parametrize("how", ["await", "wait"])
def test_a_future_of_another_invocation_is_not_awaited(backend: str, how: str) -> None:
    """Ended or not, it is refused."""
    leaked: list[DurableFuture[Any]] = []

    async def first(ctx: Context) -> None:
        leaked.append(ctx.run(give, 1))
        await leaked[0]

    async def second(ctx: Context) -> None:
        if how == "await":
            await leaked[0]
        else:
            await leaked[0].wait()

    World(service_handler(first)).play(backend)

    assert "another invocation" in str(error(service_handler(second), backend))


def test_combinators_nest(backend: str) -> None:
    """Their futures are futures."""

    async def handler(ctx: Context) -> list[Any]:
        async with open_nursery() as nursery:
            child = nursery.start_soon(lambda: ctx.run(give, "child", name="child"))
            both = gather(ctx.run(give, "a", name="a"), child)
            index, winner = await wait_first(both, ctx.timer(60, name="slow"))
            return [index, *winner.return_value]  # type: ignore[misc]  # a tuple here
        raise AssertionError

    assert value(service_handler(handler), backend) == [0, "a", "child"]


@pytest.mark.parametrize("suspending", [False, True])
@pytest.mark.parametrize("combine", [wait_first, gather, wait_all, first_success])
def test_combinators_nest_deep(backend: str, combine: Callable[..., Any], suspending: bool) -> None:
    """A hundred levels are told, waited for and ended; one more is refused at its line."""

    async def handler(ctx: Context) -> int:
        future: DurableFuture[Any] = ctx.timer(1, name="innermost")
        count = 0
        with pytest.raises(UsageError, match="combined 100 levels deep: give the futures"):
            for _ in range(200):
                future = combine(future)
                count += 1
        async for _ in as_completed(future):
            await future
        return count

    world = World(service_handler(handler), suspending=suspending)

    assert AttemptCompleted(Value(b"100")) == world.play(backend)


@pytest.mark.parametrize("suspending", [False, True])
def test_a_suspended_combination_wakes_when_it_is_decided(backend: str, suspending: bool) -> None:
    """Whatever is combined, the suspension names what it waits for."""

    async def handler(ctx: Context) -> list[Any]:
        calls = [ctx.call(PEER, name, name=name) for name in "abcd"]
        nested = wait_all(gather(*calls[:2]), wait_first(*calls[2:]), first_success(*calls))
        futures = await nested
        order = [future.return_value async for future in as_completed(*calls)]
        return [len(futures), sorted(order)]

    world = World(service_handler(handler), suspending=suspending)
    end = world.play(backend)

    assert b'[3,["a","b","c","d"]]' in repr(end).encode()


def test_a_combination_journals_nothing(backend: str) -> None:
    """Only the operations do."""

    async def handler(ctx: Context) -> None:
        await gather(ctx.run(give, 1), wait_all(ctx.run(give, 2)))

    _, world = play(service_handler(handler), backend)

    assert ["Run give", "Run give"] == world.names


def test_a_decided_combination_lets_go_of_the_rest(backend: str) -> None:
    """A future that stays pending is not told of by every race that it has lost."""

    async def handler(ctx: Context) -> int:
        slow = ctx.timer(1000, name="slow")
        done = ctx.run(give, 1)
        await done
        for _ in range(50):
            await wait_first(done, slow)
            await wait_first(ctx.run(give, 1), slow)
            await first_success(done, slow)
            await first_success(ctx.run(give, 1), slow)
        with pytest.raises(TerminalError):
            await gather(ctx.run(refuse, "no"), slow)
        return len(slow._waiters or ()) + (slow._first is not None)

    assert value(service_handler(handler), backend) == 0


# -- race


def test_the_winner_of_a_race_cancels_the_others(backend: str) -> None:
    """They clean up, and the race returns afterwards."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def loser() -> str:
            try:
                await sleep_forever()
            finally:
                with CancelScope(shield=True):
                    order.append(await ctx.run(give, "cleaned"))
            return "not reached"

        async def winner() -> str:
            return await ctx.run(give, "won", name="win")

        return [*order, await race(loser, winner), *order]

    assert value(service_handler(handler), backend) == ["won", "cleaned"]


def test_a_race_raises_what_its_winner_raised(backend: str) -> None:
    """The first to finish wins, also with an error."""

    async def handler(ctx: Context) -> str:
        with pytest.raises(TerminalError, match="first"):
            await race(lambda: refuse("first"), sleep_forever)
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_a_loser_that_returns_all_the_same_changes_nothing(backend: str) -> None:
    """The winner's value counts."""

    async def handler(ctx: Context) -> str:
        async def stubborn() -> str:
            late: list[str] = []
            with CancelScope(shield=True):
                late.append(await ctx.run(give, "late", name="late"))
            return late[0]

        return await race(lambda: ctx.run(give, "won", name="win"), stubborn)

    plan = ["commit lambda[0]/win", "commit stubborn[0]/late"]

    assert value(service_handler(handler), backend, plan=plan) == "won"


def test_an_error_in_a_loser_s_cleanup_is_raised(backend: str) -> None:
    """In a group: nothing is swallowed."""

    async def handler(ctx: Context) -> str:
        async def loser() -> str:
            try:
                await sleep_forever()
            finally:
                raise TerminalError("in cleanup")

        with pytest.RaisesGroup(TerminalError):
            await race(loser, lambda: ctx.run(give, "won"))
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_a_race_in_a_cancelled_scope_is_cancelled(backend: str) -> None:
    """All runners are."""

    async def handler(ctx: Context) -> bool:
        with move_on_after(5) as scope:
            await race(sleep_forever, sleep_forever)
        return scope.cancelled_caught

    assert value(service_handler(handler), backend) is True


def test_a_race_of_nobody_is_refused(backend: str) -> None:
    """It would never end."""

    async def handler(ctx: Context) -> None:
        await race()

    assert isinstance(error(service_handler(handler), backend), UsageError)


# -- amap


def test_amap_keeps_the_order_of_its_input(backend: str) -> None:
    """Whatever arrives first."""

    async def handler(ctx: Context) -> list[int]:
        async def double(item: int) -> int:
            return 2 * await ctx.run(give, item, name=f"step{item}")  # type: ignore[no-any-return]

        return await amap(double, [1, 2, 3])

    plan = [f"commit double[{index}]/step{index + 1}" for index in (2, 0, 1)]

    assert value(service_handler(handler), backend, plan=plan) == [2, 4, 6]


def test_amap_runs_at_most_so_many(backend: str) -> None:
    """The next item starts when a place becomes free."""

    async def handler(ctx: Context) -> list[int]:
        inside = [0, 0]

        async def step(item: int) -> int:
            inside[0] += 1
            inside[1] = max(inside)
            await ctx.run(give, item)
            inside[0] -= 1
            return item

        results = await amap(step, iter(range(5)), limit=2)
        return [inside[1], *results]

    assert value(service_handler(handler), backend) == [2, 0, 1, 2, 3, 4]


def test_amap_of_nothing_is_an_empty_list(backend: str) -> None:
    """With and without a limit."""

    async def handler(ctx: Context) -> list[int]:
        return [*await amap(give, []), *await amap(give, [], limit=3)]

    assert value(service_handler(handler), backend) == []


def test_a_failure_in_amap_cancels_the_rest_and_starts_no_more(backend: str) -> None:
    """Items that were not started never are."""
    started: list[int] = []

    async def handler(ctx: Context) -> str:
        started.clear()

        async def step(item: int) -> None:
            started.append(item)
            if item == 1:
                await refuse("no")
            with CancelScope(shield=True):
                await ctx.run(give, item)

        with pytest.RaisesGroup(TerminalError):
            await amap(step, [0, 1, 2, 3], limit=2)
        return "done"

    assert value(service_handler(handler), backend) == "done"
    assert [0, 1] == started


def test_amap_needs_room_for_one(backend: str) -> None:
    """A limit below one would never start anything."""

    async def handler(ctx: Context) -> None:
        await amap(give, [1], limit=0)

    assert isinstance(error(service_handler(handler), backend), UsageError)


def test_an_input_that_fails_fails_amap(backend: str) -> None:
    """An iterator may raise, in whatever branch asks it."""

    async def handler(ctx: Context) -> str:
        def items() -> Any:
            yield 1
            raise TerminalError("no more")

        with pytest.RaisesGroup(TerminalError):
            await amap(give, items(), limit=1)
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_futures_know_where_they_stand(backend: str) -> None:
    """Status, ``done``, ``succeeded`` and their text."""

    async def handler(ctx: Context) -> list[Any]:
        future = ctx.run(give, 1)
        seen = [future.done, future.succeeded, repr(future)]
        await future
        return [*seen, future.done, future.succeeded, Event().is_set()]

    assert value(service_handler(handler), backend) == [
        False,
        False,
        "<DurableFuture 'give' PENDING>",
        True,
        True,
        False,
    ]
