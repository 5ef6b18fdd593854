"""Failing and NonDeterministic: errors for good, retries, and journals that do not match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.restate.server import eventually

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

    from .conftest import Deployment

FAILURE = {"errorMessage": "for good", "metadata": {"who": "me", "why": "because"}}


@pytest.mark.parametrize(
    "handler",
    ["terminallyFailingCall", "callTerminallyFailingCall", "terminallyFailingSideEffect"],
)
@pytest.mark.parametrize(
    "failure", [FAILURE, {"errorMessage": "for good", "metadata": None}, {"errorMessage": "x y"}]
)
def test_a_terminal_error(restate: RestateServer, handler: str, failure: dict[str, Any]) -> None:
    """Message, code and metadata come through calls and runs, and nothing is retried."""
    response = restate.post(f"Failing/terminal/{handler}", failure)
    body = response.json()

    assert response.status_code == 500
    assert failure["errorMessage"] in body["message"]
    assert (failure.get("metadata") or {}) == body.get("metadata", {})


def test_an_ordinary_error_is_retried(restate: RestateServer) -> None:
    """The fourth attempt succeeds, each time."""
    assert restate.call("Failing/retried/failingCallWithEventualSuccess") == 4
    assert restate.call("Failing/retried/failingCallWithEventualSuccess") == 4


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_run_is_retried(restate: RestateServer, attempts: int) -> None:
    """Until its action succeeds."""
    path = "Failing/run/sideEffectSucceedsAfterGivenAttempts"

    assert restate.call(path, attempts) >= attempts


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_a_run_gives_up(restate: RestateServer, attempts: int) -> None:
    """After exactly as many attempts as its policy says."""
    path = "Failing/run/sideEffectFailsAfterGivenAttempts"
    before = restate.call(path, attempts)

    assert restate.call(path, attempts) - before == attempts


@pytest.mark.parametrize(
    "handler",
    [
        "setDifferentKey",
        "backgroundInvokeWithDifferentTargets",
        "callDifferentMethod",
        "eitherSleepOrCall",
    ],
)
def test_another_way_than_the_journal(deployment: Deployment, handler: str) -> None:
    """An attempt that goes another way is found out before it does anything."""
    restate = deployment.server
    key = f"nd-{handler}"
    running = restate.send(f"NonDeterministic/{key}/{handler}")
    assert restate.attach(running).is_success

    # Whichever attempts matched, the last step was reached once.
    eventually(lambda: restate.call(f"Counter/{key}/get"), 1)
    mismatches = restate.query(
        f"SELECT event_json FROM sys_journal_events WHERE id = '{running}' "
        "AND event_type = 'TransientError'"
    )
    if not deployment.configuration.replays:
        assert mismatches == []
        return

    assert any("RT0016" in row["event_json"] for row in mismatches), mismatches
