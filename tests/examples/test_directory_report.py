"""The main job: odd files, odd moments, and every way to be killed."""

from __future__ import annotations

import functools
import itertools
import os
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from durable_trio import ServiceOptions, StoreWriteError
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import ModuleType

    from durable_trio import RunInfo

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "docs" / "examples" / "directory_report.py"

ODD_NAME = os.fsdecode(b"caf\xe9 50%\n.txt")
ODD_SPELLED = "caf%E9 50%25%0A.txt"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with everything that a directory may hold."""
    root = tmp_path / "tree"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\n")
    (root / "copy of a.txt").write_text("one\ntwo\n")
    (root / "empty").touch()
    (root / "empty too").touch()
    (root / ODD_NAME).write_text("odd\n")
    (root / "sub" / "binary").write_bytes(bytes(range(256)) * 9)
    (root / "sub" / "deeper" / "no newline").write_text("x")
    (root / "sub" / "loop").symlink_to(root)
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    return root


TREE_AS_TEXT = """\
  files                7
  bytes            2,325
  lines               14
largest
                   2,304   sub/binary
                       8   a.txt
                       8   copy of a.txt
                       4   caf%E9 50%25%0A.txt
                       1   sub/deeper/no newline
duplicates, 8 bytes
                       8   a.txt, copy of a.txt
not read
  no regular file: pipe
  symbolic link: dangling, sub/loop
"""


@attrs.define
class Job:
    """Asks for reports, in this process."""

    report: ModuleType
    order: Any
    executed: list[str] = attrs.field(factory=list[str])
    result: Any = None

    async def run(self, store: Any) -> None:
        """Ask for the report, or go on with it."""
        defaults = ServiceOptions(run_contexts=[self._executing], journal_retention=3600)
        async with LocalRuntime(self.report.services, store, defaults=defaults) as runtime:
            self.result = await runtime.call(
                self.report.build, self.order, key=self.order.directory, idempotency_key="once"
            )

    @asynccontextmanager
    async def _executing(self, run: RunInfo) -> AsyncGenerator[None]:
        self.executed.append(run.name)
        yield


@pytest.fixture
def new_job(load: Any, tree: Path) -> Callable[..., Job]:
    """Makes jobs on the tree."""
    report = load("directory_report")
    order = report.Order(report.spell(tree), report.spell(tree / "journal"), limit=2, big=1000)

    def new(**changes: Any) -> Job:
        return Job(report, attrs.evolve(order, **changes))

    return new


def test_straight_through(new_job: Any, backend: str, new_disk: Any) -> None:
    """Every file is counted or has a reason, whatever it is and whatever it is called."""
    disk, job = new_disk(), new_job()

    anyio.run(job.run, disk.open(None), backend=backend)

    head, *text = job.report.as_text(job.result).splitlines(keepends=True)
    assert head.strip() == job.order.directory
    assert "".join(text) + "\n" == TREE_AS_TEXT
    assert len(set(job.executed)) == len(job.executed)


@pytest.mark.parametrize("big", [1, 1 << 30], ids=["every file races", "no file races"])
def test_killed_at_every_transaction(new_job: Any, backend: str, new_disk: Any, big: int) -> None:
    """The report is the same, and no step whose result was recorded is executed again."""
    other = {"trio": "asyncio", "asyncio": "trio"}[backend]
    undisturbed = new_job(big=big)
    anyio.run(undisturbed.run, new_disk().open(None), backend=backend)
    crash_at, carried_over = 0, set[str]()
    for crash_at in itertools.count(1):
        disk, first, second = new_disk(), new_job(big=big), new_job(big=big)
        try:
            anyio.run(first.run, disk.open(crash_at), backend=backend)
        except StoreWriteError:
            pass
        else:
            assert undisturbed.result == first.result
            break

        done = disk.completed_runs()
        anyio.run(second.run, disk.open(None), backend=other if crash_at % 2 else backend)
        assert undisturbed.result == second.result
        assert not done & set(second.executed)
        carried_over |= done
    assert crash_at > 10
    assert len(carried_over) > 5


def test_the_state_of_the_directory(new_job: Any, backend: str, tree: Path, new_disk: Any) -> None:
    """The report is kept in the directory's object, and the next one tells what has changed."""
    job = new_job()
    reports: list[Any] = []

    async def main() -> None:
        async with LocalRuntime(job.report.services, new_disk().open(None)) as runtime:
            for text in ("", "more\n"):
                (tree / "new").write_text(text)
                reports.append(
                    await runtime.call(job.report.build, job.order, key=job.order.directory)
                )
            state = await runtime.get_state("Directories", job.order.directory, job.report.Report)
            assert state == {"report": reports[-1]}

    anyio.run(main, backend=backend)

    assert reports[0].size_before is None
    assert (reports[1].files_before, reports[1].size_before) == (8, 2325)
    assert "2,330   +5 since the last report" in job.report.as_text(reports[1])


def reasons(job: Job) -> dict[str, str]:
    """Why files were not read."""
    return {file.path: file.reason for file in job.result.not_read}


def test_files_that_vanish_or_change_into_something_else(
    new_job: Any, backend: str, new_disk: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not what was listed costs its own place in the report, nothing else."""
    job = new_job()
    list_files = job.report.list_files

    @functools.wraps(list_files)
    def and_then_change(order: Any) -> Any:
        listing = list_files(order)
        for path in ("a.txt", "copy of a.txt", "empty", "empty too", "sub/deeper/no newline"):
            (tree / path).unlink()
        os.mkfifo(tree / "copy of a.txt")
        (tree / "empty").mkdir()
        (tree / "empty too").symlink_to(SCRIPT)
        (tree / "sub" / "deeper").rmdir()
        (tree / "sub" / "deeper").touch()
        return listing

    monkeypatch.setattr(job.report, "list_files", and_then_change)
    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert job.result.files == 2
    assert reasons(job) == {
        "a.txt": "No such file or directory",
        "copy of a.txt": "no regular file any more",
        "dangling": "symbolic link",
        "empty": "Is a directory",
        "empty too": "Too many levels of symbolic links",
        "pipe": "no regular file",
        "sub/deeper/no newline": "Not a directory",
        "sub/loop": "symbolic link",
    }


def test_files_that_may_not_be_read(
    new_job: Any, backend: str, new_disk: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and directories without permission are named with that reason."""
    job = new_job()
    os_open, scandir = os.open, os.scandir

    def guarded_open(path: Any, *rest: Any, **more: Any) -> int:
        if path == tree / "a.txt":
            raise PermissionError(13, "Permission denied", path)
        return os_open(path, *rest, **more)

    def guarded_scandir(path: Any) -> Any:
        if path == str(tree / "sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "open", guarded_open)
    monkeypatch.setattr(os, "scandir", guarded_scandir)
    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert reasons(job)["a.txt"] == reasons(job)["sub"] == "Permission denied"
    assert job.result.files == 4


def test_files_that_are_being_written(
    new_job: Any, backend: str, new_disk: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes under the reader is read once more, and then given up."""
    job = new_job()
    open_file = job.report.open_file
    writes = {"a.txt": 1, "empty": 2}

    @contextmanager
    def disturbed(path: Path, known: Any = None) -> Generator[Any]:
        with open_file(path, known) as file:
            yield file
            if writes.get(path.name, 0):
                writes[path.name] -= 1
                path.write_text("changed\n" * writes[path.name])
                os.utime(path, ns=(0, writes[path.name]))

    monkeypatch.setattr(job.report, "open_file", disturbed)
    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert reasons(job)["empty"] == "FileChanged: written to while it was read"
    assert "a.txt" not in reasons(job)
    assert job.executed.count("file[0]/read a.txt") == 2


def test_a_big_file_that_changes_after_it_was_hashed(
    new_job: Any, backend: str, new_disk: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash and its lines would be those of two files: it is left out."""
    job = new_job()
    read_file = job.report.read_file

    @functools.wraps(read_file)
    def disturbed(directory: str, file: Any, count: bool) -> Any:
        facts = read_file(directory, file, count)
        if file.path == "sub/binary":
            (tree / "sub" / "binary").write_text("new")
        return facts

    monkeypatch.setattr(job.report, "read_file", disturbed)
    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert reasons(job)["sub/binary"] == "changed after it was hashed"


async def never(*_: object) -> int:
    """A strategy that does not come to an end."""
    await anyio.sleep_forever()
    raise AssertionError


async def fails(*_: object) -> int:
    """A strategy that does not work here."""
    raise AttributeError("os has no pread")


@pytest.mark.parametrize("slow", ["count_in_chunks", "count_in_parts"])
def test_the_race(
    new_job: Any, backend: str, new_disk: Any, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each strategy can win, and the other one does not hold up the report."""
    job = new_job()
    monkeypatch.setattr(job.report, slow, never)

    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert (job.result.lines, job.result.not_counted) == (14, 0)


def test_a_strategy_that_fails_does_not_win(
    new_job: Any, backend: str, new_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system does not have what one needs, the lines are counted all the same."""
    job = new_job()
    monkeypatch.setattr(job.report, "count_in_parts", fails)

    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert (job.result.lines, job.result.not_counted) == (14, 0)


def test_the_race_against_the_clock(
    new_job: Any, backend: str, new_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody is done in time the report says so, and has the rest."""
    job = new_job(patience=0.01)
    monkeypatch.setattr(job.report, "count_in_chunks", never)
    monkeypatch.setattr(job.report, "count_in_parts", never)

    anyio.run(job.run, new_disk().open(None), backend=backend)

    assert (job.result.files, job.result.lines, job.result.not_counted) == (7, 5, 1)
    assert "without 1 files, for lack of time" in job.report.as_text(job.result)
