"""CancelTest and KillTest: trees of calls, unwound by a cancellation or ended by a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.restate.server import eventually

from .programs import awakeable_id, start
from .test_commands import FOR_LONG

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

UNFINISHED = (
    "SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed' "
    "AND target_service_key = '{}'"
)


def block(restate: RestateServer, key: str, operation: str) -> str:
    """Start the runner, and let the callee go on to where it blocks."""
    runner = restate.send(f"CancelTestRunner/{key}/startTest", operation)
    eventually(lambda: restate.call(f"AwakeableHolder/{key}/hasAwakeable"), True)
    restate.call(f"AwakeableHolder/{key}/unlock", "go")
    return runner


@pytest.mark.parametrize("operation", ["CALL", "SLEEP", "AWAKEABLE"])
def test_a_cancelled_tree(restate: RestateServer, operation: str) -> None:
    """The runner hears of it and ends normally; both objects are free."""
    key = f"cancel-{operation}"
    runner = block(restate, key, operation)
    blocked = "SELECT count(*) AS n FROM sys_invocation WHERE {} AND target_service_key = '{}'"
    restate.until(
        blocked.format("target_handler_name = 'block'", key),
        [{"n": 2 if operation == "CALL" else 1}],
    )
    restate.cancel(runner)

    assert restate.attach(runner).status_code == 200
    assert restate.call(f"CancelTestRunner/{key}/verifyTest") is True
    assert restate.call(f"CancelTestBlockingService/{key}/isUnlocked") is None
    restate.until(UNFINISHED.format(key), [{"n": 0}])
    ends = restate.query(
        "SELECT completion_failure FROM sys_invocation "
        f"WHERE target_handler_name = 'block' AND target_service_key = '{key}'"
    )
    assert all("cancelled" in end["completion_failure"].lower() for end in ends), ends


def test_a_callee_that_is_cancelled_itself(restate: RestateServer) -> None:
    """Its caller sees an error with code 409."""
    key = "callee"
    runner = block(restate, key, "SLEEP")
    [callee] = restate.query(
        "SELECT id FROM sys_invocation WHERE target_service_key = 'callee' "
        "AND target_handler_name = 'block'"
    )
    restate.cancel(callee["id"])

    assert restate.attach(runner).status_code == 200
    assert restate.call(f"CancelTestRunner/{key}/verifyTest") is True


def test_nothing_was_cancelled(restate: RestateServer) -> None:
    """The runner says so."""
    assert restate.call("CancelTestRunner/fresh/verifyTest") is False
    assert restate.post("CancelTestRunner/fresh/startTest", "NOTHING").status_code == 400


def test_a_handler_cancels_an_invocation(restate: RestateServer) -> None:
    """Through its context; not caught, the invocation ends with 409."""
    waiting = {"type": "awaitOne", "command": {"type": "sleep", "timeoutMillis": FOR_LONG}}
    running = start(restate, "cancelled", waiting)
    restate.until(
        f"SELECT count(*) AS n FROM sys_journal WHERE id = '{running}' "
        "AND entry_type = 'Command: Sleep'",
        [{"n": 1}],
    )
    restate.call("TestUtilsService/cancelInvocation", running)

    ended = restate.attach(running)
    assert ended.status_code == 409


def test_cancelling_a_wait_for_an_awakeable(restate: RestateServer) -> None:
    """Its key is free afterwards."""
    waiting = {
        "type": "awaitOne",
        "command": {"type": "createAwakeable", "awakeableKey": "a"},
    }
    running = start(restate, "free", waiting)
    awakeable_id(restate, "free", "a")
    restate.cancel(running)

    assert restate.attach(running).status_code == 409
    again = {"type": "awaitOne", "command": {"type": "runReturns", "value": "free"}}
    assert restate.attach(start(restate, "free", again)).json() == "free"


def test_a_killed_tree(restate: RestateServer) -> None:
    """A kill ends the caller, its callee, and the one that waits for its own key."""
    key = "kill"
    runner = restate.send(f"KillTestRunner/{key}/startCallTree")
    eventually(lambda: restate.call(f"AwakeableHolder/{key}/hasAwakeable"), True)
    restate.call(f"AwakeableHolder/{key}/unlock", "go")
    waiting = (
        "SELECT count(*) AS n FROM sys_invocation WHERE target_service_name = 'KillTestSingleton'"
    )
    restate.until(waiting, [{"n": 2}])
    assert restate.admin.patch(f"/invocations/{runner}/kill").is_success

    restate.until(UNFINISHED.format(key), [{"n": 0}])
    assert restate.call(f"KillTestSingleton/{key}/isUnlocked") is None
