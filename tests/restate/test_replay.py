"""Journals of a real server, replayed here against the code of today."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from durable_trio._cli._app import app
from durable_trio.abc import (
    Completion,
    GetEagerState,
    GetEagerStateKeys,
    GetState,
    GetStateKeys,
    Run,
    SetState,
    Signal,
)
from durable_trio.testing import RecordedJournal
from durable_trio_restate._entries import COMMANDS

from .server import EndpointProcess, RestateServer

_SERVICES = Path(__file__).parent / "parcels.py"


class Deployed:
    """A server with the services of ``parcels.py``, and the command against it."""

    def __init__(self, server: RestateServer, kind: str) -> None:
        self.server = server
        self.seeds_are_drawn = kind == "drawn"
        self.state_is_lazy = kind == "V7"
        self.admin = str(server.admin.base_url)

    def run(self, command: str, *arguments: object, deployed: str = "first") -> Result:
        """The result of a command that is given the server and, if it takes them, the services."""
        given = [*map(str, arguments), "--admin", self.admin]
        return CliRunner(env={"PARCELS": deployed}).invoke(app, [command, *given])

    def replay(self, invocation_id: str, *options: object, deployed: str = "first") -> Result:
        """The result of replaying it."""
        target = f"{_SERVICES}:services"
        return self.run("replay", invocation_id, target, *options, deployed=deployed)

    def exported(self, invocation_id: str) -> RecordedJournal:
        """Its journal in the portable form."""
        result = self.run("export", invocation_id)
        assert 0 == result.exit_code, result.output
        return RecordedJournal.parse(result.stdout_bytes)


@pytest.fixture(scope="module", params=["V6", "V7", "drawn"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Servers that speak both versions, the newer one with lazy state, or draw their seeds."""
    settings = {
        "V6": {},
        "V7": {
            "RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true",
            "RESTATE_WORKER__INVOKER__DISABLE_EAGER_STATE": "true",
        },
        "drawn": {"RESTATE_EXPERIMENTAL_ENABLE_UNIQUE_RANDOM_SEEDS": "true"},
    }[request.param]
    folder = tmp_path_factory.mktemp("server")
    with (
        RestateServer(folder, settings) as server,
        EndpointProcess(_SERVICES, folder, "trio") as process,
    ):
        server.register(process.uri)
        yield Deployed(server, request.param)


def shipped(deployed: Deployed, key: str, **headers: str) -> tuple[str, str]:
    """An invocation that waits for its awakeable, and the awakeable's id."""
    server = deployed.server
    invocation_id = server.send(f"Parcels/{key}/ship", "A-17", **headers)
    waiting = "SELECT count(*) AS n FROM sys_journal WHERE id = '{}' AND entry_type = '{}'"
    server.until(waiting.format(invocation_id, "Notification: Sleep"), [{"n": 2}])
    labels = [
        entry.content.decode().strip('"')
        for entry in deployed.exported(invocation_id).entries
        if isinstance(entry, SetState) and entry.key == "label"
    ]
    return invocation_id, labels[0].split(" ")[-1]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_in_flight_and_completed(deployed: Deployed, backend: str) -> None:
    """State, chance, ids and timers are those of the server, whatever it speaks."""
    invocation_id, awakeable = shipped(deployed, backend, idempotency_key=backend)
    waiting = deployed.replay(invocation_id, "--backend", backend)
    changed = deployed.replay(invocation_id, "--backend", backend, deployed="weighed")
    deployed.server.ingress.post(f"/restate/awakeables/{awakeable}/resolve", json="Baker Street")
    answer = deployed.server.attach(invocation_id)
    ended = deployed.replay(invocation_id, "--backend", backend)

    assert answer.is_success, answer.text
    assert 1 == changed.exit_code
    assert "- Run('pack', completion_id=" in changed.stdout
    assert "+ Run('weigh', completion_id=" in changed.stdout
    if deployed.seeds_are_drawn:
        for result in (waiting, ended):
            assert 1 == result.exit_code
            assert "SetState('', key='label', content=" in result.stdout
            assert "The random seed of this invocation is not known" in result.stdout
        return

    assert (0, 0) == (waiting.exit_code, ended.exit_code), waiting.output + ended.output
    assert "replays cleanly up to where it waits" in waiting.stdout
    assert f"waits for awakeable {awakeable}, at {_SERVICES}:" in waiting.stdout
    assert "replays cleanly to its end" in ended.stdout


def test_every_kind_of_entry(deployed: Deployed) -> None:
    """One invocation that does everything replays to its end."""
    invocation_id = deployed.server.send("Journeys/all/travel")
    answer = deployed.server.attach(invocation_id)
    result = deployed.replay(invocation_id)

    assert ["stamp", "visa", "hello", "now 410 418", "later", "later", "woken"] == answer.json()
    assert 0 == result.exit_code, result.output
    assert "replays cleanly to its end" in result.stdout
    kinds = {type(entry) for entry in deployed.exported(invocation_id).entries}
    lazily = (
        {GetState, GetStateKeys} if deployed.state_is_lazy else {GetEagerState, GetEagerStateKeys}
    )
    assert set(COMMANDS) - {GetState, GetStateKeys, GetEagerState, GetEagerStateKeys} | lazily == (
        kinds - {Completion, Signal}
    )


def test_it_stops_in_the_debugger(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before an entry of an invocation that waits on the server, which knows nothing of it."""
    stops: list[tuple[object, object]] = []

    def debugger() -> None:
        here = sys._getframe(1).f_locals
        stops.append((here["number"], here["recorded"]))

    monkeypatch.setattr("sys.breakpointhook", debugger)
    invocation_id, awakeable = shipped(deployed, "stopped")
    entries = deployed.exported(invocation_id).entries
    [at] = [place for place, entry in enumerate(entries, 1) if isinstance(entry, Run)]
    result = deployed.replay(invocation_id, "--at", at)
    deployed.server.ingress.post(f"/restate/awakeables/{awakeable}/resolve", json="x")

    assert [(at, entries[at - 1])] == stops, result.output
    assert deployed.server.attach(invocation_id).is_success


def test_a_long_journal_is_read_whole(deployed: Deployed) -> None:
    """It takes more than one question."""
    invocation_id = deployed.server.send("Parcels/long/count", 300)
    assert 300 == deployed.server.attach(invocation_id).json()
    result = deployed.replay(invocation_id)

    assert 0 == result.exit_code, result.output
    assert "replays cleanly to its end (602 entries)" in result.stdout


def test_what_is_in_flight_is_checked_and_exported(deployed: Deployed, tmp_path: Path) -> None:
    """All that has not completed, on the server and from its exports alike."""
    resting = deployed.server.send("Parcels/resting/rest")
    sleeping = f"SELECT count(*) AS n FROM sys_journal WHERE id = '{resting}'"
    deployed.server.until(sleeping, [{"n": 2}])
    exported = deployed.run("export", "--unfinished", "-o", tmp_path)
    checked = deployed.run("check", f"{_SERVICES}:services", "--verbose")
    locally = CliRunner().invoke(app, ["check", "-v", str(tmp_path), f"{_SERVICES}:services"])
    deployed.server.cancel(resting)
    deployed.server.attach(resting)
    later = deployed.run("check", f"{_SERVICES}:services", "--verbose")

    assert 0 == exported.exit_code, exported.output
    assert (tmp_path / f"{resting}.jsonl").is_file()
    for result in (checked, locally):
        assert 0 == result.exit_code, result.output
        assert f"{resting}" in result.stdout
        assert "waits for sleep, at " in result.stdout
    assert resting not in later.stdout
    cancelled = deployed.replay(resting)
    assert "replays cleanly to its end (4 entries)" in cancelled.stdout, cancelled.output


def test_what_there_is_not(deployed: Deployed) -> None:
    """Unknown and malformed ids, and nobody there, in one line each."""
    known = deployed.server.send("Parcels/known/count", 0)
    unknown = known[:-3] + "000"
    answers = [
        (deployed.replay(unknown), 3, f"knows no invocation {unknown}"),
        (deployed.replay("inv_1' OR 1=1"), 2, "is no invocation id of a Restate server"),
        (deployed.run("export", "inv_1" + "Z" * 33), 2, "is no invocation id"),
    ]
    ingress = str(deployed.server.ingress.base_url)
    told = "at its admin port: say --admin http://...:9070"
    answers.append((CliRunner().invoke(app, ["purge", known, "--url", ingress]), 3, told))
    deployed.admin = ingress
    answers.append((deployed.replay(known), 2, "Is that the admin port of a Restate server, 9070"))
    deployed.admin = "http://127.0.0.1:1"
    try:
        answers.append((deployed.replay(known), 5, "no connection to http://127.0.0.1:1"))
    finally:
        deployed.admin = str(deployed.server.admin.base_url)
    for result, code, message in answers:
        assert code == result.exit_code, result.output
        assert message in result.stderr
        assert 1 == len(result.stderr.splitlines())
