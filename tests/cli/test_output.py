"""Standard output: pipes that nobody reads, full disks, colours, and completion in shells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from durable_trio._cli._app import app
from durable_trio._cli._output import announce

from .journal import name_of, write_journal
from .server import APP, command, finished, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("output") / "app.journal"
    write_journal(path)
    return path


CODE = """
from durable_trio import Context, Service

s = Service("S")

@s.handler
async def nothing(ctx: Context) -> None: ...
"""

ROOM = "Make room, or choose another place."

READERS = [["ls", "--json"], ["export", name_of(1)]]
"""Lines, and bytes."""


@pytest.mark.parametrize("arguments", READERS)
def test_output_that_nobody_reads(journal: Path, arguments: Sequence[str]) -> None:
    """It ends without a word, with the code that shells use for it."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        result = subprocess.run(
            command(*arguments, "--journal", journal),
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )

    assert (128 + signal.SIGPIPE, b"") == (result.returncode, result.stderr)


@pytest.mark.parametrize("arguments", READERS)
def test_output_that_cannot_be_written(journal: Path, arguments: Sequence[str]) -> None:
    """One line, no traceback, also none when the process ends."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # it is no file
        result = subprocess.run(
            command(*arguments, "--journal", journal),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    message = f"durable-trio: cannot write to standard output: No space left on device. {ROOM}\n"
    assert (1, message) == (result.returncode, result.stderr)


def test_no_output_at_all(journal: Path) -> None:
    """Standard output that is closed is told as well."""
    shell = ["sh", "-c", '"$@" >&-', "sh", *command("show", name_of(1), "--journal", journal)]
    result = subprocess.run(shell, stderr=subprocess.PIPE, text=True, timeout=60, check=False)

    assert 1 == result.returncode
    closed = "durable-trio: cannot write to standard output: it is closed. Send it somewhere"
    assert result.stderr.startswith(closed), result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_a_server_goes_on_without_it(tmp_path: Path) -> None:
    """Whoever waited for its first lines need not read on."""
    with running(tmp_path) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert (
            '"on"\n' == finished(tmp_path, "call", "Work/echo", '"on"', "--url", server.url).stdout
        )
        assert 0 == server.stop()


def test_a_server_whose_output_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and goes on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as nobody, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", nobody)
        announce(["it listens"])

    assert (
        "durable-trio: warning: nobody reads standard output any more\n" == capsys.readouterr().err
    )


def test_a_server_whose_output_is_full(tmp_path: Path) -> None:
    """It says so once, and serves."""
    (tmp_path / "app.py").write_text(APP)
    with open("/dev/full", "wb") as full:  # noqa: PTH123  # it is no file
        process = subprocess.Popen(
            command("run", "app:services", "--journal", "j", "--port", "0", "--log-level", "debug"),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr is not None
    with process.stderr as errors:
        told = next(line for line in errors if "standard output" in line)
        process.send_signal(signal.SIGTERM)
        assert "durable-trio: warning: cannot write to standard output" in told
        assert 0 == process.wait(30)


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C while a call waits: the code that shells use, and the call goes on."""
    with running(tmp_path) as server:
        url = ["--url", server.url]
        process = subprocess.Popen(
            command("call", "Work/wait", '"x"', *url), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        with process.stderr as errors:
            while "x" not in server.effects():
                assert process.poll() is None, errors.read()
            process.send_signal(signal.SIGINT)
            assert (128 + signal.SIGINT, "") == (process.wait(30), errors.read())
        (tmp_path / "x.go").touch()
        server.until("x.go")
        assert 0 == server.stop()
    assert ["x", "x done"] == server.effects()


def test_no_colours_of_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for `show` holds for all: NO_COLOR, if it says anything, is obeyed."""
    (tmp_path / "wrong.jsonl").write_text("{}")
    (tmp_path / "coloured.py").write_text(CODE)
    arguments = ["check", str(tmp_path), f"{tmp_path / 'coloured.py'}:s"]
    monkeypatch.setattr(sys, "path", sys.path.copy())
    plain, coloured = (
        CliRunner(env={"NO_COLOR": value}).invoke(app, arguments, color=True) for value in ("1", "")
    )
    sys.modules.pop("coloured")

    assert "\x1b[" in coloured.stdout, coloured.output
    assert "\x1b[" not in plain.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    """The page's line gives a script, and what it asks for are commands and options."""
    variable = "_DURABLE_TRIO_COMPLETE"
    script = finished(tmp_path, env={**os.environ, variable: f"{shell}_source"})
    asked = finished(
        tmp_path,
        env={
            **os.environ,
            variable: f"{shell}_complete",
            "COMP_WORDS": "durable-trio re",
            "COMP_CWORD": "re" if shell == "fish" else "1",
        },
    )

    assert variable in script.stdout
    for name in ("resume", "resolve", "reject", "replay"):
        assert name in asked.stdout
