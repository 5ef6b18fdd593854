"""What a suspended attempt waits for has not come yet: a server resumes at once what waits for more.

It looks for what is named in the journal, and a signal that has come stays there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    CancelScope,
    Context,
    Event,
    Service,
    TerminalError,
    sleep,
    sleep_forever,
)
from durable_trio.abc import VOID, AwaitKind, AwaitTree, Input, Signal, Sleep, Value
from durable_trio_restate import endpoint

from .asgi import invoked
from .conftest import ONE_WORKER
from .peer import read, start_of
from .served import serving

if TYPE_CHECKING:
    from .conftest import Servers

VERSIONS = (5, 6, 7)
CANCEL = Signal(1, VOID)
FIRST = AwaitKind.FIRST_COMPLETED

attempts = Counter[str]()

stubborn = Service("Stubborn")


@stubborn.handler
async def cleans_up(_ctx: Context) -> None:
    """Is cancelled, and takes its time."""
    attempts["cleans_up"] += 1
    try:
        await sleep_forever()
    finally:
        with CancelScope(shield=True):
            await sleep(0.3)


@stubborn.handler(explicit_cancellation=True)
async def decides(ctx: Context) -> str:
    """Is cancelled, and has other plans."""
    attempts["decides"] += 1
    try:
        await ctx.cancellation()
    except TerminalError:
        await sleep(0.3)
    return "decided"


@stubborn.handler
async def is_stuck(_ctx: Context) -> None:
    """Is cancelled, and waits for nothing that could come."""
    try:
        await sleep_forever()
    finally:
        with CancelScope(shield=True):
            await Event().wait()


@stubborn.handler
async def hears_twice(ctx: Context) -> list[str]:
    """Two signals of one name."""
    return [await ctx.signal("again", str), await ctx.signal("again", str)]


class Clock:
    """Writes down how long somebody wanted to wait."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def now(self) -> float:
        return 1000.0

    async def sleep_until(self, deadline: float) -> None:
        self.waited.append(deadline - self.now())


def attempt(handler: str, backend: str, version: int, *journal: Any) -> tuple[Any, Clock]:
    """The last message of an attempt over this journal, and the clock of its endpoint."""
    app, clock = endpoint([stubborn]), Clock()
    app._clock = clock  # type: ignore[assignment]

    async def main() -> bytes:
        async with invoked(app, f"Stubborn/{handler}", version=version) as request:
            request.end(start_of(Input(b""), *journal))
            await request.until_ended()
        return request.body

    return read(anyio.run(main, backend=backend), version)[-1], clock


@pytest.mark.parametrize("version", VERSIONS)
def test_cancel_is_awaited_once(backend: str, version: int) -> None:
    """Until it has come; afterwards there is only what the handler waits for."""
    before, _ = attempt("cleans_up", backend, version)
    after, clock = attempt("cleans_up", backend, version, CANCEL)
    replayed, _ = attempt("cleans_up", backend, version, CANCEL, Sleep(1_000_300, 1, "sleep"))
    decided, _ = attempt("decides", backend, version, CANCEL)

    assert AwaitTree(FIRST, signals=(1,)) == before
    assert AwaitTree(FIRST, completions=(1,)) == after == replayed == decided
    assert [] == clock.waited


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_left_to_wait_for(backend: str, version: int) -> None:
    """The server refuses an empty suspension: it waits for what nobody sends."""
    waits, _ = attempt("is_stuck", backend, version, CANCEL)

    assert AwaitTree(FIRST, signals=(16,)) == waits


@pytest.mark.parametrize("version", VERSIONS)
def test_the_second_signal_of_a_name(backend: str, version: int) -> None:
    """It cannot be told from the first, so that the next attempt is to come a little later."""
    first, at_first = attempt("hears_twice", backend, version)
    second, then = attempt("hears_twice", backend, version, Signal("again", Value(b'"x"')))

    assert AwaitTree(FIRST, signals=(1, "again")) == first == second
    assert ([], [0.5]) == (at_first.waited, then.waited)


@ONE_WORKER
def test_no_attempt_is_made_in_vain(
    backend: str, servers: Servers, request: pytest.FixtureRequest
) -> None:
    """Three are: until CANCEL, until the timer, and the last; over request/response."""
    attempts.clear()

    async def main() -> None:
        async with serving(servers({}), stubborn, http_11=True) as served:
            for handler in (cleans_up, decides):
                sent = await served.ingress.send(handler, idempotency_key=request.node.name)
                with anyio.fail_after(30):
                    while not await suspended(served, sent.invocation_id):
                        await anyio.lowlevel.checkpoint()
                await served.admin.cancel(sent.invocation_id)
            await served.until_quiet()

    anyio.run(main, backend=backend)

    assert {"cleans_up": 3, "decides": 3} == attempts


async def suspended(served: Any, invocation_id: str) -> bool:
    """Whether an invocation waits, so that what comes next is the next attempt's."""
    [row] = await served.admin.query(
        f"SELECT status FROM sys_invocation WHERE id = '{invocation_id}'"
    )
    return bool(row["status"] == "suspended")
