"""Cancel scopes: trio's rules, decided by the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    Event,
    FutureCancelledError,
    TerminalError,
    UsageError,
    checkpoint,
    open_nursery,
    remote,
    sleep,
    sleep_forever,
)

from .world import error, play, service_handler, unanswered, value

if TYPE_CHECKING:
    from collections.abc import Generator

    from durable_trio import Context, DurableFuture


async def give(value: Any) -> Any:
    return value


def test_a_cancelled_scope_ends_its_block(backend: str) -> None:
    """The wait raises, the scope catches, the handler goes on after the block."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            scope.cancel()
            await sleep_forever()
        return [scope.cancel_called, scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, True]


def test_a_scope_that_is_not_cancelled_catches_nothing(backend: str) -> None:
    """Leaving a scope normally leaves ``cancelled_caught`` False."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            await ctx.run(give, 1)
        return [scope.cancel_called, scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [False, False]


def test_a_cancelled_scope_without_a_wait_catches_nothing(backend: str) -> None:
    """``cancel`` is called, but nothing raised: the block ran to its end."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            scope.cancel()
        return [scope.cancel_called, scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, False]


def test_cancellation_is_level_triggered(backend: str) -> None:
    """Every durable wait in a cancelled scope raises, not only the first."""

    async def handler(ctx: Context) -> int:
        raised = 0
        with CancelScope() as scope:
            scope.cancel()
            for wait in (checkpoint, sleep_forever, Event().wait, lambda: sleep(1)):
                try:
                    await wait()
                except BaseException:
                    raised += 1
            await checkpoint()
        return raised

    assert value(service_handler(handler), backend) == 4


def test_a_done_future_raises_in_a_cancelled_scope_too(backend: str) -> None:
    """Awaiting what has ended still checks for cancellation."""

    async def handler(ctx: Context) -> list[Any]:
        future = ctx.run(give, 1)
        await future
        with CancelScope() as scope:
            scope.cancel()
            await future
        with CancelScope() as other:
            other.cancel()
            await future.wait()
        return [scope.cancelled_caught, other.cancelled_caught, await future]

    assert value(service_handler(handler), backend) == [True, True, 1]


def test_a_scope_cancelled_before_it_is_entered_is_cancelled_inside(backend: str) -> None:
    """As in trio: the first wait in it raises."""

    async def handler(ctx: Context) -> list[bool]:
        scope = CancelScope()
        scope.cancel()
        with scope:
            await checkpoint()
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


def test_cancelling_twice_is_cancelling_once(backend: str) -> None:
    """``cancel`` is idempotent."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            scope.cancel()
            scope.cancel()
            await checkpoint()
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


def test_the_outer_of_two_cancelled_scopes_catches(backend: str) -> None:
    """An inner cancelled scope lets the cancellation of the outer one pass."""

    async def handler(ctx: Context) -> list[bool]:
        inner = CancelScope()
        with CancelScope() as outer:
            with inner:
                inner.cancel()
                outer.cancel()
                await checkpoint()
            raise AssertionError("not reached")
        return [inner.cancelled_caught, outer.cancelled_caught]

    assert value(service_handler(handler), backend) == [False, True]


def test_an_inner_scope_ends_alone(backend: str) -> None:
    """What is outside of a cancelled scope goes on."""

    async def handler(ctx: Context) -> list[Any]:
        found: list[Any] = []
        with CancelScope() as outer:
            with CancelScope() as inner:
                inner.cancel()
                await checkpoint()
            found += [inner.cancelled_caught, await ctx.run(give, "after")]
        return [*found, outer.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, "after", False]


def test_a_scope_is_entered_once(backend: str) -> None:
    """A second ``with`` on the same scope says to make a new one."""

    async def handler(ctx: Context) -> None:
        scope = CancelScope()
        with scope:
            pass
        with pytest.raises(UsageError, match="make a new one"), scope:
            pass

    assert value(service_handler(handler), backend) is None


def test_scopes_are_left_in_reverse_order(backend: str) -> None:
    """Leaving an outer scope first names the usual cause: a generator that yields inside one."""

    async def handler(ctx: Context) -> None:
        def generator() -> Generator[None]:
            with CancelScope():
                yield

        inside = generator()
        next(inside)
        with CancelScope():
            inside.close()

    problem = error(service_handler(handler), backend)

    assert isinstance(problem, UsageError)
    assert "reverse order" in str(problem)


def test_a_cancellation_wakes_tasks_in_the_order_of_their_creation(backend: str) -> None:
    """Whatever they wait for, and since when."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        late = Event()

        async def child(name: str, *, waits_twice: bool) -> None:
            try:
                if waits_twice:
                    await late.wait()
                await sleep_forever()
            finally:
                order.append(name)

        async with open_nursery() as nursery:
            nursery.start_soon(lambda: child("a", waits_twice=True))
            nursery.start_soon(lambda: child("b", waits_twice=False))
            await ctx.run(give, 1)
            late.set()
            await ctx.run(give, 1)
            nursery.cancel_scope.cancel()
        return order

    assert value(service_handler(handler), backend) == ["a", "b"]


def test_a_future_of_a_cancelled_scope_is_cancelled(backend: str) -> None:
    """Whoever awaits it outside learns it as ``FutureCancelledError``, an ordinary error."""

    async def handler(ctx: Context) -> list[str]:
        futures: list[DurableFuture[int]] = []
        with CancelScope() as scope:
            futures.append(ctx.run(give, 1))
            scope.cancel()
        [future] = futures
        with pytest.raises(FutureCancelledError) as raised:
            await future
        return [future.status.name, str(raised.value).partition(":")[0]]

    assert value(service_handler(handler), backend) == ["CANCELLED", "'give' was cancelled"]


def test_what_is_started_in_a_cancelled_scope_ends_with_it(backend: str) -> None:
    """No body is executed, and the callee is sent CANCEL (C4): nothing goes on outside."""
    executed: list[str] = []

    async def handler(ctx: Context) -> list[str]:
        futures: list[DurableFuture[Any]] = []
        with CancelScope() as scope:
            scope.cancel()
            futures.append(ctx.run(executed.append, "body", on_thread=False))
            futures.append(ctx.call(remote("Peer", "handle", input=str, output=str), "x"))
            await futures[0]
        seen = [future.status.name for future in futures]
        await sleep(5)
        return seen

    handled = service_handler(handler)
    _, world = play(handled, backend, answer=unanswered)

    assert value(handled, backend, answer=unanswered) == ["CANCELLED", "CANCELLED"]
    assert [] == executed
    assert "SendSignal" in world.names


def test_what_a_cancelled_nursery_s_body_starts_ends_with_it(backend: str) -> None:
    """A nursery's scope is no other."""

    async def handler(ctx: Context) -> str:
        futures: list[DurableFuture[Any]] = []
        async with open_nursery() as nursery:
            nursery.cancel_scope.cancel()
            futures.append(ctx.run(give, 1))
        return futures[0].status.name

    assert value(service_handler(handler), backend) == "CANCELLED"


def test_a_scope_hands_its_pending_futures_to_its_parent(backend: str) -> None:
    """A future started in a scope that is left goes on, and may be awaited outside."""

    async def handler(ctx: Context) -> int:
        futures: list[DurableFuture[int]] = []
        with CancelScope():
            futures.append(ctx.run(give, 1))
        return sum([await future for future in futures])

    assert value(service_handler(handler), backend) == 1


def test_inherited_futures_end_with_the_parent_scope(backend: str) -> None:
    """What was handed on is cancelled with the scope it was handed to."""

    async def handler(ctx: Context) -> list[str]:
        futures: list[DurableFuture[int]] = []
        with CancelScope() as outer:
            with CancelScope():
                futures.append(ctx.run(give, 1))
            outer.cancel()
        return [future.status.name for future in futures]

    assert value(service_handler(handler), backend) == ["CANCELLED"]


def test_a_shield_s_futures_end_when_it_is_left_in_a_cancelled_scope(backend: str) -> None:
    """What a shielded cleanup started and did not await is cancelled with the outer scope."""

    async def handler(ctx: Context) -> list[str]:
        futures: list[DurableFuture[int]] = []
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True):
                future = ctx.run(give, 1)
                assert not future.done
                futures.append(future)
        return [future.status.name for future in futures]

    assert value(service_handler(handler), backend) == ["CANCELLED"]


def test_an_exception_group_loses_the_cancelled_leaves(backend: str) -> None:
    """A scope takes its own cancellation out of a group and lets the errors pass."""

    async def handler(ctx: Context) -> list[bool]:
        with pytest.RaisesGroup(TerminalError), CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            except BaseException as cancelled:
                raise BaseExceptionGroup("both", [cancelled, TerminalError("error")]) from None
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


def test_a_group_without_a_cancellation_passes_a_cancelled_scope(backend: str) -> None:
    """Errors are not caught by a scope."""

    async def handler(ctx: Context) -> list[bool]:
        with pytest.RaisesGroup(TerminalError), CancelScope() as scope:
            scope.cancel()
            raise ExceptionGroup("errors", [TerminalError("error")])
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [False]


def test_an_error_passes_a_cancelled_scope(backend: str) -> None:
    """A plain error that is raised instead of the cancellation is an error."""

    async def handler(ctx: Context) -> list[bool]:
        with pytest.raises(TerminalError), CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            finally:
                raise TerminalError("error")
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [False]


def test_a_scope_can_be_cancelled_from_another_task(backend: str) -> None:
    """A child cancels a scope of its parent's."""

    async def handler(ctx: Context) -> list[bool]:
        scope = CancelScope()

        async def child() -> None:
            await ctx.run(give, 1)
            scope.cancel()

        async with open_nursery() as nursery:
            nursery.start_soon(child)
            with scope:
                await sleep_forever()
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


def test_a_long_row_of_caught_cancellations_is_no_swallowing(backend: str) -> None:
    """A handler that polls with scopes for hundreds of rounds may still clean up when cancelled."""

    async def handler(ctx: Context) -> str:
        for _ in range(300):
            with CancelScope() as scope:
                async with open_nursery() as nursery:
                    nursery.start_soon(lambda: give(scope.cancel()))  # type: ignore[func-returns-value]
                    await sleep_forever()
        with CancelScope() as scope:
            scope.cancel()
            await checkpoint()
        return "done"

    assert value(service_handler(handler), backend) == "done"


def test_a_timer_of_a_scope_that_was_left_is_forgotten(backend: str) -> None:
    """The adapter is told, and a late completion does nothing."""

    async def handler(ctx: Context) -> str:
        with CancelScope(relative_deadline=60):
            await ctx.run(give, 1)
        await ctx.run(give, 2)
        await sleep(100)
        return "done"

    end, world = play(service_handler(handler), backend, forgetful=False)

    assert world.forgotten == {1}
    assert world.names == ["Sleep deadline", "Run give", "Run give", "Sleep sleep"]
    assert end is not None
