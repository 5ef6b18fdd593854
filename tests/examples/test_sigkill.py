"""The main job, killed with SIGKILL: in processes of its own, anywhere, over and over.

What was executed is known from a log that every step writes from outside, what was
completed from the journal file that is left. No step may be in both the journal of one
life and the log of a later one.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from durable_trio.abc import Completion, InvocationStatus, Run
from durable_trio_file import FileJournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "docs" / "examples" / "directory_report.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with enough files for several at a time to be under way."""
    root = tmp_path / "tree"
    for folder in ("", "one", "two/three"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(2):
            (root / folder / f"{number}.txt").write_text(f"{folder}\n" * number)
    (root / "link").symlink_to(root)
    return root


@pytest.fixture(scope="module")
def mortal() -> Iterator[subprocess.Popen[str]]:
    """The process that forks lives."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "mortal.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@attrs.define
class Lives:
    """The lives that one journal goes through."""

    process: subprocess.Popen[str]
    tree: Path
    folder: Path
    """Where its files are."""
    backend: str
    output: str = ""
    done: set[str] = attrs.field(factory=set[str])
    """The steps that the journal had completed when the last life ended."""

    @property
    def journal(self) -> Path:
        """The journal file."""
        return self.folder / "journal"

    def live(self, *, kill_at: int = 0, written: bool = False, big: int = 1 << 20) -> bool:
        """One more life; whether it came to its natural end. It repeats nothing."""
        log = self.folder / "log"
        log.write_text("")
        output = self.folder / "output"
        arguments = [str(self.tree), "--journal", str(self.journal), "--backend", self.backend]
        request = {
            "arguments": [*arguments, "--limit", "3", "--big", str(big)],
            "log": str(log),
            "output": str(output),
            "kill_at": kill_at,
            "written": written,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())

        self.output = output.read_text()
        assert status in {0, -signal.SIGKILL}, self.output
        executed = log.read_text().splitlines()
        assert not self.done & set(executed)
        assert len(set(executed)) == len(executed)
        self.done = completed_runs(self.journal)
        return status == 0


@pytest.fixture
def new_lives(
    mortal: subprocess.Popen[str], tree: Path, tmp_path: Path, backend: str
) -> Callable[[], Lives]:
    """Makes journals that have not been written to."""
    numbers = itertools.count()

    def new() -> Lives:
        folder = tmp_path / f"lives {next(numbers)}"
        folder.mkdir()
        return Lives(mortal, tree, folder, backend)

    return new


def completed_runs(journal: Path) -> set[str]:
    """The names of the runs of the unfinished report whose results are in the file."""
    names: set[str] = set()
    with FileJournalReader(journal) as reader:
        for record in reader.invocations(status=frozenset(InvocationStatus)):
            entries = reader.journal(record.id)
            done = {entry.completion_id for entry in entries if isinstance(entry, Completion)}
            runs = [entry for entry in entries if isinstance(entry, Run)]
            names.update(run.name for run in runs if run.completion_id in done)
    return names


def report_in(output: str, tree: Path) -> str:
    """The report, without what was said before it."""
    return output[output.index(f"{tree}\n") :]


@pytest.mark.parametrize("written", [False, True], ids=["unwritten", "unacknowledged"])
@pytest.mark.parametrize("big", [1, 1 << 20], ids=["every file races", "no file races"])
def test_killed_at_every_transaction(
    new_lives: Callable[[], Lives], tree: Path, written: bool, big: int
) -> None:
    """The next life ends with the report of an undisturbed one, and repeats no step."""
    undisturbed = new_lives()
    assert undisturbed.live(big=big)
    kill_at, gone_on = 0, 0
    for kill_at in itertools.count(1):
        lives = new_lives()
        if lives.live(kill_at=kill_at, written=written, big=big):
            break

        read = sum("/read " in step for step in lives.done)
        assert lives.live(big=big)
        assert report_in(lives.output, tree) == report_in(undisturbed.output, tree)
        going_on = re.search(r"going on where it was: (\d) of 6 files done\n", lives.output)
        if going_on:
            gone_on += 1
            assert read == int(going_on[1]) if big > 1 else read >= int(going_on[1])
        else:
            assert read == 0 or "it was finished, but not shown" in lives.output
    assert kill_at > gone_on > 5
    assert not undisturbed.done


@pytest.mark.parametrize("seed", range(6))
def test_killed_over_and_over(new_lives: Callable[[], Lives], tree: Path, seed: int) -> None:
    """However many lives it takes, each step is completed once, and the report is the same."""
    chance = random.Random(seed)
    undisturbed, lives = new_lives(), new_lives()
    big = chance.choice([1, 1 << 20])
    assert undisturbed.live(big=big)

    for _ in range(200):
        lives.backend = chance.choice(["trio", "asyncio"])
        if lives.live(kill_at=chance.randint(1, 9), written=chance.random() < 0.5, big=big):
            break
    else:
        assert lives.live(big=big)

    assert report_in(lives.output, tree) == report_in(undisturbed.output, tree)


WATCHED = """
import os, runpy, sys

script, tree, fifo, *arguments = sys.argv[1:]
pipe = os.open(fifo, os.O_WRONLY)

def watch(event, args):
    if event == "open" and str(args[0]).startswith(tree + "/"):
        os.write(pipe, str(args[0]).encode() + b"\\n")

sys.addaudithook(watch)
sys.argv = [script, tree, *arguments]
runpy.run_path(script, run_name="__main__")
"""
"""Runs the script as it is, and tells of every file in the tree that it opens."""


def test_the_script_as_it_is(tree: Path, tmp_path: Path, backend: str) -> None:
    """Killed from outside at any moment, it opens no file again whose step was completed."""
    journal, fifo = tmp_path / "journal", tmp_path / "fifo"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", WATCHED, str(SCRIPT), str(tree), str(fifo), "--limit", "2"]
    command += ["--journal", str(journal), "--backend", backend]
    done, output = set[str](), b""
    for kill_after in (1, 2, 3, 1, 4, None):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as script:
            opened: list[str] = []
            with fifo.open() as pipe:
                for line in pipe:
                    opened.append(str(Path(line.rstrip()).relative_to(tree)))
                    if len(opened) == kill_after:
                        script.kill()
            output, errors = script.communicate()
        # By the time it is killed it may have come to its end.
        assert script.returncode == 0 or (script.returncode == -signal.SIGKILL and kill_after), (
            errors
        )
        assert not {name.rpartition("/read ")[2] for name in done} & set(opened)
        assert len(set(opened)) == len(opened)
        if script.returncode == 0:
            break

        done = completed_runs(journal)

    assert output.decode().startswith(f"{tree}\n  files                6\n")
