"""``durable-trio serve`` as a process: serving, stopping, workers, registration."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from durable_trio._cli._app import app

from .certificate import write_certificate
from .command import APP, Serving, finished, serving
from .served import read, start_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MEDIA = "application/vnd.restate.invocation.v6"


def invoke(server: Serving, handler: str) -> socket.socket:
    """An attempt over HTTP/1.1, whose request is complete."""
    body = start_of()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client.sendall(
        f"POST /invoke/Work/{handler} HTTP/1.1\r\nhost: me\r\nconnection: close\r\n"
        f"content-type: {MEDIA}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return client


def rest(client: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    with client:
        while data := client.recv(65_536):
            answer += data
    return answer


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("backend", "workers"), [("trio", 1), ("asyncio", 2)])
def test_it_serves(tmp_path: Path, backend: str, workers: int) -> None:
    """It says where and what, answers there, and ends with 0 when told to."""
    with serving(tmp_path, "--backend", backend, "--workers", workers) as server:
        ending = f", {workers} workers" if workers > 1 else ""
        assert server.lines == [
            f"Serving on http://127.0.0.1:{server.port}, {backend}{ending}",
            "  Work  service: wait, hello",
        ]
        assert server.get("/health").text == "ok"
        manifest = server.get("/discover").json()
        assert [service["name"] for service in manifest["services"]] == ["Work"]
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("backend", "workers", "number"),
    [("trio", 1, signal.SIGTERM), ("asyncio", 1, signal.SIGINT), ("trio", 2, signal.SIGTERM)],
)
def test_a_graceful_end(tmp_path: Path, backend: str, workers: int, number: int) -> None:
    """A body at work ends first, and its attempt is suspended, not failed."""
    with serving(tmp_path, "--backend", backend, "--workers", workers) as server:
        client = invoke(server, "wait")
        server.until("started")
        server.process.send_signal(number)
        while "stopping, within 10 s" not in server.log.read_text():
            assert server.process.poll() is None
            time.sleep(0.01)
        (tmp_path / "go").touch()
        answer = rest(client)
        assert server.process.wait(30) == 0

    body = answer.partition(b"\r\n\r\n")[2]
    messages = [type(message).__name__ for message in read(dechunked(body))]
    assert messages == ["Run", "ProposeRunCompletionMessage", "AwaitTree"]
    (record,) = [each for each in server.records() if "waiting" in each["message"]]
    assert (record["message"], record["invocation_id"]) == ("waiting for go", "inv_1")
    assert (record["logger"], record["colour"]) == ("durable_trio.handler.Work", "red")
    assert [each for each in server.records() if each["level"] in {"warning", "error"}] == []


def dechunked(body: bytes) -> bytes:
    """The content of a chunked body."""
    content = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        content += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return content


def test_the_grace_period(tmp_path: Path) -> None:
    """A body that does not end in it is cut."""
    with serving(tmp_path, "--grace", "0.05") as server:
        client = invoke(server, "wait")
        server.until("started")

        assert server.stop() == 0
        with suppress(ConnectionResetError):
            assert b"ProposeRun" not in rest(client)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal(tmp_path: Path, workers: int) -> None:
    """It ends at once, with its workers."""
    with serving(tmp_path, "--workers", workers) as server:
        client = invoke(server, "wait")
        server.until("started")
        server.process.send_signal(signal.SIGTERM)
        while "stopping, within 10 s" not in server.log.read_text():
            assert server.process.poll() is None
            time.sleep(0.01)

        assert server.stop() == 128 + signal.SIGTERM
        with suppress(ConnectionResetError):
            rest(client)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["app.py"], 2, "expected MODULE:SERVICES"),
        (["absent.py:services"], 2, "there is no file absent.py"),
        (["absent:services"], 2, "there is no module 'absent'"),
        (["app.py:servces"], 2, "Did you mean 'services'?"),
        (["app.py:nothing"], 2, "must be a Service"),
        (["app.py:services", "--identity-key", "secret"], 2, "publickeyv1_"),
        (["app.py:services", "--tls-cert", "absent.pem"], 2, "absent.pem"),
        (["app.py:services", "--tls-key", "key.pem"], 2, "--tls-key goes with --tls-cert FILE"),
        (["app.py:services", "--uri", "http://me"], 2, "--uri goes with --register URL"),
        (["app.py:services", "--force"], 2, "--force goes with --register URL"),
        (["app.py:services", "--register", "nonsense"], 2, "'nonsense' is no URL of a server"),
        (["app.py:services", "--host", "nobody.invalid"], 2, "is no name or address of this"),
        (["app.py:services", "--tls-cert", "app.py"], 2, "cannot use the TLS certificate app.py"),
        (["app.py:services", "--host", "192.0.2.7"], 2, "Choose an address of this machine."),
    ],
)
def test_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, text: str
) -> None:
    """One line that says what is wrong, and an exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "app.py").write_text(APP)
    result = CliRunner().invoke(app, ["serve", *arguments])

    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("durable-trio: ")
    assert text in line


def test_a_port_in_use(tmp_path: Path) -> None:
    """One line, before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = finished(tmp_path, "app.py:services", "--port", port, "--workers", 2)

    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line


def test_an_open_host(tmp_path: Path) -> None:
    """Listening on the network without keys is warned of."""
    with serving(tmp_path, "--host", "0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.get("/health").text == "ok"
        assert "no --identity-key is set" in server.log.read_text()


def test_tls(tmp_path: Path) -> None:
    """With a certificate it is served over TLS."""
    certificate, key = write_certificate(tmp_path)
    with serving(tmp_path, "--tls-cert", certificate, "--tls-key", key, scheme="https") as server:
        context = ssl.create_default_context(cafile=str(certificate))
        answer = httpx.get(f"{server.url}/health", verify=context, trust_env=False)

        assert answer.text == "ok"


# -- workers


def test_a_worker_that_dies(tmp_path: Path, backend: str) -> None:
    """It is replaced at once; nobody is refused meanwhile."""
    with serving(tmp_path, "--workers", 2, "--backend", backend) as server:
        first = {each["pid"] for each in server.until_records(" serves", 2)}
        assert server.process.pid not in first
        os.kill(min(first), signal.SIGKILL)
        assert server.get("/health").text == "ok"
        all_of_them = {each["pid"] for each in server.until_records(" serves", 3)}
        (record,) = server.until_records("restarting", 1)
        assert record["message"].endswith("ended (SIGKILL); restarting in 0 s")
        assert server.stop() == 0
        assert not any(alive(pid) for pid in all_of_them)


def test_a_supervisor_that_dies(tmp_path: Path) -> None:
    """Its workers end by themselves."""
    with serving(tmp_path, "--workers", 2) as server:
        pids = {each["pid"] for each in server.until_records(" serves", 2)}
        server.stop(signal.SIGKILL)
        while any(alive(pid) for pid in pids):
            time.sleep(0.01)  # a spinning test takes the processor from its process


def test_a_worker_that_cannot_start(tmp_path: Path) -> None:
    """That is no matter of trying again: the command ends, and says why."""
    (tmp_path / "broken").touch()
    result = finished(tmp_path, "app.py:services", "--port", 0, "--workers", 2)

    assert result.returncode == 2
    assert "LookupError: this application starts only once" in result.stderr
    assert result.stderr.splitlines()[-1] == "durable-trio: a worker cannot start: see above"


# -- registration


@contextmanager
def admin(port: int, status: int, answer: object) -> Generator[list[tuple[str, dict[str, object]]]]:
    """An admin port that answers every registration like this, and what it was asked."""
    asked: list[tuple[str, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["content-length"])
            asked.append((self.path, json.loads(self.rfile.read(size))))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield asked
        server.shutdown()
        thread.join()


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize(("backend", "workers"), [("trio", 2), ("asyncio", 1)])
def test_registration(tmp_path: Path, backend: str, workers: int) -> None:
    """A server that is not there yet is waited for, and the outcome is told."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["--backend", backend, "--workers", workers, "--register", url, "--force"]
    with serving(tmp_path, *arguments) as server:
        server.until_records("not registered yet", 1)
        with admin(port, 201, {"id": "dp_1", "services": [{"name": "Work"}]}) as asked:
            line = server.line()

        assert line == f"Registered {server.url} with {url}: dp_1, Work\n"
        path, body = asked[0]
        assert path == "/deployments"
        assert (body["uri"], body["force"]) == (server.url, True)
        assert server.stop() == 0


def test_another_uri(tmp_path: Path) -> None:
    """The server may know this endpoint by another name."""
    port = free_port()
    with (
        admin(port, 201, {"id": "dp_1", "services": []}) as asked,
        serving(
            tmp_path, "--register", f"http://127.0.0.1:{port}", "--uri", "http://me:1/there"
        ) as server,
    ):
        assert "http://me:1/there" in server.line()
        assert server.stop() == 0

    assert asked[0][1]["uri"] == "http://me:1/there"


def test_a_registration_that_is_refused(tmp_path: Path) -> None:
    """It is told why, and nothing is served."""
    port = free_port()
    with admin(port, 409, {"message": "there is one already", "restate_code": "META0004"}):
        url = f"http://127.0.0.1:{port}"
        arguments = ["app.py:services", "--port", 0, "--workers", 2, "--register", url]
        result = finished(tmp_path, *arguments)

    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"durable-trio: {url} does not register http://127.0.0.1:")
    assert last.endswith("there is one already")


def test_a_registration_at_the_wrong_port(tmp_path: Path) -> None:
    """An ingress knows no deployments, and which port would is told."""
    port = free_port()
    with admin(port, 400, {"message": "bad path: /deployments"}):
        url = f"http://127.0.0.1:{port}"
        result = finished(tmp_path, "app.py:services", "--port", 0, "--register", url)

    assert result.returncode == 1
    assert "bad path: /deployments. Is that the admin port" in result.stderr
