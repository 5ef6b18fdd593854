"""Shields: cleanup that has to journal, in a scope that is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from durable_trio import CancelScope, Event, checkpoint, move_on_after, open_nursery, sleep

from .world import play, service_handler, value

if TYPE_CHECKING:
    from durable_trio import Context


async def give(value: Any) -> Any:
    return value


def test_durable_waits_work_in_a_shield(backend: str) -> None:
    """In a shielded scope nothing of the cancellation outside is felt."""

    async def handler(ctx: Context) -> list[Any]:
        seen: list[Any] = []
        with CancelScope() as scope:
            scope.cancel()
            try:
                await checkpoint()
            finally:
                with CancelScope(shield=True):
                    seen.append(await ctx.run(give, "cleaned"))
                    await sleep(3)
                    await checkpoint()
        return [*seen, scope.cancelled_caught]

    assert value(service_handler(handler), backend) == ["cleaned", True]


def test_a_shield_is_left_into_the_cancellation(backend: str) -> None:
    """The first wait after the shield raises."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        with CancelScope() as scope:
            scope.cancel()
            with CancelScope(shield=True):
                order.append(await ctx.run(give, "in the shield"))
            await checkpoint()
            order.append("not reached")
        return order

    assert value(service_handler(handler), backend) == ["in the shield"]


def test_a_cancellation_waits_for_the_end_of_a_shield(backend: str) -> None:
    """A parked task in a shield is not woken; it learns of it afterwards."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[Any] = []
        scope = CancelScope()

        async def child() -> None:
            with scope:
                with CancelScope(shield=True):
                    order.append(await ctx.run(give, "shielded", name="slow"))
                await checkpoint()
                order.append("not reached")

        async with open_nursery() as nursery:
            nursery.start_soon(child)
            await ctx.run(give, 1, name="fast")
            scope.cancel()
        return [*order, scope.cancelled_caught]

    plan = ["commit fast", "commit child[0]/slow"]

    assert value(service_handler(handler), backend, plan=plan) == ["shielded", True]


def test_taking_a_shield_off_lets_the_cancellation_in(backend: str) -> None:
    """``scope.shield = False`` in a cancelled scope cancels at once."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[Any] = []
        scope = CancelScope(shield=True)
        with CancelScope() as outer:
            outer.cancel()
            with scope:
                order.extend([await ctx.run(give, "shielded"), scope.shield])
                scope.shield = False
                await checkpoint()
                order.append("not reached")
        return [*order, scope.cancelled_caught, outer.cancelled_caught]

    assert value(service_handler(handler), backend) == ["shielded", True, False, True]


def test_putting_a_shield_on_keeps_the_cancellation_out(backend: str) -> None:
    """``scope.shield = True`` in a cancelled scope makes waits work again."""

    async def handler(ctx: Context) -> list[Any]:
        with CancelScope() as outer:
            outer.cancel()
            with CancelScope() as scope:
                scope.shield = True
                return [await ctx.run(give, "shielded")]
        raise AssertionError

    assert value(service_handler(handler), backend) == ["shielded"]


def test_a_shield_can_be_set_before_entering(backend: str) -> None:
    """A scope that is not entered yet only remembers it."""

    async def handler(ctx: Context) -> list[Any]:
        scope = CancelScope()
        scope.shield = True
        with CancelScope() as outer:
            outer.cancel()
            with scope:
                return [await ctx.run(give, "shielded")]
        raise AssertionError

    assert value(service_handler(handler), backend) == ["shielded"]


def test_a_shield_does_not_protect_from_its_own_cancellation(backend: str) -> None:
    """A shielded scope can be cancelled itself, also by its own deadline."""

    async def handler(ctx: Context) -> list[Any]:
        with CancelScope(shield=True) as scope:
            scope.cancel()
            await checkpoint()
        with move_on_after(5, shield=True) as timeout:
            await Event().wait()
        return [scope.cancelled_caught, timeout.cancelled_caught]

    assert value(service_handler(handler), backend) == [True, True]


def test_a_nursery_in_a_shield_is_shielded(backend: str) -> None:
    """Children of a nursery inside of a shield do not feel the cancellation outside."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[str] = []

        async def child() -> None:
            order.append(await ctx.run(give, "done"))

        with CancelScope() as outer:
            outer.cancel()
            with CancelScope(shield=True):
                async with open_nursery() as nursery:
                    nursery.start_soon(child)
        return order

    assert value(service_handler(handler), backend) == ["done"]


def test_shielded_cleanup_runs_once_per_branch(backend: str) -> None:
    """A cancelled fan-out compensates each branch exactly once."""

    async def handler(ctx: Context) -> None:
        async def branch(name: str) -> None:
            try:
                await ctx.run(give, name, name=f"do {name}")
                await Event().wait()
            finally:
                with CancelScope(shield=True):
                    await ctx.run(give, name, name=f"undo {name}")

        with move_on_after(10):
            async with open_nursery() as nursery:
                for name in "ab":
                    nursery.start_soon(branch, name)

    _, world = play(service_handler(handler), backend)

    assert world.names == [
        "Sleep deadline",
        "Run branch[0]/do a",
        "Run branch[1]/do b",
        "Run branch[0]/undo a",
        "Run branch[1]/undo b",
    ]
