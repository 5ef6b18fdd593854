"""The writing thread: what shares a commit, what is released when, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from durable_trio import abc
from durable_trio._exceptions import StoreLockedError
from durable_trio_file import FileJournal, _writer

from .journals import numbers, run

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


class Commits:
    """Counts the groups of a writer, and holds them back until ``let_go``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[int] = []
        self._open = threading.Event()
        self._open.set()
        self.entered = threading.Event()
        execute: Any = _writer.Writer._execute

        def counted(writer: object, connection: object, plan: object, group: list[Any]) -> None:
            self.groups.append(len(group))
            self.entered.set()
            self._open.wait()
            execute(writer, connection, plan, group)

        monkeypatch.setattr(_writer.Writer, "_execute", counted)

    def hold(self) -> None:
        self.entered.clear()
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    return Commits(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@BACKENDS
def test_a_step_costs_one_commit(
    backend: str, path: Path, commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that is not urgent rides with the result that follows it."""
    monkeypatch.setattr(_writer, "PATIENCE", 60.0)

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            for number in range(20):
                durable = anyio.Event()
                store.write(run(number), urgent=False)
                store.write(run(100 + number), durable.set)
                await durable.wait()
        assert commits.groups == [2] * 20

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_sleeping_writer_is_woken_by_what_is_not_urgent(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause the thread sleeps; a write that is not urgent still becomes durable."""
    monkeypatch.setattr(_writer, "PATIENCE", 0.0)

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            for number in range(3):
                while not store._open_writer()._asleep:
                    await anyio.lowlevel.checkpoint()
                durable = anyio.Event()
                store.write(run(number), durable.set, urgent=False)
                await durable.wait()

    anyio.run(main, backend=backend)


@BACKENDS
def test_what_is_queued_during_a_commit_shares_the_next_one(
    backend: str, path: Path, commits: Commits
) -> None:
    """200 writers that wait for one commit are all served by the one after it."""

    async def main() -> None:
        released: list[int] = []
        async with FileJournal(path, synchronous="off") as store:
            commits.hold()
            store.write(run(0), partial(released.append, 0))
            await anyio.to_thread.run_sync(commits.entered.wait)
            for number in range(1, 201):
                store.write(run(number), partial(released.append, number))
            assert released == []
            commits.let_go()
            await store.sync()
            assert released == list(range(201))
            assert sum(commits.groups[:2]) >= 201
            assert await numbers(store) == list(range(201))

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_read_is_released_after_the_commit_of_what_it_saw(
    backend: str, path: Path, commits: Commits
) -> None:
    """Answers and callbacks of one group come in queue order."""

    async def main() -> None:
        order: list[str] = []
        async with (
            FileJournal(path, synchronous="off") as store,
            anyio.create_task_group() as tasks,
        ):

            async def read(name: str) -> None:
                found = await numbers(store)
                order.append(f"{name} {len(found)}")

            commits.hold()
            store.write(run(0))
            await anyio.to_thread.run_sync(commits.entered.wait)
            store.write(run(1), partial(order.append, "first"))
            await tasks.start(started_then, partial(read, "read"))
            store.write(run(2), partial(order.append, "second"))
            commits.let_go()
            await store.sync()
        assert order == ["first", "second", "read 2"]

    async def started_then(work: Any, *, task_status: Any) -> None:
        task_status.started()
        await work()

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_cancelled_read_disturbs_nobody(backend: str, path: Path, commits: Commits) -> None:
    """Its answer is dropped; the writes around it are kept."""

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            commits.hold()
            store.write(run(0))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await numbers(store)
            store.write(run(1))
            commits.let_go()
            assert await numbers(store) == [0, 1]

    anyio.run(main, backend=backend)


@BACKENDS
def test_opening_and_leaving_ignore_cancellation(backend: str, path: Path) -> None:
    """A cancelled program still writes what it queued, and never leaves the file locked."""

    async def main() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with FileJournal(path, synchronous="off") as store:
                store.write(run(1), urgent=False)
                await anyio.sleep_forever()
        async with FileJournal(path, synchronous="off") as store:
            assert await numbers(store) == [1]

    anyio.run(main, backend=backend)


def test_a_loop_that_ends_without_leaving_gives_the_file_back(path: Path, commits: Commits) -> None:
    """The thread notices that nobody is left to release to, and closes the file."""
    loop = asyncio.new_event_loop()
    store = FileJournal(path, synchronous="off")

    async def abandon() -> None:
        await store.__aenter__()
        commits.hold()
        store.write(run(1), lambda: None)

    async def main() -> list[int]:
        async with FileJournal(path, synchronous="off") as again:
            return await numbers(again)

    loop.run_until_complete(abandon())
    with pytest.raises(StoreLockedError):
        anyio.run(main)
    loop.close()
    (thread,) = [thread for thread in threading.enumerate() if "a.journal" in thread.name]
    commits.let_go()
    thread.join()
    assert anyio.run(main) == [1]


@BACKENDS
def test_many_kinds_of_writes_in_one_group_keep_their_order(
    backend: str, path: Path, commits: Commits
) -> None:
    """A group that puts, deletes and puts again ends as if it had been written one by one."""
    timer = abc.Timer(1.0, "inv_a", abc.TimerKind.SLEEP, 1)

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            commits.hold()
            store.write(run(0, "b"))
            await anyio.to_thread.run_sync(commits.entered.wait)
            for _ in range(3):
                store.write([abc.PutTimer(timer)])
                store.write([abc.DeleteJournal("inv_a")])
                store.write(run(1))
                store.write([abc.DeleteTimer("inv_a", abc.TimerKind.SLEEP, 1)])
            store.write([abc.PutTimer(timer)])
            store.write(run(2))
            commits.let_go()
            assert await numbers(store) == [1, 2]
            assert await store.timers(due_by=9, limit=9) == [timer]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("synchronous", ["full", "normal", "off"])
def test_every_durability_setting_reaches_the_file(
    synchronous: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pragma of the connection is the one that was asked for."""
    found: list[tuple[int, str]] = []

    def look(connection: Any) -> None:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        found.append((level, mode))

    async def main() -> None:
        async with FileJournal(path, synchronous=synchronous) as store:
            await store._ask(look)

    anyio.run(main)
    assert found == [({"off": 0, "normal": 1, "full": 2}[synchronous], "wal")]
