"""Explicit cancellation: CANCEL ends one future, and the handler decides what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import TerminalError, UsageError, checkpoint, remote, wait_first
from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    AttemptCompleted,
    Failure,
    Input,
    SendSignal,
    Signal,
    Value,
)

from .world import World, other, service_handler

if TYPE_CHECKING:
    from durable_trio import Context

CANCEL = Signal(CANCEL_SIGNAL, VOID)
PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def cancelled(
    function: Any, backend: str, *plan: str, **options: Any
) -> tuple[AttemptCompleted, World]:
    """Play an explicit handler that is sent CANCEL, and replay it on the other backend."""
    handled = service_handler(function, explicit_cancellation=True)
    world = World(handled, offers={"cancel": CANCEL}, plan=plan, **options)
    end = world.play(backend)

    assert isinstance(end, AttemptCompleted)
    assert end == World(handled, recorded=world.entries).replay(other(backend))
    return end, world


def test_a_handler_that_is_told_may_end_normally(backend: str) -> None:
    """The future fails with a 409; the handler's own value is the outcome."""

    async def handler(ctx: Context) -> int:
        try:
            await ctx.cancellation()
        except TerminalError as error:
            return error.code
        return 0

    end, _ = cancelled(handler, backend)

    assert Value(b"409") == end.result


def test_a_handler_that_lets_it_pass_ends_with_409(backend: str) -> None:
    """Nobody has to catch it: the outcome is that of any cancelled invocation."""

    async def handler(ctx: Context) -> None:
        await ctx.cancellation()

    end, _ = cancelled(handler, backend)

    assert Failure(409, "cancelled") == end.result


def test_nothing_is_unwound(backend: str) -> None:
    """Whoever does not ask goes on, as if nothing had been sent."""

    async def handler(ctx: Context) -> str:
        await checkpoint()
        return str(await ctx.run(give, "done"))

    end, world = cancelled(handler, backend, "cancel", "commit give")

    assert Value(b'"done"') == end.result
    assert CANCEL in world.entries


def test_one_that_was_sent_before_is_known(backend: str) -> None:
    """CANCEL is remembered for a handler that asks later, and again."""

    async def handler(ctx: Context) -> list[bool]:
        await ctx.run(give, 1)
        return [ctx.cancellation().done, ctx.cancellation().done]

    handled = service_handler(handler, explicit_cancellation=True)
    world = World(handled, recorded=[Input(b""), CANCEL])
    end = world.play(backend)

    assert isinstance(end, AttemptCompleted)
    assert Value(b"[true,true]") == end.result


def test_a_second_cancel_changes_nothing(backend: str) -> None:
    """The future ends once."""

    async def handler(ctx: Context) -> str:
        try:
            await ctx.cancellation()
        except TerminalError:
            await ctx.run(give, 1)
        return "done"

    handled = service_handler(handler, explicit_cancellation=True)
    world = World(
        handled,
        offers={"cancel": CANCEL, "again": CANCEL},
        plan=["cancel", "again", "commit give"],
    )
    end = world.play(backend)

    assert isinstance(end, AttemptCompleted)
    assert Value(b'"done"') == end.result


def test_a_call_that_lost_against_it_is_cancelled_with_the_handler(backend: str) -> None:
    """The handler ends normally, and what it left pending does not outlive it."""

    async def handler(ctx: Context) -> int:
        index, _ = await wait_first(ctx.call(PEER, "x"), ctx.cancellation())
        return index

    end, world = cancelled(handler, backend, "id handle", "cancel")

    assert Value(b"1") == end.result
    assert SendSignal("inv_2", CANCEL_SIGNAL, VOID) in world.commands


def test_there_is_nothing_to_wait_for_in_other_handlers(backend: str) -> None:
    """Where CANCEL unwinds the handler, asking for it is an error that names the option."""

    async def handler(ctx: Context) -> None:
        with pytest.raises(UsageError, match="explicit_cancellation=True"):
            ctx.cancellation()

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptCompleted)
