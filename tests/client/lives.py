"""Servers that are killed and started again, each in processes of its own.

Owns the two kinds: the embedded runtime as ``durable-trio run`` has it, and a Restate server.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx

from tests.restate.server import EndpointProcess, RestateServer, free_port, wait_for

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SERVICES = Path(__file__).with_name("services.py")


class Lives(Protocol):
    """A server with more than one life. A context manager."""

    ingress: str
    admin: str

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def start(self) -> None:
        """Start it again, where it was and with what it had; returns when it answers."""
        ...


class EmbeddedLives:
    """The embedded runtime."""

    def __init__(self, folder: Path, backend: str) -> None:
        self._folder = folder
        self._backend = backend
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.ingress = self.admin = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        log = self._folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "durable_trio", "run", f"{SERVICES}:services"),
                    *("--journal", self._folder / "journal", "--port", str(self._port)),
                    *("--backend", self._backend),
                ],
                stdout=output,
                stderr=output,
            )
        url = f"{self.ingress}/restate/health"
        wait_for(lambda: httpx.get(url).is_success, "the runtime", self._process, log)


class RestateLives:
    """A Restate server. Its endpoint lives on."""

    def __init__(self, folder: Path, backend: str) -> None:
        self._server = RestateServer(folder)
        self._endpoint = EndpointProcess(SERVICES, folder, backend)
        self.ingress = str(self._server.ingress.base_url)
        self.admin = str(self._server.admin.base_url)

    def __enter__(self) -> Self:
        self._endpoint.start()
        try:
            self._server.__enter__()
            self._server.register(self._endpoint.uri)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__(None, None, None)
        self._endpoint.stop()

    def kill(self) -> None:
        self._server.stop(signal.SIGKILL)

    def start(self) -> None:
        self._server.start()
