"""Calling and sending."""

from __future__ import annotations

import anyio
import pytest

from durable_trio import (
    Context,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
)
from durable_trio._journal._entries import Input

from .served import serving

JSON = {"content-type": "application/json"}


def arithmetic() -> Service:
    service = Service("Arithmetic")

    @service.handler
    async def double(ctx: Context, number: int) -> int:
        return number * 2

    @service.handler
    async def fail(ctx: Context, code: int) -> None:
        raise TerminalError("it cannot be", code, {"why": "because"})

    @service.handler
    async def nothing(ctx: Context) -> None:
        return None

    @service.handler(ingress_private=True)
    async def secret(ctx: Context) -> int:
        return 1

    @service.handler
    async def raw(ctx: Context, data: bytes) -> bytes:
        return data[::-1]

    return service


def counters() -> VirtualObject:
    counter = VirtualObject("Counter")

    @counter.handler
    async def add(ctx: ObjectContext, amount: int) -> int:
        total = await ctx.get("total", int, 0) + amount
        ctx.set("total", total)
        return total

    @counter.handler
    async def name(ctx: ObjectContext) -> str:
        return ctx.request.key

    return counter


def signups() -> Workflow:
    workflow = Workflow("Signup")

    @workflow.main
    async def run(ctx: WorkflowContext, name: str) -> str:
        return f"hello {name}"

    return workflow


def test_a_call_answers_with_the_output(backend: str) -> None:
    """200, the output as the body, its content type, and the id of the invocation."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post("/Arithmetic/double", json=21)
            stored = await served.runtime.invocation(response.headers["x-restate-id"])

        assert 200 == response.status_code
        assert 42 == response.json()
        assert "application/json" == response.headers["content-type"]
        assert "double" == stored.handler

    anyio.run(main, backend=backend)


def test_a_call_has_a_second_path(backend: str) -> None:
    """/restate/call is the same as the plain path."""

    async def main() -> None:
        async with serving(arithmetic(), counters()) as served:
            service = await served.client.post("/restate/call/Arithmetic/double", json=1)
            keyed = await served.client.post("/restate/call/Counter/k/add", json=3)

        assert (2, 3) == (service.json(), keyed.json())

    anyio.run(main, backend=backend)


def test_a_handler_without_input_needs_no_body_and_may_be_asked_with_get(backend: str) -> None:
    """As on Restate, GET invokes too."""

    async def main() -> None:
        async with serving(counters()) as served:
            response = await served.client.get("/Counter/abc/name")

        assert "abc" == response.json()

    anyio.run(main, backend=backend)


def test_a_key_is_percent_decoded(backend: str) -> None:
    """A slash or any other character in a key is encoded in the path."""

    async def main() -> None:
        async with serving(counters()) as served:
            response = await served.client.post("/Counter/a%2Fb%3F%20%E2%82%AC/name")

        assert "a/b? €" == response.json()

    anyio.run(main, backend=backend)


def test_bytes_go_through_as_they_are(backend: str) -> None:
    """A handler of bytes takes and answers octets."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post(
                "/Arithmetic/raw",
                content=b"\x00\xff",
                headers={"content-type": "application/octet-stream"},
            )

        assert b"\xff\x00" == response.content
        assert "application/octet-stream" == response.headers["content-type"]

    anyio.run(main, backend=backend)


def test_a_terminal_error_is_the_answer(backend: str) -> None:
    """Its code is the status; the body has code, message, metadata, and whose error it is."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post("/Arithmetic/fail", json=418)

        assert 418 == response.status_code
        assert "invocation" == response.headers["x-restate-error-source"]
        assert "x-restate-id" in response.headers
        assert {
            "code": 418,
            "message": "it cannot be",
            "source": "invocation",
            "metadata": {"why": "because"},
        } == response.json()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("code", [0, 42, 100, 204, 304, 1000, 70000])
def test_a_code_that_is_no_error_status_is_sent_as_500(backend: str, code: int) -> None:
    """An error never looks like a success; the body has the code as it is."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post("/Arithmetic/fail", json=code)

        assert 500 == response.status_code
        assert code == response.json()["code"]

    anyio.run(main, backend=backend)


def test_a_second_call_with_the_idempotency_key_gets_the_first_result(backend: str) -> None:
    """The same invocation answers, and both answers say until when."""

    async def main() -> None:
        async with serving(counters()) as served:
            key = {"idempotency-key": "once"}
            first = await served.client.post("/Counter/k/add", json=5, headers=key)
            second = await served.client.post("/Counter/k/add", json=7, headers=key)

        assert (5, 5) == (first.json(), second.json())
        assert first.headers["x-restate-id"] == second.headers["x-restate-id"]
        assert first.headers["idempotency-expires"] == second.headers["idempotency-expires"]

    anyio.run(main, backend=backend)


def test_a_send_is_accepted_at_once(backend: str) -> None:
    """202 with the id and the status; the invocation runs."""

    async def main() -> None:
        async with serving(counters()) as served:
            response = await served.client.post("/Counter/k/add/send", json=5)
            sent = response.json()
            attached = await served.client.get(f"/restate/invocation/{sent['invocationId']}/attach")

        assert 202 == response.status_code
        assert "Accepted" == sent["status"]
        assert "executionTime" not in sent
        assert sent["invocationId"] == response.headers["x-restate-id"]
        assert 5 == attached.json()

    anyio.run(main, backend=backend)


def test_a_second_send_was_previously_accepted(backend: str) -> None:
    """The same idempotency key, or the same workflow key, starts nothing."""

    async def main() -> None:
        async with serving(counters(), signups()) as served:
            key = {"idempotency-key": "once"}
            post = served.client.post
            sends = [
                (await post("/Counter/k/add/send", json=5, headers=key)).json(),
                (await post("/restate/send/Counter/k/add", json=5, headers=key)).json(),
                (await post("/Signup/me/run/send", json="Ann")).json(),
                (await post("/Signup/me/run/send", json="Ann")).json(),
            ]

        assert ["Accepted", "PreviouslyAccepted"] * 2 == [sent["status"] for sent in sends]
        assert sends[0]["invocationId"] == sends[1]["invocationId"]
        assert sends[2]["invocationId"] == sends[3]["invocationId"]

    anyio.run(main, backend=backend)


def test_a_delayed_send_tells_when_it_runs(backend: str) -> None:
    """executionTime is an RFC 3339 time, and the invocation is scheduled for it."""

    async def main() -> None:
        async with serving(counters()) as served:
            response = await served.client.post("/Counter/k/add/send?delay=PT1H", json=5)
            sent = response.json()
            record = await served.runtime.invocation(sent["invocationId"])

        assert "scheduled" == record.status.value
        assert record.scheduled_for is not None
        assert pytest.approx(3600, abs=1) == record.scheduled_for - record.created_at
        assert sent["executionTime"].endswith("Z")

    anyio.run(main, backend=backend)


def test_a_workflow_that_is_called_again_is_a_conflict(backend: str) -> None:
    """It runs once per key; the answer names the run there is."""

    async def main() -> None:
        async with serving(signups()) as served:
            first = await served.client.post("/Signup/me/run", json="Ann")
            second = await served.client.post("/Signup/me/run", json="Bob")

        assert "hello Ann" == first.json()
        assert 409 == second.status_code
        assert "invocation" == second.headers["x-restate-error-source"]
        assert first.headers["x-restate-id"] == second.headers["x-restate-id"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/Arithmetics/double", 404, "Did you mean 'Arithmetic'?"),
        ("POST", "/Arithmetic/dubble", 404, "Did you mean 'double'?"),
        ("POST", "/Arithmetic/double/5/x", 400, "/Arithmetic/{handler}"),
        ("POST", "/Counter//name", 400, "key"),
        ("PUT", "/Arithmetic/double", 405, "use POST"),
        ("DELETE", "/restate/health", 405, "use GET"),
        ("POST", "/Arithmetic/secret", 400, "private"),
        ("POST", "/Arithmetic/nothing?delay=5s", 400, "cannot be delayed"),
        ("POST", "/Arithmetic/nothing/send?delay=5", 400, "The unit is missing"),
        ("POST", "/Arithmetic/nothing/send?delay=", 400, "bad delay"),
        ("POST", "/Arithmetic/nothing/send?DELAY=soon", 400, "bad delay"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(
    backend: str, method: str, path: str, status: int, message: str
) -> None:
    """Restate's shape of an error, from the ingress itself, and a remedy."""

    async def main() -> None:
        async with serving(arithmetic(), counters()) as served:
            response = await served.client.request(method, path)

        assert status == response.status_code
        assert "ingress" == response.headers["x-restate-error-source"]
        body = response.json()
        assert (status, "ingress") == (body["code"], body["source"])
        assert message in body["message"]

    anyio.run(main, backend=backend)


def test_a_refused_method_names_the_allowed_ones(backend: str) -> None:
    """405 comes with Allow."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.put("/Arithmetic/double")

        assert "POST, GET" == response.headers["allow"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("headers", "content", "message"),
    [
        (JSON, b"{", "does not fit"),
        (JSON, b'"five"', "expected int"),
        (JSON, b"", "body is empty"),
        (JSON, b"\xff", "does not fit"),
        ({}, b"5", "no content-type"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"5", "takes application/json"),
        ({**JSON, "idempotency-key": ""}, b"5", "idempotency key"),
        ({**JSON, "x-restate-limit-key": "a"}, b"5", "limit keys"),
        ({**JSON, "x-name": "J\xf6rg"}, b"5", "not ASCII"),
    ],
)
def test_what_the_handler_cannot_take_is_not_journaled(
    backend: str, headers: dict[str, str], content: bytes, message: str
) -> None:
    """Neither a call nor a send of it creates an invocation."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
            responses = [
                await served.client.post(path, content=content, headers=encoded)
                for path in ("/Arithmetic/double", "/Arithmetic/double/send")
            ]
            kept = await served.store.invocations()

        assert [400, 400] == [response.status_code for response in responses]
        assert all(message in response.json()["message"] for response in responses)
        assert [] == list(kept)

    anyio.run(main, backend=backend)


def test_a_handler_that_accepts_anything_asks_for_no_content_type(backend: str) -> None:
    """What ``*/*`` matches need not be named."""
    service = Service("Anything")

    @service.handler(accept="*/*")
    async def size(ctx: Context, data: bytes) -> int:
        return len(data)

    async def main() -> None:
        async with serving(service) as served:
            response = await served.client.post("/Anything/size", content=b"\xff\x00")

        assert (200, 2) == (response.status_code, response.json())

    anyio.run(main, backend=backend)


def test_a_message_that_is_no_text_is_an_answer_all_the_same(backend: str) -> None:
    """A lone surrogate is shown as an escape."""
    service = Service("Half")

    @service.handler
    async def fail(ctx: Context) -> None:
        raise TerminalError("half \udc80")

    async def main() -> None:
        async with serving(service) as served:
            response = await served.client.post("/Half/fail")

        assert 500 == response.status_code
        assert "invocation" == response.headers["x-restate-error-source"]
        assert r"half \udc80" == response.json()["message"]

    anyio.run(main, backend=backend)


def test_an_error_nobody_expected_is_logged_and_not_told(
    backend: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug costs one request; its text, which may be anything, stays here."""

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    async def main() -> None:
        async with serving(arithmetic()) as served:
            with monkeypatch.context() as patch:
                patch.setattr(served.store, "find", broken)
                failed = await served.client.post(
                    "/Arithmetic/nothing", headers={"idempotency-key": "k"}
                )
            after = await served.client.post("/Arithmetic/nothing")

        assert (500, 200) == (failed.status_code, after.status_code)
        assert "ingress" == failed.headers["x-restate-error-source"]
        assert "secret" not in failed.text
        assert "a secret" in caplog.text

    anyio.run(main, backend=backend)


def test_a_workflow_takes_no_idempotency_key(backend: str) -> None:
    """Its key is its identity."""

    async def main() -> None:
        async with serving(signups()) as served:
            response = await served.client.post(
                "/Signup/me/run", json="Ann", headers={"idempotency-key": "once"}
            )

        assert 400 == response.status_code
        assert "leave out the idempotency key" in response.json()["message"]

    anyio.run(main, backend=backend)


def test_headers_reach_the_handler(backend: str) -> None:
    """Those of the request, in order, and the path; not those of the connection."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post(
                "/Arithmetic/double?x=1", json=1, headers={"X-Tenant": "acme"}
            )
            entries = await served.store.journal(response.headers["x-restate-id"])

        assert isinstance(entries[0], Input)
        headers = dict(entries[0].headers)
        assert "acme" == headers["x-tenant"]
        assert "/Arithmetic/double?x=1" == headers["x-restate-ingress-path"]
        assert not headers.keys() & {"host", "connection", "idempotency-key"}

    anyio.run(main, backend=backend)


def test_a_content_type_may_have_parameters(backend: str) -> None:
    """A charset does not make JSON something else."""

    async def main() -> None:
        async with serving(arithmetic()) as served:
            response = await served.client.post(
                "/Arithmetic/double",
                content=b"4",
                headers={"content-type": "Application/JSON; charset=utf-8"},
            )

        assert 8 == response.json()

    anyio.run(main, backend=backend)


def test_health_names_the_services(backend: str) -> None:
    """As Restate's does."""

    async def main() -> None:
        async with serving(arithmetic(), counters()) as served:
            response = await served.client.get("/restate/health")

        assert {"services": ["Arithmetic", "Counter"]} == response.json()

    anyio.run(main, backend=backend)


def test_media_types_are_those_of_the_handler(backend: str) -> None:
    """``accept`` says what may be sent, ``content_type`` what is answered; ranges are ranges."""
    service = Service("Pictures")

    @service.handler(accept="image/*", content_type="image/png")
    async def convert(ctx: Context, data: bytes) -> bytes:
        return data

    async def main() -> None:
        async with serving(service) as served:
            taken = await served.client.post(
                "/Pictures/convert", content=b"gif", headers={"content-type": "image/gif"}
            )
            refused = await served.client.post("/Pictures/convert", content=b"{}", headers=JSON)

        assert (200, b"gif") == (taken.status_code, taken.content)
        assert "image/png" == taken.headers["content-type"]
        assert 400 == refused.status_code
        assert "takes image/*" in refused.json()["message"]

    anyio.run(main, backend=backend)
