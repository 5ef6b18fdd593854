"""Proxy and TestUtilsService: calls with raw bytes, echoes, headers, and what was executed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.restate.server import eventually

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

    from .conftest import Deployment


def request(service: str, handler: str, body: object = None, **fields: object) -> dict[str, Any]:
    """A request of the proxy's; a body of None is no body."""
    message = (
        b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    return {"serviceName": service, "handlerName": handler, "message": list(message), **fields}


def step(proxied: dict[str, Any], *, send: bool = False, later: bool = False) -> dict[str, Any]:
    """One of many calls."""
    return {"proxyRequest": proxied, "oneWayCall": send, "awaitAtTheEnd": later}


def test_a_proxied_call(restate: RestateServer) -> None:
    """The bytes of the answer are those of the target's."""
    add = request("Counter", "add", 3, virtualObjectKey="a/b ü")
    answer = bytes(restate.call("Proxy/call", add))

    assert json.loads(answer) == {"oldValue": 0, "newValue": 3}
    assert restate.call("Counter/a%2Fb%20%C3%BC/get") == 3
    reset = request("Counter", "reset", virtualObjectKey="a/b ü", idempotencyKey=None)
    assert bytes(restate.call("Proxy/call", reset)) in {b"", b"null"}


def test_bytes_pass_unchanged(restate: RestateServer) -> None:
    """Whatever they are, and none as well."""
    everything = bytes(range(256))

    for body in (everything, b"", b"\x00"):
        echo = request("TestUtilsService", "rawEcho", body)
        assert bytes(restate.call("Proxy/call", echo)) == body


@pytest.mark.parametrize("message", [[256], [-1], ["a"], None])
def test_what_are_no_bytes(restate: RestateServer, message: object) -> None:
    """Numbers that no byte has are an input that cannot be read: 400, no retries."""
    asked = {"serviceName": "TestUtilsService", "handlerName": "rawEcho", "message": message}

    assert restate.post("Proxy/call", asked).status_code == 400


def test_a_failure_of_the_target(restate: RestateServer) -> None:
    """It propagates, with its metadata."""
    failure = {"errorMessage": "not me", "metadata": {"a": "b"}}
    fail = request("Failing", "terminallyFailingCall", failure, virtualObjectKey="p")
    failed = restate.post("Proxy/call", fail)

    assert failed.status_code == 500
    assert "not me" in failed.json()["message"]
    assert failed.json()["metadata"] == {"a": "b"}


def test_a_one_way_call(restate: RestateServer) -> None:
    """It answers with the id of the invocation."""
    add = request("Counter", "add", 2, virtualObjectKey="sent")
    identity = restate.call("Proxy/oneWayCall", add)

    assert identity.startswith("inv_")
    assert restate.attach(identity).json() == {"oldValue": 0, "newValue": 2}


def test_a_delayed_one_way_call(restate: RestateServer) -> None:
    """It starts no sooner than it should."""
    add = request("Counter", "add", 2, virtualObjectKey="delayed", delayMillis=300)
    begun = time.time()
    identity = restate.call("Proxy/oneWayCall", add)

    assert restate.attach(identity).is_success
    assert time.time() - begun > 0.25


def test_idempotency_keys(restate: RestateServer) -> None:
    """Two calls under one key are one invocation."""
    add = request("Counter", "add", 1, virtualObjectKey="idempotent", idempotencyKey="once")
    first = restate.call("Proxy/call", add)
    sent = [restate.call("Proxy/oneWayCall", add) for _ in range(2)]

    assert restate.call("Proxy/call", add) == first
    assert sent[0] == sent[1]
    assert restate.call("Counter/idempotent/get") == 1


def test_many_calls_in_order(restate: RestateServer) -> None:
    """Issued one after the other, so that they reach an object in that order."""
    append = [
        step(
            request("ListObject", "append", str(index), virtualObjectKey="many"),
            send=index % 3 == 0,
            later=index % 3 == 1,
        )
        for index in range(20)
    ]
    restate.call("Proxy/manyCalls", append)

    eventually(lambda: restate.call("ListObject/many/get"), [str(index) for index in range(20)])


def test_a_failure_among_many_calls(restate: RestateServer) -> None:
    """It propagates when all have been awaited: none of the others is lost."""
    failure = {"errorMessage": "one of many"}
    fail = request("Failing", "terminallyFailingCall", failure, virtualObjectKey="q")
    later = request("ServiceInterpreterHelper", "echoLater", {"sleep": 100, "parameter": "x"})
    add = request("Counter", "add", 1, virtualObjectKey="among")
    failed = restate.post(
        "Proxy/manyCalls", [step(each, later=True) for each in (fail, later, add)]
    )

    assert failed.status_code == 500
    assert "one of many" in failed.json()["message"]
    assert restate.call("Counter/among/get") == 1


def test_scopes_and_limit_keys(deployment: Deployment) -> None:
    """They are those of the invocation that is called."""
    if deployment.configuration.way != "v7":
        return

    restate = deployment.server
    later = request("TestUtilsService", "echo", "x", scope="one", limitKey="limit")
    sent = restate.call("Proxy/oneWayCall", later)
    assert restate.call("Proxy/call", later) == list(b'"x"')

    restate.attach(sent)
    row = restate.status(sent)
    assert (row["scope"], row["limit_key"]) == ("one", "limit")


@pytest.mark.parametrize("text", ["", "x", 'with "quotes"\n', "Größe 🌍"])
def test_echoes(restate: RestateServer, text: str) -> None:
    """Text comes back as it is, or in upper case."""
    assert restate.call("TestUtilsService/echo", text) == text
    assert restate.call("TestUtilsService/uppercaseEcho", text) == text.upper()


def test_raw_echo(restate: RestateServer) -> None:
    """Any bytes, of any content type or none; the answer is always raw bytes."""
    for body, kind in ((b"\x00\xff{", "image/png"), (b"{}", "application/json"), (b"x", "text/a")):
        response = restate.ingress.post(
            "/TestUtilsService/rawEcho", content=body, headers={"content-type": kind}
        )
        assert response.status_code == 200
        assert response.content == body
        assert response.headers["content-type"] == "application/octet-stream"
    empty = restate.ingress.post("/TestUtilsService/rawEcho")
    assert (empty.status_code, empty.content) == (200, b"")
    assert empty.headers["content-type"] == "application/octet-stream"


def test_headers(restate: RestateServer) -> None:
    """Those of the request to the ingress, with lower case names."""
    headers = restate.call("TestUtilsService/echoHeaders", X_My_Header="value", B="a b")

    assert headers["x-my-header"] == "value"
    assert headers["b"] == "a b"
    assert all(name == name.lower() for name in headers)


def test_executed_side_effects(deployment: Deployment) -> None:
    """All in one attempt; where every await ends an attempt, none is in the last one."""
    executed = deployment.server.call("TestUtilsService/countExecutedSideEffects", 5)

    assert executed == (0 if deployment.configuration.replays else 5)
    assert deployment.server.call("TestUtilsService/countExecutedSideEffects", 0) == 0


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_large_payloads(restate: RestateServer, size: int) -> None:
    """As input and output, in state, and through a call."""
    text = "x" * size

    assert restate.call("TestUtilsService/echo", text) == text
    restate.call("MapObject/large/set", {"key": "k", "value": text})
    assert restate.call("MapObject/large/get", "k") == text
    raw = request("TestUtilsService", "rawEcho", text.encode())
    assert restate.call("Proxy/call", raw) == list(text.encode())
