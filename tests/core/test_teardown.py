"""Suspension and teardown are invisible to the handler (C7)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from durable_trio import (
    CancelScope,
    CapacityLimiter,
    Condition,
    Event,
    Lock,
    Semaphore,
    amap,
    as_completed,
    checkpoint,
    fail_after,
    gather,
    open_memory_channel,
    open_nursery,
    race,
    remote,
    sleep,
    sleep_forever,
)
from durable_trio.abc import Input

from .world import Replayed, World, object_handler, service_handler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from durable_trio import Context, ObjectContext

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def torn(function: Any, backend: str) -> World:
    """Play a handler up to its first quiescence and tear it down there."""
    world = World(function)
    assert world.replay(backend) is None
    return world


async def take(lock: Any) -> None:
    async with lock:
        await sleep_forever()


async def condition(ctx: Context) -> None:
    waiting = Condition()
    async with waiting:
        await waiting.wait()


async def nested(ctx: Context) -> None:
    async with open_nursery() as outer, open_nursery() as inner:
        outer.start_soon(sleep_forever)
        inner.start_soon(take, Lock())
        inner.start_soon(take, Semaphore(1))
        await sleep_forever()


async def channel(ctx: Context) -> None:
    send, receive = open_memory_channel(0)
    async with send, receive:
        await send.send(1)


async def receiving(ctx: Context) -> None:
    send, receive = open_memory_channel(0)
    with send, receive:
        async for _ in receive:
            pass


async def completed(ctx: Context) -> None:
    async for _ in as_completed(ctx.run(give, 1), ctx.timer(5)):
        pass


async def deadline(ctx: Context) -> None:
    with fail_after(5):
        await sleep_forever()


async def racing(ctx: Context) -> None:
    await race(sleep_forever, lambda: sleep(5))


async def mapping(ctx: Context) -> None:
    await amap(sleep, [1, 2, 3], limit=2)


async def contended(ctx: Context) -> None:
    lock, limiter = Lock(), CapacityLimiter(1)
    async with lock, limiter, open_nursery() as nursery:
        nursery.start_soon(take, lock)
        nursery.start_soon(take, limiter)
        nursery.start_soon(nested, ctx)


async def child_is_awaited(ctx: Context) -> None:
    async with open_nursery() as nursery:
        handle = nursery.start_soon(sleep_forever)
        await handle


async def callee_is_waited_for(ctx: Context) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(give, ctx.call(PEER, "x", on_cancel="wait"))


WAITS: list[Callable[[Any], Awaitable[object]]] = [
    lambda ctx: ctx.run(give, 1),
    lambda ctx: ctx.run(give, 1).wait(),
    lambda ctx: ctx.timer(5),
    lambda ctx: ctx.call(PEER, "x"),
    lambda ctx: ctx.call(PEER, "x", on_cancel="wait"),
    lambda ctx: ctx.awakeable().future,
    lambda ctx: gather(ctx.run(give, 1), ctx.signal("a")),
    lambda ctx: sleep(5),
    lambda ctx: sleep_forever(),
    lambda ctx: Event().wait(),
    condition,
    nested,
    channel,
    receiving,
    completed,
    deadline,
    racing,
    mapping,
    contended,
    child_is_awaited,
]


@pytest.mark.parametrize("wait", WAITS)
def test_no_wait_shows_an_error_at_teardown(
    backend: str, wait: Callable[[Any], Awaitable[object]]
) -> None:
    """``except Exception`` around any wait sees nothing; ``finally`` and exits run."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await wait(ctx)
            seen.append("went on")
        except Exception as error:
            seen.append(repr(error))
        finally:
            seen.append("finally")

    torn(service_handler(handler), backend)

    assert ["finally"] == seen


OPERATIONS: list[Callable[[Any], object]] = [
    lambda ctx: ctx.run(give, 1),
    lambda ctx: ctx.timer(5),
    lambda ctx: ctx.call(PEER, "x"),
    lambda ctx: ctx.send(PEER, "x"),
    lambda ctx: ctx.get("a"),
    lambda ctx: ctx.keys(),
    lambda ctx: ctx.set("a", 1),
    lambda ctx: ctx.clear("a"),
    lambda ctx: ctx.clear_all(),
    lambda ctx: ctx.now(),
    lambda ctx: ctx.resolve_awakeable("id", 1),
    lambda ctx: ctx.reject_awakeable("id", "no"),
    lambda ctx: ctx.invocation("inv_2").cancel(),
    lambda ctx: ctx.invocation("inv_2").attach(),
    lambda ctx: ctx.invocation("inv_2").output(),
    lambda ctx: CancelScope(deadline=5).__enter__(),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_finally_journals_nothing_at_teardown(
    backend: str, operation: Callable[[Any], object]
) -> None:
    """Every durable operation raises at once, and nothing that ``except Exception`` catches."""
    seen: list[str] = []

    async def handler(ctx: ObjectContext) -> None:
        try:
            await sleep_forever()
        finally:
            try:
                operation(ctx)
                seen.append("went on")
            except Exception as error:
                seen.append(repr(error))

    world = torn(object_handler(handler), backend)

    assert [] == seen
    assert [Input(b"")] == world.entries


@pytest.mark.parametrize(
    "wait",
    [
        sleep_forever,
        checkpoint,
        lambda: Event().wait(),
        lambda: sleep(1),
        lambda: Lock().acquire(),
    ],
)
def test_a_finally_waits_for_nothing_at_teardown(
    backend: str, wait: Callable[[], Awaitable[object]]
) -> None:
    """A shield does not help: waits raise at once."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            with CancelScope(shield=True):
                try:
                    await wait()
                    seen.append("went on")
                except Exception as error:
                    seen.append(repr(error))

    torn(service_handler(handler), backend)

    assert [] == seen


def test_a_child_that_is_started_at_teardown_never_runs(backend: str) -> None:
    """``start_soon`` in a ``finally`` raises at once, like every durable operation."""
    seen: list[str] = []

    async def child() -> None:
        seen.append("child")

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            try:
                await sleep_forever()
            finally:
                try:
                    nursery.start_soon(child)
                    seen.append("went on")
                except Exception as error:
                    seen.append(repr(error))

    torn(service_handler(handler), backend)

    assert [] == seen


def test_context_managers_are_left_at_teardown(backend: str) -> None:
    """``async with`` blocks of the user's own are exited in order."""
    seen: list[str] = []

    @asynccontextmanager
    async def block(name: str) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            seen.append(name)

    async def handler(ctx: Context) -> None:
        async with block("outer"), block("inner"):
            await sleep_forever()

    torn(service_handler(handler), backend)

    assert ["inner", "outer"] == seen


def test_a_scope_catches_nothing_at_teardown(backend: str) -> None:
    """The code after a cancelled scope does not run when the attempt is torn down."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        with CancelScope() as scope:
            scope.cancel()
            with CancelScope(shield=True):
                await sleep_forever()
        seen.append("went on")

    torn(service_handler(handler), backend)

    assert [] == seen


def test_a_nursery_raises_no_group_at_teardown(backend: str) -> None:
    """Children that fail while they are unwound are nobody's business."""
    seen: list[str] = []

    async def child() -> None:
        try:
            await sleep_forever()
        finally:
            raise ValueError("in a finally")

    async def handler(ctx: Context) -> None:
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(child)
        except Exception as error:
            seen.append(repr(error))

    torn(service_handler(handler), backend)

    assert [] == seen


def test_a_wide_nursery_is_unwound_as_a_whole(backend: str) -> None:
    """However many branches there are, all are left."""
    seen: list[int] = []

    async def child(number: int) -> None:
        try:
            await sleep_forever()
        finally:
            seen.append(number)

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            for number in range(2000):
                nursery.start_soon(child, number)

    torn(service_handler(handler), backend)

    assert list(range(2000)) == seen


def test_a_handler_that_swallows_the_teardown_is_given_up(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop that catches everything is abandoned, and the attempt ends."""
    turns: list[int] = []

    async def handler(ctx: Context) -> None:
        while True:
            turns.append(1)
            try:
                await sleep_forever()
            except anyio.get_cancelled_exc_class():
                pass

    torn(service_handler(handler), backend)

    assert 100 < len(turns) < 1000
    assert [] == caplog.records


def test_a_handler_that_spins_on_plain_checkpoints_at_teardown_is_given_up(backend: str) -> None:
    """A ``finally`` that polls with the host's own checkpoint does not hold the process."""

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            while True:
                await anyio.lowlevel.cancel_shielded_checkpoint()

    torn(service_handler(handler), backend)


def test_a_task_that_cannot_be_unwound_is_logged(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One that breaks while it is closed is named in the log; the attempt still ends."""

    async def handler(ctx: Context) -> None:
        while True:
            try:
                await sleep_forever()
            except GeneratorExit:
                raise ValueError("not now") from None
            except BaseException:
                pass

    torn(service_handler(handler), backend)

    assert "could not be unwound" in caplog.text
    assert "not now" in caplog.text


def test_an_adapter_s_abort_fails_the_attempt_with_its_error(backend: str) -> None:
    """``Attempt.abort`` tears down as a suspension does, and returns the error."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        except Exception as error:
            seen.append(repr(error))

    world = World(service_handler(handler))
    world.replay(backend)

    assert [] == seen
    assert isinstance(world.last_error, Replayed)


def test_a_suspended_handler_sees_nothing(backend: str) -> None:
    """A suspension is a teardown like any other."""
    seen: list[str] = []

    async def handler(ctx: Context) -> int:
        seen.append("begun")
        try:
            return await ctx.call(PEER, "x") == "x"
        except Exception as error:
            seen.append(repr(error))
            raise

    world = World(service_handler(handler), suspending=True)
    world.play(backend)

    assert ["begun", "begun", "begun"][: len(seen)] == seen
    assert world.attempts == len(seen)
