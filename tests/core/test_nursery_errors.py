"""What leaves a nursery when something goes wrong in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    Event,
    TerminalError,
    open_nursery,
)

from .world import failure, service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context, TaskHandle


async def give(value: Any) -> Any:
    return value


async def refuse(text: str) -> None:
    raise TerminalError(text)


def messages(group: BaseExceptionGroup[Any]) -> list[str]:
    return [str(error) for error in group.exceptions]


def test_an_error_cancels_the_siblings(backend: str) -> None:
    """A child that fails cancels the others, which may clean up; then the group is raised."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []

        async def sibling() -> None:
            try:
                await Event().wait()
            finally:
                with CancelScope(shield=True):
                    order.append(await ctx.run(give, "cleaned"))

        try:
            async with open_nursery() as nursery:
                nursery.start_soon(sibling)
                nursery.start_soon(refuse, "boom")
        except* TerminalError as group:
            order.extend(messages(group))
        return order

    assert value(service_handler(handler), backend) == ["cleaned", "boom"]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_errors_leave_in_the_order_of_failure(backend: str, order: str) -> None:
    """The group's order is that of the journal, and the same on replay."""

    async def handler(ctx: Context) -> list[str]:
        async def child(name: str) -> None:
            with CancelScope(shield=True):
                await ctx.run(give, 1, name=name)
            raise TerminalError(name)

        with pytest.raises(ExceptionGroup) as raised:
            async with open_nursery() as nursery:
                nursery.start_soon(child, "a")
                nursery.start_soon(child, "b")
        return messages(raised.value)

    plan = [f"commit child[{'ab'.index(name)}]/{name}" for name in order]

    assert value(service_handler(handler), backend, plan=plan) == list(order)


def test_the_body_s_error_cancels_the_children(backend: str) -> None:
    """An error of the block itself is in the group, and the children are cancelled."""

    async def handler(ctx: Context) -> list[str]:
        handles: list[TaskHandle[None]] = []
        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                handles.append(nursery.start_soon(Event().wait))
                raise TerminalError("body")
        return [handle.status.name for handle in handles]

    assert value(service_handler(handler), backend) == ["CANCELLED"]


def test_body_and_child_may_both_fail(backend: str) -> None:
    """The body's error comes first when it came first."""

    async def handler(ctx: Context) -> list[str]:
        async def child() -> None:
            try:
                await Event().wait()
            finally:
                raise TerminalError("child")

        with pytest.raises(ExceptionGroup) as raised:
            async with open_nursery() as nursery:
                nursery.start_soon(child)
                raise TerminalError("body")
        return messages(raised.value)

    # The child had not begun to wait when the body failed: it does so in a cancelled scope.
    assert value(service_handler(handler), backend) == ["body", "child"]


def test_an_error_in_a_nested_nursery_is_a_nested_group(backend: str) -> None:
    """As in trio: one group a nursery, so ``except*`` finds the leaves."""

    async def handler(ctx: Context) -> str:
        async def child() -> None:
            async with open_nursery() as nursery:
                nursery.start_soon(refuse, "deep")

        with pytest.RaisesGroup(pytest.RaisesGroup(TerminalError)):
            async with open_nursery() as nursery:
                nursery.start_soon(child)
        return "ok"

    assert value(service_handler(handler), backend) == "ok"


def test_errors_beat_a_cancellation_from_outside(backend: str) -> None:
    """A nursery in a cancelled scope still raises what its children failed with."""

    async def handler(ctx: Context) -> list[str]:
        async def child() -> None:
            try:
                await Event().wait()
            finally:
                raise TerminalError("in cleanup")

        with pytest.raises(ExceptionGroup) as raised, CancelScope() as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(child)
                await ctx.run(give, 1)
                scope.cancel()
        return messages(raised.value)

    assert value(service_handler(handler), backend) == ["in cleanup"]


def test_errors_after_the_nursery_was_cancelled_still_count(backend: str) -> None:
    """Cancelling a nursery does not excuse a cleanup that fails."""

    async def handler(ctx: Context) -> str:
        async def child() -> None:
            try:
                await Event().wait()
            finally:
                raise TerminalError("in cleanup")

        with pytest.RaisesGroup(TerminalError):
            async with open_nursery() as nursery:
                nursery.start_soon(child)
                await ctx.run(give, 1)
                nursery.cancel_scope.cancel()
        return "ok"

    assert value(service_handler(handler), backend) == "ok"


def test_the_group_that_leaves_the_handler_names_all_leaves(backend: str) -> None:
    """Several terminal leaves: the first one's code, and all of them in the message."""

    async def handler(ctx: Context) -> None:
        async def child(code: int) -> None:
            try:
                await ctx.run(give, 1)
            finally:
                raise TerminalError(f"failed with {code}", code)

        async with open_nursery() as nursery:
            nursery.start_soon(child, 410)
            nursery.start_soon(child, 411)

    outcome = failure(service_handler(handler), backend)

    assert outcome.code == 410
    assert "failed with 410" in outcome.message
    assert "failed with 411" in outcome.message


def test_a_cancelled_error_of_the_body_is_no_error(backend: str) -> None:
    """A body that is cancelled leaves no group; the scope that asked for it catches it."""

    async def handler(ctx: Context) -> list[bool]:
        with CancelScope() as scope:
            async with open_nursery():
                scope.cancel()
                await ctx.run(give, 1)
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]
