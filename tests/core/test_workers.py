"""The host tasks of run bodies: shared by bodies that do not block, and by no others."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from durable_trio import FutureCancelledError, UsageError, gather, sleep
from durable_trio._host import current_host
from durable_trio._workers import Workers
from durable_trio.abc import AttemptFailed

from .world import World, service_handler, value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from durable_trio import Context

_word: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="unset")


async def own_task() -> int:
    return anyio.get_current_task().id


def test_bodies_that_do_not_block_share_a_host_task(backend: str) -> None:
    """A fan-out of them, and one after the other, take one host task in all."""

    async def handler(ctx: Context) -> int:
        tasks = {*await gather(*[ctx.run(own_task) for _ in range(5)])}
        for _ in range(5):
            tasks.add(await ctx.run(own_task))
        return len(tasks)

    assert value(service_handler(handler), backend) == 1


def test_bodies_that_block_wait_for_no_other(backend: str) -> None:
    """All of them are started, however many of them wait for the others."""

    there: list[int] = []

    async def handler(ctx: Context) -> int:
        met = anyio.Event()

        async def meet(number: int) -> int:
            there.append(number)
            if len(there) == 4:
                met.set()
            await met.wait()
            return anyio.get_current_task().id

        return len({*await gather(*[ctx.run(meet, number) for number in range(4)])})

    # The last one does not block; it comes to a host task of its own all the same.
    assert value(service_handler(handler), backend) == 4
    assert there == [0, 1, 2, 3]


def test_the_host_task_of_an_aborted_body_is_not_used_again(backend: str) -> None:
    """What was cancelled with a body stays cancelled; the next body does not notice."""
    tasks: list[int] = []

    async def endless() -> None:
        tasks.append(anyio.get_current_task().id)
        await anyio.sleep_forever()

    async def patient() -> str:
        tasks.append(anyio.get_current_task().id)
        await anyio.lowlevel.checkpoint()
        return "done"

    async def handler(ctx: Context) -> str:
        future = ctx.run(endless)
        await sleep(1)
        future.cancel()
        with pytest.raises(FutureCancelledError):
            await future
        return await ctx.run(patient)

    assert value(service_handler(handler), backend) == "done"
    assert len({*tasks}) == 2


def test_a_body_that_swallows_its_abort_leaves_its_host_task(backend: str) -> None:
    """It ends as if nothing had happened, and the next one finds no cancelled scope."""

    async def stubborn() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return

    async def patient() -> str:
        await anyio.lowlevel.checkpoint()
        return "done"

    async def handler(ctx: Context) -> str:
        future = ctx.run(stubborn)
        await sleep(1)
        future.cancel()
        return await ctx.run(patient)

    assert value(service_handler(handler), backend) == "done"


@pytest.mark.parametrize("together", [True, False])
def test_a_body_that_ends_in_an_open_scope_is_named(backend: str, together: bool) -> None:
    """No other body gets into that scope, whether it waits for its turn or comes later."""
    open_still: list[AsyncGenerator[int]] = []
    others: list[int] = []

    async def impatient() -> AsyncGenerator[int]:
        with anyio.move_on_after(1000):
            yield 1

    async def first_of() -> int:
        numbers = impatient()
        open_still.append(numbers)
        return await anext(numbers)

    async def other() -> None:
        others.append(1)

    async def handler(ctx: Context) -> None:
        first = ctx.run(first_of)
        if not together:
            await first
        await gather(first, ctx.run(other))

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert "the run 'first_of' has ended inside of a cancel scope" in str(end.error)
    assert [] == others


def test_every_body_has_a_context_of_its_own(backend: str) -> None:
    """What one sets in it the next does not see, though they share a host task."""

    async def speak(word: str) -> str:
        before = _word.get()
        _word.set(word)
        await anyio.lowlevel.checkpoint()
        return f"{before}-{_word.get()}"

    async def handler(ctx: Context) -> list[str]:
        _word.set("handler")
        return [await ctx.run(speak, word) for word in ("one", "two")]

    assert value(service_handler(handler), backend) == ["handler-one", "handler-two"]


def test_an_idle_worker_ends_when_it_is_dismissed(backend: str) -> None:
    """A group in which nothing else runs ends then: no host task is kept for a long wait."""

    class Body:
        scope: Any = None
        context = contextvars.copy_context()

    async def main() -> list[str]:
        done: list[str] = []

        async def execute(_body: Any) -> None:
            done.append("executed")

        workers = Workers(execute)
        host = current_host()
        with anyio.fail_after(5):
            async with host.open_group() as group:
                workers.open(host, group)
                for _ in range(2):
                    workers.submit(Body())  # type: ignore[arg-type]
                    await anyio.wait_all_tasks_blocked()
                workers.dismiss()
                workers.dismiss()
        return done

    assert anyio.run(main, backend=backend) == ["executed", "executed"]


def test_one_worker_at_a_time_is_summoned() -> None:
    """Bodies that are submitted before it has come are its own: no host task is started in vain."""
    started: list[object] = []

    class Group:
        def start_soon(self, async_fn: object, *_: object) -> None:
            started.append(async_fn)

    async def execute(_: Any) -> None: ...

    workers = Workers(execute)
    workers.open(None, Group())  # type: ignore[arg-type]
    for _ in range(3):
        workers.submit(object())  # type: ignore[arg-type]

    assert len(started) == 1
