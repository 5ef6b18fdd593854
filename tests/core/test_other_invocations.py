"""What one invocation has made or used is nobody else's: what happened then is in no journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from durable_trio import (
    CancelScope,
    CapacityLimiter,
    Condition,
    EndOfChannel,
    Event,
    Lock,
    NotDurableTaskError,
    Semaphore,
    UsageError,
    checkpoint,
    open_memory_channel,
    open_nursery,
    sleep_forever,
)
from durable_trio.abc import AttemptFailed

from .world import World, error, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import Context


async def call(operation: Callable[[], object]) -> None:
    """Call it, and await what it returns if it is to be awaited."""
    result: Any = operation()
    if hasattr(result, "__await__"):
        await result


def channel_operation(name: str) -> Callable[[], object]:
    sender, receiver = open_memory_channel(9)

    def use() -> object:
        receiver.statistics()  # keeps that end
        return getattr(sender, name)(1)

    return use


MAKERS: dict[str, Callable[[], Callable[[], object]]] = {
    "Event.set": lambda: Event().set,
    "Lock.acquire_nowait": lambda: Lock().acquire_nowait,
    "Lock.acquire": lambda: Lock().acquire,
    "Semaphore.acquire_nowait": lambda: Semaphore(9).acquire_nowait,
    "Semaphore.acquire": lambda: Semaphore(9).acquire,
    "Semaphore.release": lambda: Semaphore(9).release,
    "CapacityLimiter.acquire": lambda: CapacityLimiter(9).acquire,
    "Condition.acquire": lambda: Condition().acquire,
    "send_nowait": lambda: channel_operation("send_nowait"),
    "send": lambda: channel_operation("send"),
}


@pytest.mark.parametrize("what", MAKERS)
def test_a_primitive_belongs_to_who_used_it_first(backend: str, what: str) -> None:
    """Another invocation is refused; another attempt too, which finds it as that one left it."""
    operation = MAKERS[what]()

    async def handler(ctx: Context) -> None:
        await call(operation)

    World(service_handler(handler)).play(backend)
    found = error(service_handler(handler), backend)

    assert isinstance(found, UsageError)
    assert "another invocation" in str(found)


async def scope_cancel(scope: CancelScope, _: object) -> None:
    scope.cancel()


async def scope_deadline(scope: CancelScope, _: object) -> None:
    scope.deadline = 5.0


async def child_cancel(_: object, child: Any) -> None:
    child.cancel()


async def child_detach(_: object, child: Any) -> None:
    child.detach()


@pytest.mark.parametrize("act", [scope_cancel, scope_deadline, child_cancel, child_detach])
def test_nobody_else_cancels_what_a_handler_runs(
    backend: str, act: Callable[[Any, Any], Awaitable[None]]
) -> None:
    """Not its scopes, nor its children, while it is running."""
    leaked: list[tuple[CancelScope, Any]] = []
    over: list[anyio.Event] = []

    async def first(ctx: Context) -> str:
        async with open_nursery() as nursery:
            child = nursery.start_soon(sleep_forever)
            with CancelScope() as scope:
                await checkpoint()
                leaked.append((scope, child))
                await ctx.run(over[0].wait)
            child.cancel()
        return "done"

    async def second(ctx: Context) -> None:
        await act(*leaked[0])

    async def main() -> list[object]:
        over.append(anyio.Event())
        ends: list[object] = []

        async def run_first() -> None:
            ends.append(await World(service_handler(first)).run())

        async with anyio.create_task_group() as group:
            group.start_soon(run_first)
            while not leaked:
                await anyio.lowlevel.checkpoint()
            ends.append(await World(service_handler(second)).run())
            over[0].set()
        return ends

    refused, unharmed = anyio.run(main, backend=backend)

    assert isinstance(refused, AttemptFailed)
    assert isinstance(refused.error, UsageError)
    assert not isinstance(unharmed, AttemptFailed)


def test_a_pending_future_of_another_invocation_is_not_cancelled(backend: str) -> None:
    """Nor is it detached."""
    leaked: list[Any] = []

    async def first(ctx: Context) -> None:
        leaked.append(ctx.awakeable().future)

    async def cancel(ctx: Context) -> None:
        leaked[0].cancel()

    async def detach(ctx: Context) -> None:
        leaked[0].detach()

    World(service_handler(first)).play(backend)

    for handler in (cancel, detach):
        assert "another invocation" in str(error(service_handler(handler), backend))


def test_a_body_changes_nothing_that_tasks_wait_for(backend: str) -> None:
    """When it does so is in no journal."""
    found: list[str] = []

    async def handler(ctx: Context) -> str:
        status = ""
        limiter = CapacityLimiter(1)
        sender, receiver = open_memory_channel(0)

        def more() -> None:
            limiter.total_tokens = 9

        def body() -> None:
            for change in (more, sender.close, receiver.close):
                with pytest.raises(NotDurableTaskError):
                    change()
                found.append("refused")

        async def receive() -> None:
            with pytest.raises(EndOfChannel):
                await receiver.receive()

        async with open_nursery() as nursery, limiter:
            nursery.start_soon(receive)
            waiting = nursery.start_soon(limiter.acquire)
            await checkpoint()
            await ctx.run(body)
            status = waiting.status.name
            sender.close()
            waiting.cancel()
        return status

    assert value(service_handler(handler), backend) == "PENDING"
    assert ["refused"] * 3 == found
