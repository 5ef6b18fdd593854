"""Run bodies: when they start, where they run, and how they are aborted (C4, S7)."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    CancelScope,
    FutureCancelledError,
    TerminalError,
    move_on_after,
    open_nursery,
    sleep,
    wait_first,
)
from durable_trio.abc import (
    AttemptCompleted,
    Completion,
    Entry,
    Input,
    Run,
    Signal,
    Sleep,
    Value,
)

from .world import World, play, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from durable_trio import Context, DurableFuture


async def give(value: Any) -> Any:
    return value


class Endless:
    """A body that never ends, and notices when it is aborted."""

    def __init__(self) -> None:
        self.begun = 0
        self.aborted = 0

    async def __call__(self) -> None:
        self.begun += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.aborted += 1


def test_cancelling_the_scope_aborts_the_body(backend: str) -> None:
    """The body's host task is cancelled for real."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.run(body)
        return "given up"

    assert value(service_handler(handler), backend) == "given up"
    assert (1, 1) == (body.begun, body.aborted)


def test_cancelling_the_future_aborts_the_body(backend: str) -> None:
    """``future.cancel()`` does the same for one run."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        future = ctx.run(body)
        await sleep(1)
        future.cancel()
        with pytest.raises(FutureCancelledError):
            await future
        return await ctx.run(give, "went on")

    assert value(service_handler(handler), backend) == "went on"
    assert (1, 1) == (body.begun, body.aborted)


def test_the_end_of_the_task_aborts_the_body(backend: str) -> None:
    """A run that nobody awaits ends with its task (C5)."""
    body = Endless()

    async def handler(ctx: Context) -> None:
        async def branch() -> None:
            ctx.run(body)
            await sleep(1)

        async with open_nursery() as nursery:
            nursery.start_soon(branch)
        await ctx.run(give, 1)

    assert value(service_handler(handler), backend) is None
    assert (1, 1) == (body.begun, body.aborted)


def test_the_end_of_the_handler_aborts_detached_bodies(backend: str) -> None:
    """A detached run ends with the invocation at the latest."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        ctx.run(body).detach()
        await sleep(1)
        return "returned"

    assert value(service_handler(handler), backend) == "returned"
    assert (1, 1) == (body.begun, body.aborted)


def test_a_body_that_is_cancelled_before_the_first_quiescence_never_starts(backend: str) -> None:
    """Its command is journaled all the same."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        with CancelScope() as scope:
            ctx.run(body)
            scope.cancel()
        return await ctx.run(give, "went on")

    _, world = play(service_handler(handler), backend)

    assert ["Run Endless", "Run give"] == world.names
    assert body.begun == 0


def test_a_body_whose_result_is_recorded_never_starts(backend: str) -> None:
    """The recorded result is returned."""
    body = Endless()

    async def handler(ctx: Context) -> None:
        return await ctx.run(body)

    recorded: list[Entry] = [Input(b""), Run(1, "Endless"), Completion(1, Value(b"null"))]
    world = World(service_handler(handler), recorded=recorded)

    assert AttemptCompleted(Value(b"null")) == world.play(backend)
    assert body.begun == 0


def test_an_inline_body_whose_result_is_recorded_never_starts(backend: str) -> None:
    """Not even when everything recorded was replayed and the handler goes on."""
    begun: list[int] = []

    async def handler(ctx: Context) -> str:
        await ctx.run(begun.append, 1, on_thread=False)
        return await ctx.run(give, "went on")

    recorded: list[Entry] = [Input(b""), Run(1, "append"), Completion(1, Value(b"null"))]
    world = World(service_handler(handler), recorded=recorded)

    assert AttemptCompleted(Value(b'"went on"')) == world.play(backend)
    assert [] == begun


def test_a_body_cancelled_during_replay_never_starts(backend: str) -> None:
    """The deadline that was recorded cancels it before anything live happens."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.run(body)
        return await ctx.run(give, "went on")

    recorded: list[Entry] = [
        Input(b""),
        Sleep(1_000_005_000, 1, "deadline"),
        Run(2, "Endless"),
        Completion(1, Value(b"")),
    ]
    world = World(service_handler(handler), recorded=recorded)

    assert AttemptCompleted(Value(b'"went on"')) == world.play(backend)
    assert body.begun == 0


def test_an_inline_body_cancelled_during_replay_never_starts(backend: str) -> None:
    """It would not even have to wait for its turn on the event loop."""
    begun: list[int] = []

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.run(begun.append, 1, on_thread=False)
        return await ctx.run(give, "went on")

    recorded: list[Entry] = [
        Input(b""),
        Sleep(1_000_005_000, 1, "deadline"),
        Run(2, "append"),
        Completion(1, Value(b"")),
    ]
    world = World(service_handler(handler), recorded=recorded)

    assert AttemptCompleted(Value(b'"went on"')) == world.play(backend)
    assert [] == begun


class Hasty(World):
    """A world in which a signal arrives at the very moment of the first flush."""

    def flush(self, awaiting: Any, *, executing: bool) -> None:
        super().flush(awaiting, executing=executing)
        if self.flushes == 1 and self.attempt is not None:
            signal = Signal("stop", Value(b"null"))
            self.entries.append(signal)
            self.attempt.deliver(signal)


def test_a_body_cancelled_in_the_moment_it_starts_never_begins(backend: str) -> None:
    """A cancellation delivered between the start and the first step of the body's host task."""
    body = Endless()

    async def handler(ctx: Context) -> str:
        with CancelScope() as scope:
            ctx.run(body)
            await ctx.signal("stop")
            scope.cancel()
        return await ctx.run(give, "went on")

    assert AttemptCompleted(Value(b'"went on"')) == Hasty(service_handler(handler)).play(backend)
    assert body.begun == 0


def test_bodies_start_only_when_everything_waits(backend: str) -> None:
    """A hot run is journaled at once and executed when its attempt is quiescent."""
    order: list[str] = []

    async def body(name: str) -> None:
        order.append(f"run {name}")

    async def handler(ctx: Context) -> None:
        first = ctx.run(body, "a")
        order.append("after the call")
        async with open_nursery() as nursery:
            nursery.start_soon(lambda: ctx.run(body, "b"))
        await first

    World(service_handler(handler)).play(backend)

    assert order[0] == "after the call"
    assert ["run a", "run b"] == sorted(order[1:])


def test_bodies_start_only_after_everything_recorded_was_replayed(backend: str) -> None:
    """An unanswered run of the record starts after the last recorded notification."""
    order: list[str] = []

    async def body() -> None:
        order.append("body")

    async def handler(ctx: Context) -> None:
        future = ctx.run(body)
        order.append(await ctx.run(give, "replayed"))
        order.append("new")
        await future

    recorded: list[Entry] = [
        Input(b""),
        Run(1, "body"),
        Run(2, "give"),
        Completion(2, Value(b'"replayed"')),
    ]
    World(service_handler(handler), recorded=recorded).play(backend)

    assert ["replayed", "new", "body"] == order


def test_inline_bodies_run_in_the_order_of_their_commands(backend: str) -> None:
    """``on_thread=False``: on the event loop, one after the other."""
    order: list[str] = []

    async def handler(ctx: Context) -> None:
        for future in [
            ctx.run(order.append, name, name=name, on_thread=False) for name in ("a", "b", "c")
        ]:
            await future

    World(service_handler(handler)).play(backend)

    assert ["a", "b", "c"] == order


@pytest.mark.parametrize(("on_thread", "same"), [(True, False), (False, True)])
def test_a_plain_function_runs_in_a_thread_unless_told_not_to(
    backend: str, on_thread: bool, same: bool
) -> None:
    """By default a function that is not async may block; ``on_thread=False`` keeps it here."""

    async def handler(ctx: Context) -> bool:
        here = threading.get_ident()
        return await ctx.run(lambda: threading.get_ident() == here, on_thread=on_thread)

    assert value(service_handler(handler), backend) is same


def test_a_partial_function_is_a_step(backend: str) -> None:
    """It is named after the function it is made of."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(partial(partial(give), 3))

    end, world = play(service_handler(handler), backend)

    assert AttemptCompleted(Value(b"3")) == end
    assert ["Run give"] == world.names


@pytest.mark.parametrize("on_thread", [True, False])
def test_a_function_may_return_an_awaitable(backend: str, on_thread: bool) -> None:
    """A lambda around an async function is awaited on the loop."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(lambda: give(3), on_thread=on_thread)

    assert value(service_handler(handler), backend) == 3


@pytest.mark.parametrize("on_thread", [True, False])
def test_what_a_function_returned_to_be_awaited_may_fail_and_be_tried_again(
    backend: str, on_thread: bool
) -> None:
    """A retry calls the function again."""
    tries: list[int] = []

    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("not yet")
        return len(tries)

    def later() -> Awaitable[int]:
        return flaky()

    async def handler(ctx: Context) -> int:
        return await ctx.run(later, on_thread=on_thread)

    assert value(service_handler(handler), backend) == 3


def test_cancelling_a_thread_abandons_it_and_drops_its_result(backend: str) -> None:
    """A thread's work cannot be aborted: the handler goes on, the result is ignored."""
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def body() -> int:
        begun.set()
        go.wait(10)
        ended.set()
        return 1

    async def handler(ctx: Context) -> str:
        future = ctx.run(body)
        await ctx.run(begun.wait, 10, name="begun")
        future.cancel()
        result = await ctx.run(give, "went on")
        go.set()
        return result  # type: ignore[no-any-return]

    end, world = play(service_handler(handler), backend)

    assert ended.wait(10)
    assert AttemptCompleted(Value(b'"went on"')) == end
    assert world.proposed[1] == 0


def test_a_result_proposed_before_the_cancellation_does_no_harm(backend: str) -> None:
    """It is consumed and ignored, at the same place live and on replay."""

    async def handler(ctx: Context) -> list[Any]:
        with move_on_after(5):
            await ctx.run(give, 1, name="slow")
        return [await ctx.run(give, 2, name="next")]

    plan = ["timer deadline", "commit slow", "commit next"]

    assert value(service_handler(handler), backend, plan=plan) == [2]


def test_losers_go_on_until_their_task_ends(backend: str) -> None:
    """``wait_first`` cancels nothing; the end of the handler does."""
    body = Endless()

    async def handler(ctx: Context) -> int:
        index, _ = await wait_first(ctx.run(body), ctx.run(give, 1))
        return index

    assert value(service_handler(handler), backend) == 1
    assert (1, 1) == (body.begun, body.aborted)


def test_a_failing_run_raises_its_terminal_error(backend: str) -> None:
    """Code, message and metadata arrive as the body raised them."""

    async def body() -> None:
        raise TerminalError("no such user", 404, {"id": "7"})

    async def handler(ctx: Context) -> list[Any]:
        with pytest.raises(TerminalError) as raised:
            await ctx.run(body)
        return [raised.value.code, raised.value.message, raised.value.metadata]

    assert value(service_handler(handler), backend) == [404, "no such user", {"id": "7"}]


def test_nothing_is_executing_after_the_attempt(backend: str) -> None:
    """``Attempt.run`` returns when every body has ended."""
    body = Endless()

    async def handler(ctx: Context) -> None:
        ctx.run(body)
        await sleep(1)
        raise ValueError("the attempt fails")

    world = World(service_handler(handler))
    world.play(backend)

    assert world.attempt is not None
    assert not world.attempt.executing
    assert (1, 1) == (body.begun, body.aborted)


class Stubborn:
    """A body that returns a result although it was cancelled."""

    async def __call__(self) -> int:  # type: ignore[return]  # it sleeps for ever
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return 1


def test_the_result_of_a_cancelled_body_is_not_proposed(backend: str) -> None:
    """A body that swallows its cancellation changes nothing."""

    async def handler(ctx: Context) -> str:
        with move_on_after(5):
            await ctx.run(Stubborn())
        return await ctx.run(give, "went on")

    _, world = play(service_handler(handler), backend)

    assert world.proposed[2] == 0


def test_the_result_of_a_body_that_outlives_its_attempt_is_not_proposed(backend: str) -> None:
    """Once the attempt is closed nothing is journaled (C7)."""

    async def handler(ctx: Context) -> None:
        ctx.run(Stubborn())
        await sleep(1)
        raise ValueError("the attempt fails")

    world = World(service_handler(handler))
    world.play(backend)

    assert world.proposed[1] == 0


def test_context_variables_reach_the_body_as_they_were_at_the_call(backend: str) -> None:
    """A body sees the variables of the moment in which the run was started."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def body() -> str:
        return variable.get()

    async def handler(ctx: Context) -> list[str]:
        futures: list[DurableFuture[str]] = []
        for name in ("a", "b"):
            variable.set(name)
            futures.append(ctx.run(body, name=name))
        return [await future for future in futures]

    assert value(service_handler(handler), backend) == ["a", "b"]
