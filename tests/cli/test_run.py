"""``durable-trio run`` as a process: serving, stopping, dying, and going on."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

from .server import APP, Server, finished, running, start

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


def post(url: str, path: str, **options: object) -> httpx.Response:
    return httpx.post(f"{url}{path}", timeout=30, trust_env=False, **options)  # type: ignore[arg-type]


def connected(server: Server) -> socket.socket:
    port = int(server.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def received(client: socket.socket) -> bytes:
    """Everything until the other side closes."""
    answer = b""
    while data := client.recv(65_536):
        answer += data
    return answer


def attached(url: str, invocation_id: str) -> object:
    path = f"{url}/restate/invocation/{invocation_id}/attach"
    return httpx.get(path, timeout=30, trust_env=False).json()


@BACKENDS
def test_it_tells_where_it_listens_and_serves(tmp_path: Path, backend: str) -> None:
    """One line with the URL and the journal, then the services; and then it answers."""
    with running(tmp_path, "--backend", backend) as server:
        answer = post(server.url, "/Work/echo", json="hello")

        assert "hello" == answer.json()
        assert re.fullmatch(
            rf"Listening on http://127\.0\.0\.1:\d+, journal app\.journal, {backend}",
            server.lines[0],
        )
        assert [
            "  Work     service: steps, wait, thread, echo, wrong, block, large",
            "  Counter  object: add",
        ] == server.lines[1:]
        assert 0 == server.stop()


def test_a_line_of_curl_works(tmp_path: Path) -> None:
    """The bytes that curl sends for Restate's ingress are answered as Restate would."""
    with running(tmp_path) as server, connected(server) as client:
        client.sendall(
            b"POST /Counter/my-key/add HTTP/1.1\r\n"
            b"Host: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n"
            b"content-type: application/json\r\nidempotency-key: once\r\n"
            b"Content-Length: 1\r\nConnection: close\r\n\r\n5"
        )
        answer = received(client)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nx-restate-id: inv_1" in head
    assert b"\r\nidempotency-expires: " in head
    assert b"5" == body


@BACKENDS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(tmp_path: Path, backend: str, number: int) -> None:
    """A running step finishes, the exit code is 0, and the invocation goes on later."""
    with running(tmp_path, "--backend", backend) as server:
        sent = post(server.url, "/Work/wait/send", json="job").json()["invocationId"]
        server.until("effects")
        server.process.send_signal(number)
        assert server.process.stderr is not None
        line = server.process.stderr.readline()
        (tmp_path / "job.go").touch()

        assert "stopping, within 10 s" in line
        assert 0 == server.process.wait(30)
    with running(tmp_path, "--backend", backend) as server:
        assert "job" == attached(server.url, sent)
        assert ["job", "job done"] == server.effects()


@BACKENDS
def test_the_grace_period_ends(tmp_path: Path, backend: str) -> None:
    """A step that does not finish in it is cut, and runs again at the next start."""
    with running(tmp_path, "--grace", "0.05", "--backend", backend) as server:
        sent = post(server.url, "/Work/wait/send", json="job").json()["invocationId"]
        server.until("effects")

        assert 0 == server.stop()
    (tmp_path / "job.go").touch()
    with running(tmp_path) as server:
        assert "job" == attached(server.url, sent)
        assert ["job", "job", "job done"] == server.effects()


@BACKENDS
def test_a_thread_that_goes_on_is_not_waited_for(tmp_path: Path, backend: str) -> None:
    """It cannot be aborted; after the grace period the process ends without it."""
    with running(tmp_path, "--grace", "0.05", "--backend", backend) as server:
        post(server.url, "/Work/thread/send")
        server.until("sleeping")

        assert 0 == server.stop()


@BACKENDS
def test_a_second_signal_stops_it_at_once(tmp_path: Path, backend: str) -> None:
    """With the code that shells use for the signal; nothing is lost."""
    with running(tmp_path, "--backend", backend, "--grace", 60) as server:
        sent = post(server.url, "/Work/wait/send", json="job").json()["invocationId"]
        server.until("effects")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stderr is not None
        server.process.stderr.readline()

        assert 128 + signal.SIGINT == server.stop(signal.SIGINT)
        assert "stopped at once" in server.errors
    (tmp_path / "job.go").touch()
    with running(tmp_path) as server:
        assert "job" == attached(server.url, sent)


@BACKENDS
def test_a_second_signal_works_while_a_handler_blocks_the_loop(
    tmp_path: Path, backend: str
) -> None:
    """The signals are not the event loop's to deliver."""
    with running(tmp_path, "--backend", backend) as server, connected(server) as client:
        client.sendall(b"POST /Work/block HTTP/1.1\r\nhost: localhost\r\n\r\n")
        server.until("blocked")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.stderr is not None
        server.process.stderr.readline()

        assert 128 + signal.SIGTERM == server.stop()


@BACKENDS
def test_whoever_waits_is_told_when_it_stops(tmp_path: Path, backend: str) -> None:
    """503 and the id to attach to, rather than a connection that breaks."""
    options = ("--grace", "0.05", "--backend", backend)
    with running(tmp_path, *options) as server, connected(server) as client:
        client.sendall(
            b"POST /Work/wait HTTP/1.1\r\nhost: localhost\r\n"
            b'content-type: application/json\r\ncontent-length: 5\r\n\r\n"job"'
        )
        server.until("effects")
        server.process.send_signal(signal.SIGTERM)
        answer = received(client)

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"x-restate-id: inv_1" in answer
        assert 0 == server.process.wait(30)


@BACKENDS
def test_nothing_is_lost_in_a_crash(tmp_path: Path, backend: str) -> None:
    """SIGKILL while it waits, then a restart: no step runs twice, and it goes on."""
    names = [f"step {number}" for number in range(20)]
    with running(tmp_path, "--backend", backend) as server:
        key = {"idempotency-key": "once"}
        sent = post(server.url, "/Work/steps/send", json=names, headers=key).json()
        counted = [post(server.url, "/Counter/k/add", json=1).json() for _ in range(3)]
        server.until("awakeable")

        assert -signal.SIGKILL == server.stop(signal.SIGKILL)
    with running(tmp_path, "--backend", {"trio": "asyncio", "asyncio": "trio"}[backend]) as server:
        again = post(server.url, "/Work/steps/send", json=names, headers=key).json()
        awakeable = (tmp_path / "awakeable").read_text()
        post(server.url, f"/restate/awakeables/{awakeable}/resolve", json="last")
        result = attached(server.url, sent["invocationId"])
        counted.append(post(server.url, "/Counter/k/add", json=1).json())

        assert [name.upper() for name in [*names, "last"]] == result
        assert sorted([*names, "last"]) == sorted(server.effects())
        assert [1, 2, 3, 4] == counted
        assert (sent["invocationId"], "PreviouslyAccepted") == (
            again["invocationId"],
            again["status"],
        )


def test_a_second_process_on_the_journal_is_refused(tmp_path: Path) -> None:
    """Exit code 10 and the process that has it; the first one goes on."""
    with running(tmp_path) as server:
        second = finished(tmp_path, "run", "app:services", "--journal", "app.journal", "--port", 0)

        assert 10 == second.returncode
        assert 1 == len(second.stderr.splitlines())
        assert f"open in another process (pid {server.process.pid})" in second.stderr
        assert "hello" == post(server.url, "/Work/echo", json="hello").json()


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    """Exit code 11, on one line, and the file is left alone."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app.journal").write_bytes(b"this is no database" * 100)
    result = finished(tmp_path, "run", "app.py:services", "--journal", "app.journal")

    assert 11 == result.returncode
    assert 1 == len(result.stderr.splitlines())
    assert result.stderr.startswith("durable-trio: ")
    assert (tmp_path / "app.journal").read_bytes().startswith(b"this is no database")


def test_a_newer_journal_is_told(tmp_path: Path) -> None:
    """Exit code 12: upgrade."""
    with running(tmp_path) as server:
        server.stop()
    connection = sqlite3.connect(tmp_path / "app.journal")
    connection.execute("PRAGMA user_version = 9999")
    connection.commit()
    connection.close()
    for arguments in (["run", "app:services", "--port", 0], ["ls"]):
        result = finished(tmp_path, *arguments, "--journal", "app.journal")

        assert 12 == result.returncode, result.stderr
        assert 1 == len(result.stderr.splitlines())
        assert "a newer durable_trio wrote it" in result.stderr


def test_a_journal_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Exit code 13: the directory is not there."""
    (tmp_path / "app.py").write_text(APP)
    result = finished(tmp_path, "run", "app:services", "--journal", "no/where/app.journal")

    assert 13 == result.returncode
    assert 1 == len(result.stderr.splitlines())
    assert "Create the directory first" in result.stderr


@BACKENDS
def test_a_full_disk_ends_it_with_a_reason(tmp_path: Path, backend: str) -> None:
    """Exit code 13 and one line; with room again everything goes on."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    with running(tmp_path, "--backend", backend, preexec_fn=limited) as server:
        kept = post(server.url, "/Counter/k/add", json=7).json()
        sent = post(server.url, "/Work/large/send", json=3_000_000).json()["invocationId"]

        assert 13 == server.process.wait(30)
        lines = server.errors.splitlines()
        assert 1 == len(lines), lines
        assert "app.journal: writing failed" in lines[0]
    with running(tmp_path, "--backend", backend) as server:
        assert 7 == kept
        assert 3_000_000 == len(str(attached(server.url, sent)))
        assert 8 == post(server.url, "/Counter/k/add", json=1).json()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """Exit code 2, with the port; the journal is closed properly."""
    with running(tmp_path) as server:
        port = server.url.rpartition(":")[2]
        second = finished(
            tmp_path, "run", "app:services", "--journal", "other.journal", "--port", port
        )

        assert 2 == second.returncode
        assert 1 == len(second.stderr.splitlines())
        assert f"port {port}" in second.stderr


def test_a_host_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Exit code 2, and it is the host that is blamed, not the port."""
    (tmp_path / "app.py").write_text(APP)
    result = finished(
        tmp_path, "run", "app:services", "--journal", "j", "--host", "nobody.invalid", "--port", 0
    )

    assert 2 == result.returncode
    assert "cannot listen on nobody.invalid" in result.stderr
    assert "no name or address of this machine" in result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_an_address_that_is_not_this_machines_is_told(tmp_path: Path) -> None:
    """No other port would help."""
    (tmp_path / "app.py").write_text(APP)
    result = finished(
        tmp_path, "run", "app:services", "--journal", "j", "--host", "192.0.2.7", "--port", 0
    )

    assert 2 == result.returncode
    assert "Cannot assign requested address. Choose an address of this machine." in result.stderr


def test_the_network_is_warned_of(tmp_path: Path) -> None:
    """Whoever listens on another address is told what that means."""
    with running(tmp_path, "--host", "0.0.0.0") as server:
        server.stop()

        assert "warning: 0.0.0.0 is open to the network" in server.errors


def test_a_signal_while_it_starts_is_not_lost(tmp_path: Path) -> None:
    """It may die of it, or stop properly, but it does not go on."""
    (tmp_path / "app.py").write_text(APP + "\nimport os, signal\nos.kill(os.getpid(), 15)\n")
    process = start(tmp_path, "run", "app:services", "--journal", "app.journal", "--port", 0)
    with process:
        process.communicate(timeout=30)

    assert process.returncode in {0, -signal.SIGTERM}


def test_it_can_log(tmp_path: Path) -> None:
    """On stderr, down to each request."""
    with running(tmp_path, "--log-level", "debug") as server:
        post(server.url, "/Work/echo", json="hello")
        server.stop()

        assert "POST /Work/echo: 200" in server.errors


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("app", "expected MODULE:SERVICES"),
        ("app:", "expected MODULE:SERVICES"),
        ("ap:services", "there is no module 'ap'"),
        ("ap.py:services", "there is no file ap.py"),
        ("app:servces", "Did you mean 'services'? Services in it: counter, services, work."),
        ("app:number", "it is int 5. Services in it: counter, services, work."),
        ("app:nothing", "it is list []"),
        ("app:work.steps", "it is Handler"),
        ("broken:services", "importing broken failed: ZeroDivisionError"),
        (
            "missing:services",
            "importing missing failed: ModuleNotFoundError: No module named 'nob'",
        ),
        ("wrong:services", "importing wrong failed: DefinitionError"),
        ("twice:services", "two services are named 'Work'"),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path: Path, reference: str, message: str) -> None:
    """Exit code 2; the last line says what was looked for and what is there."""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "broken.py").write_text("def fail():\n    1 / 0\n\nfail()\n")
    (tmp_path / "missing.py").write_text("import nob\n")
    (tmp_path / "wrong.py").write_text("from durable_trio import Service\nService('no name')\n")
    (tmp_path / "twice.py").write_text("from app import work\nservices = [work, work]\n")
    result = finished(tmp_path, "run", reference, "--journal", "app.journal", "--port", 0)

    assert 2 == result.returncode, result.stderr
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "app.journal").exists()


def test_an_error_in_the_module_is_shown_at_its_line(tmp_path: Path) -> None:
    """Only the user's own lines of the traceback."""
    (tmp_path / "broken.py").write_text("def fail():\n    1 / 0\n\nfail()\n")
    result = finished(tmp_path, "run", "broken.py:x", "--journal", "app.journal")

    assert 'broken.py", line 2, in fail' in result.stderr
    assert "importlib" not in result.stderr
    assert "_load.py" not in result.stderr


def test_a_file_is_served_as_well_as_a_module(tmp_path: Path) -> None:
    """It imports from its own directory, as a script does."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "app.py").write_text("from parts import services\n")
    (folder / "parts.py").write_text(APP)
    process = start(
        tmp_path, "run", "code/app.py:services", "--journal", "app.journal", "--port", 0
    )
    with process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert first.startswith("Listening on ")
    assert 0 == process.returncode


def test_the_journal_stays_out_of_childrens_hands(tmp_path: Path) -> None:
    """The process's descriptors are its own: a step's subprocess inherits none of them."""
    with running(tmp_path) as server:
        process = Path(f"/proc/{server.process.pid}")
        flags: list[int] = []
        for link in (process / "fd").iterdir():
            target = str(link.readlink())
            if "app.journal" in target or target.startswith("socket:"):
                lines = (process / "fdinfo" / link.name).read_text().splitlines()
                flags += [int(line.split()[1], 8) for line in lines if line.startswith("flags:")]

        assert flags
        assert all(flag & os.O_CLOEXEC for flag in flags)
