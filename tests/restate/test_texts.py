"""Texts that are no Unicode, as file names may be: a journal holds them spelled out, or they fail."""

from __future__ import annotations

import logging
import os
from typing import Any

import anyio
import pytest

import durable_trio as dt
from durable_trio.abc import Completion, Failure, Input, Output, Run
from durable_trio_restate import endpoint
from durable_trio_restate._messages import EndMessage, ErrorMessage

from .asgi import invoked
from .peer import read, start_of

ODD = os.fsdecode(b"a\xff")
SPELLED = r"a\udcff"

odd = dt.Service("Odd")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What is logged of a failed attempt is as odd, and no report of a test can have it."""
    caplog.set_level(logging.CRITICAL)


@odd.handler
async def steps(ctx: dt.Context) -> str:
    """A name and a failure, both recorded."""
    try:
        await ctx.run(refuse, name=ODD)
    except dt.TerminalError as error:
        raise dt.TerminalError(error.message, metadata={ODD: ODD}) from error
    return "never"


async def refuse() -> None:
    raise dt.TerminalError(ODD)


@odd.handler
async def fail(_ctx: dt.Context) -> None:
    raise FileNotFoundError(ODD)


@odd.handler
async def shout(_ctx: dt.Context) -> None:
    raise ValueError("x" * 1_000_000)


@odd.handler
async def call(ctx: dt.Context) -> None:
    await ctx.call(fail, idempotency_key=ODD)


@odd.handler
async def listen(ctx: dt.Context) -> None:
    await ctx.signal(ODD)


@odd.handler
async def state_key(ctx: dt.Context) -> None:
    ctx.send(dt.remote("O", "h", input=None, output=None), key=ODD)


def attempt(handler: str, backend: str, *journal: Any) -> list[Any]:
    """What one attempt over this journal says."""

    async def main() -> list[Any]:
        async with invoked(endpoint([odd]), f"Odd/{handler}") as request:
            request.end(start_of(Input(b""), *journal))
            await request.until_ended()
        return read(request.body)

    return anyio.run(main, backend=backend)


def test_what_is_recorded_is_spelled_out(backend: str) -> None:
    """Names and failures are the same text when they are written and when they are replayed."""
    refused = Failure(500, SPELLED)
    ended = Output(Failure(500, SPELLED, ((SPELLED, SPELLED),)))
    named = Run(1, SPELLED)
    begun = attempt("steps", backend)
    replayed = attempt("steps", backend, named, Completion(1, refused))
    again = attempt("steps", backend, named, Completion(1, refused), ended)

    assert named == begun[0]
    assert refused == begun[1].result
    assert [ended, EndMessage()] == replayed
    assert [EndMessage()] == again


def test_an_error_is_told(backend: str) -> None:
    """One whose text is odd, or endless: the attempt ends with it and not with another."""
    [failed] = attempt("fail", backend)
    [shouted] = attempt("shout", backend)

    assert isinstance(failed, ErrorMessage)
    assert failed.message == f"FileNotFoundError: {SPELLED}"
    assert failed.stacktrace.endswith(f"FileNotFoundError: {SPELLED}\n")
    assert shouted.message.startswith("ValueError: xxx")
    assert 2 * 70_000 > len(shouted.message) + len(shouted.stacktrace)


@pytest.mark.parametrize("handler", ["call", "listen", "state_key"])
def test_what_names_something_else_is_refused(backend: str, handler: str) -> None:
    """Spelled out it would name another thing: the attempt fails and says why."""
    [failed] = attempt(handler, backend)

    assert isinstance(failed, ErrorMessage)
    assert r"'a\udcff'" in failed.message
    assert "no valid Unicode" in failed.message
