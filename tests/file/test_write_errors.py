"""What cannot be written: nothing is released, nothing released is lost, the reason is named."""

from __future__ import annotations

import errno
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from durable_trio import abc
from durable_trio._exceptions import (
    SerializationError,
    StoreError,
    StoreLockedError,
    StoreWriteError,
    UsageError,
)
from durable_trio_file import FileJournal, FileJournalReader, _schema, _writer

from .journals import fill, line, numbers, python, record, run

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


async def open_and_read(path: Path) -> list[int]:
    async with FileJournal(path) as store:
        return await numbers(store)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """The directory is not created behind the user's back."""
    path = tmp_path / "nowhere" / "a.journal"
    with pytest.raises(StoreWriteError, match=f"{path}.*Create the directory first"):
        anyio.run(open_and_read, path)
    assert not path.parent.exists()


def test_a_directory_is_no_journal(tmp_path: Path) -> None:
    """A path that is a directory, or leads through a file, says so."""
    path = tmp_path / "a.journal"
    path.mkdir()
    with pytest.raises(StoreWriteError, match="it is a directory"):
        anyio.run(open_and_read, path)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreWriteError, match="A part of the path is a file"):
        anyio.run(open_and_read, file / "a.journal")


def test_an_unknown_durability_is_refused(path: Path) -> None:
    """``synchronous`` takes three words."""
    with pytest.raises(UsageError, match="must be one of 'full', 'normal', 'off', found 'maybe'"):
        FileJournal(path, synchronous="maybe")  # type: ignore[arg-type]


AS_NOBODY = """
    import os, sys, anyio
    from pathlib import Path
    from durable_trio import abc
    from durable_trio_file import FileJournal, FileJournalReader
    from durable_trio._exceptions import StoreError

    # Imports what this user may not be able to read, if Python is the superuser's own.
    Path("/").as_uri()

    async def main(path):
        async with FileJournal(path) as store:
            await store.sync()

    anyio.run(anyio.lowlevel.checkpoint)
    # Permissions do not bind the superuser.
    if os.geteuid() == 0:
        os.seteuid(65534)
    for action in (lambda: anyio.run(main, sys.argv[1]), lambda: FileJournalReader(sys.argv[1])):
        try:
            action()
        except StoreError as exc:
            print(type(exc).__name__, exc, flush=True)
        else:
            print("fine", flush=True)
    # What a measurement writes at the end goes where this user may not write.
    os.seteuid(os.getuid())
"""


@pytest.mark.parametrize(
    ("directory_mode", "file_mode", "writing", "reading"),
    [
        (0o555, 0o644, "StoreWriteError .*a.journal.lock failed.*writable", "fine"),
        (0o777, 0o444, "StoreWriteError .*readonly.*writable", "fine"),
        (0o777, 0o000, "StoreWriteError .*Permission denied.*writable", "StoreError .*readable"),
    ],
)
def test_permissions_are_named(
    directory_mode: int, file_mode: int, writing: str, reading: str
) -> None:
    """A read-only directory or file is found when it is opened, and can still be looked at."""
    # Not tmp_path: other users may not enter that.
    directory = Path(tempfile.mkdtemp())
    try:
        path = directory / "a.journal"
        fill(path)
        path.with_name("a.journal.lock").unlink()
        path.chmod(file_mode)
        directory.chmod(directory_mode)
        with python(AS_NOBODY, path) as child:
            found = line(child), line(child)
    finally:
        directory.chmod(0o700)
        shutil.rmtree(directory)
    for text, pattern in zip(found, (writing, reading), strict=True):
        assert re.match(pattern, text), text


def test_what_a_crash_left_is_not_read_in_part(path: Path) -> None:
    """Commits in a -wal file that cannot be read, in a read-only directory, are not left out."""
    directory = Path(tempfile.mkdtemp())

    async def crash() -> None:
        async with FileJournal(path) as store:
            store.write(run(1))
            await store.sync()
            for name in ("a.journal", "a.journal-wal"):
                shutil.copy(path.with_name(name), directory)

    anyio.run(crash)
    try:
        directory.chmod(0o555)
        with python(AS_NOBODY, directory / "a.journal") as child:
            writing, reading = line(child), line(child)
    finally:
        directory.chmod(0o700)
        shutil.rmtree(directory)
    assert re.match("StoreWriteError .*a.journal.lock failed", writing), writing
    assert re.match("StoreError .*in a.journal-wal.*directory writable", reading), reading


@BACKENDS
def test_a_full_disk_loses_nothing_that_was_released(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the failed commit nothing is released or written; what was released is there."""
    connect = _schema.connect_for_writing

    def small_disk(path: Path, synchronous: _schema.Synchronous) -> sqlite3.Connection:
        connection = connect(path, synchronous)
        connection.execute("PRAGMA max_page_count = 60")
        return connection

    async def main() -> None:
        released: list[int] = []

        async def fill_up() -> None:
            async with FileJournal(path) as store:
                for number in range(1000):
                    content = abc.Completion(number, abc.Value(b"x" * 2000))
                    store.write([abc.AppendEntries("inv_a", (content,))])
                    store.write(run(number), partial(released.append, number))
                    if number % 3 == 0:
                        await store.sync()

        with monkeypatch.context() as patch:
            patch.setattr(_writer, "connect_for_writing", small_disk)
            with pytest.raises(StoreWriteError, match=r"full.*Make room") as caught:
                await fill_up()
        assert str(path) in str(caught.value)
        assert 10 < len(released) < 1000
        with FileJournalReader(path) as reader:
            assert len(reader.journal("inv_a")) == 2 * len(released)
        assert await open_and_read(path) == released

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_failed_store_says_so_everywhere(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``failed`` returns the error, ``sync`` and reads raise it, writes are dropped in silence."""
    called: list[int] = []

    def broken(self: object) -> None:
        raise OSError(5, "Input/output error")

    async def main() -> None:
        async def use() -> None:
            async with FileJournal(path) as store, anyio.create_task_group() as tasks:
                errors: list[Exception] = []

                async def watch() -> None:
                    errors.append(await store.failed())

                tasks.start_soon(watch)
                store.write(run(1), lambda: called.append(1))
                await store.sync()
                monkeypatch.setattr(_writer.Writer, "_check_identity", broken)
                store.write(run(2), lambda: called.append(2))
                for ask in (store.sync, store.unfinished, store.last_sequence):
                    with pytest.raises(StoreWriteError, match=r"Input/output error.*Check"):
                        await ask()
                monkeypatch.undo()
                store.write(run(3), lambda: called.append(3))
                with pytest.raises(StoreWriteError):
                    await store.sync()
                assert errors == [await store.failed()]

        with pytest.raises(StoreWriteError, match="Input/output error"):
            await use()
        assert called == [1]
        assert await open_and_read(path) == [1, 2]

    anyio.run(main, backend=backend)


@BACKENDS
def test_another_error_on_its_way_out_is_not_replaced(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving a failed store raises its error only if nothing else is being raised."""

    def broken(self: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(_writer.Writer, "_check_identity", broken)

    async def use() -> None:
        async with FileJournal(path) as store:
            store.write(run(1))
            await store.failed()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        anyio.run(use, backend=backend)


def test_an_unexpected_error_fails_the_store_and_not_the_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the writer is reported like any failed write instead of hanging everybody."""

    def broken(self: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(_writer.Writer, "_check_identity", broken)

    async def use() -> None:
        async with FileJournal(path) as store:
            store.write(run(1))
            await store.sync()

    with pytest.raises(StoreWriteError, match=r"a bug.*please report"):
        anyio.run(use)


@BACKENDS
def test_a_transaction_that_a_read_ended_is_not_released(backend: str, path: Path) -> None:
    """SQLite rolls back by itself after some errors; what was queued before is then lost."""
    called: list[int] = []

    def roll_back(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")

    async def use() -> None:
        async with FileJournal(path) as store:
            store.write(run(1), lambda: called.append(1), urgent=False)
            await store._ask(roll_back)

    with pytest.raises(StoreError, match="rolled back"):
        anyio.run(use, backend=backend)
    assert called == []
    assert anyio.run(open_and_read, path) == []


def test_a_lock_that_cannot_be_written_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk too full for a process id is full."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.ftruncate", full)
        with pytest.raises(StoreWriteError, match=r"locking a.journal.lock failed.*Make room"):
            anyio.run(open_and_read, path)
    assert anyio.run(open_and_read, path) == []


def test_a_file_system_without_write_ahead_logging_is_named(path: Path) -> None:
    """Where SQLite cannot keep a WAL, the file is refused instead of being less durable."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreWriteError, match=r"journal mode 'memory'.*local disk"),
    ):
        _schema._configure(connection, path, "full")


def test_a_file_size_limit_loses_nothing_that_was_released(path: Path) -> None:
    """The operating system's refusal to grow the file is a write error like a full disk."""
    script = """
        import resource, sys, anyio
        from durable_trio import abc
        from durable_trio_file import FileJournal

        async def main():
            async with FileJournal(sys.argv[1], synchronous="off") as store:
                resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
                for number in range(1000):
                    content = abc.Completion(number, abc.Value(b"x" * 500))
                    store.write([abc.AppendEntries("inv_b", (content,))])
                    store.write([abc.AppendEntries("inv_a", (abc.Run(number),))])
                    await store.sync()
                    print(number, flush=True)

        try:
            anyio.run(main)
        except Exception as exc:
            print(type(exc).__name__, exc, flush=True)
    """
    with python(script, path) as child:
        assert child.stdout is not None
        *released, end = child.stdout.read().splitlines()
    assert end.startswith(f"StoreWriteError {path}: writing failed")
    assert "open the journal again" in end
    assert 10 < len(released) < 1000
    assert list(map(str, anyio.run(open_and_read, path)))[: len(released)] == released


@BACKENDS
@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_disappears_is_noticed_before_anything_is_released(
    backend: str, replace: bool, path: Path
) -> None:
    """Commits into a file that nobody will find again are not acknowledged."""
    called: list[int] = []

    def disappear() -> None:
        path.unlink()
        if replace:
            path.touch()

    async def use() -> None:
        async with FileJournal(path) as store:
            store.write(run(1), lambda: called.append(1))
            await store.sync()
            disappear()
            store.write(run(2), lambda: called.append(2))
            await store.failed()

    with pytest.raises(StoreWriteError, match=f"was {'replaced' if replace else 'removed'}"):
        anyio.run(use, backend=backend)
    assert called == [1]


@BACKENDS
def test_another_programs_transaction_is_waited_for_and_then_named(
    backend: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who edits the file in the sqlite3 shell and forgets to commit is found."""
    monkeypatch.setattr(_schema, "_BUSY_SECONDS", 0.0)
    fill(path)

    async def use() -> None:
        async with FileJournal(path) as store:
            with closing(sqlite3.connect(path, isolation_level=None)) as shell:
                shell.execute("BEGIN IMMEDIATE")
                store.write(run(9))
                await store.sync()

    with pytest.raises(StoreLockedError, match=r"locked.*end that program"):
        anyio.run(use, backend=backend)
    assert anyio.run(open_and_read, path) == [0, 1, 2]


def test_a_file_that_another_program_keeps_for_itself_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader does not take what it may not look at for a file that nobody changes."""
    monkeypatch.setattr(_schema, "_BUSY_SECONDS", 0.0)
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("PRAGMA locking_mode = EXCLUSIVE")
        shell.execute("DELETE FROM entry")
        with pytest.raises(StoreLockedError, match=r"locked.*end that program"):
            FileJournalReader(path)
    with FileJournalReader(path) as reader:
        assert [] == list(reader.journal("inv_a"))


@BACKENDS
def test_text_that_cannot_be_stored_is_refused_where_it_is_written(
    backend: str, path: Path
) -> None:
    """``write`` raises, queues nothing of the transaction, and the store goes on."""
    half = "half \udc80"

    async def main() -> None:
        async with FileJournal(path) as store:
            for write in (
                abc.PutState("s", half, "n", b""),
                abc.PutInvocation(record("a", key=half)),
                abc.PutInvocation(record("a", headers=(("n", half),))),
                abc.AppendEntries(half, ()),
                abc.PutPromise("w", "k", half, abc.Value(b"")),
            ):
                with pytest.raises(SerializationError, match="lone surrogate"):
                    store.write([*run(1), write])
            with pytest.raises(SerializationError, match="lone surrogate"):
                await store.invocation(half)
            odd: tuple[abc.Entry, ...] = (abc.Run(1, half), abc.Sleep(2**80, 2))
            failure = abc.Failure(500, half)
            store.write([abc.AppendEntries("inv_b", odd)])
            store.write([abc.PutInvocation(record("b", result=failure, last_failure=failure))])
            assert await numbers(store) == []
            assert await store.journal("inv_b") == odd
            found = await store.invocation("inv_b")
            assert found == record("b", result=failure, last_failure=failure)

    anyio.run(main, backend=backend)


def test_it_must_be_open(path: Path) -> None:
    """Using a journal that is not open says what to do."""
    store = FileJournal(path)
    with pytest.raises(UsageError, match="async with"):
        store.write(run(1))
    with pytest.raises(UsageError, match="async with"):
        anyio.run(store.sync)
    assert not path.exists()
