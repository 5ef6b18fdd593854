"""AwakeableHolder, BlockAndWaitWorkflow and signals: what comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.restate.server import eventually

from .programs import INTERPRET, await_one, awakeable_id, signal, start

if TYPE_CHECKING:
    from tests.restate.server import RestateServer


def test_a_holder_resolves_what_it_holds(restate: RestateServer) -> None:
    """The id is kept, also after it was used; without one, unlocking is a terminal error."""
    assert restate.call("AwakeableHolder/resolves/hasAwakeable") is False
    assert restate.post("AwakeableHolder/resolves/unlock", "x").status_code == 500

    running = start(restate, "resolves", await_one("createAwakeable", awakeableKey="a"))
    restate.call("AwakeableHolder/resolves/hold", "replaced")
    restate.call("AwakeableHolder/resolves/hold", awakeable_id(restate, "resolves", "a"))
    assert restate.call("AwakeableHolder/resolves/hasAwakeable") is True
    restate.call("AwakeableHolder/resolves/unlock", "öffne dich")

    assert restate.attach(running).json() == "öffne dich"
    assert restate.call("AwakeableHolder/resolves/hasAwakeable") is True


def test_an_awakeable_is_resolved_through_the_ingress(restate: RestateServer) -> None:
    """With the JSON that the ingress was sent."""
    running = start(restate, "ingress", await_one("createAwakeable", awakeableKey="a"))
    identity = awakeable_id(restate, "ingress", "a")
    assert restate.post(f"restate/awakeables/{identity}/resolve", "from outside").is_success

    assert restate.attach(running).json() == "from outside"


def test_an_awakeable_is_rejected_through_the_ingress(restate: RestateServer) -> None:
    """With the text that the ingress was sent, as a terminal error."""
    running = start(restate, "rejected", await_one("createAwakeable", awakeableKey="a"))
    identity = awakeable_id(restate, "rejected", "a")
    restate.ingress.post(
        f"/restate/awakeables/{identity}/reject",
        content="not today",
        headers={"content-type": "text/plain"},
    ).raise_for_status()

    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "not today" in failed.json()["message"]


def test_a_workflow_waits_for_its_promise(restate: RestateServer) -> None:
    """Its state is seen meanwhile; the promise's value is its answer."""
    running = restate.send("BlockAndWaitWorkflow/waits/run", "the state")
    eventually(lambda: restate.call("BlockAndWaitWorkflow/waits/getState"), "the state")
    restate.call("BlockAndWaitWorkflow/waits/unblock", "the value")

    assert restate.attach(running).json() == "the value"
    assert restate.call("BlockAndWaitWorkflow/waits/getState") == "the state"


def test_a_promise_is_resolved_once(restate: RestateServer) -> None:
    """The server refuses a second value, and that is a terminal error."""
    running = restate.send("BlockAndWaitWorkflow/once/run", "x")
    restate.call("BlockAndWaitWorkflow/once/unblock", "first")
    refused = restate.post("BlockAndWaitWorkflow/once/unblock", "second")

    assert refused.status_code >= 400
    assert restate.attach(running).json() == "first"


def test_a_promise_may_be_resolved_before_the_workflow_runs(restate: RestateServer) -> None:
    """The workflow finds it completed."""
    assert restate.call("BlockAndWaitWorkflow/early/getState") is None
    restate.call("BlockAndWaitWorkflow/early/unblock", "early")

    assert restate.call("BlockAndWaitWorkflow/early/run", "x") == "early"


def test_a_workflow_runs_once_for_a_key(restate: RestateServer) -> None:
    """A second start is refused; its output and an attached caller see the first."""
    restate.call("BlockAndWaitWorkflow/single/unblock", "v")
    restate.call("BlockAndWaitWorkflow/single/run", "x")

    assert restate.post("BlockAndWaitWorkflow/single/run", "y").status_code >= 400
    attached = restate.ingress.get("/restate/workflow/BlockAndWaitWorkflow/single/attach")
    assert attached.json() == "v"


def resolve(restate: RestateServer, identity: str, name: str, value: str) -> None:
    """Resolve a signal of an invocation."""
    restate.call(
        "TestUtilsService/resolveSignal",
        {"invocationId": identity, "signalName": name, "value": value},
    )


def test_a_signal_is_resolved(restate: RestateServer) -> None:
    """Its value is what the invocation awaits."""
    running = start(restate, "signal", await_one("createSignal", signalName="go"))
    resolve(restate, running, "other", "not this one")
    resolve(restate, running, "go", "gone")

    assert restate.attach(running).json() == "gone"


def test_a_signal_is_rejected(restate: RestateServer) -> None:
    """It is a terminal error where it is awaited."""
    running = start(restate, "no signal", await_one("createSignal", signalName="go"))
    restate.call(
        "TestUtilsService/rejectSignal",
        {"invocationId": running, "signalName": "go", "reason": "stay here"},
    )

    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "stay here" in failed.json()["message"]


def test_signals_may_come_early_and_several_times(restate: RestateServer) -> None:
    """Each value is awaited once, in the order in which they were sent."""
    commands = [
        await_one("createAwakeable", awakeableKey="a"),
        await_one("createSignal", signalName="s"),
        await_one("createSignal", signalName="s"),
    ]
    running = start(restate, "early", *commands)
    resolve(restate, running, "s", "first")
    resolve(restate, running, "s", "second")
    identity = awakeable_id(restate, "early", "a")
    restate.post(f"restate/awakeables/{identity}/resolve", "now").raise_for_status()

    assert restate.attach(running).json() == "second"
    assert restate.call(f"{INTERPRET}/early/getResults") == ["now", "first", "second"]


def test_a_signal_that_lost_against_a_timer_is_for_the_next_command(
    restate: RestateServer,
) -> None:
    """Nobody waits for it any more when it comes."""
    both: list[dict[str, Any]] = [signal("s"), {"type": "sleep", "timeoutMillis": 1}]
    running = start(
        restate,
        "loser",
        {"type": "awaitFirstCompleted", "commands": both},
        await_one("createSignal", signalName="s"),
    )
    eventually(lambda: restate.call(f"{INTERPRET}/loser/getResults"), ["sleep"])
    resolve(restate, running, "s", "late")

    assert restate.attach(running).json() == "late"
