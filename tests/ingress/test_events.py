"""Awakeables and signals from outside."""

from __future__ import annotations

import anyio
import pytest

from durable_trio import Context, Service, TerminalError
from durable_trio._invocation import awakeable_id

from .served import serving

UNKNOWN = "inv_1AAAAAAAAAAAAAAAAAAAAAA"


class Approvals:
    """A service whose handlers wait for somebody outside."""

    def __init__(self) -> None:
        self.service = Service("Approvals")
        self.ids: list[str] = []
        self.waiting = anyio.Event()

        @self.service.handler
        async def approve(ctx: Context) -> str:
            awakeable = ctx.awakeable(str)
            await ctx.run(self._tell, awakeable.id, name="tell", on_thread=False)
            try:
                return str(await awakeable.future)
            except TerminalError as error:
                return f"{error.code} {error.message}"

        @self.service.handler
        async def listen(ctx: Context) -> str:
            try:
                return str(await ctx.signal("go/on", str))
            except TerminalError as error:
                return f"{error.code} {error.message}"

    def _tell(self, awakeable_id: str) -> None:
        self.ids.append(awakeable_id)
        self.waiting.set()


@pytest.mark.parametrize("prefix", ["/restate/awakeables", "/restate/a"])
@pytest.mark.parametrize(
    ("verb", "body", "result"),
    [("resolve", b'"yes"', "yes"), ("reject", "nö".encode(), "500 nö")],
)
def test_an_awakeable_is_completed_with_the_body(
    backend: str, prefix: str, verb: str, body: bytes, result: str
) -> None:
    """Resolved with the payload, or rejected with the text; the answer is an empty 202."""

    async def main() -> None:
        approvals = Approvals()
        async with serving(approvals.service) as served:
            sent = (await served.client.post("/Approvals/approve/send")).json()
            await approvals.waiting.wait()
            completed = await served.client.post(
                f"{prefix}/{approvals.ids[0]}/{verb}", content=body
            )
            attached = await served.client.get(f"/restate/attach/{sent['invocationId']}")

        assert (202, b"") == (completed.status_code, completed.content)
        assert result == attached.json()

    anyio.run(main, backend=backend)


def test_an_awakeable_is_completed_once(backend: str) -> None:
    """A second completion is accepted and changes nothing, also when the invocation has ended."""

    async def main() -> None:
        approvals = Approvals()
        async with serving(approvals.service) as served:
            sent = (await served.client.post("/Approvals/approve/send")).json()
            await approvals.waiting.wait()
            path = f"/restate/a/{approvals.ids[0]}/resolve"
            await served.client.post(path, json="first")
            attach = f"/restate/attach/{sent['invocationId']}"
            before = await served.client.get(attach)
            again = await served.client.post(path, json="second")
            after = await served.client.get(attach)

        assert 202 == again.status_code
        assert ["first", "first"] == [before.json(), after.json()]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("verb", "body", "result"),
    [("resolve", b'"yes"', "yes"), ("reject", b"no", "500 no")],
)
def test_a_signal_is_completed_with_the_body(
    backend: str, verb: str, body: bytes, result: str
) -> None:
    """Under its name, percent-decoded, in the invocation with the id."""

    async def main() -> None:
        approvals = Approvals()
        async with serving(approvals.service) as served:
            sent = (await served.client.post("/Approvals/listen/send")).json()
            path = f"/restate/signals/{sent['invocationId']}/go%2Fon/{verb}"
            completed = await served.client.post(path, content=body)
            attached = await served.client.get(f"/restate/attach/{sent['invocationId']}")

        assert 202 == completed.status_code
        assert result == attached.json()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/restate/a/sign_1xyz/resolve", 400),
        ("/restate/a/prom_1xyz/resolve", 400),
        (f"/restate/a/{awakeable_id(bytes(16), 17)}/resolve", 404),
        (f"/restate/signals/{UNKNOWN}/go/resolve", 404),
        ("/restate/signals/nobody/go/reject", 400),
    ],
)
def test_nobody_there_is_said_so(backend: str, path: str, status: int) -> None:
    """An id that is none is a bad request; one that nobody has is not found."""

    async def main() -> None:
        async with serving(Approvals().service) as served:
            response = await served.client.post(path, json="x")

        assert status == response.status_code
        assert "ingress" == response.json()["source"]

    anyio.run(main, backend=backend)
