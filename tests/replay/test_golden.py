"""Golden journals: recorded once under stable names, replayed together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import UsageError, sleep
from durable_trio.abc import Completion, Input, OneWayCall, Run, Sleep, Value
from durable_trio.testing import (
    GoldenJournals,
    MemoryStore,
    RecordedJournal,
    ReplayOutcome,
    VirtualRuntime,
    crash_everywhere,
    record,
    replay_all,
    runtime,
)
from durable_trio.testing._golden import golden_name

from .parcels import ARRIVED, ON_ITS_WAY, Parcels, first, journal, version

if TYPE_CHECKING:
    from pathlib import Path

    from durable_trio import Context

OTHER = "inv_1BBBBBBBBBBBBBBBBBBBBBB"
AWAKEABLE = "sign_1AAAAAAAAAAAAAAAAAAAAAAAAABE"


async def slow(parcels: Parcels, ctx: Context, order: str) -> str:
    await sleep(60)
    awakeable, _ = ctx.awakeable(str)
    await ctx.run(lambda: awakeable, name="tell")
    return await ctx.run(parcels.pack, order)


def played(backend: str, *orders: str, body: Any = slow, seed: int | None = None) -> MemoryStore:
    """A store in which these orders were shipped."""
    store = MemoryStore()

    async def main() -> None:
        parcels = version(body)
        async with runtime([parcels.service], store=store, seed=seed) as run:
            for order in orders:
                await run.call(parcels.service.handlers["ship"], order)

    anyio.run(main, backend=backend)
    return store


def test_every_distinct_journal_is_one_file(backend: str, tmp_path: Path) -> None:
    """What differs in ids and times only is the same, and a name says whose it is."""
    paths = record(played(backend, "A", "B", "A"), tmp_path / "new" / "folder")

    assert 2 == len(paths) == len(set(paths))
    assert all(path.name.startswith("Parcels.ship-") for path in paths)
    assert sorted(paths) == sorted((tmp_path / "new" / "folder").iterdir())


def test_what_is_recorded_stays_as_it_is(backend: str, tmp_path: Path) -> None:
    """Recording again changes no file, though every id is another one; something new is added."""
    (path,) = record(played(backend, "A"), tmp_path)
    content = path.read_bytes()
    again = record(played(backend, "A", "B"), tmp_path)

    assert path == again[0]
    assert content == path.read_bytes()
    assert 2 == len(list(tmp_path.iterdir()))


def test_a_recorded_journal_replays(backend: str, tmp_path: Path) -> None:
    """With the ids it was recorded with."""
    record(played(backend, "A", "B"), tmp_path)
    results = anyio.run(replay_all, tmp_path, [version(slow).service], backend=backend)

    assert [ReplayOutcome.COMPLETED] * 2 == [result.outcome for result in results]


@pytest.mark.parametrize(
    "entries",
    [
        (Input(b'"A"'), Run(1, "pack"), Completion(1, Value(b'"A"'))),
        (Input(b'"B"'), Run(1, "pack")),
        (Input(b'"A"'), Run(1, "pick")),
        (Input(b'"A"'),),
    ],
)
def test_another_entry_is_another_name(entries: Any) -> None:
    """Also a value, and also a prefix."""
    base = journal(Input(b'"A"'), Run(1, "pack"))

    assert golden_name(base) != golden_name(journal(*entries))


def test_ids_and_times_are_no_part_of_a_name() -> None:
    """Wherever they stand; which of them are the same is."""

    def told(own: str, other: str, awakeable: str, time: int) -> RecordedJournal:
        text = f'"{own} {other} {other} {awakeable}"'.encode()
        return journal(
            Input(text),
            Sleep(time, 1),
            OneWayCall("S", "h", text, 2, invoke_time=time),
            invocation_id=own,
        )

    base = golden_name(told("inv_1a", "inv_1b", "sign_1a", 5))

    assert base == golden_name(told("inv_1x-_", "inv_1y", "sign_1zzz", 6))
    assert base != golden_name(told("inv_1a", "inv_1a", "sign_1a", 5))


def test_what_cannot_be_replayed_hides_nothing(backend: str, tmp_path: Path) -> None:
    """Results come in the order of the names, below the directory too."""
    for name, data in {
        "a.jsonl": journal(*ARRIVED).dump(),
        "b.jsonl": b"{",
        "c.jsonl": journal(*ARRIVED, handler="send").dump(),
        "deep/d.jsonl": journal(*ON_ITS_WAY).dump(),
        "notes.txt": b"not a journal",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    results = anyio.run(replay_all, tmp_path, [version(first).service], backend=backend)

    assert [
        ReplayOutcome.COMPLETED,
        ReplayOutcome.IMPOSSIBLE,
        ReplayOutcome.IMPOSSIBLE,
        ReplayOutcome.CONTINUES,
    ] == [result.outcome for result in results]
    assert "b.jsonl cannot be replayed\n  StoreCorruptError: " in str(results[1])
    assert "no handler 'send'" in str(results[2])
    assert not results[1].clean


def test_journals_from_anywhere_are_replayed_as_given() -> None:
    """Not only a directory."""
    given: list[RecordedJournal | bytes] = [journal(*ARRIVED), journal(*ARRIVED).dump(), b"{}"]
    results = anyio.run(replay_all, given, [version(first).service])

    assert [True, True, False] == [result.clean for result in results]
    assert "the journal" == results[2].name


def test_a_directory_without_journals_is_told(tmp_path: Path) -> None:
    """A check of nothing would always be content."""
    with pytest.raises(UsageError, match="there is no journal in"):
        anyio.run(replay_all, tmp_path, [version(first).service])


async def weighed(parcels: Parcels, ctx: Context, order: str) -> str:
    await ctx.run(parcels.weigh, order)
    return await slow(parcels, ctx, order)


def test_a_test_holds_its_journals_to_later_code(backend: str, tmp_path: Path) -> None:
    """What was recorded once has to replay, whatever the test itself does today."""
    today, changed = [version(slow).service], [version(weighed).service]
    golden = GoldenJournals(tmp_path / "test_x", update=True)
    golden.keep(played(backend, "A", "B"))
    golden.keep(played(backend, "A"))
    assert 2 == len(anyio.run(golden.check, today, backend=backend))

    later = GoldenJournals(tmp_path / "test_x")
    later.keep(played(backend, "C"))
    assert 2 == len(anyio.run(later.check, today, backend=backend))
    with pytest.raises(AssertionError, match="2 of 2 golden journals do not replay") as raised:
        anyio.run(later.check, changed, backend=backend)

    assert 2 == str(raised.value).count("+ Run('weigh'")


def test_an_update_leaves_what_is_kept_and_nothing_else(backend: str, tmp_path: Path) -> None:
    """What is there and the same stays as it is."""
    (kept, old) = record(played(backend, "A", "B"), tmp_path)
    (tmp_path / "notes.txt").write_text("not a journal")
    content = kept.read_bytes()
    golden = GoldenJournals(tmp_path, update=True)
    golden.keep(played(backend, "A", "C"))
    anyio.run(golden.check, [version(slow).service], backend=backend)

    assert content == kept.read_bytes()
    assert not old.exists()
    assert 3 == len(list(tmp_path.iterdir()))


def test_what_was_never_recorded_does_not_pass(tmp_path: Path) -> None:
    """And an update without anything to record forgets nothing."""
    (path,) = record(played("trio", "A"), tmp_path / "there")
    services = [version(slow).service]
    with pytest.raises(AssertionError, match=r"nothing is recorded in .*update-goldens"):
        anyio.run(GoldenJournals(tmp_path / "not there").check, services)

    with pytest.raises(UsageError, match="no journal to record"):
        anyio.run(GoldenJournals(tmp_path / "there", update=True).check, services)

    assert path.exists()


def test_every_run_of_a_scenario_is_kept(backend: str, tmp_path: Path) -> None:
    """Not only the last one."""
    parcels = version(slow)
    ship = parcels.service.handlers["ship"]
    golden = GoldenJournals(tmp_path, update=True)
    orders = iter("ABC")
    scenario = golden.keeping(lambda run: run.call(ship, next(orders)))

    async def main() -> None:
        for _ in range(3):
            async with runtime([parcels.service]) as run:
                await scenario(run)
        await golden.check([parcels.service])

    anyio.run(main, backend=backend)
    assert 3 == len(list(tmp_path.iterdir()))


def test_whoever_plays_a_scenario_its_journals_are_kept(backend: str, tmp_path: Path) -> None:
    """Of every run, once it has come to rest: also what was sent and not waited for."""
    parcels = version(slow)
    ship = parcels.service.handlers["ship"]
    golden = GoldenJournals(tmp_path, update=True)

    async def scenario(run: VirtualRuntime) -> None:
        await run.send(ship, "A")
        await run.call(ship, "B")

    async def main() -> None:
        await crash_everywhere([parcels.service], golden.keeping(scenario), double=2)
        results = await golden.check([parcels.service])
        assert {ReplayOutcome.COMPLETED} == {result.outcome for result in results}

    anyio.run(main, backend=backend)
    assert 2 <= len(list(tmp_path.iterdir()))
