"""The process is killed, again and again; what it does is as if it never was.

The effects log is outside of the journal: a line a body that was executed. What is checked
after every kill is that no body runs whose result was durable before, and at the end
that result and state are those of an undisturbed run, with nothing left unfinished.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from durable_trio import StoreError
from durable_trio.abc import Completion, InvocationStatus, Run
from durable_trio_file import FileJournalReader

APP = Path(__file__).with_name("crash_app.py")
EXPECTED = {
    "result": {
        "branches": [0, 10, 20, 30],
        "decisions": ["yes"],
        "winner": "won",
        "timed out": True,
        "refused": "no",
        "squares": [0, 1, 4],
    },
    "labels": [
        *(f"branch {number}" for number in range(4)),
        "cleaned by timeout",
        "sent",
        "sent",
    ],
}


class World:
    """One journal and its effects log, and the processes that work on them."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "app.journal"
        self.effects = folder / "effects.log"

    def start(self, backend: str, kill_at: int = 0) -> subprocess.Popen[str]:
        """Start the process; it kills itself at a transaction if told so."""
        return subprocess.Popen(
            [sys.executable, str(APP), str(self.journal), str(self.effects), backend, str(kill_at)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def executed(self) -> Counter[str]:
        """How often each body was executed so far."""
        if not self.effects.exists():
            return Counter()

        return Counter(self.effects.read_text().split("\n")[:-1])

    def durable(self) -> set[str]:
        """The steps whose results are in the journal, named as in the effects log."""
        if not self.journal.exists():
            return set()

        done: set[str] = set()
        try:
            opened = FileJournalReader(self.journal)
        except StoreError as error:
            if "nothing was ever written" not in str(error):
                raise
            return done  # killed between making the file and the first transaction

        with opened as reader:
            for record in reader.invocations():
                entries = reader.journal(record.id)
                ended = {e.completion_id for e in entries if isinstance(e, Completion)}
                done |= {
                    f"{record.id}/{effect_name(entry.name)}"
                    for entry in entries
                    if isinstance(entry, Run) and entry.completion_id in ended
                }
        return done

    def unfinished(self) -> list[str]:
        """The invocations that have not completed."""
        with FileJournalReader(self.journal) as reader:
            return [
                f"{record.service}/{record.handler} {record.status.value}"
                for record in reader.invocations()
                if record.status is not InvocationStatus.COMPLETED
            ]


def effect_name(entry: str) -> str:
    """``branch[2]/a`` journals what the effects log calls ``branch2/a``."""
    branch, _, step = entry.rpartition("/")
    if branch.startswith("branch["):
        return f"branch{branch.removeprefix('branch[').rstrip(']')}/{step}"

    return step


def finish(world: World, backend: str) -> Any:
    """Let an undisturbed process do the rest; returns what it printed."""
    before, durable = world.executed(), world.durable()
    out, err = world.start(backend).communicate(timeout=60)
    again = world.executed() - before

    assert out, err
    assert set() == durable & set(again), "a step ran again whose result was durable"
    assert [] == world.unfinished()
    return json.loads(out)


SLICES = 6


@pytest.mark.parametrize("start", range(1, SLICES + 1))
def test_killed_at_every_transaction(tmp_path: Path, start: int) -> None:
    """Before and after every transaction, alternating the backend that goes on.

    Every slice takes its share of the moments. How many there are differs a little from run
    to run, since commits are grouped: a slice is at its end when two processes in a row
    were done before their moment came.
    """
    survived, undisturbed, kill_at = 0, 0, start
    while undisturbed < 2:
        world = World(tmp_path / f"at{kill_at}")
        world.journal.parent.mkdir()
        first, second = ("trio", "asyncio") if kill_at // SLICES % 2 else ("asyncio", "trio")
        process = world.start(first, kill_at)
        process.communicate(timeout=60)
        if process.returncode == 0:
            undisturbed += 1
        else:
            assert process.returncode == -signal.SIGKILL
            undisturbed = 0
            survived += 1
            assert EXPECTED == finish(world, second), f"killed at {kill_at}"
        kill_at += SLICES

    assert survived > 50 // SLICES


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_over_and_over(tmp_path: Path, backend: str, seed: int) -> None:
    """One journal, killed at random moments until it is done: no durable step runs again."""
    chance = random.Random(seed)
    world = World(tmp_path)
    for _ in range(12):
        before, durable = world.executed(), world.durable()
        process = world.start(backend)
        time.sleep(chance.uniform(0.2, 0.9))
        process.kill()
        process.communicate(timeout=60)

        assert set() == durable & set(world.executed() - before)

    assert EXPECTED == finish(world, backend)
