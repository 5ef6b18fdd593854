"""The conformance services against a real Restate server, in every way it talks to them."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .server import EndpointProcess, RestateServer

_SERVICES = Path(__file__).resolve().parents[1] / "conformance" / "services.py"
_ALWAYS_SUSPEND = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
_V7 = {"RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true"}


@pytest.mark.parametrize("http_11", [False, True])
@pytest.mark.parametrize("settings", [{}, _ALWAYS_SUSPEND, _V7, _V7 | _ALWAYS_SUSPEND])
def test_every_way_to_talk(
    backend: str, settings: dict[str, str], http_11: bool, tmp_path: Path
) -> None:
    """State, runs, combinators and cancellation, streamed or not, in V6 and V7."""
    with (
        RestateServer(tmp_path, settings) as server,
        EndpointProcess(_SERVICES, tmp_path, backend) as process,
    ):
        server.register(process.uri, http_11=http_11)
        assert server.call("Counter/a/add", 3) == {"oldValue": 0, "newValue": 3}
        assert server.call("Failing/a/sideEffectFailsAfterGivenAttempts", 3) == 3
        both = [
            {"type": "runThrowTerminalException", "reason": "no"},
            {"type": "sleep", "timeoutMillis": 10},
        ]
        program = {"commands": [{"type": "awaitAllCompleted", "commands": both}]}
        path = "VirtualObjectCommandInterpreter/a/interpretCommands"
        assert server.call(path, program) == "err:no|ok:sleep"
        runner = server.send("CancelTestRunner/a/startTest", "SLEEP")
        waiting = (
            "SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed' "
            "AND target_service_name LIKE 'CancelTest%'"
        )
        server.until(waiting, [{"n": 2}])
        server.cancel(runner)
        server.until(waiting, [{"n": 0}])
        assert server.call("CancelTestRunner/a/verifyTest") is True


def test_a_killed_endpoint(backend: str, tmp_path: Path) -> None:
    """An endpoint that is killed in a sleep goes on where it was when it is back."""
    with (
        RestateServer(tmp_path) as server,
        EndpointProcess(_SERVICES, tmp_path, backend) as process,
    ):
        server.register(process.uri)
        later = server.send("ServiceInterpreterHelper/echoLater", {"sleep": 500, "parameter": "x"})
        process.stop(signal.SIGKILL)
        process.start()
        assert server.attach(later).json() == "x"
