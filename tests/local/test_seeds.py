"""A seeded runtime: the same program has the same ids in every run, and no id twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import attrs
import pytest

from durable_trio import Context, Service, amap, gather
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from durable_trio.abc import JournalStore

pytestmark = pytest.mark.anyio

service = Service("Family")


@attrs.frozen
class Identity:
    """All that an invocation has by chance."""

    id: str
    awakeable: str
    number: float
    uuid: str


@attrs.frozen
class Relatives:
    """An invocation and those that it called, sent and found."""

    own: Identity
    called: list[Identity]
    sent: str
    same: list[str]


@service.handler
async def child(ctx: Context) -> Identity:
    await ctx.run(anyio.lowlevel.checkpoint)
    return Identity(ctx.request.id, ctx.awakeable().id, ctx.random.random(), str(ctx.uuid4()))


@service.handler
async def parent(ctx: Context, name: str) -> Relatives:
    async def call(_: int) -> Identity:
        return await ctx.call(child)

    own = Identity(ctx.request.id, ctx.awakeable().id, ctx.random.random(), str(ctx.uuid4()))
    called = await amap(call, range(3))
    sent = await ctx.send(child).invocation_id()
    keyed = [ctx.call(child, idempotency_key=name) for _ in range(2)]
    await gather(*keyed)
    return Relatives(own, called, sent, [await call.invocation_id() for call in keyed])


async def family(runtime: LocalRuntime) -> dict[str, Relatives]:
    """Ten parents at once: the host decides whose turn it is, trio by chance."""
    relatives: dict[str, Relatives] = {}

    async def attach(name: str, invocation_id: str) -> None:
        relatives[name] = await runtime.attach(invocation_id, Relatives)

    receipts = {name: await runtime.send(parent, name) for name in "abcdefghij"}
    async with anyio.create_task_group() as group:
        for name, receipt in receipts.items():
            group.start_soon(attach, name, receipt.invocation_id)
    return relatives


@pytest.fixture(params=["memory", "file"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], JournalStore]:
    """Makes a store that has this name."""
    stores: dict[str, JournalStore] = {}

    def make(name: str) -> JournalStore:
        if request.param == "file":
            return FileJournal(tmp_path / name, synchronous="off")
        return stores.setdefault(name, MemoryStore())

    return make


async def test_the_same_seed_gives_the_same_ids(
    new_store: Callable[[str], JournalStore],
) -> None:
    """Whatever the order in which the host runs the invocations; another seed gives others."""
    runs = list[dict[str, Relatives]]()
    for number, seed in enumerate((7, 7, 7, 8)):
        async with LocalRuntime([service], new_store(str(number)), seed=seed) as runtime:
            runs.append(await family(runtime))

    assert runs[0] == runs[1] == runs[2]
    assert not ids(runs[0]) & ids(runs[3])


async def test_no_id_comes_twice(new_store: Callable[[str], JournalStore]) -> None:
    """Not in one run of the program, and not when the store is opened again with the same seed."""
    seen = set[str]()
    for _ in range(3):
        async with LocalRuntime([service], new_store("same"), seed=7) as runtime:
            relatives = await family(runtime)
            found = ids(relatives)
            # A parent, three called, one sent; those with an idempotency key are made once.
            assert len(found - seen) == (60 if not seen else 50)
            seen |= found


def ids(relatives: dict[str, Relatives]) -> set[str]:
    """The invocation ids of everybody."""
    return {
        name
        for one in relatives.values()
        for name in (one.own.id, *(child.id for child in one.called), one.sent, *one.same)
    }
