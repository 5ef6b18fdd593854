"""The endpoint manifest: every option in its place, and since which version."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest

import durable_trio as dt
from durable_trio_restate import Endpoint, endpoint
from durable_trio_restate._versions import manifest_of

from .asgi import Request, request_of, respond

_TYPE = "application/vnd.restate.endpointmanifest.v{}+json"


def discover(app: Endpoint, accept: str = _TYPE.format(4), http_version: str = "2") -> Request:
    """The response to a discovery."""

    async def main() -> Request:
        headers = [("accept", accept)] if accept else []
        return await respond(
            app, request_of("GET", "/discover", headers, http_version=http_version)
        )

    return anyio.run(main, backend="trio")


def manifest(app: Endpoint, **how: Any) -> dict[str, Any]:
    """The manifest that a server gets."""
    response = discover(app, **how)
    assert response.status == 200, response.body
    found: dict[str, Any] = json.loads(response.body)
    return found


def service_of(app: Endpoint) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The only service of a manifest, and its handlers by name."""
    (service,) = manifest(app)["services"]
    handlers = {handler["name"]: handler for handler in service.pop("handlers")}
    return service, handlers


def plain() -> dt.Service:
    """A service without any options."""
    service = dt.Service("Plain")

    @service.handler
    async def echo(_ctx: dt.Context, text: str) -> int:
        return len(text)

    @service.handler
    async def ping(_ctx: dt.Context) -> None: ...

    @service.handler
    async def maybe(_ctx: dt.Context, text: str | None = "x") -> None: ...

    @service.handler(accept="*/*")
    async def raw(_ctx: dt.Context, body: bytes) -> bytes:
        return body

    return service


def test_a_service_without_options() -> None:
    """What nobody gave is not written: the server's defaults hold."""
    service, handlers = service_of(endpoint([plain()]))

    assert service == {"name": "Plain", "ty": "SERVICE"}
    assert handlers["echo"]["input"]["required"] is True
    assert handlers["echo"]["input"]["contentType"] == "application/json"
    assert handlers["echo"]["input"]["jsonSchema"]["type"] == "string"
    assert handlers["echo"]["output"]["jsonSchema"]["type"] == "integer"
    assert handlers["echo"].keys() == {"name", "input", "output"}
    assert handlers["ping"]["input"] == {}
    assert handlers["maybe"]["input"]["required"] is False
    assert handlers["raw"]["input"] == {"required": False, "contentType": "*/*"}
    assert handlers["raw"]["output"] == {
        "contentType": "application/octet-stream",
        "setContentTypeIfEmpty": True,
    }
    assert handlers["ping"]["output"]["setContentTypeIfEmpty"] is False


def test_the_endpoint() -> None:
    """The versions that are spoken, and the mode that fits the request."""
    app = endpoint([plain()])

    assert manifest(app)["protocolMode"] == "BIDI_STREAM"
    assert manifest(app, http_version="1.1")["protocolMode"] == "REQUEST_RESPONSE"
    assert (manifest(app)["minProtocolVersion"], manifest(app)["maxProtocolVersion"]) == (5, 7)
    one_way = endpoint([plain()], protocol="request_response")
    assert manifest(one_way)["protocolMode"] == "REQUEST_RESPONSE"


def test_kinds() -> None:
    """Objects and workflows, exclusive, shared and main handlers."""
    thing, flow = dt.VirtualObject("Thing"), dt.Workflow("Flow")

    @thing.handler
    async def write(_ctx: dt.ObjectContext) -> None: ...

    @thing.shared
    async def look(_ctx: dt.ObjectSharedContext) -> None: ...

    @flow.main
    async def run(_ctx: dt.WorkflowContext) -> None: ...

    @flow.shared
    async def ask(_ctx: dt.WorkflowSharedContext) -> None: ...

    kinds = {
        (service["ty"], handler["name"]): handler["ty"]
        for service in manifest(endpoint([thing, flow]))["services"]
        for handler in service["handlers"]
    }

    assert kinds == {
        ("VIRTUAL_OBJECT", "write"): "EXCLUSIVE",
        ("VIRTUAL_OBJECT", "look"): "SHARED",
        ("WORKFLOW", "run"): "WORKFLOW",
        ("WORKFLOW", "ask"): "SHARED",
    }


def test_every_option() -> None:
    """Every option of a service, a handler and a main handler has its field, in milliseconds."""
    flow = dt.Workflow(
        "Flow",
        description="flows",
        metadata={"team": "a"},
        inactivity_timeout=1.5,
        abort_timeout=timedelta(minutes=1),
        journal_retention=0,
        idempotency_retention=3,
        lazy_state=True,
        ingress_private=True,
        retry_policy=dt.InvocationRetryPolicy(
            initial_interval=0.1,
            exponentiation_factor=3,
            max_interval=2,
            max_attempts=4,
            on_max_attempts="kill",
        ),
    )

    @flow.main(workflow_retention=60, lazy_state=False)
    async def run(_ctx: dt.WorkflowContext) -> None:
        """Runs."""

    service, handlers = service_of(endpoint([flow]))

    assert service == {
        "name": "Flow",
        "ty": "WORKFLOW",
        "documentation": "flows",
        "metadata": {"team": "a"},
        "inactivityTimeout": 1500,
        "abortTimeout": 60_000,
        "journalRetention": 0,
        "idempotencyRetention": 3000,
        "enableLazyState": True,
        "ingressPrivate": True,
        "retryPolicyInitialInterval": 100,
        "retryPolicyExponentiationFactor": 3.0,
        "retryPolicyMaxInterval": 2000,
        "retryPolicyMaxAttempts": 4,
        "retryPolicyOnMaxAttempts": "KILL",
    }
    handler = handlers["run"]
    assert (handler["documentation"], handler["workflowCompletionRetention"]) == ("Runs.", 60_000)
    assert handler["enableLazyState"] is False
    assert "inactivityTimeout" not in handler


def test_defaults() -> None:
    """Defaults of the endpoint are written at every service, where it has none of its own."""
    service = dt.Service(
        "Own", abort_timeout=1, retry_policy=dt.InvocationRetryPolicy(max_attempts=3)
    )

    @service.handler
    async def ping(_ctx: dt.Context) -> None: ...

    defaults = dt.ServiceOptions(
        abort_timeout=9,
        inactivity_timeout=9,
        lazy_state=True,
        retry_policy=dt.InvocationRetryPolicy(max_attempts=9, initial_interval=9),
    )
    found, _ = service_of(endpoint([service], defaults=defaults))

    assert found == {
        "name": "Own",
        "ty": "SERVICE",
        "inactivityTimeout": 9000,
        "abortTimeout": 1000,
        "retryPolicyInitialInterval": 9000,
        "retryPolicyMaxAttempts": 3,
    }


def test_a_schema_is_not_guessed() -> None:
    """What a serde of the user's writes is not described, even if it says that it is JSON."""

    class Odd:
        content_type = "application/json"

        def serialize(self, value: int) -> bytes:
            return b"{}" * value

        def deserialize(self, data: bytes) -> int:
            return len(data) // 2

    service = dt.Service("Odd")

    @service.handler(input_serde=Odd(), output_serde=Odd())
    async def count(_ctx: dt.Context, number: int) -> int:
        return number

    _, handlers = service_of(endpoint([service]))

    assert "jsonSchema" not in handlers["count"]["input"]
    assert "jsonSchema" not in handlers["count"]["output"]


@pytest.mark.parametrize(
    ("accept", "version"),
    [
        ("", 4),
        ("*/*", 4),
        (_TYPE.format(2), 2),
        (f"{_TYPE.format(1)}, {_TYPE.format(3)};q=0.5", 3),
        (", ".join(map(_TYPE.format, (1, 2, 3, 4, 5))), 4),
        (_TYPE.format(1), None),
        (_TYPE.format(5), None),
        ("text/html", None),
        ("text/html,", None),
        (",", None),
        (" ", 4),
        (f"{_TYPE.format(4)};q=0, {_TYPE.format(3)};v=1;Q=0.01", 3),
        (f"{_TYPE.format(4)}; q = 0.000", None),
        ("*/*;q=0", None),
        (_TYPE.format("4") + "x", None),
        (_TYPE.format("-4"), None),
        (_TYPE.format("4" * 5_000), None),
        ("," * 10_000 + _TYPE.format(2), 2),
        ("\xff\x00;;==", None),
    ],
)
def test_negotiation(accept: str, version: int | None) -> None:
    """The newest version that both know; none in common is 415."""
    response = discover(endpoint([plain()]), accept)

    assert manifest_of(accept) == version
    assert response.status == (415 if version is None else 200)
    if version is not None:
        assert response.headers["content-type"] == _TYPE.format(version)


@pytest.mark.parametrize(
    ("options", "since"),
    [
        ({"ingress_private": True}, 3),
        ({"inactivity_timeout": 1}, 3),
        ({"retry_policy": dt.InvocationRetryPolicy(max_attempts=3)}, 4),
    ],
)
def test_options_that_a_version_lacks(options: dict[str, Any], since: int) -> None:
    """An option that the server's version cannot express is an error, and says since when."""
    service = dt.Service("New", **options)

    @service.handler
    async def ping(_ctx: dt.Context) -> None: ...

    app = endpoint([service])
    refused = discover(app, _TYPE.format(since - 1))

    assert refused.status == 500
    assert f"version {since} can" in refused.body.decode()
    assert discover(app, _TYPE.format(since)).status == 200
