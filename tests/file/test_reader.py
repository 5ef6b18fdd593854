"""Looking at a journal: while it is written, after it was closed, and after a crash."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import abc
from durable_trio._exceptions import SerializationError, StoreCorruptError, StoreError, UsageError
from durable_trio_file import FileJournal, FileJournalReader

from .journals import fill, line, python, record, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.journal"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_it_sees_every_commit_while_the_journal_is_open(backend: str, path: Path) -> None:
    """Each call answers as of the last commit, without keeping the writer waiting."""

    async def main() -> None:
        async with FileJournal(path) as store:
            with FileJournalReader(path) as reader:
                for number in range(1, 5):
                    store.write(run(number))
                    await store.sync()
                    assert len(reader.journal("inv_a")) == number

    anyio.run(main, backend=backend)


def test_it_reads_what_a_killed_process_left_behind(path: Path) -> None:
    """Commits that are still in the -wal file are seen although nobody has the file open."""
    script = """
        import sys, anyio
        from durable_trio import abc
        from durable_trio_file import FileJournal

        async def main():
            async with FileJournal(sys.argv[1]) as store:
                store.write([abc.AppendEntries("inv_a", (abc.Run(1), abc.Run(2)))])
                await store.sync()
                print("done", flush=True)
                sys.stdin.read()

        anyio.run(main)
    """
    with python(script, path) as child:
        assert line(child) == "done"
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert path.with_name("a.journal-wal").stat().st_size > 0
    with FileJournalReader(path) as reader:
        assert [abc.Run(1), abc.Run(2)] == list(reader.journal("inv_a"))


def test_it_answers_what_an_inspection_asks(path: Path) -> None:
    """Invocations, journals, state and timers, in a fixed order."""
    timers = [abc.Timer(float(due), "inv_a", abc.TimerKind.SLEEP, due) for due in (3, 1, 2)]
    records = [record(name, sequence=number, key="k") for number, name in enumerate("abc")]

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            store.write(
                [
                    *map(abc.PutInvocation, records),
                    *map(abc.PutTimer, timers),
                    abc.PutState("t", "k", "n", b"3"),
                    abc.PutState("s", "l", "n", b"2"),
                    abc.PutState("s", "k", "n", b"\xff"),
                ]
            )

    anyio.run(main)
    with FileJournalReader(str(path)) as reader:
        assert records[::-1] == list(reader.invocations())
        assert records[2:] == list(reader.invocations(service="s", key="k", limit=1))
        assert [] == list(reader.invocations(status=frozenset({abc.InvocationStatus.PAUSED})))
        assert [timers[1], timers[2], timers[0]] == list(reader.timers())
        state = [
            abc.StateEntry("s", "k", "n", b"\xff"),
            abc.StateEntry("s", "l", "n", b"2"),
            abc.StateEntry("t", "k", "n", b"3"),
        ]
        assert state == list(reader.state())
        assert state[:2] == list(reader.state("s"))
        assert state[::2] == list(reader.state(key="k"))
        assert state[:1] == list(reader.state("s", "k"))
        assert [] == list(reader.journal("inv_unknown"))


def test_an_invocation_can_be_named_by_the_beginning_of_its_id(path: Path) -> None:
    """A whole id always wins; a beginning must fit one invocation only."""
    names = ["a", "a1", "a2", "a3", "a4", "a5", "b1", "ü"]

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            store.write([abc.PutInvocation(record(name)) for name in names])

    anyio.run(main)
    with FileJournalReader(path) as reader:
        for given, name in (
            ("inv_a", "a"),
            ("inv_a5", "a5"),
            ("inv_b", "b1"),
            ("inv_ü", names[-1]),
        ):
            found = reader.invocation(given)
            assert found is not None
            assert found.id == f"inv_{name}"
        assert reader.invocation("inv_c") is None
        with pytest.raises(UsageError, match=r"several: inv_a, inv_a1, .*, \.\.\.\. Give more"):
            reader.invocation("inv_")
        with pytest.raises(SerializationError):
            reader.invocation("\udc80")


def test_a_missing_file_is_named_and_not_created(path: Path) -> None:
    """Looking at nothing does not make something."""
    with pytest.raises(StoreError, match=r"there is no such file\. Check the path"):
        FileJournalReader(path)
    assert not path.exists()


def test_damage_is_an_error_of_the_question(path: Path) -> None:
    """A page that is not sound is a StoreCorruptError that names the file."""
    fill(path, 2000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(data)
    with FileJournalReader(path) as reader:
        with pytest.raises(StoreCorruptError, match=f"{path}: reading failed"):
            reader.journal("inv_a")
        assert reader.invocation("inv_a") == record("a")


def test_closing_twice_is_harmless(path: Path) -> None:
    """A reader can be closed by hand and by its block."""
    fill(path)
    with FileJournalReader(path) as reader:
        reader.close()
    reader.close()
