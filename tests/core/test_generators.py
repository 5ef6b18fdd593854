"""Async generators of a handler's own: what they may hold, and what becomes of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    CancelScope,
    ForeignAwaitError,
    TerminalError,
    UsageError,
    checkpoint,
    move_on_after,
    open_nursery,
    remote,
    sleep,
)
from durable_trio.abc import CANCEL_SIGNAL, SendSignal

from .world import World, error, play, service_handler, unanswered, value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from durable_trio import Context

    Hold = Callable[[], AsyncGenerator[int, None]]
    Leave = Callable[[AsyncGenerator[int, None]], Awaitable[None]]

PEER = remote("Peer", "handle", input=str, output=str)

UNCLOSED = pytest.mark.filterwarnings(
    "ignore:Async generator:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
"""The hosts warn of generators that were not closed."""


async def give(value: Any) -> Any:
    return value


def test_an_async_generator_may_wait_durably(backend: str) -> None:
    """Between two values as well as in its cleanup, if it is closed properly."""

    async def numbers(ctx: Context) -> AsyncGenerator[int, None]:
        try:
            for index in range(9):
                yield await ctx.run(give, index)
        finally:
            await ctx.run(give, 0, name="cleanup")

    async def handler(ctx: Context) -> list[int]:
        seen: list[int] = []
        async with aclosing(numbers(ctx)) as generator:
            async for number in generator:
                seen.append(number)
                if number == 2:
                    break
        return seen

    handled = service_handler(handler)
    _, world = play(handled, backend)

    assert value(handled, backend) == [0, 1, 2]
    assert "Run cleanup" == world.names[-1]


def test_a_generator_that_is_exhausted_may_hold_a_scope(backend: str) -> None:
    """It is left in order."""

    async def calls(ctx: Context) -> AsyncIterator[str]:
        with move_on_after(60):
            for name in "ab":
                yield await ctx.run(give, name)

    async def handler(ctx: Context) -> list[str]:
        return [name async for name in calls(ctx)]

    assert value(service_handler(handler), backend) == ["a", "b"]


@UNCLOSED
def test_a_generator_that_is_left_inside_of_a_scope_is_found(backend: str) -> None:
    """Its scope would never be left: the message names ``aclosing``."""

    async def calls(ctx: Context) -> AsyncIterator[int]:
        with CancelScope():
            for index in range(9):
                yield await ctx.run(give, index)

    async def handler(ctx: Context) -> None:
        async for number in calls(ctx):
            if number == 2:
                break
        await sleep(1)

    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert "contextlib.aclosing" in str(found)


@UNCLOSED
def test_a_generator_that_is_left_inside_of_a_nursery_is_found(backend: str) -> None:
    """In a branch, too, which is named."""

    async def calls(ctx: Context) -> AsyncIterator[int]:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 60)
            yield await ctx.run(give, 1)

    async def branch(ctx: Context) -> None:
        async for _ in calls(ctx):
            break

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(branch, ctx)

    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert str(found).startswith("branch[0] has ended")


def test_a_generator_that_is_closed_inside_of_a_nursery_cancels_its_branches(backend: str) -> None:
    """And waits for them, cleanup included; ``aclosing`` sees no error."""

    async def branch(ctx: Context) -> None:
        try:
            await sleep(60)
        finally:
            with CancelScope(shield=True):
                await ctx.run(give, 0, name="cleanup")

    async def numbers(ctx: Context) -> AsyncGenerator[int, None]:
        async with open_nursery() as nursery:
            nursery.start_soon(branch, ctx)
            for index in range(9):
                yield await ctx.run(give, index, name="step")

    async def handler(ctx: Context) -> str:
        async with aclosing(numbers(ctx)) as generator:
            async for number in generator:
                if number == 1:
                    break
        return "closed"

    handled = service_handler(handler)
    _, world = play(handled, backend)

    assert value(handled, backend) == "closed"
    assert ["Run step", "Run branch[0]/cleanup"] == world.names[-2:]


def test_a_branch_that_fails_while_its_generator_is_closed_is_told(backend: str) -> None:
    """The group of the nursery leaves ``aclose``."""

    async def branch() -> None:
        try:
            await sleep(60)
        finally:
            raise TerminalError("in the cleanup")

    async def numbers() -> AsyncGenerator[int, None]:
        async with open_nursery() as nursery:
            nursery.start_soon(branch)
            await checkpoint()
            yield 1

    async def handler(ctx: Context) -> str:
        with pytest.RaisesGroup(TerminalError):
            async with aclosing(numbers()) as generator:
                await anext(generator)
        return "told"

    assert value(service_handler(handler), backend) == "told"


@UNCLOSED
def test_branches_of_a_broken_off_generator_are_cancelled_when_its_task_fails(
    backend: str,
) -> None:
    """They are not left running behind the error."""

    async def branch(seen: list[str]) -> None:
        try:
            await sleep(60)
        finally:
            seen.append("cancelled")

    async def numbers(seen: list[str]) -> AsyncGenerator[int, None]:
        async with open_nursery() as nursery:
            nursery.start_soon(branch, seen)
            await checkpoint()
            yield 1

    async def task(seen: list[str]) -> None:
        kept = numbers(seen)
        await anext(kept)
        raise TerminalError(f"broken off with {kept!r}"[:10])

    async def handler(ctx: Context) -> list[str]:
        seen: list[str] = []
        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                nursery.start_soon(task, seen)
        await checkpoint()
        return list(seen)

    assert value(service_handler(handler), backend) == ["cancelled"]


@UNCLOSED
def test_what_a_broken_off_generator_started_ends_with_the_task(backend: str) -> None:
    """An error that leaves its scope open leaves no orphan behind."""

    async def calls(ctx: Context) -> AsyncIterator[Any]:
        with CancelScope():
            yield ctx.call(PEER, "x")

    async def branch(ctx: Context) -> None:
        kept = calls(ctx)
        call = await anext(kept)
        await call.invocation_id()
        raise TerminalError(f"broken off with {kept!r}"[:10])

    async def handler(ctx: Context) -> str:
        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                nursery.start_soon(branch, ctx)
        return "handled"

    world = World(service_handler(handler), answer=unanswered)
    world.play(backend)

    assert ["inv_2"] == [
        command.target
        for command in world.commands
        if isinstance(command, SendSignal) and command.signal == CANCEL_SIGNAL
    ]


async def in_a_nursery() -> AsyncGenerator[int, None]:
    async with open_nursery() as nursery:
        nursery.start_soon(sleep, 3)
        yield 1


async def in_a_scope() -> AsyncGenerator[int, None]:
    with move_on_after(60):
        yield 1


async def go_on(generator: AsyncGenerator[int, None]) -> None:
    with pytest.raises(StopAsyncIteration):
        await anext(generator)


async def close(generator: AsyncGenerator[int, None]) -> None:
    await generator.aclose()


async def throw(generator: AsyncGenerator[int, None]) -> None:
    with pytest.raises(ValueError, match="thrown"):
        await generator.athrow(ValueError("thrown"))


LEAVE = pytest.mark.parametrize("leave", [go_on, close, throw])
HOLD = pytest.mark.parametrize(
    ("hold", "message"),
    [
        (in_a_nursery, "a nursery has to be left by the task that opened it, and after everything"),
        (in_a_scope, "in the reverse order of entering them, by the task that entered them"),
    ],
)


@UNCLOSED
@HOLD
@LEAVE
def test_a_generator_is_not_gone_on_with_by_another_task(
    backend: str, hold: Hold, message: str, leave: Leave
) -> None:
    """At once: it would wait in the place of the owner, who would be woken for it."""
    seen: list[float] = []

    async def handler(ctx: Context) -> None:
        generator = hold()
        await anext(generator)
        began = await ctx.now()

        async def other() -> None:
            with pytest.raises(UsageError, match=message) as found:
                await leave(generator)
            assert "contextlib.aclosing" in str(found.value)
            seen.append(await ctx.now() - began)

        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await sleep(10)
        seen.append(await ctx.now() - began)

    # What was opened is still open when its task ends.
    assert "was never left" in str(error(service_handler(handler), backend))
    assert [0, 10] == seen


@UNCLOSED
@HOLD
@LEAVE
def test_a_generator_is_not_gone_on_with_inside_of_another_scope(
    backend: str, hold: Hold, message: str, leave: Leave
) -> None:
    """At once: what it waits for would be in a scope that is not around it."""
    seen: list[float] = []

    async def handler(ctx: Context) -> None:
        generator = hold()
        await anext(generator)
        began = await ctx.now()
        try:
            with CancelScope():
                await leave(generator)
        finally:
            seen.append(await ctx.now() - began)

    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert message in str(found)
    assert [0] == seen


@HOLD
@LEAVE
def test_a_generator_may_be_left_by_anybody_once_the_attempt_is_over(
    backend: str, hold: Hold, message: str, leave: Leave
) -> None:
    """Nobody waits for the branches of somebody else's then, and cleanup sees no error."""
    seen: list[str] = []

    async def handler(ctx: Context) -> None:
        generator = hold()
        await anext(generator)

        async def other() -> None:
            try:
                await sleep(10)
            finally:
                await leave(generator)
                seen.append("left")

        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await anyio.sleep(1)

    found = error(service_handler(handler), backend)

    assert isinstance(found, ForeignAwaitError), message
    assert ["left"] == seen


@UNCLOSED
@pytest.mark.parametrize("hold", [in_a_nursery, in_a_scope])
@LEAVE
def test_the_innermost_scope_of_another_task_is_not_left(
    backend: str, hold: Hold, leave: Leave
) -> None:
    """That task would find itself in another scope than the one it has entered."""
    refused: list[UsageError] = []

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            generator = hold()
            await anext(generator)

            async def other() -> None:
                try:
                    await leave(generator)
                except UsageError as error:
                    refused.append(error)

            nursery.start_soon(other)
            await ctx.run(give, 1)

    found = error(service_handler(handler), backend)

    assert "after everything that was entered in it" in str(found)
    assert len(refused) == 1
