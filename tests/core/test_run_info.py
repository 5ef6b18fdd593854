"""What a body knows about itself: enough for the other side to recognise a second try."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    NotDurableTaskError,
    RunInfo,
    ServiceOptions,
    TerminalError,
    UsageError,
    current_run,
    open_nursery,
)
from durable_trio.abc import AttemptCompleted, Failure, Output, Value

from .world import World, service_handler, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context


async def as_a_task(seen: list[RunInfo]) -> None:
    seen.append(current_run())
    if len(seen) < 3:
        raise OSError


def as_a_function(seen: list[RunInfo]) -> None:
    seen.append(current_run())
    if len(seen) < 3:
        raise OSError


async def in_tasks_of_its_own(seen: list[RunInfo]) -> None:
    async def inner() -> None:
        seen.append(current_run())

    async with anyio.create_task_group() as group:
        group.start_soon(inner)
    if len(seen) < 3:
        raise OSError


@pytest.mark.parametrize("body", [as_a_task, as_a_function, in_tasks_of_its_own])
@pytest.mark.parametrize("on_thread", [True, False])
def test_a_body_knows_which_try_of_which_run_it_is(
    backend: str, body: Callable[[list[RunInfo]], None], on_thread: bool
) -> None:
    """Wherever it is executed; all is the same in every try but the number of the try."""
    seen: list[RunInfo] = []

    async def handler(ctx: Context) -> None:
        async def branch() -> None:
            await ctx.run(partial(body, seen), name="pay", on_thread=on_thread)

        await ctx.now()
        async with open_nursery() as nursery:
            nursery.start_soon(branch)

    world = World(service_handler(handler))
    assert AttemptCompleted(Value(b"null")) == world.play(backend)

    assert [1, 2, 3] == [run.attempt for run in seen]
    assert {"branch[0]/pay"} == {run.name for run in seen}
    assert {2} == {run.number for run in seen}
    assert 1 == len({run.idempotency_key for run in seen})
    run = seen[0]
    assert f"{run.invocation_id}-2" == run.idempotency_key
    assert (run.service, run.handler, run.key) == ("S", "handler", "")


def test_the_key_is_the_same_in_another_attempt(backend: str) -> None:
    """What died in its body before is recognised: number and key are those of the journal."""
    keys: list[str] = []
    attempts: list[int] = []

    def body() -> None:
        keys.append(current_run().idempotency_key)
        attempts.append(current_run().attempt)

    async def handler(ctx: Context) -> None:
        await ctx.run(body, on_thread=False)

    first = World(service_handler(handler))
    first.play(backend)
    # The run is journaled, its result is not: that is how it was when the process died.
    again = World(service_handler(handler), recorded=first.entries[:2], start={"retry_count": 4})
    again.play(backend)

    assert keys[0] == keys[1]
    assert [1, 5] == attempts


def test_only_the_first_body_takes_up_the_earlier_retries(backend: str) -> None:
    """Those of the attempts before were spent on it, also if it succeeds at once."""
    attempts: list[int] = []

    def body() -> None:
        attempts.append(current_run().attempt)

    async def handler(ctx: Context) -> None:
        for _ in range(2):
            await ctx.run(body, on_thread=False)

    first = World(service_handler(handler))
    first.play(backend)
    attempts.clear()
    World(service_handler(handler), recorded=first.entries[:2], start={"retry_count": 4}).play(
        backend
    )

    assert [5, 1] == attempts


def test_there_is_no_current_run_elsewhere(backend: str) -> None:
    """In the handler it says what to use; in a body nothing durable works, as before."""

    async def in_the_handler(ctx: Context) -> None:
        with pytest.raises(UsageError, match=r"use ctx\.request"):
            current_run()

    async def in_a_body(ctx: Context) -> None:
        def body() -> None:
            with pytest.raises(NotDurableTaskError, match="inside the body of run 'body'"):
                ctx.uuid4()

        await ctx.run(body)

    value(service_handler(in_the_handler), backend)
    value(service_handler(in_a_body), backend)
    with pytest.raises(UsageError, match="no body of a run"):
        current_run()


class NotFoundError(Exception):
    """An error of the user's own."""


def final(error: Exception) -> TerminalError | None:
    """Say which errors are final."""
    return TerminalError(f"mapped {error}", 404) if isinstance(error, NotFoundError) else None


@pytest.mark.parametrize("on_thread", [True, False])
def test_the_mapping_is_asked_about_errors_of_bodies(backend: str, on_thread: bool) -> None:
    """A final one ends the run at once, with the error it means; others are retried."""
    tries: list[str] = []

    def body() -> None:
        tries.append("try")
        if len(tries) < 3:
            raise OSError
        raise NotFoundError("it")

    async def handler(ctx: Context) -> str:
        try:
            await ctx.run(body, on_thread=on_thread)
        except TerminalError as error:
            return f"{error.code} {error}"
        return "nothing"

    options = ServiceOptions(as_terminal_error=final)
    world = World(service_handler(handler), options=options)

    assert AttemptCompleted(Value(b'"404 mapped it"')) == world.play(backend)
    assert 3 == len(tries)


def test_a_mapping_that_fails_is_an_error_of_the_body(backend: str) -> None:
    """It is retried like one: what it said of the body's error is not known."""
    calls: list[str] = []

    def broken(error: Exception) -> TerminalError | None:
        calls.append(str(error))
        if len(calls) == 1:
            raise KeyError("broken")
        return TerminalError(str(error))

    def body() -> None:
        raise NotFoundError("it")

    async def handler(ctx: Context) -> None:
        await ctx.run(body)

    world = World(service_handler(handler), options=ServiceOptions(as_terminal_error=broken))
    world.play(backend)

    assert ["it", "it"] == calls
    assert Output(Failure(500, "it")) == world.entries[-1]
