"""Files that are no sound journal: each is named for what it is, and left as it was."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import abc
from durable_trio._exceptions import (
    StoreCorruptError,
    StoreError,
    StoreVersionError,
)
from durable_trio_file import FileJournal, FileJournalReader, _schema

from .journals import fill, numbers, record, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


async def open_and_close(path: Path) -> None:
    async with FileJournal(path):
        pass


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def cut_off(path: Path) -> None:
    fill(path, 2000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def another_program(path: Path) -> None:
    edit(path, "CREATE TABLE invocation (id)", "INSERT INTO invocation VALUES (1)")


def newer(path: Path) -> None:
    fill(path)
    edit(path, f"PRAGMA user_version = {_schema.SCHEMA_VERSION + 1}")


def no_version(path: Path) -> None:
    fill(path)
    edit(path, "PRAGMA user_version = 0")


def no_table(path: Path) -> None:
    fill(path)
    edit(path, "DROP TABLE timer")


def no_column(path: Path) -> None:
    fill(path)
    edit(path, "DROP TABLE timer", "CREATE TABLE timer (number INTEGER PRIMARY KEY, due, kind)")


def broken_page(path: Path) -> None:
    fill(path, 2000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = random.Random(0).randbytes(4096)
    path.write_bytes(data)


SPOILED: list[tuple[Callable[[Path], object], type[StoreError], str]] = [
    (lambda path: path.write_text("key: value\n"), StoreCorruptError, "expected a SQLite file"),
    (
        lambda path: path.write_bytes(random.Random(0).randbytes(10_000)),
        StoreCorruptError,
        "expected a SQLite file",
    ),
    (
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\1" * 5000),
        StoreCorruptError,
        "is not a database|cut off|malformed",
    ),
    (lambda path: path.write_bytes(b"SQLite f"), StoreCorruptError, "expected a SQLite file"),
    (cut_off, StoreCorruptError, "cut off: expected"),
    (another_program, StoreCorruptError, "another program's SQLite file"),
    (newer, StoreVersionError, "schema version 1 at most, found 2.*Upgrade"),
    (no_version, StoreCorruptError, "found 0, which never existed"),
    (no_table, StoreCorruptError, "table of 'timer' is missing"),
    (no_column, StoreCorruptError, "column completion_id of 'timer' is missing"),
]


@pytest.mark.parametrize(("spoil", "error", "text"), SPOILED)
def test_a_file_that_is_no_journal_is_refused_and_kept(
    spoil: Callable[[Path], object], error: type[StoreError], text: str, path: Path
) -> None:
    """Writers and readers refuse it with the same error, and not a byte of it changes."""
    spoil(path)
    before = path.read_bytes()

    with pytest.raises(error, match=text) as caught:
        anyio.run(open_and_close, path)
    assert str(caught.value).startswith(str(path))
    with pytest.raises(error, match=text):
        FileJournalReader(path)
    assert before == path.read_bytes()


def test_a_broken_page_in_a_small_file_is_found_when_it_is_opened(path: Path) -> None:
    """Small files are checked whole."""
    broken_page(path)
    with pytest.raises(StoreCorruptError, match="the file is damaged"):
        anyio.run(open_and_close, path)


@BACKENDS
def test_a_broken_page_in_a_large_file_is_found_when_it_is_read(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the size limit the damage surfaces with the read that meets it, as the same error."""
    broken_page(path)
    monkeypatch.setattr(_schema, "CHECKED_SIZE", 0)

    async def main() -> None:
        async with FileJournal(path) as store:
            with pytest.raises(StoreCorruptError, match="reading failed"):
                await store.journal("inv_a")
            assert await store.invocation("inv_a") == record("a")

    anyio.run(main, backend=backend)


def test_data_without_its_file_is_not_thrown_away(path: Path) -> None:
    """A -wal file that has lost its journal is refused: SQLite alone would delete it."""
    wal = path.with_name("a.journal-wal")

    async def copy_while_open() -> bytes:
        async with FileJournal(path) as store:
            store.write(run(1))
            await store.sync()
            return wal.read_bytes()

    data = anyio.run(copy_while_open)
    for leave in (path.unlink, lambda: path.write_bytes(b"")):
        leave()
        wal.write_bytes(data)
        with pytest.raises(StoreCorruptError, match="Bring the file back"):
            anyio.run(open_and_close, path)
        assert data == wal.read_bytes()
    path.unlink()
    wal.unlink()
    anyio.run(open_and_close, path)


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    """A file that was only touched becomes a journal; a reader says that it is empty."""
    path.touch()
    with pytest.raises(StoreError, match="nothing was ever written"):
        FileJournalReader(path)
    anyio.run(open_and_close, path)
    with FileJournalReader(path) as reader:
        assert list(reader.invocations()) == []


def test_missing_indexes_are_made_again(path: Path) -> None:
    """An index holds no data of its own, so its loss is mended and not an error."""
    fill(path)
    edit(path, "DROP INDEX entry_by_invocation", "DROP INDEX invocation_queue")
    anyio.run(open_and_close, path)
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert {"entry_by_invocation", "invocation_queue"} <= names


@BACKENDS
def test_one_damaged_row_does_not_spoil_the_others(backend: str, path: Path) -> None:
    """Each question about a damaged row fails and names it; everything else goes on."""

    async def main() -> None:
        async with FileJournal(path) as store:
            for name in "abcd":
                store.write([abc.PutInvocation(record(name)), *run(1, name)])
            store.write([abc.PutTimer(abc.Timer(1.0, "inv_a", abc.TimerKind.SLEEP, 1))])
            store.write([abc.PutPromise("w", "k", "p", abc.Value(b"1"))])
        edit(
            path,
            """UPDATE entry SET line = '{"command":"run"' WHERE invocation_id = 'inv_a'""",
            """UPDATE entry SET line = '{"command":"fly"}' WHERE invocation_id = 'inv_b'""",
            "UPDATE invocation SET status = 'gone' WHERE id = 'inv_c'",
            "UPDATE invocation SET headers = '[1]' WHERE id = 'inv_d'",
            "UPDATE timer SET kind = 'alarm'",
            "UPDATE promise SET result = x'ff'",
        )
        async with FileJournal(path) as store:
            with pytest.raises(StoreCorruptError, match="line 1: "):
                await store.journal("inv_a")
            with pytest.raises(StoreVersionError, match="unknown command 'fly'"):
                await store.journal("inv_b")
            with pytest.raises(StoreCorruptError, match="'inv_c' is damaged"):
                await store.invocation("inv_c")
            with pytest.raises(StoreCorruptError, match="'inv_d' is damaged"):
                await store.invocation("inv_d")
            with pytest.raises(StoreCorruptError, match="unknown kind 'alarm'"):
                await store.next_timer(after=0)
            with pytest.raises(StoreCorruptError, match="stored result"):
                await store.promise("w", "k", "p")
            store.write(run(2, "c"))
            assert await numbers(store, "c") == [1, 2]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("seed", range(25))
def test_random_damage_never_leaves_the_error_tree(seed: int, path: Path) -> None:
    """Whatever bytes are hit, opening and reading give data or a StoreError."""
    fill(path, 200)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 20, 400])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)

    async def look(store: FileJournal) -> None:
        for ask in (store.invocations, store.unfinished, store.holders, store.backlog):
            try:
                await ask()
            except StoreError:
                continue
        try:
            await store.journal("inv_a")
            store.write(run(1))
            await store.sync()
        except StoreError:
            return

    async def main() -> None:
        try:
            async with FileJournal(path) as store:
                await look(store)
        except StoreError:
            return

    anyio.run(main)
