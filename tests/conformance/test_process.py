"""The process of the services: how it starts, what it answers, whom it trusts, how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.restate.server import EndpointProcess, RestateServer, eventually, free_port, wait_for

from .conftest import SERVICES, SOON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EVERY_SERVICE = {
    "Counter": "VIRTUAL_OBJECT",
    "ListObject": "VIRTUAL_OBJECT",
    "MapObject": "VIRTUAL_OBJECT",
    "AwakeableHolder": "VIRTUAL_OBJECT",
    "BlockAndWaitWorkflow": "WORKFLOW",
    "CancelTestRunner": "VIRTUAL_OBJECT",
    "CancelTestBlockingService": "VIRTUAL_OBJECT",
    "KillTestRunner": "VIRTUAL_OBJECT",
    "KillTestSingleton": "VIRTUAL_OBJECT",
    "Failing": "VIRTUAL_OBJECT",
    "NonDeterministic": "VIRTUAL_OBJECT",
    "Proxy": "SERVICE",
    "TestUtilsService": "SERVICE",
    "VirtualObjectCommandInterpreter": "VIRTUAL_OBJECT",
    "ServiceInterpreterHelper": "SERVICE",
    "ObjectInterpreterL0": "VIRTUAL_OBJECT",
    "ObjectInterpreterL1": "VIRTUAL_OBJECT",
    "ObjectInterpreterL2": "VIRTUAL_OBJECT",
}
SHARED = {
    ("Counter", "get"),
    ("BlockAndWaitWorkflow", "unblock"),
    ("BlockAndWaitWorkflow", "getState"),
    *(
        ("VirtualObjectCommandInterpreter", name)
        for name in ("resolveAwakeable", "rejectAwakeable", "hasAwakeable", "getResults")
    ),
    *((f"ObjectInterpreterL{layer}", "counter") for layer in range(3)),
}
HANDLERS = {
    "Counter": {"add", "addThenFail", "reset", "get"},
    "ListObject": {"append", "get", "clear"},
    "MapObject": {"set", "get", "clearAll"},
    "AwakeableHolder": {"hold", "hasAwakeable", "unlock"},
    "BlockAndWaitWorkflow": {"run", "unblock", "getState"},
    "CancelTestRunner": {"startTest", "verifyTest"},
    "CancelTestBlockingService": {"block", "isUnlocked"},
    "KillTestRunner": {"startCallTree"},
    "KillTestSingleton": {"recursiveCall", "isUnlocked"},
    "Failing": {
        "terminallyFailingCall",
        "callTerminallyFailingCall",
        "failingCallWithEventualSuccess",
        "terminallyFailingSideEffect",
        "sideEffectSucceedsAfterGivenAttempts",
        "sideEffectFailsAfterGivenAttempts",
    },
    "NonDeterministic": {
        "setDifferentKey",
        "backgroundInvokeWithDifferentTargets",
        "callDifferentMethod",
        "eitherSleepOrCall",
    },
    "Proxy": {"call", "oneWayCall", "manyCalls"},
    "TestUtilsService": {
        "echo",
        "uppercaseEcho",
        "echoHeaders",
        "rawEcho",
        "countExecutedSideEffects",
        "cancelInvocation",
        "resolveSignal",
        "rejectSignal",
    },
    "VirtualObjectCommandInterpreter": {
        "interpretCommands",
        "resolveAwakeable",
        "rejectAwakeable",
        "hasAwakeable",
        "getResults",
    },
    "ServiceInterpreterHelper": {
        "ping",
        "echo",
        "echoLater",
        "terminalFailure",
        "incrementIndirectly",
        "resolveAwakeable",
        "rejectAwakeable",
        "incrementViaAwakeableDance",
    },
    **{f"ObjectInterpreterL{layer}": {"interpret", "counter"} for layer in range(3)},
}


def manifest(*versions: int) -> dict[str, str]:
    """The header that asks for one of these versions of the manifest."""
    media = "application/vnd.restate.endpointmanifest.v{}+json"
    return {"accept": ", ".join(map(media.format, versions))}


@pytest.fixture(scope="session", params=[True, False], ids=["h2", "h1"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client with prior knowledge of HTTP/2, and one of HTTP/1.1."""
    clear_text = httpx.HTTPTransport(
        verify=False, http1=not request.param, http2=request.param, retries=0
    )
    with httpx.Client(transport=clear_text, timeout=30) as client:
        yield client


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def process(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EndpointProcess]:
    """The services, without a server."""
    with EndpointProcess(SERVICES, tmp_path_factory.mktemp("process"), request.param) as process:
        yield process


def test_health(process: EndpointProcess, client: httpx.Client) -> None:
    """200, over either version of HTTP on one port."""
    assert client.get(f"{process.uri}/health").status_code == 200


def test_the_manifest(process: EndpointProcess, client: httpx.Client) -> None:
    """Every service and handler of the contract, of the kind it has there, and no other."""
    response = client.get(f"{process.uri}/discover", headers=manifest(2, 3, 4))
    described = response.json()
    services = {service["name"]: service for service in described["services"]}
    handlers = {
        name: {handler["name"]: handler.get("ty") for handler in service["handlers"]}
        for name, service in services.items()
    }

    assert response.status_code == 200
    assert described["protocolMode"] == (
        "BIDI_STREAM" if response.http_version == "HTTP/2" else "REQUEST_RESPONSE"
    )
    assert described["minProtocolVersion"] <= 6
    assert described["maxProtocolVersion"] >= 7
    assert {name: service["ty"] for name, service in services.items()} == EVERY_SERVICE
    assert {name: set(found) for name, found in handlers.items()} == HANDLERS
    for service, found in handlers.items():
        for name, kind in found.items():
            if EVERY_SERVICE[service] == "SERVICE":
                assert kind is None
            elif (service, name) in SHARED:
                assert kind == "SHARED"
            else:
                expected = "WORKFLOW" if service == "BlockAndWaitWorkflow" else "EXCLUSIVE"
                assert kind == expected


@pytest.mark.parametrize(
    ("offered", "picked"), [((2,), 2), ((3,), 3), ((1, 2, 3, 4), 4), ((4, 5, 9), 4)]
)
def test_the_version_of_the_manifest(
    process: EndpointProcess, client: httpx.Client, offered: tuple[int, ...], picked: int
) -> None:
    """The newest that both know, and its content type says which."""
    response = client.get(f"{process.uri}/discover", headers=manifest(*offered))

    assert response.status_code == 200
    assert response.headers["content-type"] == manifest(picked)["accept"]


@pytest.mark.parametrize("offered", [(1,), (99,), (1, 99)])
def test_no_version_of_the_manifest(
    process: EndpointProcess, client: httpx.Client, offered: tuple[int, ...]
) -> None:
    """415 where none is in common."""
    response = client.get(f"{process.uri}/discover", headers=manifest(*offered))

    assert response.status_code == 415


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/invoke/Nothing/here"),
        ("POST", "/invoke/Counter/nothing"),
        ("POST", "/invoke/Counter"),
        ("GET", "/nothing"),
        ("GET", "/"),
    ],
)
@pytest.mark.parametrize("kind", ["application/vnd.restate.invocation.v6", None])
def test_what_is_not_there(
    process: EndpointProcess, client: httpx.Client, method: str, path: str, kind: str | None
) -> None:
    """404, whatever is asked of it."""
    headers = {} if kind is None else {"content-type": kind}

    assert client.request(method, f"{process.uri}{path}", headers=headers).status_code == 404


def test_only_the_services_that_are_asked_for(backend: str, tmp_path: Path) -> None:
    """SERVICES names them; the others are not there."""
    wanted = {"SERVICES": "Counter,Proxy"}
    with EndpointProcess(SERVICES, tmp_path, backend, wanted) as process:
        described = httpx.get(f"{process.uri}/discover", headers=manifest(4)).json()
        absent = httpx.post(f"{process.uri}/invoke/ListObject/get")

    assert {service["name"] for service in described["services"]} == {"Counter", "Proxy"}
    assert absent.status_code == 404


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    """All services are served, and nothing is verified."""
    empty = {"SERVICES": "", "E2E_REQUEST_SIGNING": ""}
    with EndpointProcess(SERVICES, tmp_path, settings=empty) as process:
        described = httpx.get(f"{process.uri}/discover", headers=manifest(4)).json()

    assert len(described["services"]) == len(EVERY_SERVICE)


def test_it_starts_in_any_directory(tmp_path: Path) -> None:
    """With nothing but the installed package."""
    environment = {**os.environ, "PORT": str(free_port()), "PYTHONSAFEPATH": ""}
    log = tmp_path / "log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, SERVICES], cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
    try:
        uri = f"http://127.0.0.1:{environment['PORT']}/health"
        wait_for(lambda: httpx.get(uri).is_success, "the process", started, log)
    finally:
        started.terminate()
        assert started.wait(10) == 0


ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def public_key(secret: Ed25519PrivateKey) -> str:
    """A key as E2E_REQUEST_SIGNING has it."""
    raw = secret.public_key().public_bytes_raw()
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "publickeyv1_" + "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def signed(secret: Ed25519PrivateKey, path: str, **claims: object) -> dict[str, str]:
    """The headers that a server with this key adds to a request."""
    now = int(time.time())
    payload: dict[str, Any] = {"aud": path, "nbf": now - 60, "iat": now, "exp": now + 60}
    token = jwt.encode(payload | claims, secret, algorithm="EdDSA", headers={"kid": "any"})
    return {"x-restate-signature-scheme": "v1", "x-restate-jwt-v1": token}


OWN, FOREIGN = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
DISCOVER, INVOKE = "/discover", "/invoke/Counter/get"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EndpointProcess]:
    """The services, for the holder of a key."""
    key = {"E2E_REQUEST_SIGNING": public_key(OWN)}
    folder = tmp_path_factory.mktemp("guarded")
    with EndpointProcess(SERVICES, folder, request.param, key) as process:
        yield process


def ask(client: httpx.Client, process: EndpointProcess, path: str, headers: dict[str, str]) -> int:
    """The status of a discovery or an invocation with an empty body."""
    if path == DISCOVER:
        return client.get(f"{process.uri}{path}", headers=headers | manifest(3)).status_code

    media = {"content-type": "application/vnd.restate.invocation.v6"}
    return client.post(f"{process.uri}{path}", headers=headers | media).status_code


@pytest.mark.parametrize("path", [DISCOVER, INVOKE])
def test_signed_requests(guarded: EndpointProcess, client: httpx.Client, path: str) -> None:
    """The holder of the key is answered."""
    assert ask(client, guarded, path, signed(OWN, path)) == 200


REFUSED: dict[str, Callable[[str], dict[str, str]]] = {
    "none": lambda path: {},
    "no token": lambda path: {"x-restate-signature-scheme": "v1"},
    "unsigned": lambda path: {"x-restate-signature-scheme": "unsigned"},
    "another scheme": lambda path: signed(OWN, path) | {"x-restate-signature-scheme": "v2"},
    "no scheme": lambda path: {"x-restate-jwt-v1": signed(OWN, path)["x-restate-jwt-v1"]},
    "malformed": lambda path: signed(OWN, path) | {"x-restate-jwt-v1": "no.token"},
    "malformed parts": lambda path: signed(OWN, path) | {"x-restate-jwt-v1": "a.b.c"},
    "empty": lambda path: signed(OWN, path) | {"x-restate-jwt-v1": ""},
    "foreign key": lambda path: signed(FOREIGN, path),
    "another path": lambda path: signed(OWN, "/invoke/Counter/add"),
    "expired": lambda path: signed(OWN, path, exp=int(time.time()) - 5),
    "not yet": lambda path: signed(OWN, path, nbf=int(time.time()) + 50),
}


@pytest.mark.parametrize("path", [DISCOVER, INVOKE])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_requests_without_a_valid_signature(
    guarded: EndpointProcess,
    client: httpx.Client,
    path: str,
    headers: Callable[[str], dict[str, str]],
) -> None:
    """401, for the discovery as for an invocation; the health check needs none."""
    assert ask(client, guarded, path, headers(path)) == 401
    assert client.get(f"{guarded.uri}/health").status_code == 200


def test_a_server_that_signs(backend: str, tmp_path: Path) -> None:
    """Its public key is the one that the endpoint is given; another server is refused."""
    pem = tmp_path / "key.pem"
    secret = Ed25519PrivateKey.generate()
    pem.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    settings = {"RESTATE_REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE": str(pem)}
    own, foreign = ({"E2E_REQUEST_SIGNING": public_key(key)} for key in (secret, FOREIGN))
    with (
        RestateServer(tmp_path, settings) as server,
        EndpointProcess(SERVICES, tmp_path, backend, own) as process,
        EndpointProcess(SERVICES, tmp_path, backend, foreign) as other,
    ):
        refused = server.admin.post("/deployments", json={"uri": other.uri})
        server.register(process.uri)

        assert not refused.is_success
        assert "401" in refused.text
        assert server.call("Counter/signed/add", 1) == {"oldValue": 0, "newValue": 1}


@pytest.mark.parametrize(("backend", "http_11"), [("trio", False), ("asyncio", True)])
def test_it_stops_in_time(backend: str, tmp_path: Path, *, http_11: bool) -> None:
    """On SIGTERM, with invocations that wait; they go on when it is back, and none has failed."""
    with (
        RestateServer(tmp_path, SOON) as server,
        EndpointProcess(SERVICES, tmp_path, backend) as process,
    ):
        server.register(process.uri, http_11=http_11)
        waiting = [server.send(f"BlockAndWaitWorkflow/{index}/run", "x") for index in range(20)]
        states = "SELECT count(*) AS n FROM sys_journal WHERE entry_type = 'Command: GetPromise'"
        server.until(states, [{"n": 20}])
        begun = time.monotonic()
        status = process.stop(signal.SIGTERM)

        assert status == 0
        assert time.monotonic() - begun < 10
        process.start()
        for index in range(20):
            server.call(f"BlockAndWaitWorkflow/{index}/unblock", str(index))
        assert [server.attach(each).json() for each in waiting] == [str(i) for i in range(20)]
        failed = "SELECT id FROM sys_journal_events WHERE event_type = 'TransientError'"
        assert [] == server.query(failed)


def test_it_is_killed_and_comes_back(backend: str, tmp_path: Path) -> None:
    """On the same port, at once; what was in flight goes on where it was."""
    with (
        RestateServer(tmp_path, SOON) as server,
        EndpointProcess(SERVICES, tmp_path, backend) as process,
    ):
        server.register(process.uri)
        later = server.send("ServiceInterpreterHelper/echoLater", {"sleep": 300, "parameter": "x"})
        waiting = server.send("BlockAndWaitWorkflow/killed/run", "state")
        eventually(lambda: server.call("BlockAndWaitWorkflow/killed/getState"), "state")
        process.stop(signal.SIGKILL)
        process.start()
        server.call("BlockAndWaitWorkflow/killed/unblock", "v")

        assert server.attach(later).json() == "x"
        assert server.attach(waiting).json() == "v"
