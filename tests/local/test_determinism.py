"""The same commands in every run, whatever the order in which the host runs its tasks.

trio shuffles the tasks that are ready, anew in every run; steps are tasks of the host.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint

from durable_trio import (
    CancelScope,
    Context,
    ObjectContext,
    Service,
    VirtualObject,
    amap,
    move_on_after,
    open_nursery,
    race,
    wait_first,
)
from durable_trio.abc import Completion, Signal
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore, RecordedJournal, ReplayOutcome, replay
from durable_trio_file import FileJournal

from .virtual_time import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

    from durable_trio.abc import JournalStore

RUNS = 8
HOSTS = ("trio", "asyncio")

service = Service("Shuffled")
objects = VirtualObject("Stuck")


@objects.handler
async def stuck(ctx: ObjectContext) -> None:
    await ctx.signal("never")


async def body(number: int) -> int:
    for _ in range(number % 3):
        await checkpoint()
    return number


@service.handler
async def work(ctx: Context) -> int:
    async def child(number: int) -> int:
        first = await ctx.run(body, number, name="first")
        return first + await ctx.run(body, number + 1, name="second")

    async def undone(number: int) -> None:
        try:
            await ctx.call(stuck, key=f"k{number}")
        finally:
            with CancelScope(shield=True):
                await ctx.run(body, number, name="undo")

    async def quick() -> int:
        return await ctx.run(body, 0, name="quick")

    async def slow() -> int:
        await ctx.timer(1000)
        return 1

    async with open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(child, number)
    await race(quick, slow)
    await wait_first(*(ctx.run(body, number, name=f"any {number}") for number in range(5)))
    with move_on_after(5):
        async with open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(undone, number)
    squares = await amap(child, range(6), limit=2)
    return sum(squares)


async def journal_of(store: JournalStore) -> RecordedJournal:
    """The journal of one run."""
    clock = VirtualClock(store)
    async with LocalRuntime([service, objects], store, clock=clock, seed=1) as runtime:
        receipt = await runtime.send(work)
        await runtime.attach(receipt.invocation_id)
        record = await runtime.invocation(receipt.invocation_id)
        return RecordedJournal.of(record, await store.journal(record.id))


def commands_of(journal: RecordedJournal) -> dict[str, list[str]]:
    """What each branch did, in its order."""
    branches = defaultdict[str, list[str]](list)
    for entry in journal.entries:
        if not isinstance(entry, Completion | Signal):
            name: str = getattr(entry, "name", "")
            branch, _, name = (
                f"{name}/".rpartition("/") if name.endswith("]") else name.rpartition("/")
            )
            branches[branch].append(f"{type(entry).__name__} {name}")
    return dict(branches)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_every_run_has_the_same_commands(kind: str, tmp_path: Path) -> None:
    """In every branch, on both hosts; only what arrives from outside differs in its order."""
    journals: dict[str, list[RecordedJournal]] = {}
    for backend in HOSTS:
        journals[backend] = [
            anyio.run(
                journal_of,
                MemoryStore()
                if kind == "memory"
                else FileJournal(tmp_path / f"{backend}{number}", synchronous="off"),
                backend=backend,
            )
            for number in range(RUNS)
        ]
    arrivals = {
        tuple(e.completion_id for e in journal.entries if isinstance(e, Completion))
        for journal in journals["trio"]
    }
    assert len(arrivals) > 1, "the host has shuffled nothing: this test shows nothing"
    expected = commands_of(journals["trio"][0])
    assert len(expected) == 1 + 20 + 3 + 6 + 2
    for backend in HOSTS:
        for journal in journals[backend]:
            assert commands_of(journal) == expected
            for host in HOSTS:
                replayed = anyio.run(replay, journal, [service, objects], backend=host)
                assert replayed.outcome is ReplayOutcome.COMPLETED, str(replayed)
