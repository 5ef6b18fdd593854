"""``ls``, ``show`` and ``export``, against what they printed before.

To accept a change, set ``GOLDEN=write`` and look at the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from durable_trio._cli._app import app
from durable_trio._cli._show import _TYPED, page
from durable_trio._journal._jsonl import load_journal
from durable_trio.abc import InvocationStatus, Value

from .journal import EVERYTHING, FAN_OUT, INVOCATIONS, name_of, record, write_journal

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
    """One line."""
    result = look("export", name_of(2), "--journal", journal, "-o", tmp_path / "no" / "out")

    assert 1 == result.exit_code
    assert "cannot write" in result.stderr


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
    from durable_trio.abc import Run

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
