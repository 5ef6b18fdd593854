"""Invocations and state of a real server, as ``ls``, ``show`` and ``state`` show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from durable_trio import StoreVersionError
from durable_trio._cli._app import app
from durable_trio.abc import Failure, InvocationStatus
from durable_trio_restate._invocations import record_of

from .server import EndpointProcess, RestateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVICES = Path(__file__).parent / "looked_at.py"


class Looker:
    """The command, which asks one server."""

    def __init__(self, server: RestateServer) -> None:
        self.server = server
        self.admin = str(server.admin.base_url)

    def look(self, *arguments: object) -> Result:
        """The result of a command."""
        return CliRunner(env={"TERM": "xterm"}).invoke(
            app, [*map(str, arguments), "--admin", self.admin]
        )

    def ids(self, *options: object) -> list[str]:
        """Those that ``ls`` lists."""
        result = self.look("ls", "--json", *options)
        assert 0 == result.exit_code, result.output
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def looker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    """A server on which every await suspends."""
    folder = tmp_path_factory.mktemp("server")
    settings = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
    with (
        RestateServer(folder, settings) as server,
        EndpointProcess(_SERVICES, folder, "trio") as process,
    ):
        server.register(process.uri)
        yield Looker(server)


def test_what_is_in_flight(looker: Looker) -> None:
    """Who waits, who waits for a key, who starts later; and who was cancelled."""
    server = looker.server
    waiting = server.send("Drawers/it's/wait")
    server.until(
        f"SELECT status FROM sys_invocation WHERE id = '{waiting}'", [{"status": "suspended"}]
    )
    queued = server.send("Drawers/it's/put", 5)
    later = server.ingress.post("/Drawers/later/put/send?delay=1h", json=5).json()["invocationId"]
    shown = looker.look("show", waiting)
    behind = looker.look("show", queued)
    listed = looker.look("ls", "--key", "it's")
    scheduled = looker.look("ls", "--status", "scheduled").stdout
    cancelled = looker.look("cancel", waiting)
    server.attach(queued)

    assert 0 == shown.exit_code, shown.output
    assert f"{waiting}\n  target           Drawers/it's/wait\n" in shown.stdout
    assert "status           suspended" in shown.stdout
    assert "#1 input" in shown.stdout
    assert f"its turn: {waiting} holds the key" in behind.stdout
    assert [queued, waiting] == [line.split()[0] for line in listed.stdout.splitlines()[1:]]
    assert later in scheduled
    assert "Drawers/later/put  starts 20" in scheduled
    assert (0, f"{waiting}: asked to end\n") == (cancelled.exit_code, cancelled.stdout)
    assert "failure          409 " in looker.look("show", waiting).stdout


def test_what_has_ended(looker: Looker) -> None:
    """With its output, which is in its journal, or with its failure."""
    server = looker.server
    put, refused = server.send("Drawers/ended/put", 7), server.send("Drawers/ended/refuse")
    for each in (put, refused):
        server.attach(each)
    looked = [looker.look("show", each) for each in (put, refused)]
    listed = looker.look("ls", "--key", "ended").stdout

    assert "result           7\n" in looked[0].stdout, looked[0].output
    assert "set number = 7" in looked[0].stdout
    assert "failure          418 no drawer" in looked[1].stdout
    assert "Drawers/ended/refuse  ! 418 no drawer" in listed


def test_what_fails_is_told(looker: Looker) -> None:
    """Its last failure without the traceback, how often, and when it is tried again."""
    failing = looker.server.send("Drawers/failing/fail")
    query = f"SELECT status, retry_count > 0 AS failed FROM sys_invocation WHERE id = '{failing}'"
    looker.server.until(query, [{"status": "backing-off", "failed": True}])
    listed = looker.look("ls", "--status", "backing-off", "--key", "failing").stdout.splitlines()
    killed = looker.look("kill", failing)

    assert "500 ValueError: no luck" in listed[1]
    assert "failed attempt" in listed[1]
    assert "Traceback" not in listed[1]
    assert 0 == killed.exit_code, killed.output


def test_the_list_goes_on_from_page_to_page(looker: Looker) -> None:
    """Each is on one page, in the same order, also those of one millisecond."""
    sent = [looker.server.send("Drawers/pages/put", number) for number in range(7)]
    for each in sent:
        looker.server.attach(each)
    whole = looker.ids("--service", "Drawers", "--key", "pages", "--limit", 50)
    pages = [looker.ids("--key", "pages", "--limit", 3)]
    while pages[-1]:
        pages.append(looker.ids("--key", "pages", "--limit", 3, "--before", pages[-1][-1]))

    assert set(sent) == set(whole)
    assert whole == [each for page in pages for each in page]
    assert [] == looker.ids("--key", "pages", "--status", "running")
    assert [] == looker.ids("--service", "Nobody' OR 'a' = 'a")


def test_the_state_of_a_key(looker: Looker) -> None:
    """By name, as from a file."""
    looker.server.call("Drawers/a%2Fb/put", 9)
    shown = looker.look("state", "Drawers/a/b")
    nothing = looker.look("state", "Drawers/empty")

    assert (0, 'name    "a/b"\nnumber  9\n') == (shown.exit_code, shown.stdout)
    assert (0, "") == (nothing.exit_code, nothing.stdout)
    assert "has no state" in nothing.stderr


@pytest.mark.parametrize("arguments", [("show",), ("ls", "--before")])
def test_who_is_not_known(looker: Looker, arguments: tuple[str, ...]) -> None:
    """Exit code 3 for an id of nobody, 2 for what is none."""
    nobody = looker.look(*arguments, "inv_1" + "a" * 11 + "1" * 22)
    nonsense = looker.look(*arguments, "inv_1")

    assert (3, 2) == (nobody.exit_code, nonsense.exit_code), nobody.output + nonsense.output
    assert "knows no invocation" in nobody.stderr
    assert "durable-trio ls --admin" in nobody.stderr
    assert "it is 'inv_1' and 33 letters" in nonsense.stderr


def test_rows_as_records() -> None:
    """What is running or about to be is the same; a status of a newer server is refused."""
    row = {"id": "inv_1x", "target_service_name": "A", "target_handler_name": "b"}
    ready = record_of({**row, "status": "ready", "created_at": "2026-01-02T03:04:05.678Z"})
    strange = record_of({**row, "status": "paused", "last_failure": "it [500] broke"})

    assert InvocationStatus.RUNNING is ready.status
    assert 1767323045.678 == ready.created_at
    assert Failure(500, "it [500] broke") == strange.last_failure
    with pytest.raises(StoreVersionError, match=r"'dreaming', expected one of .* upgrade"):
        record_of({**row, "status": "dreaming"})
