"""The operations of a context: state, events, chance, peers, promises, and what they refuse."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from durable_trio import (
    NOT_READY,
    IdempotentTarget,
    SerializationError,
    TerminalError,
    UsageError,
    WorkflowTarget,
    current_context,
    move_on_after,
    open_nursery,
    remote,
)
from durable_trio._invocation import awakeable_id, parse_awakeable_id, seed_of
from durable_trio.abc import (
    Attach,
    Call,
    ClearAllState,
    ClearState,
    CompleteAwakeable,
    CompletePromise,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetOutput,
    GetState,
    GetStateKeys,
    InvocationTarget,
    OneWayCall,
    SendSignal,
    SetState,
    Signal,
    Value,
    Void,
)

from .world import (
    World,
    error,
    object_handler,
    play,
    service_handler,
    shared_handler,
    value,
    workflow_handler,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context, ObjectContext, WorkflowContext

PEER = remote("Peer", "handle", input=str, output=str)
OBJECT = remote("Account", "add", input=int, output=int)


async def give(value: Any) -> Any:
    return value


# -- state


def test_reads_see_the_writes_of_the_same_attempt(backend: str) -> None:
    """Set, clear and clear_all show at once."""

    async def handler(ctx: ObjectContext) -> list[Any]:
        seen: list[Any] = [await ctx.get("a", int), await ctx.get("b", int, -1)]
        ctx.set("b", 5)
        seen.extend([await ctx.get("b", int), await ctx.keys()])
        ctx.clear("a")
        seen.extend([await ctx.get("a", int), await ctx.keys()])
        ctx.clear_all()
        return [*seen, await ctx.get("b"), await ctx.keys()]

    start = {"state": {"a": b"1"}}

    assert value(object_handler(handler), backend, start=start) == [
        1,
        -1,
        5,
        ["a", "b"],
        None,
        ["b"],
        None,
        [],
    ]


def test_eager_reads_carry_their_answer(backend: str) -> None:
    """What is at hand is recorded in the command itself."""

    async def handler(ctx: ObjectContext) -> None:
        await ctx.get("a")
        await ctx.get("b")
        await ctx.keys()

    _, world = play(object_handler(handler), backend, start={"state": {"a": b"1"}})

    assert [
        GetEagerState("a", Value(b"1")),
        GetEagerState("b", Void()),
        GetEagerStateKeys(("a",)),
    ] == world.commands[:3]


def test_unknown_state_is_asked_for(backend: str) -> None:
    """With partial state a missing name may exist at the adapter."""

    async def handler(ctx: ObjectContext) -> list[Any]:
        first = await ctx.get("a", int)
        ctx.set("a", 2)
        ctx.clear("b")
        return [
            first,
            await ctx.get("a", int),
            await ctx.get("b"),
            await ctx.get("c"),
            await ctx.keys(),
        ]

    start: dict[str, Any] = {"state": {}, "partial_state": True}
    end, world = play(object_handler(handler), backend, start=start)

    assert [
        GetState("a", 1),
        SetState("a", b"2"),
        ClearState("b"),
        GetEagerState("a", Value(b"2")),
        GetEagerState("b", Void()),
        GetState("c", 4),
        GetStateKeys(5),
    ] == world.commands[:-1]
    assert end is not None


def test_nothing_is_unknown_after_clear_all(backend: str) -> None:
    """The whole object is empty then."""

    async def handler(ctx: ObjectContext) -> Any:
        ctx.clear_all()
        return await ctx.get("a")

    start: dict[str, Any] = {"state": {}, "partial_state": True}
    _, world = play(object_handler(handler), backend, start=start)

    assert [ClearAllState(), GetEagerState("a", Void())] == world.commands[:2]


@pytest.mark.parametrize("partial", [False, True])
def test_state_of_another_type_is_raised_where_it_is_awaited(backend: str, partial: bool) -> None:
    """At hand or asked for: the await raises."""

    async def handler(ctx: ObjectContext) -> str:
        future = ctx.get("a", int)
        with pytest.raises(SerializationError):
            await future
        return future.status.name

    known = {"a": b'"text"'}
    start = {"state": {} if partial else known, "partial_state": partial}
    world = World(object_handler(handler), start=start)
    world.known_state = known

    assert Value(b'"FAILED"') == getattr(world.play(backend), "result", None)


def test_a_type_is_given_by_position_or_by_keyword(backend: str) -> None:
    """Alike where a value is read and where one is written."""

    async def handler(ctx: ObjectContext) -> list[set[int] | None]:
        ctx.set("a", {1}, set[int])
        ctx.set("b", {2}, type=set[int])
        return [
            await ctx.get("a", set[int]),
            await ctx.get("b", type=set[int]),
            await ctx.get("c", set[int], {3}),
            await ctx.get("d", type=set[int], default={4}),
        ]

    end, _ = play(object_handler(handler), backend)

    assert Value(b"[[1],[2],[3],[4]]") == getattr(end, "result", None)


def test_a_state_read_in_a_branch_carries_its_path(backend: str) -> None:
    """As every command does (J5)."""

    async def handler(ctx: ObjectContext) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(ctx.get, "a")

    _, world = play(object_handler(handler), backend)

    assert [GetEagerState("a", Void(), "get[0]")] == world.commands[:1]


# -- events


def test_an_awakeable_is_completed_by_its_id(backend: str) -> None:
    """The id names the invocation and the signal; the future ends with the signal."""

    async def handler(ctx: Context) -> list[Any]:
        first, second = ctx.awakeable(int), ctx.awakeable(int)
        raw, signal = parse_awakeable_id(second.id)
        assert awakeable_id(raw, signal) == second.id
        return [await second.future, await first.future, signal]

    offers = {"one": Signal(17, Value(b"1")), "two": Signal(18, Value(b"2"))}

    assert value(service_handler(handler), backend, offers=offers) == [2, 1, 18]


@pytest.mark.parametrize("text", ["", "inv_1", "sign_1", "sign_1AAAA", "sign_1!!!!!!!!"])
def test_what_is_no_awakeable_id_is_refused(text: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(ValueError):  # the standard library's own, in part
        parse_awakeable_id(text)


def test_a_seed_is_made_of_the_invocation_id() -> None:
    """The same one for the same id, and another one for another."""
    assert seed_of(b"one") == seed_of(b"one") != seed_of(b"two")


def test_a_rejected_awakeable_raises(backend: str) -> None:
    """Its terminal error, as it was given."""

    async def handler(ctx: Context) -> list[Any]:
        with pytest.raises(TerminalError) as raised:
            await ctx.awakeable().future
        return [raised.value.code, raised.value.message]

    offers = {"one": Signal(17, Failure(418, "no"))}

    assert value(service_handler(handler), backend, offers=offers) == [418, "no"]


def test_completing_somebody_s_awakeable(backend: str) -> None:
    """Resolving and rejecting are commands without an answer."""

    theirs = awakeable_id(bytes(16), 99)

    async def handler(ctx: Context) -> None:
        ctx.resolve_awakeable(theirs, [1, 2])
        ctx.reject_awakeable(theirs, "no", code=418, metadata={"a": "b"})

    _, world = play(service_handler(handler), backend)

    assert [
        CompleteAwakeable(theirs, Value(b"[1,2]")),
        CompleteAwakeable(theirs, Failure(418, "no", (("a", "b"),))),
    ] == world.commands[:2]


def test_signals_that_came_early_are_kept_in_order(backend: str) -> None:
    """The first one that came goes to the first one that asks."""

    async def handler(ctx: Context) -> list[str]:
        await ctx.run(give, 1)
        return [await ctx.signal("a", str), await ctx.signal("a", str)]

    offers = {name: Signal("a", Value(f'"{name}"'.encode())) for name in ("one", "two")}

    assert value(
        service_handler(handler), backend, offers=offers, plan=["one", "two", "commit give"]
    ) == ["one", "two"]


def test_named_signals_are_given_out_in_order(backend: str) -> None:
    """Every value goes to one future, early or late."""

    async def handler(ctx: Context) -> list[Any]:
        await ctx.run(give, 1)
        early = ctx.signal("a", str)
        late = ctx.signal("a", str)
        return [early.status.name, await early, await late]

    offers = {name: Signal("a", Value(f'"{name}"'.encode())) for name in ("one", "two")}
    plan = ["one", "commit give", "two"]

    assert value(service_handler(handler), backend, offers=offers, plan=plan) == [
        "FINISHED",
        "one",
        "two",
    ]


def test_a_signal_skips_those_that_gave_up_waiting(backend: str) -> None:
    """A cancelled wait takes no value."""

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.signal("a", str)
        return await ctx.signal("a", str)

    offers = {"one": Signal("a", Value(b'"one"'))}
    plan = ["timer deadline", "one"]

    assert value(service_handler(handler), backend, offers=offers, plan=plan) == "one"


def test_signalling_another_invocation(backend: str) -> None:
    """By its id; with a value or a failure."""

    async def handler(ctx: Context) -> None:
        ctx.invocation("inv_2").signal("a", 5, type=int)
        ctx.invocation("inv_2").reject_signal("a", "no", code=418, metadata={"k": "v"})

    _, world = play(service_handler(handler), backend)

    assert [
        SendSignal("inv_2", "a", Value(b"5")),
        SendSignal("inv_2", "a", Failure(418, "no", (("k", "v"),))),
    ] == world.commands[:2]


def test_a_signal_needs_an_id(backend: str) -> None:
    """An idempotency key names an invocation, but no signal can be sent to it."""

    async def handler(ctx: Context) -> None:
        ctx.invocation(IdempotentTarget("S", "h", "key")).cancel()

    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert "needs the invocation id" in str(found)


# -- other invocations


def test_attaching_and_looking(backend: str) -> None:
    """``attach`` waits, ``output`` tells ``NOT_READY`` while there is none."""

    async def handler(ctx: Context) -> list[Any]:
        attached = await ctx.invocation("inv_2").attach(str)
        output = await ctx.invocation(WorkflowTarget("W", "k")).output(str)
        return [attached, output is NOT_READY]

    handled = service_handler(handler)
    _, world = play(handled, backend)

    assert value(handled, backend) == ["attached", True]
    assert [
        Attach(InvocationTarget("inv_2"), 1),
        GetOutput(WorkflowTarget("W", "k"), 2),
    ] == world.commands[:2]


def test_a_call_carries_all_that_was_asked(backend: str) -> None:
    """Key, headers, idempotency key, scope, limit key, name."""

    async def handler(ctx: Context) -> int:
        return await ctx.call(
            OBJECT,
            3,
            key="alice",
            idempotency_key="i",
            headers={"h": "v"},
            scope="s",
            limit_key="l",
            name="n",
        )

    _, world = play(service_handler(handler), backend)

    assert [
        Call("Account", "add", b"3", 1, 2, "alice", (("h", "v"),), "i", "s", "l", "n")
    ] == world.commands[:1]


@pytest.mark.parametrize("delay", [1e18, 1e300])
def test_a_send_beyond_all_calendars_is_refused(backend: str, delay: float) -> None:
    """A finite delay that no journal can hold, before anything is journaled."""

    async def handler(ctx: Context) -> None:
        ctx.send(PEER, "x", delay=delay)

    assert "use a shorter delay: a send at 1" in str(error(service_handler(handler), backend))


def test_a_send_may_be_delayed(backend: str) -> None:
    """The absolute time is journaled; 0 is now."""

    async def handler(ctx: Context) -> list[str]:
        now = ctx.send(PEER, "x", name="now")
        later = ctx.send(PEER, "x", delay=timedelta(seconds=5), name="later")
        return [await now.invocation_id(), await later.invocation_id()]

    handled = service_handler(handler)
    _, world = play(handled, backend)

    assert value(handled, backend) == ["inv_1", "inv_2"]
    assert [0, 1_000_005_000] == [
        command.invoke_time for command in world.commands if isinstance(command, OneWayCall)
    ]


@pytest.mark.parametrize("what", ["idempotency_key", "scope", "limit_key"])
def test_an_empty_identity_is_refused(backend: str, what: str) -> None:
    """It identifies nothing."""

    async def handler(ctx: Context) -> None:
        ctx.call(PEER, "x", **{what: ""})  # type: ignore[call-overload]

    assert f"an empty {what}" in str(error(service_handler(handler), backend))


def test_an_argument_that_cannot_be_written_fails_at_the_call(backend: str) -> None:
    """Nothing is journaled of it."""

    async def handler(ctx: Context) -> int:
        with pytest.raises(SerializationError):
            ctx.call(OBJECT, cast("int", "no number"), key="k")
        return await ctx.run(give, 1)

    _, world = play(service_handler(handler), backend)

    assert ["Run give"] == world.names


# -- promises


def test_promises_of_a_workflow(backend: str) -> None:
    """Await, get, peek, resolve, reject; completing twice fails."""

    async def handler(ctx: WorkflowContext) -> list[Any]:
        promise = ctx.promise("p", str)
        before = await promise.peek()
        await promise.resolve("first")
        with pytest.raises(TerminalError):
            await promise.reject("second")
        return [before is NOT_READY, await promise, await promise.get(), await promise.peek()]

    handled = workflow_handler(handler)
    _, world = play(handled, backend)

    assert value(handled, backend) == [True, "first", "first", "first"]
    assert CompletePromise("p", Value(b'"first"'), 2) == world.commands[1]


def test_a_rejected_promise_raises(backend: str) -> None:
    """Its terminal error."""

    async def handler(ctx: WorkflowContext) -> list[Any]:
        await ctx.promise("p").reject("no", code=418, metadata={"a": "b"})
        with pytest.raises(TerminalError) as raised:
            await ctx.promise("p")
        return [raised.value.code, raised.value.metadata]

    assert value(workflow_handler(handler), backend) == [418, {"a": "b"}]


# -- time and chance


def test_time_and_chance_are_the_same_on_replay(backend: str) -> None:
    """``now`` is journaled, ``random`` and ``uuid4`` are seeded by the invocation."""

    async def handler(ctx: Context) -> list[Any]:
        return [await ctx.now(), ctx.random.random(), ctx.random.random(), str(ctx.uuid4())]

    now, one, two, text = value(service_handler(handler), backend)
    expected = random.Random(7)

    assert now == 1_000_000.0
    assert (expected.random(), expected.random()) == (one, two)
    assert uuid.UUID(text).version == 4


# -- about the invocation


def test_the_request_is_known(backend: str) -> None:
    """As the caller made it."""

    async def handler(ctx: ObjectContext, argument: int) -> list[Any]:
        request = ctx.request
        return [
            request.id,
            request.service,
            request.handler,
            request.key,
            ctx.key,
            request.body.decode(),
            request.attempt,
            dict(request.attempt_headers),
            request.idempotency_key,
        ]

    start = {"attempt_headers": {"trace": "1"}, "idempotency_key": "i"}

    assert value(object_handler(handler), backend, argument=b"5", start=start) == [
        "inv_1",
        "O",
        "handler",
        "k",
        "k",
        "5",
        1,
        {"trace": "1"},
        "i",
    ]


def test_the_context_of_the_running_handler_is_at_hand(backend: str) -> None:
    """``current_context`` gives it out in every branch."""

    async def handler(ctx: Context) -> list[bool]:
        found = [current_context() is ctx]

        async def child() -> None:
            found.append(current_context() is ctx)

        async with open_nursery() as nursery:
            nursery.start_soon(child)
        return found

    assert value(service_handler(handler), backend) == [True, True]


def test_is_replaying_tells_whether_commands_are_left(backend: str) -> None:
    """For diagnostics: live, nothing is."""
    seen: list[bool] = []

    async def handler(ctx: Context) -> None:
        seen.append(ctx.is_replaying)
        await ctx.run(give, 1)
        seen.append(ctx.is_replaying)

    play(service_handler(handler), backend)

    assert [False, False, True, True] == seen


REFUSED: list[tuple[Callable[..., Any], str, str]] = [
    (service_handler, "get", "a Service has no key and no state"),
    (service_handler, "set", "a Service has no key and no state"),
    (service_handler, "clear_all", "a Service has no key and no state"),
    (service_handler, "keys", "a Service has no key and no state"),
    (service_handler, "key", "a Service has no key and no state"),
    (service_handler, "promise", "durable promises belong to a workflow"),
    (object_handler, "promise", "durable promises belong to a workflow"),
    (shared_handler, "set", "a shared handler only reads state"),
    (shared_handler, "clear", "a shared handler only reads state"),
]


@pytest.mark.parametrize(("make", "name", "reason"), REFUSED)
def test_operations_that_do_not_work_here_say_why(
    backend: str, make: Callable[..., Any], name: str, reason: str
) -> None:
    """A service has no state, a shared handler does not write, promises are a workflow's."""

    async def handler(ctx: Any) -> None:
        getattr(ctx, name)

    found = error(make(handler), backend)

    assert isinstance(found, UsageError)
    assert reason in str(found)


def test_an_operation_that_does_not_exist_is_an_attribute_error(backend: str) -> None:
    """So that ``hasattr`` works."""

    async def handler(ctx: Any) -> bool:
        return hasattr(ctx, "no_such_operation")

    assert value(service_handler(handler), backend) is False


def test_a_shared_handler_of_a_workflow_reads_and_shares(backend: str) -> None:
    """It has state to read and promises, and writes nothing."""
    from durable_trio import Workflow, WorkflowSharedContext

    workflow = Workflow("W")

    @workflow.shared
    async def handler(ctx: WorkflowSharedContext) -> list[Any]:
        return [await ctx.get("a"), hasattr(type(ctx), "set"), await ctx.promise("p", str)]

    assert value(handler, backend) == [None, False, "promised"]


def test_a_future_without_a_name_is_shown_all_the_same(backend: str) -> None:
    """Representations are for people."""

    async def handler(ctx: Context) -> str:
        timer = ctx.timer(5)
        timer.cancel()
        return repr(timer)

    assert value(service_handler(handler), backend) == "<DurableFuture 'sleep' CANCELLED>"
