"""Endpoint processes under measurement: started, and asked for their processor time and memory.

Owns one process each, with all that it has started. Linux only: another process's
processor clock is read to the nanosecond, threads that have ended included.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

_PATIENCE = 30.0
"""Seconds until a process that does not listen is given up."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def processor_time(pid: int) -> float:
    """Seconds of processor time, user and system, that a process has used so far."""
    # The encoding of clock_getcpuclockid(3), which Python has for threads only.
    return time.clock_gettime(~pid << 3 | 2)


@attrs.define(eq=False)
class Process:
    """A command that listens on ``port``. A context manager."""

    command: Sequence[str]
    port: int
    log: Path
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=output,
            )
        try:
            self._until_listening()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            # The peers wait for requests that are parked.
            for pid in reversed(self._pids()):
                os.kill(pid, signal.SIGKILL)
            self._process.wait()

    def cpu(self) -> float:
        """Seconds of processor time, user and system, it has used so far."""
        return sum(map(processor_time, self._pids()))

    def resident(self) -> int:
        """Bytes that are in memory."""
        return sum(
            int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
            for pid in self._pids()
        )

    def _pids(self) -> list[int]:
        """The process and those below it, each after its parent."""
        assert self._process is not None
        found = [self._process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in task.read_text("ascii").split())
        return found

    def _until_listening(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", self.port)) == 0:
                    return

            time.sleep(0.05)
        raise RuntimeError(f"{' '.join(self.command)} did not start:\n{self.log.read_text()}")
