"""Cancellation across services, on a real server: callees end with who called them.

What the server says is what counts: after every test none of its invocations is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import anyio
import attrs
import pytest

from durable_trio import (
    CancelledError,
    CancelScope,
    Context,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    gather,
    move_on_after,
    open_nursery,
    race,
    sleep_forever,
    wait_first,
)

from .conftest import ONE_WORKER
from .served import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio import CallFuture, OnCancel

    from .conftest import Servers

pytestmark = ONE_WORKER

DEFAULT: dict[str, str] = {}
SUSPEND = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
V7 = {"RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true"}
WAYS = [
    pytest.param(DEFAULT, False, id="streamed"),
    pytest.param(SUSPEND, True, id="request-response"),
    pytest.param(V7 | SUSPEND, False, id="V7, always suspended"),
]


@attrs.define
class Reports:
    """What handlers did in this process, in order, and how to wait for it."""

    told: list[str] = attrs.field(factory=list[str])
    _changed: anyio.Event = attrs.field(factory=anyio.Event)

    async def tell(self, what: str) -> None:
        self.told.append(what)
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, *what: str) -> None:
        """Return when all of these have been told."""
        while not set(what) <= set(self.told):
            await self._changed.wait()


@attrs.frozen
class Node:
    """What a node of a tree of calls does: call its children, or wait if it has none."""

    name: str
    children: list[Node] = attrs.field(factory=list["Node"])

    @staticmethod
    def binary(prefix: str) -> Node:
        """A root, two branches, four leaves."""
        branches = [Node(prefix + a, [Node(f"{prefix}{a}{b}") for b in "xy"]) for a in "ab"]
        return Node(f"{prefix}root", branches)


class Trees:
    """A tree's services: every node undoes what it did, shielded, when it is cancelled."""

    def __init__(self, prefix: str, on_cancel: OnCancel = "request") -> None:
        self.reports = reports = Reports()
        tree, ledger = Service("Tree"), VirtualObject("Ledger")
        self.services = tree, ledger

        @tree.handler
        async def grow(ctx: Context, node: Node) -> None:
            await ctx.run(reports.tell, f"did {node.name}", name="do")
            try:
                async with open_nursery() as nursery:
                    for child in node.children:
                        nursery.start_soon(call, ctx, child)
                    await sleep_forever()
            finally:
                with CancelScope(shield=True):
                    count = await ctx.call(undo, node.name, key=prefix)
                    report = f"undid {node.name}, {count}"
                    await ctx.run(reports.tell, report, name="undo")

        async def call(ctx: Context, child: Node) -> None:
            await ctx.call(grow, child, idempotency_key=child.name, on_cancel=on_cancel)

        @ledger.handler
        async def undo(ctx: ObjectContext, name: str) -> int:
            undone = [*await ctx.get("undone", list[str], []), name]
            ctx.set("undone", undone)
            return undone.count(name)

        self.grow = grow


def names(node: Node) -> list[str]:
    """A node's and those below it, from the root down."""
    return [node.name, *(name for child in node.children for name in names(child))]


def run(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with anyio.fail_after(60):
            await main()

    anyio.run(bounded, backend=backend)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Sets the names of one test apart from those of others on the same server."""
    return f"{request.node.name}/"


@pytest.mark.parametrize(("settings", "http_11"), WAYS)
def test_cancel_unwinds_a_tree(
    backend: str, servers: Servers, settings: dict[str, str], http_11: bool, prefix: str
) -> None:
    """Every node ends with 409, and undoes what it did, exactly once, in a call and in a step."""

    async def main() -> None:
        trees, tree = Trees(prefix), Node.binary(prefix)
        async with serving(servers(settings), *trees.services, http_11=http_11) as served:
            root = await served.ingress.send(trees.grow, tree, idempotency_key=tree.name)
            await trees.reports.until(*(f"did {name}" for name in names(tree)))
            await served.admin.cancel(root.invocation_id)
            with pytest.raises(CancelledError):
                await served.ingress.attach(root.invocation_id)
            await served.until_quiet()
            outcomes = await served.outcomes("Tree")
        assert ["[409] cancelled"] * 7 == [outcomes[name] for name in names(tree)]
        assert sorted(f"undid {name}, 1" for name in names(tree)) == sorted(
            told for told in trees.reports.told if told.startswith("undid")
        )

    run(backend, main)


def test_whoever_waits_for_callees_ends_after_them(
    backend: str, servers: Servers, prefix: str
) -> None:
    """With ``on_cancel="wait"`` a tree is undone from its leaves to its root."""

    async def main() -> None:
        trees, tree = Trees(prefix, "wait"), Node.binary(prefix)
        async with serving(servers(DEFAULT), *trees.services) as served:
            root = await served.ingress.send(trees.grow, tree, idempotency_key=tree.name)
            await trees.reports.until(*(f"did {name}" for name in names(tree)))
            await served.admin.cancel(root.invocation_id)
            with pytest.raises(CancelledError):
                await served.ingress.attach(root.invocation_id)
            # Not one of them is left when the root has ended.
            assert [] == await served.unfinished()
        undone = [
            told.removeprefix("undid ").removesuffix(", 1")
            for told in trees.reports.told
            if told.startswith("undid")
        ]
        assert sorted(names(tree)) == sorted(undone)
        for node in (tree, *tree.children):
            for child in node.children:
                assert undone.index(child.name) < undone.index(node.name)

    run(backend, main)


# -- what ends a call, in one handler

Ending: TypeAlias = "Callable[[Context, Callable[[str], CallFuture[str]]], Awaitable[str]]"


async def deadline(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    with move_on_after(0.3):
        await call("slow")
    return "went on"


async def lost_race(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    async def wait() -> str:
        return await call("slow")

    async def win() -> str:
        await call("quick")
        return "went on"

    return await race(wait, win)


async def lost_in_first(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    index, _ = await wait_first(call("slow"), call("quick"))
    assert 1 == index
    return "went on"


async def failed_sibling(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    with pytest.raises(TerminalError, match="no"):
        await gather(call("slow"), call("failing"))
    return "went on"


async def failed_in_nursery(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    async def wait(name: str) -> None:
        await call(name)

    try:
        async with open_nursery() as nursery:
            nursery.start_soon(wait, "slow")
            nursery.start_soon(wait, "failing")
    except* TerminalError:
        pass
    return "went on"


async def returned(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    call("slow")
    await call("quick")
    return "went on"


async def returned_at_once(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    call("slow")
    return "went on"


async def raised(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    call("slow")
    await call("quick")
    raise TerminalError("went on", 418)


async def cancelled_future(ctx: Context, call: Callable[[str], CallFuture[str]]) -> str:
    slow = call("slow")
    await call("quick")
    slow.cancel()
    return "went on"


ENDINGS: list[Ending] = [
    deadline,
    lost_race,
    lost_in_first,
    failed_sibling,
    failed_in_nursery,
    returned,
    returned_at_once,
    raised,
    cancelled_future,
]


@pytest.mark.parametrize(("settings", "http_11"), WAYS)
def test_no_call_outlives_its_scope(
    backend: str, servers: Servers, settings: dict[str, str], http_11: bool, prefix: str
) -> None:
    """After deadlines, races, failures and returns nothing is left, and the callees were cancelled.

    All of them at once, each in an invocation of its own.
    """
    caller, callee = Service("Caller"), Service("Callee")

    @callee.handler
    async def wait(ctx: Context, name: str) -> str:
        if name == "slow":
            await sleep_forever()
        if name == "failing":
            raise TerminalError("no", 418)
        return name

    @caller.handler
    async def end(ctx: Context, index: int) -> str:
        ending = ENDINGS[index]

        def call(name: str) -> CallFuture[str]:
            key = f"{prefix}{ending.__name__} {name}"
            return ctx.call(wait, name, idempotency_key=key)

        return await ending(ctx, call)

    async def main() -> None:
        results: dict[str, str] = {}
        async with serving(servers(settings), caller, callee, http_11=http_11) as served:

            async def ask(index: int) -> None:
                try:
                    result = await served.ingress.call(end, index)
                except TerminalError as error:
                    result = f"{error.code} {error.message}"
                results[ENDINGS[index].__name__] = result

            async with anyio.create_task_group() as group:
                for index in range(len(ENDINGS)):
                    group.start_soon(ask, index)
            await served.until_quiet()
            outcomes = await served.outcomes("Callee")
        expected = {each.__name__: "went on" for each in ENDINGS} | {"raised": "418 went on"}
        assert expected == results
        slow = {each.__name__: outcomes.get(f"{prefix}{each.__name__} slow") for each in ENDINGS}
        assert dict.fromkeys(slow, "[409] cancelled") == slow

    run(backend, main)


def test_a_callee_in_a_queue_is_cancelled(backend: str, servers: Servers, prefix: str) -> None:
    """One that waits for its object's key never starts; one that was sent outlives its sender."""
    gate, caller = VirtualObject("Gate"), Service("Impatient")
    reports = Reports()

    @gate.handler
    async def hold(ctx: ObjectContext, name: str) -> str:
        await ctx.run(reports.tell, name, name="tell")
        word: str = await ctx.awakeable(str).future if name == "never" else name
        if name == "first":
            await ctx.run(reports.until, "let go", name="wait")
        return word

    @caller.handler
    async def ask(ctx: Context) -> str:
        first = ctx.send(hold, "first", key=prefix)
        await first.invocation_id()
        await ctx.run(reports.until, "first", name="wait")
        with move_on_after(0.3):
            await ctx.call(hold, "second", key=prefix, idempotency_key=f"{prefix}second")
        ctx.send(hold, "third", key=prefix, idempotency_key=f"{prefix}third")
        return await first.invocation_id()

    async def main() -> None:
        async with serving(servers(DEFAULT), gate, caller) as served:
            first = await served.ingress.call(ask)
            assert prefix in str(await served.unfinished())
            await reports.tell("let go")
            assert "first" == await served.ingress.attach(first, str)
            await served.until_quiet()
            outcomes = await served.outcomes("Gate")
        assert ["first", "let go", "third"] == reports.told
        assert {f"{prefix}second": None, f"{prefix}third": "success"} == {
            f"{prefix}{name}": outcomes.get(f"{prefix}{name}") for name in ("second", "third")
        }

    run(backend, main)


def test_an_abandoned_callee_goes_on(backend: str, servers: Servers, prefix: str) -> None:
    """``on_cancel="abandon"`` leaves it alone: it ends by itself, when it likes."""
    slow, caller = Service("Slow"), Service("Careless")
    reports = Reports()

    @slow.handler
    async def go(ctx: Context) -> str:
        await ctx.run(reports.until, "let go", name="wait")
        return "done"

    @caller.handler
    async def ask(ctx: Context) -> str:
        call = ctx.call(go, on_cancel="abandon")
        invocation_id = await call.invocation_id()
        call.cancel()
        return invocation_id

    async def main() -> None:
        async with serving(servers(DEFAULT), slow, caller) as served:
            invocation_id = await served.ingress.call(ask)
            assert ["Slow/go"] == [each.split()[0] for each in await served.unfinished()]
            await reports.tell("let go")
            assert "done" == await served.ingress.attach(invocation_id, str)
            await served.until_quiet()

    run(backend, main)
