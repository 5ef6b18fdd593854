"""Mistakes that Python reports in other words: what is said of them, and where."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from durable_trio import (
    CancelScope,
    Context,
    ForeignAwaitError,
    ObjectContext,
    RetryPolicy,
    SerializationError,
    Service,
    TerminalError,
    UsageError,
    move_on_after,
    open_nursery,
    remote,
    sleep,
)

from .world import World, error, object_handler, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PEER = remote("Peer", "handle", input=str, output=str)


async def returns(ctx: Context, text: str) -> int:
    return len(text)


OWN = Service("Own").handler(name="handle")(returns)


async def give(value: Any) -> Any:
    return value


async def asyncio_sleep(ctx: Any) -> None:
    await asyncio.sleep(1)


async def asyncio_loop(ctx: Any) -> None:
    asyncio.get_running_loop()


async def asyncio_event(ctx: Any) -> None:
    await asyncio.Event().wait()


async def asyncio_timeout(ctx: Any) -> None:
    async with asyncio.timeout(1):
        await sleep(1)


async def asyncio_wait_for(ctx: Any) -> None:
    await asyncio.wait_for(ctx.run(give, 1), 1)


async def trio_sleep(ctx: Any) -> None:
    await trio.sleep(1)


async def trio_event(ctx: Any) -> None:
    await trio.Event().wait()


async def trio_nursery(ctx: Any) -> None:
    async with trio.open_nursery():
        await sleep(1)


async def trio_deadline(ctx: Any) -> None:
    with trio.move_on_after(1):
        await sleep(1)


OTHERS = [
    *(
        ("trio", "asyncio", each)
        for each in (
            asyncio_sleep,
            asyncio_loop,
            asyncio_event,
            asyncio_timeout,
            asyncio_wait_for,
        )
    ),
    *(("asyncio", "trio", each) for each in (trio_sleep, trio_event, trio_nursery, trio_deadline)),
]


def line_of(function: Callable[..., object]) -> str:
    """The place of a function's first line, as an error names it."""
    return f"{__file__}:{inspect.getsourcelines(function)[1] + 1}"


@pytest.mark.parametrize(("backend", "other", "wait"), OTHERS)
def test_the_functions_of_the_other_event_loop_are_found_too(
    backend: str, other: str, wait: Callable[[Any], Awaitable[None]]
) -> None:
    """Python says that no loop runs, which is not what is wrong."""
    found = error(service_handler(wait), backend)

    assert isinstance(found, ForeignAwaitError)
    assert str(found).startswith(f"{line_of(wait)}: a function of {other}'s")
    assert f"runs on {backend}" in str(found)
    assert found.__cause__ is not None


@pytest.mark.parametrize(("backend", "other", "wait"), OTHERS)
def test_in_a_branch_as_well(
    backend: str, other: str, wait: Callable[[Any], Awaitable[None]]
) -> None:
    """Where the error comes in a group."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(wait, ctx)

    assert isinstance(error(service_handler(handler), backend), ForeignAwaitError)


@pytest.mark.parametrize(
    ("backend", "other", "wait"),
    [("trio", "asyncio", asyncio_sleep), ("asyncio", "trio", trio_sleep)],
)
def test_a_step_that_needs_the_other_event_loop_is_not_tried_again(
    backend: str, other: str, wait: Callable[[Any], Awaitable[None]]
) -> None:
    """It would fail for ever; what helps is another loop."""

    async def handler(ctx: Context) -> None:
        await ctx.run(wait, None, retry=RetryPolicy(max_attempts=3))

    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert str(found).startswith(f"{line_of(wait)}: the body of the run '{wait.__name__}'")
    assert f"--backend {other}" in str(found)


def test_a_thread_without_a_loop_is_no_mistake(backend: str) -> None:
    """A plain function may ask for one, in vain: it has a thread of its own."""

    def ask() -> None:
        asyncio.get_running_loop()

    async def handler(ctx: Context) -> str:
        try:
            await ctx.run(ask, retry=RetryPolicy(max_attempts=2))
        except TerminalError as failed:
            return str(failed)
        return "nothing"

    assert value(service_handler(handler), backend) == "RuntimeError: no running event loop"


async def added(ctx: ObjectContext) -> int:
    return cast("int", ctx.get("n", int, default=0)) + 1


async def indexed(ctx: ObjectContext) -> int:
    return cast("Any", ctx.run(give, [1]))[0]  # type: ignore[no-any-return]


async def looped(ctx: ObjectContext) -> None:
    for _ in cast("Any", ctx.run(give, [1])):
        pass


async def of_a_call(ctx: ObjectContext) -> str:
    return "" + cast("str", ctx.call(PEER, "x"))


async def attribute(ctx: ObjectContext) -> str:
    return cast("Any", ctx.call(PEER, "x")).upper()  # type: ignore[no-any-return]


async def branch(ctx: ObjectContext) -> int:
    children: list[Any] = []
    async with open_nursery() as nursery:
        children.append(nursery.start_soon(give, 1))
    return cast("int", children[0]) + 1


@pytest.mark.parametrize("handler", [added, indexed, looped, of_a_call, attribute, branch])
def test_a_future_that_is_used_as_its_result_is_to_be_awaited(
    handler: Callable[[ObjectContext], Awaitable[object]], backend: str
) -> None:
    """The mistake of the first day; it is no reason to try again."""
    found = error(object_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert f"{__file__}:" in str(found)
    assert "put `await` in front" in str(found)


async def awaited_send(ctx: Context) -> None:
    await cast("Any", ctx.send(PEER, "x"))


async def plain_nursery(ctx: Context) -> None:
    with cast("Any", open_nursery()):
        pass


async def asynchronous_scope(ctx: Context) -> None:
    async with cast("Any", move_on_after(1)):
        pass


async def misspelt(ctx: Context) -> None:
    cast("Any", ctx).awakable()


async def elsewhere(ctx: Context) -> None:
    await cast("Any", ctx).sleep(1)


@pytest.mark.parametrize(
    ("handler", "remedy"),
    [
        (awaited_send, "leave the `await` out"),
        (plain_nursery, "`async with`"),
        (asynchronous_scope, "with `with`"),
        (misspelt, "Did you mean 'awakeable'?"),
        (elsewhere, "durable_trio.sleep()."),
    ],
)
def test_what_is_entered_awaited_or_spelt_in_the_wrong_way(
    handler: Callable[[Context], Awaitable[object]], remedy: str, backend: str
) -> None:
    """The remedy is named, and the line."""
    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert str(found).startswith(line_of(handler))
    assert remedy in str(found)


async def wrong_input(ctx: ObjectContext) -> None:
    await ctx.call(PEER, cast("Any", 3))


async def wrong_output(ctx: ObjectContext) -> None:
    await ctx.call(remote("Peer", "handle", input=str, output=int), "x")


async def wrong_own_input(ctx: ObjectContext) -> None:
    await ctx.call(OWN, cast("Any", 3))


async def wrong_own_output(ctx: ObjectContext) -> None:
    await ctx.call(OWN, "x")


async def unwritable_state(ctx: ObjectContext) -> None:
    ctx.set("seen", object())


async def unreadable_state(ctx: ObjectContext) -> None:
    ctx.set("seen", "x")
    await ctx.get("seen", int)


@pytest.mark.parametrize(
    ("handler", "what"),
    [
        (wrong_input, "the input of Peer/handle: cannot write str"),
        (wrong_output, "what Peer/handle returned: cannot read int"),
        (wrong_own_input, "the input of Own/handle: cannot write str"),
        (wrong_own_output, "what Own/handle returned: cannot read int"),
        (unwritable_state, "the state entry 'seen': cannot write Any"),
        (unreadable_state, "the state entry 'seen': cannot read int"),
    ],
)
def test_a_value_that_does_not_fit_is_named(
    handler: Callable[[ObjectContext], Awaitable[object]], what: str, backend: str
) -> None:
    """Which of them it is, and not only of which type."""
    found = error(object_handler(handler), backend)

    assert isinstance(found, SerializationError)
    assert str(found).startswith(what)


def test_state_without_a_type_says_where_the_type_goes(backend: str) -> None:
    """``ctx.set`` has no annotation to read it from."""
    assert "type=" in str(error(object_handler(unwritable_state), backend))


def test_errors_of_the_handler_s_own_stay_what_they_are(backend: str) -> None:
    """Another attempt may well go better."""

    async def handler(ctx: Context) -> None:
        with CancelScope():
            raise TypeError("unsupported operand type(s) for +: 'Price' and 'int'")

    world = World(service_handler(handler))

    assert type(error(service_handler(handler), backend)) is TypeError
    assert [] == world.names
