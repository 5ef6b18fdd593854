"""Attaching, outputs and look-ups."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from durable_trio import Context, Service, TerminalError, Workflow, WorkflowContext
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.local.http._messages import refusal, without_directories
from durable_trio_file import FileJournal

from .served import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Gate:
    """A service and a workflow whose handlers wait until the test lets them go on."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.reached = anyio.Event()
        self.service = Service("Gate")
        self.workflow = Workflow("Flow")

        @self.service.handler
        async def passing(ctx: Context, word: str) -> str:
            await ctx.run(self._wait, name="wait")
            if word == "fail":
                raise TerminalError("no way", 422)
            return word.upper()

        self.passing = passing

        @self.workflow.main
        async def run(ctx: WorkflowContext, word: str) -> str:
            await ctx.run(self._wait, name="wait")
            return word.upper()

    async def _wait(self) -> None:
        self.reached.set()
        await self.open.wait()


async def looks(client: httpx.AsyncClient, invocation_id: str) -> AsyncGenerator[httpx.Response]:
    """All ways to an output that are by id."""
    yield await client.get(f"/restate/invocation/{invocation_id}/output")
    yield await client.get(f"/restate/output/{invocation_id}")
    yield await client.post(
        "/restate/output", json={"target": "invocation", "invocationId": invocation_id}
    )


def test_an_output_is_not_ready_until_it_is(backend: str) -> None:
    """470 while the invocation goes on, its result afterwards, by any of the paths."""

    async def main() -> None:
        gate = Gate()
        async with serving(gate.service) as served:
            sent = (await served.client.post("/Gate/passing/send", json="a")).json()
            invocation_id = sent["invocationId"]
            await gate.reached.wait()
            early = [each async for each in looks(served.client, invocation_id)]
            gate.open.set()
            attached = await served.client.get(f"/restate/attach/{invocation_id}")
            late = [each async for each in looks(served.client, invocation_id)]

        assert [470] * 3 == [each.status_code for each in early]
        assert all("not completed yet" in each.json()["message"] for each in early)
        assert "A" == attached.json()
        assert ["A"] * 3 == [each.json() for each in late]
        assert {invocation_id} == {each.headers["x-restate-id"] for each in [*early, *late]}

    anyio.run(main, backend=backend)


def test_a_paused_invocation_is_answered(backend: str) -> None:
    """503 by the ingress, with its id and its error: to call, and to attach later."""
    service = Service("Wrong")

    @service.handler
    async def run(ctx: Context) -> None:
        await anyio.sleep(60)

    async def main() -> None:
        async with serving(service) as served:
            called = await served.client.post("/Wrong/run")
            attached = await served.client.get(f"/restate/attach/{called.headers['x-restate-id']}")

        for answer in (called, attached):
            assert 503 == answer.status_code
            assert "ingress" == answer.headers["x-restate-error-source"]
            assert called.headers["x-restate-id"] == answer.headers["x-restate-id"]
            assert "is paused: ForeignAwaitError" in answer.json()["message"]

    anyio.run(main, backend=backend)


def test_attach_waits_for_the_result(backend: str) -> None:
    """Whoever attaches before the end is answered at the end."""

    async def main() -> None:
        gate = Gate()
        responses: list[httpx.Response] = []
        async with serving(gate.service) as served:
            key = {"idempotency-key": "once"}
            sent = (await served.client.post("/Gate/passing/send", json="a", headers=key)).json()
            target = {"target": "idempotentInvocation", "service": "Gate", "handler": "passing"}

            async def attach(method: str, path: str, **options: Any) -> None:
                responses.append(await served.client.request(method, path, **options))

            async with anyio.create_task_group() as tasks:
                await gate.reached.wait()
                for path in (
                    f"/restate/invocation/{sent['invocationId']}/attach",
                    f"/restate/attach/{sent['invocationId']}",
                    "/restate/invocation/Gate/passing/once/attach",
                ):
                    tasks.start_soon(attach, "GET", path)
                body = {**target, "idempotencyKey": "once"}
                tasks.start_soon(lambda: attach("POST", "/restate/attach", json=body))
                await anyio.wait_all_tasks_blocked()
                gate.open.set()

        assert ["A"] * 4 == [response.json() for response in responses]

    anyio.run(main, backend=backend)


def test_a_workflow_is_attached_to_by_its_key(backend: str) -> None:
    """The key is decoded, and names one run."""

    async def main() -> None:
        gate = Gate()
        async with serving(gate.workflow) as served:
            await served.client.post("/Flow/a%2Fb/run/send", json="x")
            await gate.reached.wait()
            early = await served.client.get("/restate/workflow/Flow/a%2Fb/output")
            gate.open.set()
            late = await served.client.get("/restate/workflow/Flow/a%2Fb/attach")
            target = {"target": "workflow", "workflowName": "Flow", "workflowKey": "a/b"}
            found = await served.client.post("/restate/lookup", json=target)

        assert 470 == early.status_code
        assert "X" == late.json()
        assert {"invocationId": late.headers["x-restate-id"]} == found.json()

    anyio.run(main, backend=backend)


def test_an_attached_failure_is_the_invocations(backend: str) -> None:
    """It is told as to whoever called."""

    async def main() -> None:
        gate = Gate()
        gate.open.set()
        async with serving(gate.service) as served:
            sent = (await served.client.post("/Gate/passing/send", json="fail")).json()
            attached = await served.client.get(f"/restate/attach/{sent['invocationId']}")
            output = await served.client.get(f"/restate/output/{sent['invocationId']}")

        assert [422, 422] == [attached.status_code, output.status_code]
        assert "invocation" == attached.json()["source"] == output.json()["source"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "path",
    [
        "/restate/attach/inv_1AAAAAAAAAAAAAAAAAAAAAA",
        "/restate/output/inv_1AAAAAAAAAAAAAAAAAAAAAA",
        "/restate/invocation/Gate/passing/never/attach",
        "/restate/workflow/Flow/never/output",
        "/restate/workflow/Nobody/k/output",
    ],
)
def test_an_unknown_invocation_is_not_found(backend: str, path: str) -> None:
    """404, from the ingress."""

    async def main() -> None:
        gate = Gate()
        async with serving(gate.service, gate.workflow) as served:
            response = await served.client.get(path)

        assert 404 == response.status_code
        assert "ingress" == response.json()["source"]

    anyio.run(main, backend=backend)


def test_an_id_that_is_none_is_a_bad_request(backend: str) -> None:
    """400 says what an id looks like."""

    async def main() -> None:
        async with serving(Gate().service) as served:
            response = await served.client.get("/restate/attach/xyz")

        assert 400 == response.status_code
        assert "inv_1" in response.json()["message"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"target": "invocation"}',
        b'{"target": "workflow", "workflowName": "Flow", "workflowKey": 5}',
        b'{"target": "idempotentInvocation", "service": "S", "handler": "h", "key": 5}',
        b'{"target": "invocation", "invocationId": "inv_1x", "scope": "s"}',
        b"[" * 100_000,
        b'{"target": "invocation", "invocationId": "\xff"}',
    ],
)
def test_a_description_that_is_none_is_a_bad_request(backend: str, body: bytes) -> None:
    """400 says what is expected."""

    async def main() -> None:
        async with serving(Gate().service) as served:
            response = await served.client.post("/restate/lookup", content=body)

        assert 400 == response.status_code

    anyio.run(main, backend=backend)


def test_clients_are_not_told_where_the_server_keeps_its_files(backend: str) -> None:
    """The name of a file says what is wrong; the log has the whole path."""
    service = Service("Wrong")

    @service.handler
    async def sleepy(ctx: Context) -> None:
        await anyio.sleep(60)

    async def main() -> None:
        async with serving(service) as served:
            response = await served.client.post("/Wrong/sleepy")

        message = response.json()["message"]
        assert 503 == response.status_code
        assert f" {Path(__file__).name}:" in message
        assert str(Path(__file__).parent) not in message

    anyio.run(main, backend=backend)


def test_a_damaged_record_is_told_by_its_file_s_name(
    backend: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """503 with the name of the journal; the log has its path."""
    gate, journal = Gate(), tmp_path / "journal"

    async def main() -> None:
        runtime = LocalRuntime([gate.service], FileJournal(journal))
        async with runtime, HttpIngress(runtime, port=0) as ingress:
            sent = await runtime.send(gate.passing, "a", delay=3600)
            with closing(sqlite3.connect(journal)) as connection:
                connection.execute("UPDATE invocation SET headers = '{'")
                connection.commit()
            async with httpx.AsyncClient(base_url=ingress.url) as client:
                response = await client.get(f"/restate/output/{sent.invocation_id}")
            with closing(sqlite3.connect(journal)) as connection:
                connection.execute("UPDATE invocation SET headers = NULL")
                connection.commit()

        assert 503 == response.status_code
        assert "journal: reading failed" in response.json()["message"]
        assert str(tmp_path) not in response.text
        assert f"{journal}: reading failed" in caplog.text

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("/srv/data/j: writing failed: full", "j: writing failed: full"),
        ("Error: /srv/my dir/app.py:23: wrong", "Error: app.py:23: wrong"),
        ("found '/a/b/c'", "found 'c'"),
        ("GET https://example.org/a/b: 404", "GET https://example.org/a/b: 404"),
        ("1 / 2 / 3, a/b/c and /send", "1 / 2 / 3, a/b/c and /send"),
    ],
)
def test_a_path_is_told_by_its_last_part(message: str, told: str) -> None:
    """Whatever else has slashes stays as it is."""
    assert told == without_directories(message)


def test_a_message_with_a_file_name_that_is_no_text_is_an_answer() -> None:
    """What no encoding has is escaped."""
    answer = refusal(500, "caf\udce9: writing failed")

    assert rb"caf\\udce9: writing failed" in answer.body
    assert (500, ("x-restate-error-source", "ingress")) == (answer.status, answer.headers[-1])
