"""Durable operations from where they do not work, and loops that can never end (S9, S10)."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import pytest

from durable_trio import (
    BusyWaitError,
    CancelScope,
    CapacityLimiter,
    Condition,
    Context,
    Event,
    Lock,
    NotDurableTaskError,
    Semaphore,
    UsageError,
    amap,
    as_completed,
    checkpoint,
    current_context,
    gather,
    open_memory_channel,
    open_nursery,
    race,
    remote,
    sleep,
    sleep_forever,
    wait_first,
)
from durable_trio.abc import AttemptFailed

from .world import World, error, object_handler, service_handler, value, workflow_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import DurableFuture, WorkflowContext

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


async def enter(scope: Any) -> None:
    async with scope:
        pass


NO_FUTURES: list[DurableFuture[None]] = []
OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "ctx.run": lambda ctx: ctx.run(give, 1),
    "ctx.call": lambda ctx: ctx.call(PEER, "x"),
    "ctx.send": lambda ctx: ctx.send(PEER, "x"),
    "ctx.get": lambda ctx: ctx.get("a"),
    "ctx.set": lambda ctx: ctx.set("a", 1),
    "ctx.clear": lambda ctx: ctx.clear("a"),
    "ctx.clear_all": lambda ctx: ctx.clear_all(),
    "ctx.keys": lambda ctx: ctx.keys(),
    "ctx.now": lambda ctx: ctx.now(),
    "ctx.random": lambda ctx: ctx.random,
    "ctx.uuid4": lambda ctx: ctx.uuid4(),
    "ctx.timer": lambda ctx: ctx.timer(1),
    "ctx.awakeable": lambda ctx: ctx.awakeable(),
    "ctx.signal": lambda ctx: ctx.signal("a"),
    "ctx.invocation": lambda ctx: ctx.invocation("inv_2"),
    "ctx.promise": lambda ctx: ctx.promise("a").get(),
    "current_context": lambda ctx: current_context(),
    "sleep": lambda ctx: sleep(1),
    "sleep_forever": lambda ctx: sleep_forever(),
    "checkpoint": lambda ctx: checkpoint(),
    "open_nursery": lambda ctx: enter(open_nursery()),
    "CancelScope": lambda ctx: CancelScope().__enter__(),
    "Event.wait": lambda ctx: Event().wait(),
    "Event.set": lambda ctx: Event().set(),
    "Lock.acquire": lambda ctx: Lock().acquire(),
    "Lock.acquire_nowait": lambda ctx: Lock().acquire_nowait(),
    "Semaphore.acquire": lambda ctx: Semaphore(1).acquire(),
    "Semaphore.acquire_nowait": lambda ctx: Semaphore(1).acquire_nowait(),
    "Semaphore.release": lambda ctx: Semaphore(1).release(),
    "CapacityLimiter.acquire": lambda ctx: CapacityLimiter(1).acquire(),
    "CapacityLimiter.release": lambda ctx: CapacityLimiter(1).release(),
    "release_on_behalf_of": lambda ctx: CapacityLimiter(1).release_on_behalf_of("x"),
    "Lock.release": lambda ctx: Lock().release(),
    "Condition.notify": lambda ctx: Condition().notify(),
    "Condition.wait": lambda ctx: Condition().wait(),
    "send": lambda ctx: open_memory_channel(1)[0].send(1),
    "send_nowait": lambda ctx: open_memory_channel(1)[0].send_nowait(1),
    "receive": lambda ctx: open_memory_channel(1)[1].receive(),
    "receive_nowait": lambda ctx: open_memory_channel(1)[1].receive_nowait(),
    "gather": lambda ctx: gather(*NO_FUTURES),
    "as_completed": lambda ctx: as_completed(*NO_FUTURES),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_durable_operation_in_a_run_body_says_what_to_do(
    backend: str, operation: Callable[[Any], Any]
) -> None:
    """A body is an ordinary side effect; the attempt fails at once and is not retried in place."""

    async def handler(ctx: WorkflowContext) -> None:
        async def body() -> None:
            made = operation(ctx)
            if inspect.isawaitable(made):
                await made

        await ctx.run(body)

    found = error(workflow_handler(handler), backend)

    assert isinstance(found, NotDurableTaskError)
    assert "inside the body of run 'body'" in str(found)


MADE: list[Any] = []
"""The coroutines that a mistake has made."""


def coroutines(count: int = 2) -> list[Any]:
    made = [give(number) for number in range(count)]
    MADE.extend(made)
    return made


async def start(child: Any) -> None:
    refused: list[UsageError] = []
    async with open_nursery() as nursery:
        try:
            nursery.start_soon(child)
        except UsageError as error:
            refused.append(error)
    raise refused[0]


MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a name first": (lambda ctx: ctx.run("name", give), "got str: the name of a step is name="),
    "a coroutine": (
        lambda ctx: ctx.run(*coroutines(1)),
        "`ctx.run(fn, x)` instead of `ctx.run(fn(x))`",
    ),
    "a value": (lambda ctx: ctx.run(1), "got int: write `ctx.run(fn, x)`"),
    "a call by name": (lambda ctx: ctx.call("Peer/handle", "x"), "got str: 'Peer/handle'"),
    "a send by name": (lambda ctx: ctx.send("Peer/handle", "x"), "or remote(service, handler)"),
    "a race of futures": (lambda ctx: race(ctx.run(give, 1)), "the first is wait_first()"),
    "a race of coroutines": (
        lambda ctx: race(*coroutines()),
        "takes async functions without arguments, got coroutine. Write `race(fn, ...)`",
    ),
    "a race with a coroutine": (lambda ctx: race(sleep_forever, *coroutines()), "got coroutine"),
    "a map of a coroutine": (
        lambda ctx: amap(coroutines(1)[0], [1]),
        "got coroutine. Write `amap(fn, items)`",
    ),
    "coroutines gathered": (lambda ctx: gather(*coroutines()), "got coroutine. To combine async"),
    "coroutines as completed": (lambda ctx: as_completed(*coroutines()), "got coroutine"),
    "a coroutine beside a future": (
        lambda ctx: wait_first(ctx.timer(1), *coroutines()),
        "got coroutine. To combine async functions use race(), amap() or a nursery.",
    ),
    "a child that is a coroutine": (
        lambda ctx: start(*coroutines(1)),
        "got coroutine: write `start_soon(fn, x)` instead of `start_soon(fn(x))`",
    ),
    "a child that is a future": (lambda ctx: start(ctx.timer(1)), "got DurableFuture: write"),
    "a promise": (lambda ctx: wait_first(ctx.promise("p", str)), "Its future is promise.get()."),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_function_handler_or_future_is_refused_at_its_line(
    backend: str, mistake: str
) -> None:
    """Not tried for ever as a step that fails, and the message says what to write."""
    make, remedy = MISTAKES[mistake]
    MADE.clear()

    async def main(ctx: WorkflowContext) -> None:
        await make(ctx)

    found = error(workflow_handler(main), backend)

    assert isinstance(found, UsageError)
    assert remedy in str(found)
    # Or Python would tell, later and elsewhere, that they were never awaited.
    assert {inspect.CORO_CLOSED} >= {inspect.getcoroutinestate(made) for made in MADE}


def test_a_future_that_is_awaited_in_a_run_body_says_what_to_do(backend: str) -> None:
    """Whether it has ended or not; pass its result to the body instead."""

    async def handler(ctx: Context) -> None:
        future = ctx.run(give, 1)

        async def body() -> object:
            return await future

        await ctx.run(body)

    found = error(service_handler(handler), backend)

    assert isinstance(found, NotDurableTaskError)
    assert "await give was called inside the body of run 'body'" in str(found)


def test_a_durable_operation_in_a_thread_says_what_to_do(backend: str) -> None:
    """The body of a plain function runs in a worker thread."""

    async def handler(ctx: Context) -> None:
        event = Event()
        await ctx.run(event.set, name="setter")

    found = error(service_handler(handler), backend)

    assert isinstance(found, NotDurableTaskError)
    assert "run 'setter'" in str(found)


def test_a_durable_operation_in_a_thread_of_your_own_says_what_to_do(backend: str) -> None:
    """A thread that the handler started is no part of it."""
    found: list[Exception] = []

    async def handler(ctx: Context) -> None:
        def operate() -> None:
            try:
                ctx.run(give, 1)
            except NotDurableTaskError as error:
                found.append(error)

        thread = threading.Thread(target=operate)
        thread.start()
        thread.join()

    assert value(service_handler(handler), backend) is None
    assert "no handler runs" in str(found[0])


def test_a_durable_operation_without_a_handler_says_what_to_do() -> None:
    """Where no attempt runs at all."""
    with pytest.raises(NotDurableTaskError, match="no handler runs"):
        asyncio.run(sleep(1))
    with pytest.raises(NotDurableTaskError, match="no handler runs"):
        Event().set()


@pytest.mark.parametrize("what", ["cancel", "detach", "cancel a child", "cancel a scope"])
def test_cancelling_from_a_run_body_is_refused(backend: str, what: str) -> None:
    """It would happen at no place of the journal."""

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            async with open_nursery() as nursery:
                handle = nursery.start_soon(sleep_forever)
                future = ctx.timer(60)

                actions = {
                    "cancel": future.cancel,
                    "detach": future.detach,
                    "cancel a child": handle.cancel,
                    "cancel a scope": scope.cancel,
                }

                async def body() -> None:
                    actions[what]()

                await ctx.run(body)

    assert isinstance(error(service_handler(handler), backend), NotDurableTaskError)


def test_a_context_does_not_work_in_another_invocation(backend: str) -> None:
    """A context that leaked out of one handler is refused in another one."""
    leaked: list[Context] = []

    async def first(ctx: Context) -> None:
        leaked.append(ctx)

    async def second(ctx: Context) -> None:
        await leaked[0].run(give, 1)

    World(service_handler(first)).play(backend)

    found = error(service_handler(second), backend)

    assert "another invocation" in str(found)


# -- busy waits


def test_polling_a_future_fails_as_a_busy_wait(backend: str) -> None:
    """A loop over ``checkpoint`` that waits for a result names its line."""

    async def handler(ctx: Context) -> None:
        future = ctx.run(give, 1)
        while not future.done:
            await checkpoint()

    found = error(service_handler(handler), backend)

    assert isinstance(found, BusyWaitError)
    assert f"{__file__}:{handler.__code__.co_firstlineno + 3}" in str(found)


def test_polling_with_the_host_s_checkpoint_fails_too(backend: str) -> None:
    """A plain checkpoint is harmless, a loop of them is not."""

    async def handler(ctx: Context) -> None:
        future = ctx.run(give, 1)
        while not future.done:
            await anyio.lowlevel.checkpoint()

    assert isinstance(error(service_handler(handler), backend), BusyWaitError)


def test_two_branches_that_poll_fail_as_a_busy_wait(backend: str) -> None:
    """Turns of several branches count together as long as nothing changes."""

    async def handler(ctx: Context) -> None:
        future = ctx.run(give, 1)

        async def poll() -> None:
            while not future.done:
                await checkpoint()

        async with open_nursery() as nursery:
            nursery.start_soon(poll)
            nursery.start_soon(poll)

    assert isinstance(error(service_handler(handler), backend), BusyWaitError)


async def start_a_child(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(give, 1)


async def issue_a_command(ctx: Context) -> None:
    ctx.timer(1)


async def end_a_future(ctx: Context) -> None:
    gather()


async def cancel_a_scope(ctx: Context) -> None:
    with CancelScope() as scope:
        scope.cancel()


@pytest.mark.parametrize("progress", [start_a_child, issue_a_command, end_a_future, cancel_a_scope])
def test_many_checkpoints_with_progress_are_no_busy_wait(
    backend: str, progress: Callable[[Context], Awaitable[None]]
) -> None:
    """Taking turns while things happen is what checkpoints are for."""

    async def handler(ctx: Context) -> int:
        for index in range(60_000):
            if index % 20_000 == 0:
                await progress(ctx)
            await checkpoint()
        return 1

    assert value(service_handler(handler), backend) == 1


def test_a_task_that_swallows_its_cancellation_is_given_up(backend: str) -> None:
    """A loop around a wait that catches everything ends the attempt, naming its line."""

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            scope.cancel()
            while True:
                try:
                    await sleep_forever()
                except anyio.get_cancelled_exc_class():
                    pass

    found = error(service_handler(handler), backend)

    assert isinstance(found, BusyWaitError)
    assert "catches the cancelled exception over and over" in str(found)
    assert f"{__file__}:" in str(found)


def test_the_parent_of_a_task_that_is_given_up_is_unwound(backend: str) -> None:
    """Its nursery is left, whatever the child does."""
    seen: list[str] = []

    async def stubborn() -> None:
        while True:
            try:
                await sleep_forever()
            except anyio.get_cancelled_exc_class():
                pass

    async def handler(ctx: Context) -> None:
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(stubborn)
                await checkpoint()
                nursery.cancel_scope.cancel()
        finally:
            seen.append("parent")

    assert isinstance(error(service_handler(handler), backend), BusyWaitError)
    assert ["parent"] == seen


def test_the_children_of_a_task_that_is_given_up_are_unwound(backend: str) -> None:
    """Its nursery cannot be waited for, and its children end all the same."""
    seen: list[str] = []

    async def child() -> None:
        try:
            await sleep_forever()
        finally:
            seen.append("child")

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            async with open_nursery() as nursery:
                with CancelScope(shield=True):
                    nursery.start_soon(child)
                    await checkpoint()
                scope.cancel()
                while True:
                    try:
                        await sleep_forever()
                    except anyio.get_cancelled_exc_class():
                        pass

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert ["child"] == seen


def test_an_object_s_operations_are_named_where_they_do_not_work(backend: str) -> None:
    """State in a service says to make it an object; writes in a shared handler say why not."""

    async def handler(ctx: Any) -> None:
        ctx.promise("a")

    assert "durable promises belong to a workflow" in str(error(object_handler(handler), backend))
