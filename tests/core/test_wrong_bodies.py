"""Run bodies that are wrong: whatever they do to the host task that they run in, no other suffers."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from durable_trio import (
    Context,
    FutureCancelledError,
    RetryPolicy,
    SerializationError,
    TerminalError,
    UsageError,
    gather,
    sleep,
)
from durable_trio.abc import AttemptCompleted, AttemptFailed

from .world import START, World, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Callable


@attrs.frozen
class Point:
    x: int


async def in_task() -> Any:
    return Point(1)


def plainly() -> Any:
    return Point(1)


@pytest.mark.parametrize("on_thread", [True, False])
@pytest.mark.parametrize("function", [in_task, plainly])
def test_a_result_that_cannot_be_encoded(
    backend: str, function: Callable[..., object], on_thread: bool
) -> None:
    """It fails the attempt by itself; nothing else has to happen first."""

    async def handler(ctx: Context) -> None:
        await ctx.run(function, on_thread=on_thread)

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, SerializationError)


async def patient() -> str:
    await anyio.lowlevel.checkpoint()
    return "done"


class Leaks:
    """Bodies that enter something of the host's and do not leave it."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.ended: list[str] = []

    def plain(self) -> None:
        self._enter(anyio.CancelScope())

    async def scope(self) -> None:
        self._enter(anyio.CancelScope())
        await anyio.lowlevel.checkpoint()

    async def two_scopes(self) -> None:
        self._enter(anyio.CancelScope())
        self._enter(anyio.CancelScope())

    async def shield(self) -> None:
        self._enter(anyio.CancelScope(shield=True))

    async def cancelled(self) -> None:
        self._enter(anyio.CancelScope())
        self.held[-1].cancel()

    async def failing(self) -> None:
        self._enter(anyio.CancelScope())
        raise ValueError("and fails")

    async def group(self) -> None:
        group = anyio.create_task_group()
        await group.__aenter__()
        self.held.append(group)
        group.start_soon(self._child)
        await anyio.lowlevel.checkpoint()

    def _enter(self, scope: anyio.CancelScope) -> None:
        scope.__enter__()
        self.held.append(scope)

    async def _child(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.append("child")


@pytest.mark.parametrize(
    "kind", ["plain", "scope", "two_scopes", "shield", "cancelled", "failing", "group"]
)
def test_a_body_that_does_not_leave_what_it_entered(backend: str, kind: str) -> None:
    """It is named, with its line; the host's own scopes are in order afterwards."""
    leaks = Leaks()
    body = getattr(leaks, kind)

    async def handler(ctx: Context) -> None:
        await ctx.run(body, on_thread=False)

    async def main() -> AttemptFailed:
        world = World(service_handler(handler))
        with anyio.CancelScope() as outer:
            await world.run()
            outer.cancel()
            await anyio.sleep_forever()
        [end] = world.ends
        assert isinstance(end, AttemptFailed)
        return end

    end = anyio.run(main, backend=backend)

    assert type(end.error) is UsageError
    assert f"test_wrong_bodies.py:{body.__code__.co_firstlineno}: " in str(end.error)
    assert leaks.ended == (["child"] if kind == "group" else [])


def a_cancelled_exception() -> BaseException:
    """The host's, made without any scope."""
    kind: Any = anyio.get_cancelled_exc_class()
    error: BaseException = (
        kind() if kind is asyncio.CancelledError else kind._create(source="explicit")
    )
    return error


@pytest.mark.parametrize("wrap", [False, True])
def test_a_cancelled_exception_that_nobody_asked_for_is_a_failure(backend: str, wrap: bool) -> None:
    """It is retried like any other, and told where it came from once the policy is used up."""
    tries: list[str] = []

    async def broken() -> None:
        tries.append("broken")
        error = a_cancelled_exception()
        raise BaseExceptionGroup("wrapped", [error]) if wrap else error

    async def handler(ctx: Context) -> list[str]:
        try:
            await ctx.run(broken, retry=RetryPolicy(max_attempts=2))
        except TerminalError as error:
            return [str(error), await ctx.run(patient)]
        return []

    text, after = value(service_handler(handler), backend)

    assert tries == ["broken", "broken"]
    assert "nobody has cancelled it" in text
    assert "test_wrong_bodies.py:" in text
    assert after == "done"


def test_a_group_of_cancelled_exceptions_and_others_is_a_failure_with_the_others(
    backend: str,
) -> None:
    """Nobody has aborted the body, so that nothing is to be cancelled."""

    async def broken() -> None:
        raise BaseExceptionGroup("mixed", [a_cancelled_exception(), ValueError("real")])

    async def handler(ctx: Context) -> str:
        with pytest.raises(TerminalError, match="ExceptionGroup: mixed"):
            await ctx.run(broken, retry=RetryPolicy(max_attempts=1))
        return await ctx.run(patient)

    assert value(service_handler(handler), backend) == "done"


@pytest.mark.parametrize("grouped", [False, True])
def test_a_body_that_fails_while_it_is_aborted(
    backend: str, grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged and hits nobody; it is not tried again."""
    tries: list[str] = []

    async def messy() -> None:
        tries.append("messy")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            failure = ValueError("cleanup failed")
            if grouped:
                raise BaseExceptionGroup("mixed", [error, failure]) from None
            raise failure from None

    async def handler(ctx: Context) -> str:
        future = ctx.run(messy)
        await sleep(1)
        future.cancel()
        with pytest.raises(FutureCancelledError):
            await future
        return await ctx.run(patient)

    with caplog.at_level(logging.WARNING, "durable_trio"):
        assert value(service_handler(handler), backend) == "done"

    assert tries == ["messy"]
    (record,) = caplog.records
    assert "messy was aborted" in record.message
    assert "cleanup failed" in record.message


@pytest.mark.parametrize("waits", [True, False])
def test_a_body_that_cancels_its_own_task(waits: bool) -> None:
    """Only asyncio has that. The next body in the task is not hit by it."""

    async def suicidal() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)

    async def handler(ctx: Context) -> str:
        with pytest.raises(TerminalError, match="nobody has cancelled it"):
            await ctx.run(suicidal, retry=RetryPolicy(max_attempts=1))
        return await ctx.run(patient)

    assert value(service_handler(handler), "asyncio") == "done"


def test_a_body_that_swallows_a_cancellation_of_its_own() -> None:
    """Its task counts no request after it, which the next body's timeouts would take for theirs."""

    async def numb() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return

    async def requests() -> int:
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async def handler(ctx: Context) -> int:
        await ctx.run(numb)
        return await ctx.run(requests)

    assert value(service_handler(handler), "asyncio") == 0


def cancel_this_task_later() -> None:
    """As a timeout does that is entered by hand."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)


def test_a_timer_that_a_body_leaves_behind_hits_nobody_in_an_idle_task() -> None:
    """The host task ends, and the next body gets another one."""

    async def forgetful() -> None:
        cancel_this_task_later()

    async def handler(ctx: Context) -> str:
        first = ctx.run(forgetful)
        other = ctx.run(patient)
        await gather(first, other)
        return await ctx.run(patient)

    assert value(service_handler(handler), "asyncio") == "done"


def test_a_timer_that_a_body_leaves_behind_ends_a_backoff() -> None:
    """The body in that host task is tried again at once."""
    tries: list[str] = []

    async def forgetful() -> str:
        tries.append("forgetful")
        if len(tries) == 1:
            cancel_this_task_later()
            raise ValueError("again")
        return "done"

    async def handler(ctx: Context) -> str:
        return await ctx.run(forgetful)

    world = World(service_handler(handler))

    assert isinstance(world.play("asyncio"), AttemptCompleted)
    assert tries == ["forgetful", "forgetful"]
    assert world.clock.time == START
