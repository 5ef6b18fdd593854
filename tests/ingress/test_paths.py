"""From paths to operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import DurableTrioError, Service, UsageError, VirtualObject, Workflow
from durable_trio._journal._entries import IdempotentTarget, InvocationTarget, WorkflowTarget
from durable_trio.local.http._paths import (
    METHODS,
    Administer,
    Attach,
    ByBody,
    CompleteAwakeable,
    CompleteSignal,
    Health,
    Invoke,
    Output,
    parse_path,
)

SERVICES = {
    "Svc": Service("Svc"),
    "Obj": VirtualObject("Obj"),
    "Wf": Workflow("Wf"),
    "invocations": Service("invocations"),
}


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/Svc/run", Invoke("Svc", "run")),
        ("/Svc/run/", Invoke("Svc", "run")),
        ("/Svc/run/send", Invoke("Svc", "run", send=True)),
        ("/Svc/send", Invoke("Svc", "send")),
        ("/Svc/send/send", Invoke("Svc", "send", send=True)),
        ("/Obj/key/run", Invoke("Obj", "run", "key")),
        ("/Obj/a%2Fb%20%C3%A9/run", Invoke("Obj", "run", "a/b é")),
        ("/Obj/send/send", Invoke("Obj", "send", "send")),
        ("/Obj/send/send/send", Invoke("Obj", "send", "send", send=True)),
        ("/Wf/key/run/send", Invoke("Wf", "run", "key", send=True)),
        ("/restate/call/Svc/run", Invoke("Svc", "run")),
        ("/restate/call/Obj/k/run", Invoke("Obj", "run", "k")),
        ("/restate/send/Obj/k/run", Invoke("Obj", "run", "k", send=True)),
        ("/restate/health", Health()),
        ("/restate/attach/inv_1x", Attach(InvocationTarget("inv_1x"))),
        ("/restate/output/inv_1x", Output(InvocationTarget("inv_1x"))),
        ("/restate/attach", ByBody("attach")),
        ("/restate/output", ByBody("output")),
        ("/restate/lookup", ByBody("lookup")),
        ("/restate/invocation/inv_1x/attach", Attach(InvocationTarget("inv_1x"))),
        ("/restate/invocation/inv_1x/output", Output(InvocationTarget("inv_1x"))),
        ("/restate/invocation/Svc/run/id/attach", Attach(IdempotentTarget("Svc", "run", "id"))),
        (
            "/restate/invocation/Obj/k%2F1/run/i%20d/output",
            Output(IdempotentTarget("Obj", "run", "i d", "k/1")),
        ),
        ("/restate/workflow/Wf/k%2F/attach", Attach(WorkflowTarget("Wf", "k/"))),
        ("/restate/workflow/Wf/k/output", Output(WorkflowTarget("Wf", "k"))),
        ("/restate/awakeables/sign_1x/resolve", CompleteAwakeable("sign_1x", reject=False)),
        ("/restate/a/sign_1x/reject", CompleteAwakeable("sign_1x", reject=True)),
        ("/restate/signals/inv_1x/go%2Fon/resolve", CompleteSignal("inv_1x", "go/on", False)),
        ("/restate/signals/inv_1x/go/reject", CompleteSignal("inv_1x", "go", True)),
    ],
)
def test_a_path_names_an_operation(path: str, operation: object) -> None:
    """Every path of the table names its operation; keys are decoded after the path is cut."""
    assert operation == parse_path("POST", path, SERVICES)


def test_a_service_may_be_named_as_the_operators_paths() -> None:
    """Only the method tells them apart, and only where there is such a service."""
    path = "/invocations/inv_1x/cancel"

    assert Administer("inv_1x", "cancel") == parse_path("PATCH", path, SERVICES)
    assert Administer("inv_1x", "cancel") == parse_path("POST", path, {})
    with pytest.raises(UsageError, match="bad path"):
        parse_path("POST", path, SERVICES)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/", "there is nothing at /"),
        ("/Scv/run", "Did you mean 'Svc'"),
        ("/Svc", "are called at /Svc/{handler}"),
        ("/Obj/run", "are called at /Obj/{key}/{handler}"),
        ("/Svc/key/run", "are called at /Svc/{handler}"),
        ("/Svc/run/send/send", "bad path"),
        ("/restate", "there is nothing at /restate"),
        ("/restate/nothing", "there is nothing"),
        ("/restate/scope/s/call/Svc/run", "scopes are a feature"),
        ("/restate/workflow/Wf/k", "expected /restate/workflow"),
        ("/restate/invocation/Svc/run/attach", "expected /restate/invocation"),
        ("/restate/invocation/inv_1x/peek", "expected /restate/invocation"),
        ("/restate/a/sign_1x/ignore", "expected /restate/awakeables"),
        ("/restate/signals/inv_1x/resolve", "expected /restate/signals"),
        ("/Obj/%ff/run", "no percent-encoded UTF-8"),
        ("/version", "this is the embedded runtime"),
        ("/deployments", "there is nothing at /deployments"),
    ],
)
def test_a_wrong_path_says_what_was_expected(path: str, message: str) -> None:
    """The error names the right form or the services there are."""
    with pytest.raises(DurableTrioError) as caught:
        parse_path("POST", path, SERVICES)

    assert message in str(caught.value)


def test_an_unknown_action_names_those_there_are() -> None:
    """An operator's typing error is answered with the list."""
    with pytest.raises(DurableTrioError, match="cancel, kill, pause, resume, purge"):
        parse_path("PATCH", "/invocations/inv_1x/stop", {})


@given(st.text(alphabet="/%2Fabrestcilsnd_SvObjWf1", max_size=60))
def test_any_path_is_an_operation_or_an_error_of_ours(path: str) -> None:
    """No path makes the parser fail in another way."""
    try:
        operation = parse_path("POST", f"/{path}", SERVICES)
    except DurableTrioError:
        return

    assert type(operation) in METHODS
