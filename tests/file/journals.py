"""Builders for the tests of the file journal, and child processes that use one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import anyio

from durable_trio import abc
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = abc.InvocationStatus.RUNNING


def record(name: str, **changes: Any) -> abc.InvocationRecord:
    fields: dict[str, Any] = {
        "id": f"inv_{name}",
        "service": "s",
        "handler": "h",
        "status": RUNNING,
        "created_at": 1.0,
        "sequence": 1,
    }
    return abc.InvocationRecord(**{**fields, **changes})


def run(number: int, name: str = "a") -> list[abc.Write]:
    return [abc.AppendEntries(f"inv_{name}", (abc.Run(number),))]


async def numbers(store: FileJournal, name: str = "a") -> list[int]:
    entries = await store.journal(f"inv_{name}")
    return [entry.completion_id for entry in entries if isinstance(entry, abc.Run)]


def fill(path: Path, count: int = 3) -> None:
    """A journal with one invocation and ``count`` runs, closed again."""

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            store.write([abc.PutInvocation(record("a"))])
            for number in range(count):
                store.write(run(number))

    anyio.run(main)


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A child process that runs ``script`` with pipes for its input and output."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def line(child: subprocess.Popen[str]) -> str:
    """The next line that a child prints, without its end; empty when it has ended."""
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")
