"""Races over HTTP/1.1: an attempt hears nothing, so a body that executes is waited for.

Who was first is decided by the journal of the next attempt. No step is executed twice, unless the
server gives an attempt up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import anyio

from durable_trio import Context, Service, gather, move_on_after, race, wait_first

from .conftest import ONE_WORKER
from .effects import failed_attempts
from .served import serving

if TYPE_CHECKING:
    import pytest

    from .conftest import Servers

pytestmark = ONE_WORKER

IMPATIENT = {
    "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "100ms",
    "RESTATE_WORKER__INVOKER__ABORT_TIMEOUT": "400ms",
    "RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": "20ms",
}

races = Service("Races")
executed = Counter[str]()
aborted = Counter[str]()
ended = defaultdict[str, anyio.Event](anyio.Event)


async def work(name: str, after: str | None = None) -> str:
    """A body that ends at once, or when another one has."""
    executed[name] += 1
    if after is not None:
        await ended[after].wait()
    ended[name].set()
    return name


async def hang(name: str) -> str:
    """A body that never ends by itself."""
    executed[name] += 1
    try:
        await anyio.sleep_forever()
    finally:
        aborted[name] += 1
    return name


@races.handler
async def two_bodies(ctx: Context) -> list[Any]:
    """Both end, the second because the first has."""
    slow, quick = ctx.run(work, "slow", "quick", name="slow"), ctx.run(work, "quick")
    index, first = await wait_first(slow, quick)
    return [index, await first, list(await gather(slow, quick))]


@races.handler
async def one_hangs(ctx: Context) -> str:
    async def stuck() -> str:
        return await ctx.run(hang, "stuck")

    async def done() -> str:
        return await ctx.run(work, "done")

    return await race(stuck, done)


@races.handler
async def deadline(ctx: Context) -> bool:
    with move_on_after(0.01) as scope:
        await ctx.run(hang, "late")
    return scope.cancelled_caught


EXPECTED: dict[Any, object] = {
    two_bodies: [1, "quick", ["slow", "quick"]],
    one_hangs: "done",
    deadline: True,
}


def test_races_of_bodies(backend: str, servers: Servers, request: pytest.FixtureRequest) -> None:
    """The first wins, losers that hang are aborted, and every body is executed once."""
    executed.clear()
    aborted.clear()
    ended.clear()
    server = servers(IMPATIENT)
    before = len(failed_attempts(server))

    async def main() -> None:
        async with serving(server, races, http_11=True) as served:
            once = request.node.name
            sent = {
                handler: await served.ingress.send(handler, idempotency_key=once)
                for handler in EXPECTED
            }
            for handler, expected in EXPECTED.items():
                assert expected == await served.ingress.attach(sent[handler].invocation_id)
            await served.until_quiet()

    async def bounded() -> None:
        with anyio.fail_after(60):
            await main()

    anyio.run(bounded, backend=backend)

    assert {"slow": 1, "quick": 1, "done": 1, "stuck": 1, "late": 1} == executed
    assert {"stuck": 1, "late": 1} == aborted
    # An attempt whose body hangs is given up by the server: its way of going on.
    assert 2 == len(failed_attempts(server)) - before
