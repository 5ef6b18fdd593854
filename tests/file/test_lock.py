"""One writer a file, whatever happens to it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio._exceptions import StoreCorruptError, StoreLockedError
from durable_trio_file import FileJournal, FileJournalReader

from .journals import fill, line, numbers, python, run

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])

HOLD = """
    import sys, anyio
    from durable_trio import abc
    from durable_trio_file import FileJournal

    async def main():
        async with FileJournal(sys.argv[1]) as store:
            store.write([abc.AppendEntries("inv_a", (abc.Run(7),))])
            await store.sync()
            print("open", flush=True)
            sys.stdin.read()

    anyio.run(main)
"""


async def open_and_read(path: Path) -> list[int]:
    async with FileJournal(path) as store:
        return await numbers(store)


@BACKENDS
def test_a_second_opening_in_the_same_process_is_refused(backend: str, tmp_path: Path) -> None:
    """The refusal says that it is this very process, and does not disturb the first."""
    path = tmp_path / "a.journal"

    async def main() -> None:
        async with FileJournal(path) as store:
            with pytest.raises(StoreLockedError, match=f"this process .pid {os.getpid()}."):
                await open_and_read(path)
            with pytest.raises(StoreLockedError, match="is open already"):
                await store.__aenter__()
            store.write(run(1))
            assert await numbers(store) == [1]
        assert await open_and_read(path) == [1]

    anyio.run(main, backend=backend)


def test_another_process_is_named_and_can_be_looked_at(tmp_path: Path) -> None:
    """A held journal is refused with the holder's pid, readable meanwhile, and free after a kill."""
    path = tmp_path / "a.journal"
    with python(HOLD, path) as child:
        assert line(child) == "open"
        with pytest.raises(StoreLockedError, match=f"another process .pid {child.pid}."):
            anyio.run(open_and_read, path)
        with FileJournalReader(path) as reader:
            assert len(reader.journal("inv_a")) == 1
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert anyio.run(open_and_read, path) == [7]


def test_a_forked_child_does_not_hold_the_lock_of_its_dead_parent(tmp_path: Path) -> None:
    """The lock goes with the process that took it, not with a copy of it."""
    path = tmp_path / "a.journal"
    script = """
        import os, sys, anyio, warnings
        from durable_trio_file import FileJournal

        warnings.simplefilter("ignore")

        async def main():
            async with FileJournal(sys.argv[1]) as store:
                await store.sync()
                if os.fork() == 0:
                    print("forked", flush=True)
                    sys.stdin.read()
                    os._exit(0)
                os._exit(0)

        anyio.run(main)
    """
    with python(script, path) as child:
        assert line(child) == "forked"
        child.wait()
        assert anyio.run(open_and_read, path) == []


@BACKENDS
def test_a_refused_opening_gives_the_lock_back(backend: str, tmp_path: Path) -> None:
    """A file that cannot be opened is not locked afterwards."""
    path = tmp_path / "a.journal"
    path.write_bytes(b"this is no journal" * 100)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(StoreCorruptError):
                await open_and_read(path)
        path.unlink()
        assert await open_and_read(path) == []

    anyio.run(main, backend=backend)


def test_a_reader_takes_no_lock_and_changes_nothing(tmp_path: Path) -> None:
    """Looking at a journal neither locks nor touches it."""
    path = tmp_path / "a.journal"
    fill(path)
    before = path.read_bytes()
    with FileJournalReader(path) as reader:
        assert len(reader.journal("inv_a")) == 3
        assert anyio.run(open_and_read, path) == [0, 1, 2]
    with FileJournalReader(path) as reader:
        assert len(reader.journal("inv_a")) == 3
    assert len(path.read_bytes()) == len(before)
