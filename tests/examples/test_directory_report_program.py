"""The main job's program: what it prints, where it keeps its journal, and its errors."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import TerminalError
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def report(load: Any) -> Any:
    """The example, with a progress that nobody has used."""
    report = load("directory_report")
    report.Display.__init__(report.display)
    return report


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with two files."""
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.txt").write_text("one\ntwo\n")
    (root / "b.txt").write_text("three\n")
    return root


TABLE = """\
  files                2
  bytes               14
  lines                3
largest
                       8   a.txt
                       6   b.txt
"""


def test_each_start_after_a_shown_report_makes_a_fresh_one(
    report: Any, tree: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second report sees what has changed. A journal in the directory is not counted."""
    arguments = [str(tree), "--journal", str(tree / "journal"), "--backend", backend]

    assert report.main(arguments) == 0
    assert capsys.readouterr() == (f"{tree}\n{TABLE}", "")
    (tree / "b.txt").unlink()
    assert report.main(arguments) == 0
    changed = capsys.readouterr().out
    assert "  files                1   -1 since the last report\n" in changed
    assert "  bytes                8   -6 since the last report\n" in changed


def test_a_report_that_was_finished_but_not_shown(
    report: Any, tree: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown by the next start, which reads nothing and says so."""
    journal = tree / "journal"
    order = report.Order(report.spell(tree), report.spell(journal))

    async def finish() -> None:
        async with LocalRuntime(report.services, FileJournal(journal)) as runtime:
            key = f"report on {order.directory}"
            await runtime.call(report.build, order, key=order.directory, idempotency_key=key)

    anyio.run(finish, backend=backend)
    (tree / "a.txt").unlink()
    report.Display.__init__(report.display)

    assert report.main([str(tree), "--journal", str(journal), "--backend", backend]) == 0
    output, errors = capsys.readouterr()
    assert output == f"{tree}\n{TABLE}"
    assert errors == "it was finished, but not shown; start again for a fresh report\n"


def test_where_the_journal_is_by_default(
    report: Any, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every directory has one of its own in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert report.main([str(tree)]) == 0
    assert report.main([str(tree)]) == 0
    assert report.main([str(tmp_path / "cache")]) == 0

    assert len(list((tmp_path / "cache" / "durable_trio").glob("*.journal"))) == 2


def test_a_terminal_that_cannot_show_a_name(
    report: Any, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is escaped, and the report is shown."""
    (tree / "päper").touch()
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)

    assert report.main([str(tree), "--journal", str(tree / "journal")]) == 0
    assert b"   p\\xe4per\n" in terminal.buffer.getvalue()


def test_many_paths_are_cut_short(report: Any, tree: Path) -> None:
    """The first of many paths are shown, and how many more there are."""
    many = [f"{number:02}" for number in range(25)]

    assert report.first(many) == "00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 15 more"
    assert report.first(many[:10]) == "00, 01, 02, 03, 04, 05, 06, 07, 08, 09"


def test_the_progress_is_put_back_by_a_replay(report: Any) -> None:
    """Listed again, all files are to be done again; the bar stays one."""
    display = report.Display()
    display.listed("/tree", 3)
    display.file_done("/tree")
    display.listed("/tree", 3)
    display.file_done("/tree")
    display.file_done("/tree")

    (bar,) = display.bars.tasks
    assert (bar.completed, bar.total) == (2, 3)


def test_no_directory(report: Any, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is none, or is not there, is named."""
    assert report.main([str(tree / "a.txt")]) == 1
    assert capsys.readouterr().err == f"failed: {tree / 'a.txt'} is no directory\n"
    assert report.main([str(tree / "none")]) == 1
    assert f"No such file or directory: '{tree / 'none'}'" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--limit", "0"], ["--patience", "-1"], ["--patience", "nan"]])
def test_options_that_cannot_be(
    report: Any, tree: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused before anything is done."""
    with pytest.raises(SystemExit, match="2"):
        report.main([str(tree), *option])

    assert "--limit has to be 1 or more and --patience 0 or more" in capsys.readouterr().err


def test_two_at_once(
    report: Any, tree: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second start on the same journal says that somebody is at work."""
    journal = FileJournal(tree / "journal")

    async def main() -> int:
        async with journal:
            arguments = [str(tree), "--journal", str(journal.path), "--backend", backend]
            status: int = await anyio.to_thread.run_sync(report.main, arguments)
            return status

    assert anyio.run(main, backend=backend) == 1
    assert capsys.readouterr().err.startswith("somebody is at work on it: ")


def test_a_report_that_fails(
    report: Any,
    tree: Path,
    backend: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error is shown, and the next start begins anew."""
    arguments = [str(tree), "--journal", str(tree / "journal"), "--backend", backend]

    def fail(_: object) -> None:
        raise TerminalError("the disk is on fire")

    with monkeypatch.context() as patch:
        patch.setattr(report, "list_files", fail)
        assert report.main(arguments) == 1
    assert capsys.readouterr().err == "failed: the disk is on fire\n"

    assert report.main(arguments) == 0


def test_interrupted(
    report: Any,
    tree: Path,
    backend: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C is answered with what to do next."""

    async def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "show_report", interrupt)

    arguments = [str(tree), "--journal", str(tree / "journal"), "--backend", backend]
    assert report.main(arguments) == 130
    assert capsys.readouterr().err == "interrupted; start it again to go on\n"
