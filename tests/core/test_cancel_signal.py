"""The CANCEL signal: it cancels the handler's root scope, and cannot be swallowed (C6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio import (
    CancelScope,
    Event,
    TerminalError,
    checkpoint,
    open_nursery,
    remote,
    sleep_forever,
)
from durable_trio.abc import (
    CANCEL_SIGNAL,
    VOID,
    AttemptCompleted,
    AttemptFailed,
    Failure,
    SendSignal,
    Signal,
)

from .world import World, failure, other, play, service_handler

if TYPE_CHECKING:
    from durable_trio import Context
    from durable_trio.abc import Call

CANCEL = Signal(CANCEL_SIGNAL, VOID)
CANCELLED = Failure(409, "cancelled")
PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def cancelled(function: Any, backend: str, *plan: str) -> tuple[Any, World]:
    """Play a handler that is sent CANCEL, and replay it on the other backend."""
    handled = service_handler(function)
    world = World(handled, offers={"cancel": CANCEL}, plan=plan)
    end = world.play(backend)
    again = World(handled, recorded=world.entries)

    replayed = again.replay(other(backend))

    if isinstance(end, AttemptCompleted):
        assert end == replayed
    return end, world


def test_cancel_ends_a_waiting_handler(backend: str) -> None:
    """The wait raises, the handler unwinds, the outcome is a terminal 409."""

    async def handler(ctx: Context) -> None:
        await ctx.awakeable().future

    end, _ = cancelled(handler, backend)

    assert AttemptCompleted(CANCELLED) == end


def test_cancel_is_level_triggered(backend: str) -> None:
    """Every later wait raises as well."""
    raised: list[str] = []

    async def handler(ctx: Context) -> None:
        for _ in range(3):
            try:
                await sleep_forever()
            except BaseException as error:
                raised.append(type(error).__name__)
        await checkpoint()

    end, _ = cancelled(handler, backend)

    assert AttemptCompleted(CANCELLED) == end
    assert len(raised) == 6  # three live, three in the replay


def test_swallowing_cancel_does_not_help(backend: str) -> None:
    """A handler that catches it and returns is cancelled all the same."""

    async def handler(ctx: Context) -> str:
        try:
            await sleep_forever()
        except BaseException:
            return "saved"
        return ""

    end, _ = cancelled(handler, backend)

    assert AttemptCompleted(CANCELLED) == end


def test_a_handler_that_returns_without_waiting_again_was_cancelled(backend: str) -> None:
    """CANCEL that was delivered while nothing could be interrupted still decides the outcome."""

    async def handler(ctx: Context) -> str:
        with CancelScope(shield=True):
            await ctx.run(give, 1)
        return "returned"

    end, _ = cancelled(handler, backend, "cancel", "commit give")

    assert AttemptCompleted(CANCELLED) == end


def test_shielded_compensation_runs(backend: str) -> None:
    """Cleanup in a shield journals as usual."""

    async def handler(ctx: Context) -> None:
        await ctx.run(give, 1, name="book")
        try:
            await sleep_forever()
        finally:
            with CancelScope(shield=True):
                await ctx.run(give, 1, name="undo")

    end, world = cancelled(handler, backend)

    assert AttemptCompleted(CANCELLED) == end
    assert ["Run book", "Run undo"] == world.names


def test_all_branches_are_cancelled(backend: str) -> None:
    """Children of nurseries unwind in the order of their creation."""
    order: list[str] = []

    async def handler(ctx: Context) -> None:
        order.clear()

        async def branch(name: str) -> None:
            try:
                await Event().wait()
            finally:
                order.append(name)

        async with open_nursery() as nursery:
            nursery.start_soon(branch, "a")
            async with open_nursery() as inner:
                inner.start_soon(branch, "b")

    end, _ = cancelled(handler, backend)

    assert AttemptCompleted(CANCELLED) == end
    assert ["a", "b"] == order


def test_a_terminal_error_of_the_cleanup_is_kept(backend: str) -> None:
    """A compensation that failed is more telling than "cancelled"."""

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            raise TerminalError("the refund failed", 402)

    end, _ = cancelled(handler, backend)

    assert AttemptCompleted(Failure(402, "the refund failed")) == end


def test_several_terminal_errors_of_cleanups_are_a_409(backend: str) -> None:
    """With several codes the cancellation's own is the one; all errors are named."""

    async def handler(ctx: Context) -> None:
        async def branch(name: str) -> None:
            try:
                await sleep_forever()
            finally:
                raise TerminalError(f"the refund of {name} failed", 402)

        async with open_nursery() as nursery:
            nursery.start_soon(branch, "a")
            nursery.start_soon(branch, "b")

    end, _ = cancelled(handler, backend)

    assert isinstance(end, AttemptCompleted)
    assert isinstance(end.result, Failure)
    assert end.result.code == 409
    assert "refund of a" in end.result.message
    assert "refund of b" in end.result.message


def test_a_retryable_error_of_the_cleanup_is_retried(backend: str) -> None:
    """Compensation has to be done: the attempt fails, and the next one is cancelled again."""

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            raise OSError("the network")

    end, _ = cancelled(handler, backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, OSError)


def test_cancel_reaches_the_callees_of_shielded_calls_too(backend: str) -> None:
    """A call that cleanup left pending ends with the handler."""

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            with CancelScope(shield=True):
                ctx.call(PEER, "left")

    _, world = cancelled(handler, backend)

    assert [SendSignal("inv_2", CANCEL_SIGNAL, VOID)] == world.commands[1:-1]


def test_a_second_cancel_changes_nothing(backend: str) -> None:
    """CANCEL is idempotent."""

    async def handler(ctx: Context) -> None:
        try:
            await sleep_forever()
        finally:
            with CancelScope(shield=True):
                await ctx.run(give, 1)

    world = World(
        service_handler(handler),
        offers={"cancel": CANCEL, "again": CANCEL},
        plan=["cancel", "again", "commit give"],
    )

    assert AttemptCompleted(CANCELLED) == world.play(backend)


def test_cancel_after_the_handler_has_returned_comes_too_late(backend: str) -> None:
    """While it waits to signal its callees the handler has ended: its value counts."""

    async def handler(ctx: Context) -> str:
        ctx.call(PEER, "left")
        return "returned"

    end, world = cancelled(handler, backend, "cancel", "id handle")

    assert isinstance(end, AttemptCompleted)
    assert b"returned" in repr(end).encode()
    assert CANCEL in world.entries


def test_cancel_that_is_recorded_first_cancels_at_the_first_quiescence(backend: str) -> None:
    """The handler runs up to its first wait, and is cancelled there."""

    async def handler(ctx: Context) -> None:
        await ctx.run(give, 1)

    from durable_trio.abc import Input

    world = World(service_handler(handler), recorded=[Input(b""), CANCEL])

    assert AttemptCompleted(CANCELLED) == world.play(backend)
    assert ["Run give"] == world.names


def test_an_inner_cancelled_error_is_no_cancellation(backend: str) -> None:
    """A callee that was cancelled makes its caller fail with 409, as any terminal error."""

    async def handler(ctx: Context) -> None:
        await ctx.call(PEER, "x")

    def cancelled(_: Call) -> Failure:
        return Failure(409, "cancelled")

    outcome = failure(service_handler(handler), backend, answer=cancelled)

    assert CANCELLED == outcome


def test_nothing_is_cancelled_without_cancel(backend: str) -> None:
    """A handler that is not sent CANCEL ends as it likes."""

    async def handler(ctx: Context) -> str:
        return await ctx.run(give, "done")

    end, _ = play(service_handler(handler), backend)

    assert b"done" in repr(end).encode()
