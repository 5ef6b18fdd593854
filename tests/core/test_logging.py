"""``ctx.log`` is silent while the branch that logs replays its own commands."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import RetryPolicy, SerializationError, open_nursery, remote
from durable_trio._source import exc_info
from durable_trio.serde import serde_for

from .world import World, error, service_handler

if TYPE_CHECKING:
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


def test_a_step_that_fails_says_which_and_where(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its traceback once, in the user's own lines; the next failures in one line each."""
    tries: list[int] = []

    async def fetch() -> int:
        tries.append(1)
        if len(tries) < 4:
            raise OSError("too early" if len(tries) < 3 else "too late")
        return len(tries)

    async def handler(ctx: Context) -> int:
        return await ctx.run(fetch)

    with caplog.at_level(logging.WARNING, "durable_trio"):
        World(service_handler(handler)).play(backend)

    first, second, third = caplog.records
    assert first.getMessage() == (
        "S/handler (inv_1): try 1 of the run 'fetch' failed: OSError: too early; the next one in "
        "0.05 s"
    )
    assert first.exc_info is not None
    assert [fetch.__code__] == [frame.f_code for frame, _ in traceback.walk_tb(first.exc_info[2])]
    assert "try 2 of the run 'fetch'" in second.getMessage()
    assert second.exc_info is None
    assert third.exc_info is not None


def test_a_traceback_shows_the_user_s_own_lines(backend: str) -> None:
    """And what is below of them, unless it is ours and raised on purpose."""

    async def refused(ctx: Context) -> None:
        ctx.set("name", 1)  # type: ignore[attr-defined]

    async def unfit(ctx: Context) -> None:
        await ctx.call(remote("Peer", "handle", input=str), 3)

    async def broken(ctx: Context) -> None:
        json.loads("{")

    for handler, last in ((refused, "refused"), (unfit, "unfit"), (broken, "raw_decode")):
        _, _, shown = exc_info(error(service_handler(handler), backend))
        names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(shown)]

        assert (handler.__name__, last) == (names[0], names[-1])


def test_without_a_line_of_the_user_s_only_an_accident_shows_ours() -> None:
    """What was raised on purpose says itself where."""
    with pytest.raises(SerializationError) as caught:
        serde_for(int).deserialize(b"text")
    assert caught.value.__traceback__ is not None
    ours = caught.value.__traceback__.tb_next
    accident = KeyError("ours").with_traceback(ours)

    assert ours is not None
    assert exc_info(caught.value.with_traceback(ours))[2] is None
    assert exc_info(accident)[2] is not None


def test_what_runs_in_a_thread_shows_no_library_above(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It begins with the body, not with the way there."""

    def fetch() -> int:
        raise OSError("down")

    async def handler(ctx: Context) -> int:
        return await ctx.run(fetch, retry=RetryPolicy(max_attempts=2))

    with caplog.at_level(logging.WARNING, "durable_trio"):
        World(service_handler(handler)).play(backend)

    (record,) = caplog.records
    assert record.exc_info is not None
    assert [fetch.__code__] == [frame.f_code for frame, _ in traceback.walk_tb(record.exc_info[2])]
