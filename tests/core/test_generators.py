"""Async generators of a handler's own: what they may hold, and what becomes of them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
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
    from collections.abc import AsyncGenerator, AsyncIterator

    from durable_trio import Context

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


@UNCLOSED
def test_a_generator_with_a_nursery_is_not_gone_on_with_by_another_task(backend: str) -> None:
    """It would wait in the place of the nursery's owner, who would be woken for it."""

    async def pair() -> AsyncIterator[int]:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 3)
            yield 1

    async def handler(ctx: Context) -> None:
        generator = pair()
        await anext(generator)

        async def other() -> None:
            with pytest.raises(UsageError, match="left by the task that opened it"):
                await anext(generator)

        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await ctx.timer(10)

    assert "never left" in str(error(service_handler(handler), backend))


@UNCLOSED
def test_a_generator_with_a_nursery_is_not_gone_on_with_inside_of_another_scope(
    backend: str,
) -> None:
    """It would wait for its branches in a scope that is not around them."""

    async def one() -> AsyncIterator[int]:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 3)
            yield 1

    async def handler(ctx: Context) -> None:
        generator = one()
        await anext(generator)
        with CancelScope():
            await anext(generator)

    assert "after everything that was entered in it" in str(
        error(service_handler(handler), backend)
    )
