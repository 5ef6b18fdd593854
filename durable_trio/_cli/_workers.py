"""Worker processes that share listening sockets.

Owns starting, watching, restarting and stopping them, and what a worker is told by its
environment. What a worker serves is ``_serve.py``'s.

 1. A worker that ends unasked is started again, at once the first time, then ever later;
    one that cannot start at all, because of how the command was used, ends the command.
 2. Workers are in a session of their own: a Ctrl-C is for the supervisor, which tells them.
 3. A worker whose supervisor is gone, however it went, stops by itself.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

import anyio
import attrs

from ._exits import USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import Process

_log = logging.getLogger("durable_trio.serve")

_VARIABLE: Final = "DURABLE_TRIO_WORKER"

_FIRST_DELAY: Final = 0.5
_LAST_DELAY: Final = 30.0
_STEADY: Final = 60.0
"""Seconds after which a worker that ends is taken to have started well."""
_MARGIN: Final = 10.0
"""Seconds beyond the grace period, after which a worker is killed."""


@attrs.frozen
class Worker:
    """What a worker knows of itself."""

    number: int
    sockets: tuple[int, ...]
    """File descriptors that listen."""
    lifeline: int
    """A file descriptor that ends with the supervisor."""

    @classmethod
    def current(cls) -> Self | None:
        """This process as a worker; None if it is none."""
        text = os.environ.pop(_VARIABLE, None)
        if text is None:
            return None

        fields = json.loads(text)
        return cls(fields["number"], tuple(fields["sockets"]), fields["lifeline"])

    def open_sockets(self) -> list[socket.socket]:
        """The sockets that listen."""
        return [socket.socket(fileno=number) for number in self.sockets]

    async def until_orphaned(self) -> None:
        """Return when the supervisor is gone."""
        await anyio.wait_readable(self.lifeline)


class Supervisor:
    """Keeps ``count`` workers running until told to stop."""

    def __init__(self, count: int, sockets: Sequence[socket.socket], grace: float) -> None:
        self._count = count
        self._sockets = sockets
        self._grace = grace
        self._running: dict[int, Process] = {}
        self._stopping = anyio.Event()
        self.failed: int | None = None
        """The exit code of a worker that cannot start."""

    async def run(self, stop: anyio.Event) -> None:
        """Return when ``stop`` is set, or a worker cannot start, and all of them have ended."""
        reading, writing = os.pipe()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._wait, stop)
                async with anyio.create_task_group() as keepers:
                    for number in range(1, self._count + 1):
                        keepers.start_soon(self._keep, number, reading)
                    await self._stopping.wait()
                    for each in self._sockets:
                        each.close()
                    self._send(signal.SIGTERM)
                    keepers.cancel_scope.deadline = anyio.current_time() + self._grace + _MARGIN
                tasks.cancel_scope.cancel()
        finally:
            os.close(reading)
            os.close(writing)

    def kill(self) -> None:
        """End all of them at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for process in tuple(self._running.values()):
            with suppress(ProcessLookupError):
                process.send_signal(number)

    async def _wait(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._stopping.set()

    async def _keep(self, number: int, lifeline: int) -> None:
        delay = 0.0
        while not self._stopping.is_set():
            began = anyio.current_time()
            code = await self._run(number, lifeline)
            if self._stopping.is_set():
                return

            if code == USAGE:
                self.failed = code
                self._stopping.set()
                return

            if anyio.current_time() - began >= _STEADY:
                delay = 0.0
            _log.error("worker %d ended (%s); restarting in %g s", number, _ending(code), delay)
            with anyio.move_on_after(delay):
                await self._stopping.wait()
            delay = min(max(_FIRST_DELAY, delay * 2), _LAST_DELAY)

    async def _run(self, number: int, lifeline: int) -> int:
        """One life of a worker; its exit code."""
        sockets = [each.fileno() for each in self._sockets]
        fields = {"number": number, "sockets": sockets, "lifeline": lifeline}
        process = await anyio.open_process(
            [sys.executable, "-m", "durable_trio", *sys.argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=None,
            stderr=None,
            env={**os.environ, _VARIABLE: json.dumps(fields)},
            pass_fds=[*sockets, lifeline],
            start_new_session=True,
        )
        self._running[number] = process
        try:
            if self._stopping.is_set():
                process.terminate()
            return await process.wait()
        finally:
            del self._running[number]
            if process.returncode is None:
                process.kill()


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"

    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
