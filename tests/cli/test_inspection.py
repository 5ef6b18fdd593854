"""``ls``, ``show`` and ``export``, against what they printed before.

To accept a change, set ``GOLDEN=write`` and look at the difference.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from durable_trio._cli._app import app
from durable_trio._cli._show import _TYPED, page
from durable_trio._journal._jsonl import load_journal
from durable_trio.abc import Completion, Input, InvocationStatus, PutState, Run, Sleep, Value
from durable_trio_file import FileJournal

from .journal import EVERYTHING, FAN_OUT, INVOCATIONS, name_of, record, write_journal
from .server import command

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is looked at."""
    path = tmp_path_factory.mktemp("journal") / "app.journal"
    write_journal(path)
    return path


def look(*arguments: object) -> Result:
    # UTF-8 terminals draw the tree; a terminal that is not dumb is needed for that.
    return CliRunner(env={"TERM": "xterm"}).invoke(app, [*map(str, arguments)])


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, "utf-8")

    assert path.read_text("utf-8") == text


def test_the_list_is_as_it_was(journal: Path) -> None:
    """Newest first, one line each, with what is worth saying."""
    result = look("ls", "--journal", journal)

    assert 0 == result.exit_code, result.output
    check("ls.txt", result.stdout)


@pytest.mark.parametrize("number", range(1, 9))
def test_an_invocation_is_shown_as_it_was(journal: Path, number: int) -> None:
    """Header, journal as a tree, and what it waits for."""
    result = look("show", name_of(number), "--journal", journal)

    assert 0 == result.exit_code, result.output
    check(f"show-{number}.txt", result.stdout)


def test_a_journal_is_exported_as_it_was(journal: Path) -> None:
    """The portable form, which reads back as the entries."""
    result = look("export", name_of(1), "--journal", journal)
    header, entries = load_journal(result.stdout_bytes)

    check("export-1.jsonl", result.stdout)
    assert (name_of(1), "Reports", "build") == (
        header.invocation_id,
        header.service,
        header.handler,
    )
    assert FAN_OUT == entries


def test_an_export_goes_to_a_file(journal: Path, tmp_path: Path) -> None:
    """With -o nothing is printed."""
    target = tmp_path / "out.jsonl"
    result = look("export", name_of(2), "--journal", journal, "-o", target)

    assert (0, "") == (result.exit_code, result.output)
    assert EVERYTHING == load_journal(target.read_bytes())[1]


def test_a_file_that_cannot_be_written_is_told(journal: Path, tmp_path: Path) -> None:
    """One line, with what helps."""
    nowhere = look("export", name_of(2), "--journal", journal, "-o", tmp_path / "no" / "out")
    folder = look("export", name_of(2), "--journal", journal, "-o", tmp_path)

    assert (1, 1) == (nowhere.exit_code, folder.exit_code)
    assert f"cannot write {tmp_path / 'no' / 'out'}: No such file" in nowhere.stderr
    assert "Create the directory first." in nowhere.stderr
    assert "Is a directory. It is a directory: name a file." in folder.stderr
    assert [] == list(tmp_path.iterdir())


def test_an_export_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there stays if the new one cannot be written to its end; a link stays a link."""
    journal, folder = tmp_path / "app.journal", tmp_path / "exports"
    entries = (Input(b""), Run(1, "large"), Completion(1, Value(b"x" * 200_000)))
    write_journal(journal, [(record(1, InvocationStatus.RUNNING), entries)])
    folder.mkdir()
    target, link = folder / "out.jsonl", folder / "link.jsonl"
    target.write_text("before")
    link.symlink_to(target)
    arguments = ["export", name_of(1), "--journal", str(journal), "-o", str(link)]
    # In so many kilobytes there is room for what reading needs, and for some of the export.
    limit = ["bash", "-c", 'trap "" XFSZ; ulimit -f 100; exec "$@"', "bash", *command(*arguments)]
    limited = subprocess.run(limit, capture_output=True, text=True, timeout=60, check=False)
    failed = target.read_text(), sorted(each.name for each in folder.iterdir())
    done = look(*arguments)

    assert (1, "") == (limited.returncode, limited.stdout), limited.stderr
    assert f"cannot write {link}: File too large. Make room" in limited.stderr
    assert ("before", ["link.jsonl", "out.jsonl"]) == failed
    assert (0, True) == (done.exit_code, link.is_symlink())
    assert entries == load_journal(target.read_bytes())[1]


def test_an_export_goes_into_a_pipe(journal: Path) -> None:
    """A device is written to, not replaced."""
    result = look("export", name_of(2), "--journal", journal, "-o", "/dev/null")

    assert 0 == result.exit_code, result.output
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(("name", "outside"), [("deadline", True), ("nap", False)])
def test_nobody_waits_for_a_deadline_alone(name: str, outside: bool) -> None:
    """What it bounds is no entry while it is an awakeable or a signal; a sleep is one."""
    entries = (Input(b""), Sleep(1_000, 1, name))
    waiting = record(1, InvocationStatus.SUSPENDED)
    shown = "\n".join(page(waiting, entries, frozenset({1}), None, glyphs=_TYPED))
    _, _, waits = shown.partition("waits for")

    assert f"#2 {'deadline' if outside else 'sleep nap'} until" in waits
    assert outside == ("an awakeable or a signal" in waits)


def test_an_expired_journal_cannot_be_exported(journal: Path) -> None:
    """The result may be there still, the entries are not."""
    result = look("export", name_of(3), "--journal", journal)

    assert 3 == result.exit_code
    assert "has expired" in result.stderr


def test_the_list_is_filtered(journal: Path) -> None:
    """By status, service and key, and to a number."""

    def ids(*options: object) -> list[str]:
        lines = look("ls", "--journal", journal, *options).stdout.splitlines()
        return [line.split()[0] for line in lines[1:]]

    assert [name_of(6), name_of(5)] == ids("--service", "Users")
    assert [name_of(8), name_of(5)] == ids("--status", "running", "--status", "paused")
    assert [name_of(2)] == ids("--key", "k")
    assert [name_of(8), name_of(7)] == ids("--limit", 2)
    assert [name_of(6), name_of(5)] == ids("--limit", 2, "--before", name_of(7))
    assert [] == ids("--before", name_of(1)[:12])
    assert [] == ids("--service", "Nobody")


def test_the_list_says_when_it_is_cut(journal: Path) -> None:
    """On stderr, where it does not disturb a pipe."""
    assert "--limit" in look("ls", "--journal", journal, "--limit", 7).stderr
    assert f"--before {name_of(2)}" in look("ls", "--journal", journal, "--limit", 7).stderr
    assert "" == look("ls", "--journal", journal, "--limit", 8).stderr
    assert 3 == look("ls", "--journal", journal, "--before", "inv_1zz").exit_code
    assert "no invocations" in look("ls", "--journal", journal, "--service", "Nobody").stderr


@pytest.mark.parametrize("command", [["ls"], ["show", "inv_1"], ["state", "a/b"]])
def test_one_place_is_looked_at(command: list[str], journal: Path, tmp_path: Path) -> None:
    """A file or a server; what is there instead is said, with its own exit code."""
    neither = look(*command)
    both = look(*command, "--journal", journal, "--admin", "http://127.0.0.1:9")
    folder = look(*command, "--journal", tmp_path)
    assert (2, 2, 14) == (neither.exit_code, both.exit_code, folder.exit_code)
    assert "expected one of --journal FILE and --admin URL, found neither" in neither.stderr
    assert "found both" in both.stderr
    assert f"{tmp_path}: it is a directory. Name a file in it." in folder.stderr


def test_the_state_is_shown(tmp_path: Path) -> None:
    """By name, a line each; the key is all that is behind the first slash."""
    path = tmp_path / "app.journal"

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            values = {"total": b"5", "a\nb": b'"x"', "long": b"y" * 300, "raw": b"\xff"}
            store.write([PutState("Counter", "a/b", *each) for each in values.items()])
            store.write([PutState("Counter", "other", "total", b"6")])

    anyio.run(main)
    shown = look("state", "Counter/a/b", "--journal", path)
    full = look("state", "Counter/a/b", "--journal", path, "--full")
    as_json = look("state", "Counter/a/b", "--journal", path, "--json").stdout.splitlines()
    nothing = look("state", "Counter/nobody", "--journal", path)

    assert ["a\\nb   ", "long   ", "raw    ", "total  "] == [
        line[:7] for line in shown.stdout.splitlines()
    ]
    assert "total  5\n" in shown.stdout
    assert "raw    (1 bytes, not text)\n" in shown.stdout
    assert "y" * 300 not in shown.stdout
    assert "y" * 300 in full.stdout
    assert {"name": "total", "value": "5"} == json.loads(as_json[3])
    assert {"name": "raw", "value_hex": "ff"} == json.loads(as_json[2])
    assert (0, "") == (nothing.exit_code, nothing.stdout)
    assert "Counter/nobody has no state" in nothing.stderr


@pytest.mark.parametrize("target", ["Counter", "Counter/", "/key", ""])
def test_state_is_of_a_key(journal: Path, target: str) -> None:
    """Anything else is refused."""
    result = look("state", target, "--journal", journal)

    assert 2 == result.exit_code
    assert "expected SERVICE/KEY" in result.stderr


def test_the_list_is_json_too(journal: Path) -> None:
    """One object a line, with what is known."""
    result = look("ls", "--journal", journal, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]

    assert [record.id for record, _ in reversed(INVOCATIONS)] == [row["id"] for row in rows]
    assert {"code": 409, "message": "cancelled"} == rows[-2]["failure"]
    assert '{"pages":12}' == rows[-3]["value"]
    assert all(None not in row.values() for row in rows)
    assert {status.value for status in InvocationStatus} == {row["status"] for row in rows}


def test_a_value_that_is_no_text_is_listed_in_hexadecimal(tmp_path: Path) -> None:
    """JSON has no bytes."""
    path = tmp_path / "app.journal"
    write_journal(path, [(record(1, InvocationStatus.COMPLETED, result=Value(b"\x00\xff")), ())])
    (row,) = map(json.loads, look("ls", "--journal", path, "--json").stdout.splitlines())

    assert ("00ff", False) == (row["value_hex"], "value" in row)


def test_a_long_list_is_printed_as_it_comes(tmp_path: Path) -> None:
    """All of it, in order."""
    path = tmp_path / "app.journal"
    write_journal(path, [(record(n, InvocationStatus.RUNNING), ()) for n in range(256)])
    rows = look("ls", "--journal", path, "--json", "--limit", 1000).stdout.splitlines()

    assert [name_of(n) for n in range(255, -1, -1)] == [json.loads(row)["id"] for row in rows]


def test_the_beginning_of_an_id_is_enough(journal: Path) -> None:
    """If it is one's only; otherwise the candidates are named."""
    full = look("show", name_of(5), "--journal", journal)
    short = look("show", name_of(5)[:8], "--journal", journal)
    ambiguous = look("show", "inv_1", "--journal", journal)
    unknown = look("show", "inv_9", "--journal", journal)

    assert full.stdout == short.stdout
    assert 2 == ambiguous.exit_code
    assert name_of(1) in ambiguous.stderr
    assert 3 == unknown.exit_code
    assert "durable-trio ls" in unknown.stderr


def test_nothing_is_shortened_if_asked(journal: Path) -> None:
    """--full has payloads and messages whole, and still on one line."""
    short = look("show", name_of(2), "--journal", journal).stdout
    full = look("show", name_of(2), "--journal", journal, "--full").stdout

    assert "x" * 500 not in short
    assert "x" * 500 in full
    assert "(2 bytes, not text)" in short
    assert "00ff" in full
    assert len(short.splitlines()) == len(full.splitlines())


def test_nothing_reaches_the_terminal_unescaped(journal: Path) -> None:
    """A payload cannot move the cursor."""
    for number in range(1, 9):
        shown = look("show", name_of(number), "--journal", journal, "--full").stdout

        assert all(char.isprintable() or char == "\n" for char in shown)


def test_a_dumb_terminal_gets_ascii(journal: Path) -> None:
    """The tree is drawn with what every terminal has."""
    result = CliRunner(env={"TERM": "dumb"}).invoke(
        app, ["show", name_of(1), "--journal", str(journal)]
    )

    assert result.stdout.isascii()
    assert "|- #1 input" in result.stdout
    assert "`- #" in result.stdout


def test_an_ascii_terminal_gets_ascii(journal: Path) -> None:
    """One that cannot draw the tree, whatever it calls itself."""
    result = CliRunner(env={"TERM": "xterm"}, charset="ascii").invoke(
        app, ["show", name_of(1), "--journal", str(journal)]
    )

    assert 0 == result.exit_code
    assert "|- #1 input" in result.stdout


def test_colours_are_for_terminals_only(journal: Path) -> None:
    """And for those who did not ask for none."""
    arguments = ["show", name_of(1), "--journal", str(journal)]
    plain = CliRunner().invoke(app, arguments)
    coloured = CliRunner().invoke(app, arguments, color=True)
    refused = CliRunner(env={"NO_COLOR": "1"}).invoke(app, arguments, color=True)

    assert "\x1b[" in coloured.stdout
    assert "\x1b[" not in plain.stdout
    assert "\x1b[" not in refused.stdout


def test_a_deep_tree_is_shown() -> None:
    """Branches may be nested more deeply than Python calls."""
    deep = "/".join(["b[0]"] * 3_000)
    record = INVOCATIONS[0][0]
    lines = list(page(record, (Run(1, f"{deep}/x"),), frozenset(), None, glyphs=_TYPED))

    assert 3_000 < len(lines)


@pytest.mark.parametrize("command", [["ls"], ["show", "inv_1x"], ["export", "inv_1x"]])
def test_a_file_that_is_no_journal_is_told(command: list[str], tmp_path: Path) -> None:
    """Exit code 11 for something else, 14 for nothing; neither is touched."""
    path = tmp_path / "text"
    path.write_text("hello" * 100)
    other = look(*command, "--journal", path)
    nothing = look(*command, "--journal", tmp_path / "nothing")

    assert 11 == other.exit_code, other.stderr
    assert 14 == nothing.exit_code, nothing.stderr
    assert "hello" * 100 == path.read_text()
    assert ["text"] == [each.name for each in tmp_path.iterdir()]
