"""Each mistake that a handler can make has an error of its own, which names the line.

The core's tests have every form of them; here each is made once in a service that runs, so
that whoever called is shown to be told.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sniffio
import trio

from durable_trio import (
    Context,
    InvocationPausedError,
    ObjectSharedContext,
    Service,
    VirtualObject,
    checkpoint,
    open_nursery,
    race,
    remote,
    sleep,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

UNCLOSED = pytest.mark.filterwarnings(
    "ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
"""The hosts warn of generators that were not closed."""


async def raw_sleep(ctx: Context) -> None:
    if sniffio.current_async_library() == "trio":
        await trio.sleep(1)  # here
    else:
        await asyncio.sleep(1)  # here


async def raw_nursery(ctx: Context) -> None:
    if sniffio.current_async_library() == "trio":
        async with trio.open_nursery():
            await ctx.timer(1)  # here
    else:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1000))
            await ctx.timer(1)  # here


async def anyio_s_nursery(ctx: Context) -> None:
    async with anyio.create_task_group():
        await ctx.timer(1)  # here


async def native_timeout(ctx: Context) -> None:
    if sniffio.current_async_library() == "trio":
        with trio.move_on_after(100):
            await ctx.timer(1)  # here
    else:
        async with asyncio.timeout(100):
            await ctx.timer(1)  # here


async def anyio_s_timeout(ctx: Context) -> None:
    with anyio.fail_after(100):
        await ctx.timer(1)  # here


async def busy_wait(ctx: Context) -> None:
    timer = ctx.timer(1)
    while not timer.done:
        await checkpoint()  # here


async def operation_in_a_body(ctx: Context) -> None:
    async def body() -> None:
        await ctx.timer(1)  # here

    await ctx.run(body)  # here


async def operation_in_a_foreign_task(ctx: Context) -> None:
    async def child() -> None:
        await ctx.timer(1)

    async with anyio.create_task_group() as group:  # here
        group.start_soon(child)


async def unserializable_value(ctx: Context) -> None:
    ctx.call(remote("Faulty", "work", input=int), object())  # here


async def unknown_service(ctx: Context) -> None:
    await ctx.call(remote("Nobody", "there"))  # here


async def nursery_of_another_task(ctx: Context) -> None:
    async def held() -> AsyncGenerator[int, None]:
        async with open_nursery() as nursery:  # here
            nursery.start_soon(sleep, 60)
            yield 1

    generator = held()
    await anext(generator)

    async def other() -> None:
        await generator.aclose()

    async with open_nursery() as nursery:
        nursery.start_soon(other)


async def coroutine_for_a_function(ctx: Context) -> None:
    wrong: Any = sleep(1)
    await race(wrong)  # here


async def cancelled_host_task(ctx: Context) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await ctx.timer(1)  # here


def is_here(text: str, wrong: Callable[..., object]) -> bool:
    """Whether ``text`` names a line of ``wrong`` that is marked."""
    lines, first = inspect.getsourcelines(wrong)
    return any(
        f"{__file__}:{first + index}" in text
        for index, line in enumerate(lines)
        if line.endswith("# here\n")
    )


@UNCLOSED
@pytest.mark.parametrize(
    ("wrong", "name", "remedy"),
    [
        (nursery_of_another_task, "UsageError", "contextlib.aclosing"),
        (coroutine_for_a_function, "UsageError", "race(fn, ...)"),
        (raw_sleep, "ForeignAwaitError", "ctx.run"),
        (raw_nursery, "ForeignAwaitError", "open_nursery"),
        (anyio_s_nursery, "ForeignAwaitError", "open_nursery"),
        (native_timeout, "ForeignDeadlineError", "move_on_after"),
        (anyio_s_timeout, "ForeignDeadlineError", "fail_after"),
        (busy_wait, "BusyWaitError", "await"),
        (operation_in_a_body, "NotDurableTaskError", "body"),
        (operation_in_a_foreign_task, "ForeignAwaitError", "open_nursery"),
        (unserializable_value, "SerializationError", "expected int"),
        (unknown_service, "UnknownServiceError", "Faulty"),
    ],
)
async def test_a_mistake_is_told_with_its_line(
    store: JournalStore,
    clock: VirtualClock,
    wrong: Callable[[Context], Awaitable[None]],
    name: str,
    remedy: str,
) -> None:
    """Whoever waits for the handler gets the error and what to do instead, after one attempt."""
    service = Service("Faulty")
    attempts: list[int] = []

    @service.handler
    async def work(ctx: Context) -> None:
        attempts.append(1)
        await wrong(ctx)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        with pytest.raises(InvocationPausedError, match=name) as caught:
            await runtime.call(work)
        record = await runtime.invocation(caught.value.invocation_id)

    told = str(caught.value)
    assert is_here(told, wrong), told
    assert remedy in told
    assert record.status is InvocationStatus.PAUSED
    assert attempts == [1]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_cancels_its_host_task_is_told_with_its_line(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The runtime, whose task it is, goes on: the next invocation runs in it."""
    service = Service("Faulty")

    @service.handler
    async def work(ctx: Context) -> None:
        await cancelled_host_task(ctx)

    @service.handler
    async def other(ctx: Context) -> str:
        await sleep(1)
        return "done"

    async with LocalRuntime([service], store, clock=clock) as runtime:
        with pytest.raises(InvocationPausedError, match="UsageError") as caught:
            await runtime.call(work)
        went_on = await runtime.call(other)

    assert is_here(str(caught.value), cancelled_host_task), str(caught.value)
    assert "done" == went_on


async def test_a_write_in_a_shared_handler_is_told_with_its_line(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A type checker refuses it; at run time it says which handlers may write."""
    counter = VirtualObject("Counter")

    @counter.shared
    async def look(ctx: ObjectSharedContext) -> None:
        ctx.set("total", 1)  # type: ignore[attr-defined]  # here

    async with LocalRuntime([counter], store, clock=clock) as runtime:
        with pytest.raises(InvocationPausedError, match="shared") as caught:
            await runtime.call(look, key="k")
        kept = await runtime.get_state("Counter", "k")

    assert is_here(str(caught.value), look.function), str(caught.value)
    assert "exclusive" in str(caught.value)
    assert kept == {}


async def test_branches_that_depend_on_chance_are_told_with_the_difference(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The branch, what was recorded, what is done now and where, and the last that matched."""
    service = Service("Chancy")
    chance = random.Random(1)

    async def choose(ctx: Context) -> None:
        await ctx.run(lambda: None, name="same", on_thread=False)
        if chance.random() < 0.5:
            await ctx.run(lambda: None, name="heads", on_thread=False)
        else:
            await ctx.run(lambda: None, name="tails", on_thread=False)  # here
        await sleep(3600)

    @service.handler
    async def work(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(choose, ctx)

    async with LocalRuntime([service], store, clock=clock, unload_after=0) as runtime:
        with pytest.raises(InvocationPausedError, match="does not do what its journal") as caught:
            await runtime.call(work)

    told = str(caught.value)
    for part in ("choose[0]/heads", "choose[0]/tails", "choose[0]/same"):
        assert part in told, told
    assert is_here(told, choose), told


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("sleep", r"It is a function of its own: durable_trio\.sleep\(\)\."),
        ("awakable", "Did you mean 'awakeable'"),
        ("xyzzy", "has no operation 'xyzzy'"),
    ],
)
async def test_an_operation_that_is_none_names_what_may_be_meant(name: str, instead: str) -> None:
    """It is an AttributeError, as of any object, so that it can be asked for."""
    service = Service("Misspelt")
    said: list[str] = []

    @service.handler
    async def handle(ctx: Context) -> bool:
        try:
            getattr(ctx, name)
        except AttributeError as error:
            said.append(str(error))
        return hasattr(ctx, name)

    async with LocalRuntime([service], MemoryStore()) as runtime:
        assert await runtime.call(handle) is False

    assert re.search(instead, said[0]), said
