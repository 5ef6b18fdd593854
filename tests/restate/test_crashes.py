"""Endpoint and server killed under load: nothing is lost, nothing is done twice."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .effects import Load, failed_attempts
from .server import EndpointProcess, RestateServer

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).with_name("crash_endpoint.py")
SOON = {
    "RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": "20ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_INTERVAL": "200ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_ATTEMPTS": "unlimited",
}
NOBODY_THERE = "error when calling"
"""Of an attempt that found no endpoint, so that it never began."""
V7 = {"RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true"}
IMPATIENT = {
    "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "100ms",
    "RESTATE_WORKER__INVOKER__ABORT_TIMEOUT": "500ms",
}
"""Over HTTP/1.1 a race against a body that hangs is decided when its attempt is given up."""


def killed(load: Load, kill: Callable[[], object]) -> None:
    """Kill something, and check afterwards that no durable step is executed again."""
    durable = load.durable()
    kill()
    before = load.executed()
    load.start(2)
    time.sleep(random.uniform(0.05, 0.4))

    assert set() == durable & set(load.executed() - before)


@pytest.mark.parametrize(
    ("backend", "settings", "http_11"),
    [("trio", {}, False), ("asyncio", V7, False), ("trio", IMPATIENT | V7, True)],
    ids=["trio-v6", "asyncio-v7", "trio-v7-request/response"],
)
def test_killed_under_load(
    backend: str, settings: dict[str, str], tmp_path: Path, *, http_11: bool
) -> None:
    """The endpoint again and again, and the server too: all results and effects are right."""
    effects = tmp_path / "effects"
    with (
        RestateServer(tmp_path, SOON | settings) as server,
        EndpointProcess(SCRIPT, tmp_path, backend, {"EFFECTS": str(effects)}) as process,
    ):
        server.register(process.uri, http_11=http_11)
        load = Load(server, effects)
        load.start(6)

        def restart_endpoint() -> None:
            process.stop(signal.SIGKILL)
            process.start()

        def restart_server() -> None:
            server.stop(signal.SIGKILL)
            server.start()

        def restart_both() -> None:
            server.stop(signal.SIGKILL)
            restart_endpoint()
            server.start()

        for kill in (restart_endpoint, restart_server, restart_endpoint, restart_both):
            killed(load, kill)
        load.check()


def test_stopped_under_load(backend: str, tmp_path: Path) -> None:
    """On SIGTERM attempts suspend or end: none fails, but for those that find nobody there."""
    effects = tmp_path / "effects"
    with (
        RestateServer(tmp_path, SOON) as server,
        EndpointProcess(SCRIPT, tmp_path, backend, {"EFFECTS": str(effects)}) as process,
    ):
        server.register(process.uri)
        load = Load(server, effects)
        for _ in range(3):
            load.start(6)
            assert process.stop(signal.SIGTERM) == 0
            process.start()
        load.check()

        # Twice is once too many: no body was cut short, and every result was stored.
        assert {1} == {count for step, count in load.executed().items() if "slow" not in step}
        assert [] == [error for error in failed_attempts(server) if NOBODY_THERE not in error]
