"""Nurseries: who starts when, who waits for whom, and what is left when they are closed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest

from durable_trio import (
    CancelScope,
    Event,
    FutureCancelledError,
    FutureNotDoneError,
    FutureStatus,
    Nursery,
    TerminalError,
    UsageError,
    checkpoint,
    open_nursery,
)
from durable_trio.abc import AttemptEnd, AttemptFailed

from .world import World, error, play, service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context, TaskHandle


async def give(value: Any) -> Any:
    return value


def test_children_start_in_the_order_of_start_soon(backend: str) -> None:
    """A child enters the ready queue when it is started; the starter keeps the baton."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def child(name: str) -> None:
            order.append(name)

        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(child, name)
            order.append("body")
        return order

    assert value(service_handler(handler), backend) == ["body", "a", "b", "c"]


def test_the_block_is_left_when_every_child_has_ended(backend: str) -> None:
    """The parent waits for children that are still at work."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def child(name: str) -> None:
            order.append(await ctx.run(give, name))

        async with open_nursery() as nursery:
            nursery.start_soon(child, "a")
            nursery.start_soon(child, "b")
        return [*order, "left"]

    assert value(service_handler(handler), backend) == ["a", "b", "left"]


def test_a_handle_is_awaited_for_what_the_child_returns(backend: str) -> None:
    """``await handle`` and ``return_value`` give the value, ``wait`` gives nothing."""

    async def handler(ctx: Context) -> list[Any]:
        async def child() -> int:
            return await ctx.run(give, 3)

        found: list[Any] = []
        async with open_nursery() as nursery:
            handle = nursery.start_soon(child)
            found += [handle.status.name, await handle]
            await handle.wait()
            found += [handle.return_value, handle.exception, handle.status.name]
        return found

    assert value(service_handler(handler), backend) == ["PENDING", 3, 3, None, "FINISHED"]


def test_a_pending_handle_has_no_result_yet(backend: str) -> None:
    """Asking a child that is at work for its value is an error that says to await it."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            handle = nursery.start_soon(give, 1)
            with pytest.raises(FutureNotDoneError, match="await it first"):
                _ = handle.return_value
            with pytest.raises(FutureNotDoneError):
                _ = handle.exception

    assert value(service_handler(handler), backend) is None


def test_a_child_may_start_siblings(backend: str) -> None:
    """``start_soon`` works from a child, also while the parent waits in the exit."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def last() -> None:
            order.append(await ctx.run(give, "last"))

        async def child(nursery: Nursery) -> None:
            order.append(await ctx.run(give, "first"))
            nursery.start_soon(last)

        async with open_nursery() as nursery:
            nursery.start_soon(child, nursery)
        return order

    assert value(service_handler(handler), backend) == ["first", "last"]


def test_a_sibling_started_by_the_last_child_is_waited_for(backend: str) -> None:
    """The parent that was already woken by the last child's end looks again."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        ended, go = Event(), Event()

        async def late() -> None:
            order.append(await ctx.run(give, "late"))

        async def child() -> None:
            await go.wait()

        async def outsider(nursery: Nursery) -> None:
            go.set()
            await checkpoint()
            nursery.start_soon(late)
            ended.set()

        async with open_nursery() as outer:
            async with open_nursery() as nursery:
                nursery.start_soon(child)
                outer.start_soon(outsider, nursery)
            order.append("inner left")
        return order

    assert value(service_handler(handler), backend) == ["late", "inner left"]


def test_nested_nurseries_are_left_inside_out(backend: str) -> None:
    """A grandchild ends before its nursery, which ends before the outer one."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def grandchild() -> None:
            order.append(await ctx.run(give, "grandchild"))

        async def child() -> None:
            async with open_nursery() as nursery:
                nursery.start_soon(grandchild)
            order.append("child")

        async with open_nursery() as nursery:
            nursery.start_soon(child)
        return [*order, "parent"]

    assert value(service_handler(handler), backend) == ["grandchild", "child", "parent"]


def test_branches_are_named_by_function_and_number(backend: str) -> None:
    """The entries of a child carry the path of branches above it; numbers count per name."""

    async def handler(ctx: Context) -> None:
        async def fetch(k: int) -> None:
            await ctx.run(give, k, name="get")
            if k:
                async with open_nursery() as nursery:
                    nursery.start_soon(fetch, k - 1)

        async with open_nursery() as nursery:
            nursery.start_soon(fetch, 1)
            nursery.start_soon(fetch, 0)
            nursery.start_soon(fetch, 0, name="other")

    _, world = play(service_handler(handler), backend)

    assert world.names == [
        "Run fetch[0]/get",
        "Run fetch[1]/get",
        "Run other[0]/get",
        "Run fetch[0]/fetch[0]/get",
    ]


def test_a_lambda_and_a_partial_are_named_too(backend: str) -> None:
    """A branch takes the name of what is called; brackets would be read as a number."""

    async def handler(ctx: Context) -> None:
        async def step(name: str) -> None:
            await ctx.run(give, 1, name=name)

        class Callable:
            async def __call__(self) -> None:
                await step("c")

        async with open_nursery() as nursery:
            nursery.start_soon(lambda: step("a"))
            nursery.start_soon(partial(step, "b"))
            nursery.start_soon(Callable())

    _, world = play(service_handler(handler), backend)

    assert world.names == ["Run lambda[0]/a", "Run step[0]/b", "Run Callable[0]/c"]


def test_any_awaitable_may_be_what_a_function_returns(backend: str) -> None:
    """``start_soon`` takes functions that return a future or another awaitable."""

    async def handler(ctx: Context) -> list[int]:
        found: list[int] = []
        async with open_nursery() as nursery:
            found.append(await nursery.start_soon(lambda: ctx.run(give, 5)))
        return found

    assert value(service_handler(handler), backend) == [5]


def test_a_coroutine_object_is_refused_with_the_right_spelling(backend: str) -> None:
    """``start_soon(fn(x))`` says to write ``start_soon(fn, x)``, and leaves no warning."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            with pytest.raises(UsageError, match=r"`start_soon\(fn, x\)`"):
                nursery.start_soon(give(1))  # type: ignore[arg-type]

    assert value(service_handler(handler), backend) is None


def test_a_plain_function_is_refused(backend: str) -> None:
    """What is not async is told to be declared so, or to be run."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(len, "abc")  # type: ignore[arg-type]

    found = error(service_handler(handler), backend)

    assert isinstance(found, ExceptionGroup)
    [refused] = cast("ExceptionGroup[Exception]", found).exceptions
    assert "'len', which returned int" in str(refused)


def test_what_a_function_does_when_it_is_called_is_the_child_s(backend: str) -> None:
    """``start_soon(ctx.run, fn)`` journals in the branch, and ends with it."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(ctx.run, give, 1)
            nursery.start_soon(lambda: ctx.run(give, 2), name="branch")
            ctx.run(give, 3)

    _, world = play(service_handler(handler), backend)

    assert ["Run give", "Run run[0]/give", "Run branch[0]/give"] == world.names


def test_a_nursery_that_is_not_entered_starts_nothing(backend: str) -> None:
    """``start_soon`` before the block is an error."""

    async def handler(ctx: Context) -> None:
        with pytest.raises(UsageError, match="not open"):
            open_nursery().start_soon(give, 1)

    assert value(service_handler(handler), backend) is None


def test_a_nursery_that_is_closed_starts_nothing(backend: str) -> None:
    """``start_soon`` after the block is an error."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            pass
        with pytest.raises(UsageError, match="not open"):
            nursery.start_soon(give, 1)

    assert value(service_handler(handler), backend) is None


def test_a_child_cannot_be_detached(backend: str) -> None:
    """A handle's ``detach`` says that a nursery waits for its children."""

    async def handler(ctx: Context) -> None:
        async with open_nursery() as nursery:
            handle = nursery.start_soon(give, 1)
            with pytest.raises(UsageError, match="cannot be detached"):
                handle.detach()

    assert value(service_handler(handler), backend) is None


def test_cancelling_a_handle_cancels_that_child_alone(backend: str) -> None:
    """The child is CANCELLING while it cleans up, then CANCELLED; its sibling goes on."""

    async def handler(ctx: Context) -> list[Any]:
        async def child(name: str) -> str:
            try:
                return await ctx.run(give, name)
            finally:
                with CancelScope(shield=True):
                    await ctx.run(give, f"clean {name}", name=f"clean {name}")

        found: list[str] = []
        async with open_nursery() as nursery:
            one = nursery.start_soon(child, "one")
            two = nursery.start_soon(child, "two")
            await checkpoint()
            one.cancel()
            found.append(one.status.name)
            with pytest.raises(FutureCancelledError):
                await one
            found += [one.status.name, await two]
        return found

    end = value(service_handler(handler), backend)

    assert end == ["CANCELLING", "CANCELLED", "two"]


def test_cancelling_a_child_that_has_ended_does_nothing(backend: str) -> None:
    """Its status and its value stay."""

    async def handler(ctx: Context) -> list[Any]:
        found: list[Any] = []
        async with open_nursery() as nursery:
            handle = nursery.start_soon(give, 1)
            await handle
            handle.cancel()
            found += [handle.status.name, handle.return_value]
        return found

    assert value(service_handler(handler), backend) == ["FINISHED", 1]


def test_cancelling_the_nursery_s_scope_cancels_all_children(backend: str) -> None:
    """``nursery.cancel_scope.cancel()`` ends the children, and the block ends normally."""

    async def handler(ctx: Context) -> list[str]:
        never = Event()
        handles: list[TaskHandle[None]] = []
        async with open_nursery() as nursery:
            handles += [nursery.start_soon(never.wait) for _ in range(2)]
            await ctx.run(give, 1)
            nursery.cancel_scope.cancel()
        return [handle.status.name for handle in handles]

    assert value(service_handler(handler), backend) == ["CANCELLED", "CANCELLED"]


def test_a_child_started_in_a_cancelled_nursery_runs_to_its_first_wait(backend: str) -> None:
    """As in trio: it is started, and its first durable wait raises."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def child() -> None:
            order.append("started")
            await ctx.run(give, 1)
            order.append("not reached")

        handles: list[TaskHandle[None]] = []
        async with open_nursery() as nursery:
            nursery.cancel_scope.cancel()
            handles.append(nursery.start_soon(child))
        return [*order, *(handle.status.name for handle in handles)]

    assert value(service_handler(handler), backend) == ["started", "CANCELLED"]


def test_a_nursery_s_exit_is_a_durable_wait(backend: str) -> None:
    """In a cancelled scope leaving a nursery raises, even if its children all finished."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        with CancelScope() as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(give, 1)
                scope.cancel()
            order.append("not reached")
        return [*order, str(scope.cancelled_caught)]

    assert value(service_handler(handler), backend) == ["True"]


def test_a_cancellation_does_not_wake_a_parent_that_joins(backend: str) -> None:
    """It waits for its children, also if it was interrupted in an earlier wait."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def child() -> None:
            with CancelScope(shield=True):
                order.append(await ctx.run(give, "child", name="slow"))

        with CancelScope() as outer:
            async with open_nursery() as cancelling:

                async def cancel() -> None:
                    await ctx.run(give, 1, name="fast")
                    outer.cancel()

                cancelling.start_soon(cancel)
                async with open_nursery() as nursery:
                    nursery.start_soon(child)
                    with CancelScope() as scope:
                        scope.cancel()
                        await checkpoint()
                    with CancelScope() as parked:

                        async def release(scope: CancelScope = parked) -> None:
                            scope.cancel()

                        nursery.start_soon(release)
                        await Event().wait()
                order.append("not reached")
        return [*order, str(outer.cancelled_caught)]

    plan = ["commit cancel[0]/fast", "commit child[0]/slow"]

    assert value(service_handler(handler), backend, plan=plan) == ["child", "True"]


def test_the_end_of_the_last_child_wakes_nobody_but_a_parent_that_waits_for_it(
    backend: str,
) -> None:
    """A body that waits for something else goes on waiting."""

    async def handler(ctx: Context) -> list[int]:
        result: list[int] = []
        async with open_nursery() as nursery:
            nursery.start_soon(ctx.run, give, 1, name="child")
            result.append(await ctx.run(give, 2, name="body"))
            nursery.start_soon(ctx.run, give, 3, name="late")
            event = Event()
            nursery.start_soon(set_soon, ctx, event)
            await event.wait()
            result.append(4)
        return result

    async def set_soon(ctx: Context, event: Event) -> None:
        await ctx.run(give, 4, name="setter")
        event.set()

    plan = [
        "commit child[0]/give",
        "commit body",
        "commit late[0]/give",
        "commit set_soon[0]/setter",
    ]

    assert value(service_handler(handler), backend, plan=plan) == [2, 4]


def test_a_nursery_of_another_invocation_starts_nothing_here(backend: str) -> None:
    """A nursery that leaks out of one handler cannot take children from another one."""
    leaked: list[Nursery] = []

    async def first(ctx: Context) -> None:
        async with open_nursery() as nursery:
            leaked.append(nursery)
            await ctx.run(anyio.sleep_forever)

    async def second(ctx: Context) -> None:
        leaked[0].start_soon(give, 1)

    ends: list[AttemptEnd] = []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(World(service_handler(first)).run)
            while not leaked:
                await anyio.lowlevel.checkpoint()
            ends.append(await World(service_handler(second)).run())
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    [end] = ends

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, UsageError)
    assert "another invocation" in str(end.error)


def test_the_statuses_are_those_of_anyio() -> None:
    """The names a user knows from ``anyio.TaskHandle``."""
    names = {status.name for status in FutureStatus}

    assert names == {"PENDING", "CANCELLING", "CANCELLED", "FINISHED", "FAILED"}


def test_a_failed_child_tells_its_exception(backend: str) -> None:
    """``exception`` is the error, ``return_value`` raises it."""

    async def handler(ctx: Context) -> list[Any]:
        async def child() -> None:
            raise TerminalError("no")

        handles: list[TaskHandle[None]] = []
        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                handles.append(nursery.start_soon(child))
        [handle] = handles
        with pytest.raises(TerminalError, match="no"):
            _ = handle.return_value
        return [handle.status.name, str(handle.exception)]

    assert value(service_handler(handler), backend) == ["FAILED", "no"]
