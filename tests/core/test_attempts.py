"""An attempt seen from its adapter: flushes, suspensions, aborts, options."""

from __future__ import annotations

import contextvars
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from durable_trio import (
    Event,
    ServiceOptions,
    TerminalError,
    UsageError,
    checkpoint,
    gather,
    move_on_after,
    open_nursery,
    remote,
    sleep,
    sleep_forever,
)
from durable_trio._attempt import Attempt
from durable_trio.abc import (
    AttemptCompleted,
    AttemptFailed,
    AttemptSuspended,
    AwaitKind,
    AwaitTree,
    Input,
    InvocationStart,
    Value,
)

from .world import World, service_handler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from durable_trio import Context, RunInfo, TaskHandle
    from durable_trio.abc import AttemptEnd

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def test_an_attempt_keeps_nothing_in_a_dict(backend: str) -> None:
    """So many attributes would make it large, and many attempts wait at the same time."""

    async def handler(ctx: Context) -> None:
        await gather(ctx.run(give, 1), ctx.run(give, 2))
        await sleep(1)

    world = World(service_handler(handler))
    world.play(backend)

    assert world.attempt is not None
    assert {} == vars(world.attempt)


def suspended(function: Any, backend: str) -> AwaitTree:
    """What the first suspension of a handler reports."""

    async def main() -> AttemptEnd:
        world = World(service_handler(function), suspending=True)
        return await world._one_attempt()

    end = anyio.run(main, backend=backend)
    assert isinstance(end, AttemptSuspended), end
    return end.awaiting


FIRST = AwaitKind.FIRST_COMPLETED


# -- flushes


def test_a_fan_out_is_flushed_once(backend: str) -> None:
    """Output is written at quiescence, not at every command (S8)."""

    async def handler(ctx: Context) -> None:
        await gather(*(ctx.call(PEER, "x") for _ in range(100)))

    world = World(service_handler(handler))
    end = world._one_attempt

    async def main() -> int:
        await end()
        return world.flushes

    # One for the calls, one for each of the 200 notifications delivered alone, one at the end.
    assert 100 <= anyio.run(main, backend=backend) <= 202


def test_a_replay_is_flushed_once_at_its_end(backend: str) -> None:
    """While something recorded is left to deliver, nothing is flushed."""

    async def handler(ctx: Context) -> None:
        for index in range(20):
            await ctx.run(give, index)
        await ctx.awakeable().future

    async def shorter(ctx: Context) -> None:
        for index in range(20):
            await ctx.run(give, index)
        await sleep_forever()

    world = World(service_handler(handler), rescues=True)
    world.play(backend)
    again = World(service_handler(shorter), recorded=world.entries[:41])

    assert again.replay(backend) is None
    assert again.flushes == 1


# -- suspensions


def test_a_suspension_names_what_is_awaited(backend: str) -> None:
    """CANCEL, and the completions and signals of all parked tasks."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 5)
            nursery.start_soon(lambda: ctx.call(PEER, "x"))
            nursery.start_soon(lambda: ctx.awakeable().future)
            nursery.start_soon(lambda: ctx.signal("named"))

    tree = suspended(handler, backend)

    assert AwaitTree(FIRST, completions=(1, 3), signals=(1, 17, "named")) == tree


def test_a_deadlock_waits_for_cancel(backend: str) -> None:
    """Tasks that wait for each other can only be cancelled."""

    async def handler(ctx: Context) -> None:
        await Event().wait()

    assert AwaitTree(FIRST, signals=(1,)) == suspended(handler, backend)


def test_a_combination_is_a_tree(backend: str) -> None:
    """So that a gather wakes once, when it is decided."""

    async def handler(ctx: Context) -> None:
        await gather(*(ctx.call(PEER, "x") for _ in range(2)))

    nested = AwaitTree(AwaitKind.ALL_SUCCEEDED_OR_FIRST_FAILED, completions=(2, 4))

    assert AwaitTree(FIRST, signals=(1,), nested=(nested,)) == suspended(handler, backend)


def test_what_has_ended_is_not_awaited(backend: str) -> None:
    """A timer of a scope that was left, a call that was answered, an id nobody asked for."""

    async def handler(ctx: Context) -> None:
        with move_on_after(60):
            pass
        ctx.timer(60).cancel()
        await ctx.call(PEER, "x")

    assert AwaitTree(FIRST, completions=(4,), signals=(1,)) == suspended(handler, backend)


def test_deadlines_are_awaited(backend: str) -> None:
    """Also those of scopes around other scopes, as long as they may cut something."""

    async def handler(ctx: Context) -> None:
        with move_on_after(60), move_on_after(30):
            async with open_nursery() as nursery:
                nursery.start_soon(Event().wait)

    tree = suspended(handler, backend)

    assert AwaitTree(FIRST, completions=(1, 2), signals=(1,)) == tree


def test_a_suspended_attempt_waits_for_its_bodies(backend: str) -> None:
    """As long as one executes it is not suspended; its result is delivered."""

    async def handler(ctx: Context) -> int:
        return await ctx.run(give, 1)

    world = World(service_handler(handler), suspending=True)

    assert AttemptCompleted(Value(b"1")) == world.play(backend)
    assert world.attempts <= 2


def test_every_wait_goes_on_after_a_suspension(backend: str) -> None:
    """A handler that is suspended at each wait ends as one that never is."""

    async def handler(ctx: Context) -> list[Any]:
        async def child(seconds: float) -> float:
            await sleep(seconds)
            return seconds

        found: list[Any] = []
        handles: list[TaskHandle[float]] = []
        async with open_nursery() as nursery:
            handles += [nursery.start_soon(child, seconds) for seconds in (3, 1, 2)]
            found.append(await ctx.call(PEER, "x"))
        found.append([handle.return_value for handle in handles])
        with move_on_after(5) as scope:
            await sleep_forever()
        return [*found, scope.cancelled_caught]

    made = service_handler(handler)
    world = World(made, suspending=True)

    assert World(made).play(backend) == world.play(backend)
    assert world.attempts > 3


# -- aborts


def test_an_attempt_aborted_before_it_runs_fails_at_once(backend: str) -> None:
    """The first error counts, and the handler never begins."""
    begun: list[int] = []

    async def handler(ctx: Context) -> None:
        begun.append(1)

    made = service_handler(handler)
    world = World(made)

    async def main() -> AttemptEnd:
        start = InvocationStart("inv_1", b"0123456789abcdef", "S", "handler", [Input(b"")])
        attempt = Attempt(start, made, world, world.clock)
        attempt.abort(OSError("first"))
        attempt.abort(OSError("second"))
        return await attempt.run()

    end = anyio.run(main, backend=backend)

    assert isinstance(end, AttemptFailed)
    assert str(end.error) == "first"
    assert [] == begun


def test_an_abort_while_the_handler_runs_takes_effect_at_its_next_wait(backend: str) -> None:
    """The journal reports trouble from within a command."""

    class Broken(World):
        def append(self, command: Any) -> None:
            super().append(command)
            assert self.attempt is not None
            self.attempt.abort(OSError("disk full"))

    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        future = ctx.run(give, 1)
        seen.append("journaled")
        try:
            await future
        except Exception as error:
            seen.append(repr(error))

    end = Broken(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, OSError)
    assert ["journaled"] == seen


def test_an_abort_after_the_end_changes_nothing(backend: str) -> None:
    """The outcome stands."""

    async def handler(ctx: Context) -> int:
        return 1

    world = World(service_handler(handler))
    end = world.play(backend)
    assert world.attempt is not None
    world.attempt.abort(OSError("late"))

    assert AttemptCompleted(Value(b"1")) == end == world.attempt._end()


def test_an_attempt_tells_what_it_does(backend: str) -> None:
    """``awaiting`` and ``executing`` while it runs, and nothing once it has ended."""
    seen: list[Any] = []

    async def handler(ctx: Context) -> None:
        assert world.attempt is not None
        seen.append((world.attempt.awaiting, world.attempt.executing))
        await ctx.run(body)

    async def body() -> None:
        assert world.attempt is not None
        await world.gate("body")
        seen.append((world.attempt.awaiting is not None, world.attempt.executing))

    world = World(service_handler(handler))
    world.play(backend)
    assert world.attempt is not None

    assert [(None, False), (True, True)] == seen
    assert world.attempt.awaiting is None
    assert not world.attempt.executing


# -- contexts


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_contexts_surround_every_attempt(backend: str) -> None:
    """The first one outermost; they run again on every attempt."""
    order: list[str] = []

    def context(name: str) -> Callable[[], Any]:
        @asynccontextmanager
        async def make() -> AsyncGenerator[None]:
            order.append(f"enter {name}")
            token = variable.set(name)
            try:
                yield
            finally:
                variable.reset(token)
                order.append(f"leave {name}")

        return make

    async def handler(ctx: Context) -> str:
        order.append("handler")
        await sleep(1)
        return variable.get()

    options = ServiceOptions(contexts=(context("outer"), context("inner")))
    world = World(service_handler(handler), options=options, suspending=True)

    assert AttemptCompleted(Value(b'"inner"')) == world.play(backend)
    once = ["enter outer", "enter inner", "handler", "leave inner", "leave outer"]
    assert [*once, *once] == order


def test_a_context_that_fails_fails_the_attempt(backend: str) -> None:
    """On the way in, nothing of the handler runs."""

    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        raise OSError("no pool")
        yield

    async def handler(ctx: Context) -> None:
        raise AssertionError("not reached")

    end = World(service_handler(handler), options=ServiceOptions(contexts=(broken,))).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, OSError)


def test_a_context_that_fails_after_the_output_does_not_undo_it(backend: str) -> None:
    """The output is in the journal."""

    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        yield
        raise OSError("late")

    async def handler(ctx: Context) -> int:
        return 1

    world = World(service_handler(handler), options=ServiceOptions(contexts=(broken,)))

    assert AttemptCompleted(Value(b"1")) == world.play(backend)


def test_the_first_error_of_an_attempt_counts(backend: str) -> None:
    """A context that fails while a failed attempt is left does not hide why it failed."""

    @asynccontextmanager
    async def broken() -> AsyncGenerator[None]:
        yield
        raise OSError("late")

    async def handler(ctx: Context) -> None:
        raise ValueError("early")

    end = World(service_handler(handler), options=ServiceOptions(contexts=(broken,))).play(backend)

    assert isinstance(end, AttemptFailed)
    assert "early" in str(end.error)


def test_run_contexts_surround_every_body(backend: str) -> None:
    """They are told which try of which run it is, and run again on every retry."""
    order: list[str] = []

    @asynccontextmanager
    async def context(run: RunInfo) -> AsyncGenerator[None]:
        order.append(f"enter {run.name} {run.attempt}")
        try:
            yield
        finally:
            order.append(f"leave {run.name}")

    def flaky() -> int:
        order.append("body")
        if order.count("body") < 2:
            raise OSError
        return 1

    async def handler(ctx: Context) -> int:
        await ctx.run(give, 1, name="async")
        await ctx.run(lambda: give(2), name="awaitable")
        return await ctx.run(flaky, name="inline", on_thread=False)

    options = ServiceOptions(run_contexts=(context,))
    world = World(service_handler(handler), options=options)

    assert AttemptCompleted(Value(b"1")) == world.play(backend)
    assert [
        "enter async 1",
        "leave async",
        "enter awaitable 1",
        "leave awaitable",
        "enter inline 1",
        "body",
        "leave inline",
        "enter inline 2",
        "body",
        "leave inline",
    ] == order


def test_a_run_context_must_not_swallow_the_body_s_error(backend: str) -> None:
    """There would be no result: it is told so."""

    @asynccontextmanager
    async def swallow(run: RunInfo) -> AsyncGenerator[None]:
        with suppress(TerminalError):
            yield

    async def body() -> None:
        raise TerminalError("no")

    async def handler(ctx: Context) -> None:
        await ctx.run(body)

    options = ServiceOptions(run_contexts=(swallow,))
    end = World(service_handler(handler), options=options).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert "one of the `run_contexts` swallowed the error of the run 'body'" in str(end.error)


def test_a_context_must_not_swallow_what_ends_an_attempt(backend: str) -> None:
    """One that cancels the attempt's task itself leaves no outcome: it is told so."""

    @asynccontextmanager
    async def impatient() -> AsyncGenerator[None]:
        with anyio.CancelScope() as scope:
            scope.cancel()
            yield

    async def handler(ctx: Context) -> None:
        await ctx.run(anyio.sleep_forever)

    end = World(service_handler(handler), options=ServiceOptions(contexts=(impatient,))).play(
        backend
    )

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert "contexts" in str(end.error)


# -- long replays


def test_a_long_replay_lets_the_host_run(backend: str) -> None:
    """Many steps in a row do not starve the host's other tasks."""

    async def handler(ctx: Context) -> int:
        for index in range(3000):
            if index % 100 == 0:
                async with open_nursery() as nursery:
                    nursery.start_soon(give, 1)
            await checkpoint()
        return 1

    async def main() -> int:
        ticks = 0
        async with anyio.create_task_group() as group:

            async def tick() -> None:
                nonlocal ticks
                while True:
                    await anyio.lowlevel.checkpoint()
                    ticks += 1

            group.start_soon(tick)
            await World(service_handler(handler)).run()
            group.cancel_scope.cancel()
        return ticks

    assert anyio.run(main, backend=backend) >= 3
