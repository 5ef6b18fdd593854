"""AWS Lambda: recorded events, events of other senders, and a real server behind Lambda's API.

``lambda_events.json`` holds what a Restate server 1.7 sent, one event of each kind.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_trio import Context, DefinitionError, Service, sleep
from durable_trio.abc import Output, Run, Sleep, Value
from durable_trio_restate import _packing, endpoint, lambda_handler
from durable_trio_restate._messages import EndMessage, ProposeRunCompletionMessage

from .lambda_api import ARN, lambda_api
from .peer import read, start_of
from .server import RestateServer
from .test_identity import OTHER, SECRET, public_key, signed, signing

if TYPE_CHECKING:
    from durable_trio_restate import LambdaHandler

EVENTS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("lambda_events.json").read_text("utf-8")
)
V6 = "application/vnd.restate.invocation.v6"

large = Service("Large")


@large.handler
async def echo(ctx: Context, word: str) -> str:
    return word


@large.handler
async def grow(ctx: Context, size: int) -> int:
    text = await ctx.run(lambda: "x" * size, name="make")
    return len(text)


@large.handler
async def nap(ctx: Context) -> str:
    await sleep(0.05)
    return "rested"


@cache
def function_on(backend: str) -> LambdaHandler:
    """One function per loop: as in Lambda it serves one event after the other."""
    return lambda_handler(endpoint([large]), backend=backend)


@pytest.fixture
def function(backend: str) -> LambdaHandler:
    """The function, on either loop."""
    return function_on(backend)


def body_of(result: dict[str, Any]) -> bytes:
    """The bytes of a result, unpacked."""
    assert result["isBase64Encoded"] is True
    body = base64.b64decode(result["body"], validate=True)
    if result["headers"].get("content-encoding") == "zstd":
        return zstd.decompress(body)

    return body


def invocation(target: str, body: bytes, **headers: str) -> dict[str, Any]:
    """An event as Restate sends it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "path": f"/invoke/{target}",
        "httpMethod": "POST",
        "headers": {"content-type": V6, "accept": V6, **named},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


# -- recorded


def test_the_recorded_discovery(function: LambdaHandler) -> None:
    """Whole responses only, and bodies may be packed."""
    result = function(EVENTS["discover"], None)
    manifest = json.loads(body_of(result))

    assert 200 == result["statusCode"]
    assert "application/vnd.restate.endpointmanifest.v4+json" == result["headers"]["content-type"]
    assert ("REQUEST_RESPONSE", "zstd") == (manifest["protocolMode"], manifest["lambdaCompression"])


def test_the_recorded_invocation(function: LambdaHandler) -> None:
    """It ends in one event."""
    result = function(EVENTS["echo"], None)

    assert (200, V6) == (result["statusCode"], result["headers"]["content-type"])
    assert [Output(Value(b'"hi"')), EndMessage()] == read(body_of(result))


def test_the_recorded_invocation_with_a_step(function: LambdaHandler) -> None:
    """The step runs in the first event, and its result goes back packed."""
    result = function(EVENTS["grow"], None)
    run, proposal, _suspension = read(body_of(result))

    assert "zstd" == result["headers"]["content-encoding"]
    assert len(result["body"]) < 10_000
    assert Run(1, "make") == run
    assert isinstance(proposal, ProposeRunCompletionMessage)


def test_the_recorded_invocation_that_came_packed(function: LambdaHandler) -> None:
    """The second event has the result of the step, five megabytes of it."""
    assert "zstd" == EVENTS["grow packed"]["headers"]["content-encoding"]
    result = function(EVENTS["grow packed"], None)

    assert [Output(Value(b"5000000")), EndMessage()] == read(body_of(result))


def test_an_attempt_that_can_only_wait_suspends(function: LambdaHandler) -> None:
    """Nothing waits in a function for what comes with another event."""
    command, suspension = read(body_of(function(invocation("Large/nap", start_of()))))

    assert isinstance(command, Sleep)
    assert "1" in repr(suspension)


# -- events of others

FUNCTION_URL = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/stage/health",
    "rawQueryString": "",
    "headers": {"accept": "*/*", "host": "abc.lambda-url.us-east-1.on.aws"},
    "requestContext": {"http": {"method": "GET", "path": "/stage/health"}, "stage": "$default"},
    "isBase64Encoded": False,
}


def test_an_event_of_version_2(function: LambdaHandler) -> None:
    """As function URLs and HTTP APIs send it; what is before the endpoint's path does not count."""
    result = function(FUNCTION_URL)

    assert (200, b"ok") == (result["statusCode"], body_of(result))


def test_lists_of_headers(function: LambdaHandler) -> None:
    """As a load balancer sends them, in any case."""
    event = invocation("Large/echo", b"")
    event["headers"] = None
    event["multiValueHeaders"] = {"Content-Type": ["x", V6], "Empty": []}
    event["body"] = base64.b64encode(start_of()).decode()

    assert 200 == function(event)["statusCode"]


def test_a_body_that_is_text(function: LambdaHandler) -> None:
    """It is taken as it is; here it is no protocol, which the answer says in the protocol."""
    event = invocation("Large/echo", b"") | {"body": "hé", "isBase64Encoded": False}
    result = function(event)
    [error] = read(body_of(result))

    assert 200 == result["statusCode"]
    assert 571 == error.code


@pytest.mark.parametrize(
    ("changed", "status", "message"),
    [
        ({"path": "/elsewhere"}, 404, "nothing here"),
        ({"path": "/invoke/Large/nothing"}, 404, "nothing"),
        ({"httpMethod": "GET"}, 405, "POST"),
        ({"headers": {}}, 415, "no service protocol"),
        ({"body": "%%%"}, 400, "no base64"),
        ({"body": "a"}, 400, "no base64"),
        ({"body": 5}, 400, "no text"),
        ({"path": None}, 400, "path and httpMethod"),
        ({"headers": {"content-encoding": "br"}}, 415, "'br'"),
        ({"headers": {"content-encoding": "zstd"}}, 400, "zstd"),
    ],
)
def test_an_event_that_cannot_be_answered(
    function: LambdaHandler, changed: dict[str, Any], status: int, message: str
) -> None:
    """The status and the reason are the result; the function itself never fails."""
    result = function(invocation("Large/echo", b"abc") | changed)

    assert status == result["statusCode"]
    assert message in body_of(result).decode()


_OTHER = [{"\ud800": 1}, {5: 1, "a": 2}, {"path": "/", "httpMethod": 5}, {"rawPath": "/"}]


@pytest.mark.parametrize(
    "event", [None, [], "x", {}, {"Records": []}, {"httpMethod": "GET"}, *_OTHER], ids=range(10)
)
def test_something_else_than_an_event(function: LambdaHandler, event: object) -> None:
    """A function that is called by something else says what it is for."""
    result = function(event)

    assert 400 == result["statusCode"]
    assert b"path and httpMethod" in body_of(result)


@pytest.mark.parametrize(
    ("packed", "status"),
    [
        (zstd.compress(bytes(129 * 1024 * 1024)), 413),
        (zstd.compress(b"x" * 1000)[:-3], 400),
        (zstd.compress(b"x") + b"more", 400),
        (b"", 400),
    ],
    ids=["bomb", "cut", "longer", "empty"],
)
def test_a_body_that_is_packed_wrongly(function: LambdaHandler, packed: bytes, status: int) -> None:
    """What grows without bound is not unpacked, and half a body is none."""
    result = function(invocation("Large/echo", packed, content_encoding="zstd"))

    assert status == result["statusCode"]


@pytest.mark.parametrize("accepted", ["", "gzip", "zstd;q=0", "gzip, zstd; q=0.0"])
def test_a_response_is_packed_for_whoever_can_unpack_it(
    function: LambdaHandler, accepted: str
) -> None:
    """A large one goes as it is to somebody who cannot."""
    event = EVENTS["grow"] | {"headers": EVENTS["grow"]["headers"] | {"accept-encoding": accepted}}
    result = function(event)

    assert "content-encoding" not in result["headers"]
    assert len(body_of(result)) > 5_000_000


def test_without_zstd(function: LambdaHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is promised, nothing is packed, and what came packed is refused."""
    monkeypatch.setattr(_packing, "zstd", None)

    assert "lambdaCompression" not in json.loads(body_of(function(EVENTS["discover"])))
    assert "content-encoding" not in function(EVENTS["grow"])["headers"]
    assert 415 == function(EVENTS["grow packed"])["statusCode"]


def test_an_endpoint_that_insists_on_streams(backend: str) -> None:
    """It cannot be a function."""
    with pytest.raises(DefinitionError, match="no streams"):
        lambda_handler(endpoint([large], protocol="bidi"), backend=backend)


_TEXTS = st.sampled_from(
    ["", "/", "\ud800", "/invoke/Large/\ud800", "/discover", "POST", V6, "zstd", "%", "=", "AAAA"]
)
_ABSURD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _TEXTS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_absurd_events(
    function: LambdaHandler, backend: str, caplog: pytest.LogCaptureFixture, data: st.DataObject
) -> None:
    """Whatever is put in place of anything in it, there is a status, also where keys are needed."""
    caplog.set_level(logging.CRITICAL)
    kind = data.draw(st.sampled_from(sorted(EVENTS)))
    event = EVENTS[kind] | {"headers": EVENTS[kind]["headers"].copy()}
    parts: list[dict[str, Any]] = [event, event["headers"]]
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from(parts))
        names = [*part, "rawPath", "multiValueHeaders", "content-encoding", "accept-encoding"]
        part[data.draw(st.sampled_from(names))] = data.draw(_ABSURD)
    answer = data.draw(st.sampled_from([function, signed_function_on(backend)]))(event)

    assert answer["statusCode"] in {200, 400, 401, 404, 405, 413, 415}
    json.dumps(answer)
    body_of(answer)


# -- identity


@cache
def signed_function_on(backend: str) -> LambdaHandler:
    """The same function, for those who are trusted."""
    return lambda_handler(endpoint([large], identity_keys=[public_key(SECRET)]), backend=backend)


def test_a_path_that_is_no_text(backend: str) -> None:
    """It is in what a refusal says of a signature."""
    event = invocation("Large/\ud800", b"")
    event["headers"] |= {key.decode(): value.decode() for key, value in signed().items()}
    result = signed_function_on(backend)(event)

    assert 401 == result["statusCode"]
    assert b"\\ud800" in body_of(result)


def test_a_header_without_a_value(function: LambdaHandler) -> None:
    """It is not there."""
    event = {"path": "/discover", "httpMethod": "GET", "headers": {"accept": None}}

    assert 200 == function(event)["statusCode"]


def test_an_unsigned_event_is_refused(backend: str) -> None:
    """Identity is checked in a function as everywhere else, and of the right path."""
    function = lambda_handler(
        endpoint([large], identity_keys=[public_key(SECRET)]), backend=backend
    )
    now = int(time.time())
    statuses: list[int] = []
    for headers in (
        {},
        signed(aud="/invoke/Large/echo"),
        signed(aud="/invoke/Large/grow"),
        signed(OTHER, aud="/invoke/Large/echo"),
        signed(aud="/invoke/Large/echo", exp=now - 1),
    ):
        event = invocation("Large/echo", start_of())
        event["headers"] |= {name.decode(): value.decode() for name, value in headers.items()}
        statuses.append(function(event)["statusCode"])

    assert [401, 200, 401, 401, 401] == statuses


# -- a real server


def test_a_real_server(backend: str, tmp_path: Path) -> None:
    """Signed, packed in both directions, suspended and resumed: through Lambda's API."""
    app = endpoint([large], identity_keys=[public_key(SECRET)])
    with (
        lambda_api(lambda_handler(app, backend=backend)) as api,
        RestateServer(tmp_path, api.settings | signing(tmp_path)) as server,
    ):
        server.register_lambda(ARN)
        assert "hi" == server.call("Large/echo", "hi")
        assert "rested" == server.call("Large/nap")
        assert 5_000_000 == server.call("Large/grow", 5_000_000)

    def is_packed(message: dict[str, Any]) -> bool:
        return "content-encoding" in message["headers"]

    assert {200} == {result["statusCode"] for result in api.results}
    assert [False] * 4 + [True, False] == [is_packed(result) for result in api.results]
    assert [False] * 5 + [True] == [is_packed(event) for event in api.events]
