"""``durable-trio serve`` as a process of its own, and the application it serves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import attrs
import httpx

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

APP = '''
"""An application whose step waits for a file."""

import os
from pathlib import Path

import anyio

from durable_trio import Context, Service

FOLDER = Path(__file__).parent
if (FOLDER / "broken").exists() and "DURABLE_TRIO_WORKER" in os.environ:
    raise LookupError("this application starts only once")

work = Service("Work")


async def wait_for_go() -> str:
    (FOLDER / "started").touch()
    while not (FOLDER / "go").exists():
        await anyio.sleep(0.005)
    return "done"


@work.handler
async def wait(ctx: Context) -> str:
    ctx.log.info("waiting for %s", "go", extra={"colour": "red"})
    return await ctx.run(wait_for_go)


@work.handler
async def hello(ctx: Context, name: str) -> str:
    return f"hello {name}"


services = [work]
nothing = 5
'''


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "durable_trio", "serve", *map(str, arguments)]


def finished(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    (folder / "app.py").write_text(APP)
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@attrs.define(eq=False)
class Serving:
    """A process that serves."""

    process: subprocess.Popen[str]
    folder: Path
    url: str
    lines: list[str]
    log: Path

    def get(self, path: str) -> httpx.Response:
        """The answer to a request on a connection of its own."""
        return httpx.get(f"{self.url}{path}", timeout=30, trust_env=False)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def records(self) -> list[dict[str, Any]]:
        """What it has logged, with ``--log-format json``."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def until_records(self, text: str, count: int) -> list[dict[str, Any]]:
        """The records that have this in their message, once there are so many of them."""
        while True:
            found = [record for record in self.records() if text in record["message"]]
            if len(found) >= count:
                return found

            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)  # a spinning test takes the processor from its process

    def until(self, name: str) -> None:
        """Wait for a file that the application makes."""
        while not (self.folder / name).exists():
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.01)  # a spinning test takes the processor from its process


@contextmanager
def serving(folder: Path, *arguments: object, scheme: str = "http") -> Generator[Serving]:
    """``durable-trio serve`` on a free port, until the block ends."""
    (folder / "app.py").write_text(APP)
    log = folder / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command("app.py:services", "--port", 0, "--log-format", "json", *arguments),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip("\n") for _ in range(2)]
        assert lines[0].startswith(f"Serving on {scheme}://"), log.read_text()
        url = lines[0].removeprefix("Serving on ").partition(",")[0]
        yield Serving(process, folder, url, lines, log)
    finally:
        end(process)
        watchdog.cancel()
        _close(process.stdout)


def end(process: subprocess.Popen[Any]) -> None:
    """As an operator who has no time; what a killed process has measured would be lost."""
    while process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()
