"""What becomes of callees when their calls are cancelled (C4, C5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    FutureCancelledError,
    TerminalError,
    gather,
    move_on_after,
    open_nursery,
    remote,
    sleep,
)
from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    AttemptCompleted,
    Completion,
    Failure,
    Output,
    SendSignal,
    Signal,
    Value,
)

from .world import World, play, service_handler, value

if TYPE_CHECKING:
    from durable_trio import CallFuture, Context, TaskHandle
    from durable_trio.abc import Call

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def never(call: Call) -> Value | Failure | None:
    """A callee that does not end by itself."""
    return None


def signals(world: World) -> list[str]:
    """The invocations that were sent CANCEL, in the journal's order."""
    return [
        command.target
        for command in world.commands
        if isinstance(command, SendSignal) and command.signal == CANCEL_SIGNAL
    ]


def kinds(world: World) -> list[str]:
    return [type(entry).__name__ for entry in world.entries]


def test_a_cancelled_call_signals_its_callee(backend: str) -> None:
    """By default the callee is sent CANCEL, journaled, and nobody waits for its end."""

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.call(PEER, "x")
        return "given up"

    _, world = play(service_handler(handler), backend, answer=never)

    assert ["inv_3"] == signals(world)
    assert ["SendSignal", "Output"] == kinds(world)[-2:]


def test_callees_are_signalled_in_the_order_of_the_calls(backend: str) -> None:
    """Not in the order of awaiting, and not in that of their ids' arrival."""

    async def handler(ctx: Context) -> None:
        with move_on_after(5):
            first = ctx.call(PEER, "a", name="a")
            second = ctx.call(PEER, "b", name="b")
            await gather(second, first)

    _, world = play(service_handler(handler), backend, answer=never, plan=["id b", "id a"])

    assert ["inv_3", "inv_5"] == signals(world)


def test_the_signal_waits_for_the_invocation_id(backend: str) -> None:
    """A call whose id is not known yet is signalled when the id is delivered."""

    async def handler(ctx: Context) -> str:
        with CancelScope() as scope:
            ctx.call(PEER, "x")
            scope.cancel()
        return await ctx.run(give, "went on")

    plan = ["commit give", "id handle"]
    _, world = play(service_handler(handler), backend, answer=never, plan=plan)

    assert kinds(world) == [
        "Input",
        "Call",
        "Run",
        "Completion",
        "Completion",
        "SendSignal",
        "Output",
    ]


def test_the_signal_is_written_before_anybody_hears_of_the_id(backend: str) -> None:
    """Whoever awaits the id runs after the signal was journaled."""

    async def handler(ctx: Context) -> None:
        call = ctx.call(PEER, "x")
        call.cancel()
        ctx.invocation(await call.invocation_id()).signal("heard")

    _, world = play(service_handler(handler), backend, answer=never)

    assert [1, "heard"] == [
        command.signal for command in world.commands if isinstance(command, SendSignal)
    ]


def test_the_output_waits_for_every_signal(backend: str) -> None:
    """The handler has returned, but a callee is still to be told."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "x")
        return "returned"

    _, world = play(service_handler(handler), backend, answer=never)

    assert ["Input", "Call", "Completion", "SendSignal", "Output"] == kinds(world)


def test_a_suspended_handler_that_has_returned_waits_for_the_id(backend: str) -> None:
    """The suspension names the completion of the id."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "x")
        return "returned"

    world = World(service_handler(handler), answer=never, suspending=True)
    world.play(backend)

    assert ["inv_2"] == signals(world)
    assert world.attempts == 2


def test_an_ended_call_signals_nobody(backend: str) -> None:
    """A scope that is cancelled after the call's result came sends nothing."""

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            await ctx.call(PEER, "x")
            scope.cancel()

    _, world = play(service_handler(handler), backend)

    assert [] == signals(world)


def test_an_abandoned_callee_is_left_alone(backend: str) -> None:
    """``on_cancel="abandon"`` sends nothing."""

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.call(PEER, "x", on_cancel="abandon")
        return "given up"

    _, world = play(service_handler(handler), backend, answer=never)

    assert [] == signals(world)


def test_cancelling_a_call_by_hand(backend: str) -> None:
    """``call.cancel()`` signals at once; awaiting it raises an ordinary error."""

    async def handler(ctx: Context) -> str:
        call = ctx.call(PEER, "x")
        await call.invocation_id()
        call.cancel()
        call.cancel()
        with pytest.raises(FutureCancelledError):
            await call
        return call.status.name

    handled = service_handler(handler)
    _, world = play(handled, backend, answer=never)

    assert value(handled, backend, answer=never) == "CANCELLED"
    assert ["inv_2"] == signals(world)


def test_the_losers_of_a_race_leave_no_orphans(backend: str) -> None:
    """A task's pending calls end when it returns (C5)."""

    async def handler(ctx: Context) -> None:
        async def branch() -> str:
            ctx.call(PEER, "left", name="left")
            return await ctx.run(lambda: give("returned"))

        async with open_nursery() as nursery:
            nursery.start_soon(branch)

    _, world = play(service_handler(handler), backend, answer=never)

    assert ["inv_2"] == signals(world)


def test_the_pending_futures_of_a_task_end_when_it_fails(backend: str) -> None:
    """An error ends them as well as a return."""

    async def handler(ctx: Context) -> str:
        async def branch() -> None:
            ctx.call(PEER, "left", name="left")
            await ctx.run(give, 1)
            raise TerminalError("failed")

        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                nursery.start_soon(branch)
        return "handled"

    _, world = play(service_handler(handler), backend, answer=never)

    assert ["inv_2"] == signals(world)


def test_a_detached_call_outlives_its_task(backend: str) -> None:
    """``detach`` keeps the scope and the task from ending it."""

    async def handler(ctx: Context) -> list[str]:
        calls: list[CallFuture[str]] = []
        with CancelScope() as scope:
            call = ctx.call(PEER, "x")
            call.detach()
            call.detach()
            calls.append(call)
            scope.cancel()
        return [await call for call in calls]

    handled = service_handler(handler)

    assert value(handled, backend) == ["x"]
    assert [] == signals(play(handled, backend)[1])


def test_a_detached_call_that_is_pending_at_the_end_goes_on(backend: str) -> None:
    """The handler returns, the callee is not signalled."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "x").detach()
        return await ctx.run(give, "returned")

    _, world = play(service_handler(handler), backend, answer=never)

    assert [] == signals(world)


def test_a_detached_future_that_has_ended_stays_ended(backend: str) -> None:
    """Detaching late does nothing."""

    async def handler(ctx: Context) -> str:
        call = ctx.call(PEER, "x")
        await call
        call.detach()
        return await call

    assert value(service_handler(handler), backend) == "x"


def test_waiting_for_the_callee_to_end(backend: str) -> None:
    """``on_cancel="wait"``: signalled, and the scope is left only when the callee has ended."""

    async def handler(ctx: Context) -> list[Any]:
        calls: list[CallFuture[str]] = []
        with move_on_after(5) as scope:
            calls.append(ctx.call(PEER, "x", on_cancel="wait"))
            await calls[0]
        return [scope.cancelled_caught, calls[0].status.name]

    handled = service_handler(handler)
    _, world = play(handled, backend, answer=never)

    assert value(handled, backend, answer=never) == [True, "CANCELLED"]
    assert ["SendSignal", "Completion", "Output"] == kinds(world)[-3:]


def test_a_waiting_call_is_cancelling_meanwhile(backend: str) -> None:
    """Between signal and end the future is CANCELLING, and awaiting it parks."""

    async def handler(ctx: Context) -> list[str]:
        call = ctx.call(PEER, "x", on_cancel="wait")
        await call.invocation_id()
        call.cancel()
        between = call.status.name
        call.cancel()
        with pytest.raises(FutureCancelledError):
            await call
        return [between, call.status.name]

    assert value(service_handler(handler), backend, answer=never) == ["CANCELLING", "CANCELLED"]


def test_a_result_that_comes_after_the_cancellation_is_dropped(backend: str) -> None:
    """A callee that returned in spite of the signal does not revive the call."""

    async def handler(ctx: Context) -> str:
        call = ctx.call(PEER, "x", on_cancel="wait")
        call.cancel()
        await call.wait()
        return call.status.name

    assert value(service_handler(handler), backend) == "CANCELLED"


def test_a_waiting_call_in_a_gather_is_waited_for(backend: str) -> None:
    """The gather fails at once, and the task still ends after the callee."""

    async def handler(ctx: Context) -> list[str]:
        handles: list[TaskHandle[None]] = []

        async def branch() -> None:
            await gather(ctx.call(PEER, "x", on_cancel="wait"), ctx.timer(60))

        async with open_nursery() as nursery:
            handle = nursery.start_soon(branch)
            handles.append(handle)
            await sleep(1)
            handle.cancel()
        return [handle.status.name for handle in handles]

    handled = service_handler(handler)
    _, world = play(handled, backend, answer=never)

    assert value(handled, backend, answer=never) == ["CANCELLED"]
    assert ["SendSignal", "Completion", "Output"] == kinds(world)[-3:]


def test_a_waiting_call_that_nobody_awaits_is_waited_for_at_the_task_s_end(backend: str) -> None:
    """The task has returned; its nursery is left when the callee has ended."""

    async def handler(ctx: Context) -> str:
        async with open_nursery() as nursery:

            async def branch() -> None:
                ctx.call(PEER, "x", on_cancel="wait")
                await ctx.run(give, 1)

            nursery.start_soon(branch)
        return "left"

    _, world = play(service_handler(handler), backend, answer=never)

    assert ["SendSignal", "Completion", "Output"] == kinds(world)[-3:]


@pytest.mark.parametrize("suspending", [False, True])
def test_the_handler_itself_waits_for_its_callees(backend: str, suspending: bool) -> None:
    """The output comes after the callee's end, also when the invocation suspends meanwhile."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "x", on_cancel="wait", name="one")
        ctx.call(PEER, "y", on_cancel="wait", name="two")
        return "returned"

    world = World(service_handler(handler), answer=never, suspending=suspending)
    world.play(backend)

    assert ["inv_2", "inv_4"] == signals(world)
    assert kinds(world)[-1] == "Output"
    assert kinds(world).count("Completion") == 4


def test_a_timeout_in_front_of_a_waiting_call_of_an_outer_scope_is_kept(backend: str) -> None:
    """The call is not cancelled by the inner scope, so its wait is just given up."""

    async def handler(ctx: Context) -> list[Any]:
        call = ctx.call(PEER, "x", on_cancel="wait")
        with move_on_after(5) as scope:
            await call
        between = call.status.name
        return [scope.cancelled_caught, between, await call]

    plan = ["id handle", "timer deadline", "result handle"]

    assert value(service_handler(handler), backend, plan=plan) == [True, "PENDING", "x"]


def test_a_cancellation_during_the_wait_for_a_cancelling_call_is_felt_after_it(
    backend: str,
) -> None:
    """A task that waits for a callee to end is not interrupted; it raises afterwards."""

    async def handler(ctx: Context) -> list[Any]:
        call = ctx.call(PEER, "x", on_cancel="wait")
        call.cancel()
        with move_on_after(5) as scope:
            await call.wait()
        return [scope.cancelled_caught, call.status.name]

    def slowly(call: Call) -> None:
        """A callee that ends after the deadline."""

    plan = ["timer deadline", "id handle", "result handle"]
    handled = service_handler(handler)

    assert value(handled, backend, plan=plan, answer=slowly) == [True, "CANCELLED"]


def test_a_callee_that_never_came_to_be_is_not_signalled(backend: str) -> None:
    """An id that fails to come leaves nothing to do: the handler ends."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "x").cancel()
        return "returned"

    made = service_handler(handler)
    first = World(made, answer=never)
    first.play(backend)
    recorded = [*first.entries[:2], Completion(1, Failure(404, "no such service"))]
    world = World(made, recorded=recorded, answer=never)

    assert AttemptCompleted(Value(b'"returned"')) == world.play(backend)
    assert [] == signals(world)


@pytest.mark.parametrize("answer", [Failure(404, "no such service"), Value(b"1")])
def test_a_callee_that_is_known_not_to_be_is_not_waited_for(backend: str, answer: Any) -> None:
    """The call is cancelled when its id has failed to come already."""

    async def handler(ctx: Context) -> str:
        call = ctx.call(PEER, "x")
        await call.invocation_id().wait()
        call.cancel()
        return "returned"

    made = service_handler(handler)
    first = World(made, answer=never)
    first.play(backend)
    recorded = [*first.entries[:2], Completion(1, answer)]
    world = World(made, recorded=recorded, answer=never)

    assert AttemptCompleted(Value(b'"returned"')) == world.play(backend)
    assert [] == signals(world)


def test_cancelling_a_send_s_invocation(backend: str) -> None:
    """``send().cancel()`` is written when its id is known; a send outlives its sender otherwise."""

    async def handler(ctx: Context) -> str:
        ctx.send(PEER, "kept", name="kept")
        ctx.send(PEER, "cancelled", name="cancelled").cancel()
        return "returned"

    _, world = play(service_handler(handler), backend)

    assert ["inv_2"] == signals(world)


def test_cancelling_an_invocation_by_its_id(backend: str) -> None:
    """``ctx.invocation(id).cancel()`` is one signal command."""

    async def handler(ctx: Context) -> None:
        ctx.invocation("inv_other").cancel()

    _, world = play(service_handler(handler), backend)

    assert world.commands[0] == SendSignal("inv_other", CANCEL_SIGNAL, VOID)
    assert isinstance(world.commands[1], Output)


def test_cancel_unwinds_a_tree_of_calls(backend: str) -> None:
    """CANCEL from outside reaches the callees of the handler's own calls (C6)."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(ctx.call, PEER, name)

    world = World(
        service_handler(handler), answer=never, offers={"cancel": Signal(CANCEL_SIGNAL, VOID)}
    )
    world.play(backend)

    assert ["inv_2", "inv_4"] == signals(world)
