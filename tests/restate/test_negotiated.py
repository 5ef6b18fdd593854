"""What a real server decides: which version is spoken, and how state comes to a handler.

Every wait suspends, so that whatever was read or drawn is replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    Context,
    IdempotentTarget,
    ObjectContext,
    RefusedError,
    Service,
    TerminalError,
    VirtualObject,
    gather,
    move_on_after,
    sleep,
    sleep_forever,
)
from durable_trio_restate import _manifest

from .conftest import ONE_WORKER
from .served import Served, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .conftest import Servers

pytestmark = ONE_WORKER

SUSPEND = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
V7 = {"RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true"}
SCOPES = V7 | {"RESTATE_EXPERIMENTAL_ENABLE_VQUEUES": "true"}
SMALL = {"RESTATE_WORKER__INVOKER__EAGER_STATE_SIZE_LIMIT": "1000 B"}


def run_bounded(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with anyio.fail_after(60):
            await main()

    anyio.run(bounded, backend=backend)


async def entry_types(served: Served, invocation_id: str) -> list[str]:
    """The kinds of commands that an invocation has in its journal, in order."""
    rows = await served.admin.query(
        f"SELECT index, entry_type FROM sys_journal WHERE id = '{invocation_id}' ORDER BY index"
    )
    return [
        row["entry_type"].removeprefix("Command: ")
        for row in rows
        if row["entry_type"].startswith("Command: ")
    ]


def cupboard(**options: Any) -> tuple[VirtualObject, Any]:
    """An object with a small and a large entry, and a handler that reads, writes and reads."""
    service = VirtualObject("Cupboard", **options)

    @service.handler
    async def use(ctx: ObjectContext, fill: bool) -> list[Any]:
        if fill:
            ctx.set("a small", 1)
            ctx.set("b large", "x" * 2_000)
            ctx.set("c small", 3)
        names = ["a small", "b large", "c small", "d missing"]
        found = [await ctx.get(name, Any, None) for name in names]
        await sleep(0.001)
        keys = await ctx.keys()
        ctx.clear("a small")
        ctx.set("d missing", 4)
        await sleep(0.001)
        return [
            [len(each) if isinstance(each, str) else each for each in found],
            sorted(keys),
            sorted(await ctx.keys()),
            await ctx.get("a small", Any, None),
            await ctx.get("d missing", int),
        ]

    return service, use


READS: dict[str, tuple[Any, dict[str, Any], set[str]]] = {
    # By how the server is set up, and what the object says.
    "eager": (SUSPEND, {}, {"GetEagerState", "GetEagerStateKeys"}),
    "partial": (SUSPEND | SMALL, {}, {"GetEagerState", "GetLazyState", "GetLazyStateKeys"}),
    "lazy": (SUSPEND, {"lazy_state": True}, {"GetEagerState", "GetLazyState", "GetLazyStateKeys"}),
}


@pytest.mark.parametrize("how", READS)
def test_state_is_the_same_however_it_comes(
    backend: str, servers: Servers, how: str, request: pytest.FixtureRequest
) -> None:
    """With the start message, a part of it, or when it is asked for; and as it was, on replay."""
    settings, options, kinds = READS[how]
    service, use = cupboard(**options)

    async def main() -> None:
        key = request.node.name
        async with serving(servers(settings), service) as served:
            fresh = await served.ingress.call(use, True, key=key)
            sent = await served.ingress.send(use, False, key=key)
            found = await served.ingress.attach(sent.invocation_id)
            types = await entry_types(served, sent.invocation_id)
            await served.until_quiet()
        written = ["a small", "b large", "c small"]
        later = ["b large", "c small", "d missing"]
        assert [[1, 2_000, 3, None], written, later, None, 4] == fresh
        assert [[None, 2_000, 3, 4], later, later, None, 4] == found
        assert kinds == {each for each in types if each.startswith("Get")}

    run_bounded(backend, main)


VERSIONS = {5: SUSPEND, 6: SUSPEND, 7: SUSPEND | V7}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_spoken(
    backend: str,
    servers: Servers,
    version: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps, calls, timers, races, awakeables, signals, chance, failures and cancellation."""
    if version == 5:
        # The server takes the newest that both speak.
        monkeypatch.setattr(_manifest, "MAX_PROTOCOL", 5)
    program, peer = Service("Program"), Service("Peer")

    @peer.handler
    async def answer(ctx: Context, word: str) -> str:
        if word == "fail":
            raise TerminalError("no", 418)
        if word == "never":
            await sleep_forever()
        await sleep(0.001)
        return word.upper()

    @peer.handler
    async def tell(ctx: Context, awakeable_id: str, /) -> None:
        ctx.resolve_awakeable(awakeable_id, "told")

    @program.handler
    async def run(ctx: Context) -> list[Any]:
        chance = ctx.random.random()
        kept = await ctx.run(lambda: chance, name="keep")
        awakeable = ctx.awakeable(str)
        ctx.send(tell, awakeable.id)
        both = await gather(ctx.call(answer, "a"), ctx.run(lambda: "b", name="b"))
        failure = 0
        try:
            await ctx.call(answer, "fail")
        except TerminalError as error:
            failure = error.code
        with move_on_after(0.01) as scope:
            await ctx.call(answer, "never")
        return [kept == chance, await awakeable.future, list(both), failure, scope.cancelled_caught]

    async def main() -> None:
        async with serving(servers(VERSIONS[version]), program, peer) as served:
            sent = await served.ingress.send(run, idempotency_key=request.node.name)
            result = await served.ingress.attach(sent.invocation_id)
            await served.until_quiet()
            [row] = await served.admin.query(
                "SELECT pinned_service_protocol_version AS version FROM sys_invocation "
                f"WHERE id = '{sent.invocation_id}'"
            )
        assert [True, "told", ["A", "b"], 418, True] == result
        assert version == row["version"]

    run_bounded(backend, main)


def test_scopes_and_limit_keys(backend: str, servers: Servers, request: Any) -> None:
    """A client's calls and sends have them on a server that has; a target of its scope is found."""
    service = Service("Scoped")

    @service.handler
    async def double(ctx: Context, number: int) -> int:
        return 2 * number

    async def main() -> None:
        once = request.node.name
        async with serving(servers(SCOPES), service) as served:
            ingress = served.ingress
            assert 6 == await ingress.call(double, 3, scope="one", limit_key="a")
            sent = await ingress.send(double, 4, scope="one", limit_key="a/b", idempotency_key=once)
            found = IdempotentTarget("Scoped", "double", once, scope="one")
            assert 8 == await ingress.attach(found, int)
            assert 8 == await ingress.output(found, int)
            [row] = await served.admin.query(
                f"SELECT scope, limit_key FROM sys_invocation WHERE id = '{sent.invocation_id}'"
            )
            assert {"scope": "one", "limit_key": "a/b"} == row
            with pytest.raises(RefusedError) as caught:
                await ingress.call(double, 3, limit_key="a")
            assert 400 == caught.value.code

    run_bounded(backend, main)
