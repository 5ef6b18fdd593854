"""``ctx.log`` is silent while the branch that logs replays its own commands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from durable_trio import open_nursery

from .world import World, service_handler

if TYPE_CHECKING:
    import pytest

    from durable_trio import Context

NAME = "durable_trio.handler.S"


async def give(value: Any) -> Any:
    return value


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == NAME]


def test_a_live_handler_logs(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the invocation and the branch as extras."""

    async def handler(ctx: Context) -> None:
        ctx.log.info("begun")
        async with open_nursery() as nursery:
            nursery.start_soon(child, ctx)

    async def child(ctx: Context) -> None:
        ctx.log.info("in %s", "a branch", extra={"mine": 1})

    with caplog.at_level(logging.INFO, NAME):
        World(service_handler(handler)).play(backend)

    assert ["begun", "in a branch"] == messages(caplog)
    records: list[Any] = caplog.records
    assert ("inv_1", "") == (records[0].invocation_id, records[0].branch)
    assert ("inv_1", "child[0]", 1) == (
        records[1].invocation_id,
        records[1].branch,
        records[1].mine,
    )


def test_a_replaying_handler_is_silent(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """Until its last recorded command has been done again."""

    async def handler(ctx: Context) -> None:
        ctx.log.info("begun")
        await ctx.run(give, 1, name="first")
        ctx.log.info("between")
        await ctx.run(give, 2, name="second")
        ctx.log.info("new")

    world = World(service_handler(handler))
    world.play(backend)
    caplog.clear()
    with caplog.at_level(logging.INFO, NAME):
        World(service_handler(handler), recorded=world.entries[:4]).play(backend)

    assert ["new"] == messages(caplog)


def test_each_branch_is_silent_for_itself(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """A branch that has nothing left to replay logs while its sibling still replays."""

    async def handler(ctx: Context) -> None:
        async def branch(name: str, steps: int) -> None:
            for index in range(steps):
                await ctx.run(give, index, name=f"{name}{index}")
            ctx.log.info("%s is done", name)

        async with open_nursery() as nursery:
            nursery.start_soon(branch, "short", 1)
            nursery.start_soon(branch, "long", 3)

    world = World(service_handler(handler))
    world.play(backend)
    caplog.clear()
    with caplog.at_level(logging.INFO, NAME):
        World(service_handler(handler), recorded=world.entries[:-1]).play(backend)

    assert ["short is done", "long is done"] == messages(caplog)


def test_a_level_that_is_off_costs_nothing(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """The standard level of the logger decides first."""

    async def handler(ctx: Context) -> bool:
        ctx.log.debug("hidden")
        return ctx.log.isEnabledFor(logging.DEBUG)

    with caplog.at_level(logging.INFO, NAME):
        end = World(service_handler(handler)).play(backend)

    assert b"false" in repr(end).encode()
    assert [] == messages(caplog)


def test_a_run_body_logs_always(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """It only runs live."""

    async def handler(ctx: Context) -> None:
        async def body() -> None:
            ctx.log.info("at work")

        await ctx.run(body)

    with caplog.at_level(logging.INFO, NAME):
        World(service_handler(handler)).play(backend)

    assert ["at work"] == messages(caplog)
