"""``durable-trio run`` as a process of its own, and the application it serves."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

APP = '''
"""An application whose steps leave a line in a file for each time that they ran."""

import os
import time
from pathlib import Path

import anyio

from durable_trio import Context, ObjectContext, Service, VirtualObject, open_nursery

FOLDER = Path(__file__).parent
work = Service("Work")
counter = VirtualObject("Counter")


async def effect(name: str) -> str:
    with (FOLDER / "effects").open("a") as file:
        file.write(name + "\\n")
    return name.upper()


def publish(text: str) -> None:
    """Whoever sees the file sees all of it."""
    (FOLDER / "awakeable.new").write_text(text)
    (FOLDER / "awakeable.new").rename(FOLDER / "awakeable")


async def until(name: str) -> None:
    while not (FOLDER / name).exists():
        await anyio.sleep(0.005)


async def slow(name: str) -> str:
    await effect(name)
    await until(name + ".go")
    await effect(name + " done")
    return name


@work.handler
async def steps(ctx: Context, names: list[str]) -> list[str]:
    """Every step in a branch of its own, then a wait for somebody outside, then one more."""

    async def step(name: str) -> str:
        return await ctx.run(effect, name)

    async with open_nursery() as nursery:
        tasks = [nursery.start_soon(step, name) for name in names]
    awakeable = ctx.awakeable(str)
    await ctx.run(publish, awakeable.id)
    last = await awakeable.future
    return [task.return_value for task in tasks] + [await ctx.run(effect, last)]


@work.handler
async def wait(ctx: Context, name: str) -> str:
    return await ctx.run(slow, name)


def sleep_long() -> None:
    (FOLDER / "sleeping").touch()
    time.sleep(3_600)


@work.handler
async def thread(ctx: Context) -> None:
    await ctx.run(sleep_long)


@work.handler
async def echo(ctx: Context, text: str) -> str:
    return text


@work.handler
async def wrong(ctx: Context, name: str) -> str:
    """Its code is wrong until it is mended."""
    if not (FOLDER / name).exists():
        await anyio.sleep(0)
        await anyio.sleep(60)
    return "mended"


@work.handler
async def block(ctx: Context) -> None:
    """Never gives the event loop its turn."""
    (FOLDER / "blocked").touch()
    while True:
        pass


@work.handler
async def large(ctx: Context, size: int) -> str:
    return await ctx.run(lambda: "x" * size, name="make")


@counter.handler
async def add(ctx: ObjectContext, amount: int) -> int:
    total = await ctx.get("total", int, 0) + amount
    ctx.set("total", total)
    return total


services = [work, counter]
nothing = []
number = 5
'''


@attrs.define
class Server:
    """A process that serves."""

    process: subprocess.Popen[str]
    folder: Path
    lines: list[str]
    url: str

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    @property
    def errors(self) -> str:
        """What it wrote to stderr. Only after its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def effects(self) -> list[str]:
        """What its steps did, in order."""
        file = self.folder / "effects"
        return file.read_text().splitlines() if file.exists() else []

    def until(self, name: str) -> None:
        """Wait for a file that the application makes."""
        path = self.folder / name
        while not path.exists():
            assert self.process.poll() is None, self.errors
            time.sleep(0.01)  # a spinning test takes the processor from its process


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "durable_trio", *map(str, arguments)]


def start(folder: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command, with ``folder`` as its directory."""
    return subprocess.Popen(
        command(*arguments),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finished(folder: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@contextmanager
def running(folder: Path, *arguments: object, **options: Any) -> Generator[Server]:
    """``durable-trio run`` over ``folder``'s application and journal, until the block ends."""
    if not (folder / "app.py").exists():
        (folder / "app.py").write_text(APP)
    process = start(
        folder,
        "run",
        "app:services",
        "--journal",
        "app.journal",
        "--port",
        0,
        *arguments,
        **options,
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = list(_announcement(process.stdout))
        assert lines, process.stderr.read() if process.stderr else ""
        url = lines[0].removeprefix("Listening on ").partition(",")[0]
        yield Server(process, folder, lines, url)
    finally:
        end(process)
        watchdog.cancel()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def end(process: subprocess.Popen[str]) -> None:
    """As an operator who has no time; what a killed process has measured would be lost."""
    while process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def _announcement(stdout: IO[str]) -> Iterator[str]:
    """The first line, and one for each of the two services."""
    for line in stdout:
        yield line.rstrip("\n")
        if line.startswith("  Counter"):
            return
