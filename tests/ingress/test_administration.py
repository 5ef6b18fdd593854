"""What an operator does, under Restate's admin paths."""

from __future__ import annotations

import anyio
import pytest

from durable_trio import Context, Service
from durable_trio.local.http._application import Application
from durable_trio.local.http._messages import Request, Response

from .served import Served, serving

UNKNOWN = "inv_1AAAAAAAAAAAAAAAAAAAAAA"


class Sleepers:
    """A service whose handler waits for a signal, or fails."""

    def __init__(self) -> None:
        self.service = Service("Sleepers")
        self.reached = anyio.Event()

        @self.service.handler
        async def wait(ctx: Context) -> str:
            await ctx.run(self.reached.set, name="reach", on_thread=False)
            return await ctx.signal("wake", str)

        @self.service.handler
        async def quick(ctx: Context) -> str:
            return "done"


async def start(served: Served, sleepers: Sleepers) -> str:
    sent = (await served.client.post("/Sleepers/wait/send")).json()
    await sleepers.reached.wait()
    invocation_id: str = sent["invocationId"]
    return invocation_id


@pytest.mark.parametrize(
    ("action", "status", "message"), [("cancel", 202, "cancelled"), ("kill", 200, "killed")]
)
def test_an_invocation_is_ended(backend: str, action: str, status: int, message: str) -> None:
    """Cancelled or killed, its outcome is a 409 that says which."""

    async def main() -> None:
        sleepers = Sleepers()
        async with serving(sleepers.service) as served:
            invocation_id = await start(served, sleepers)
            ended = await served.client.patch(f"/invocations/{invocation_id}/{action}")
            attached = await served.client.get(f"/restate/attach/{invocation_id}")
            again = await served.client.patch(f"/invocations/{invocation_id}/{action}")

        assert (status, b"") == (ended.status_code, ended.content)
        assert (409, message) == (attached.status_code, attached.json()["message"])
        assert (409, "ingress") == (again.status_code, again.json()["source"])
        assert "already completed" in again.json()["message"]

    anyio.run(main, backend=backend)


def test_a_paused_invocation_goes_on_when_it_is_resumed(backend: str) -> None:
    """Paused, it does nothing; resumed, it takes what came in the meantime."""

    async def main() -> None:
        sleepers = Sleepers()
        async with serving(sleepers.service) as served:
            invocation_id = await start(served, sleepers)
            paused = await served.client.patch(f"/invocations/{invocation_id}/pause")
            status = (await served.runtime.invocation(invocation_id)).status
            await served.client.post(f"/restate/signals/{invocation_id}/wake/resolve", json="up")
            resumed = await served.client.patch(f"/invocations/{invocation_id}/resume")
            attached = await served.client.get(f"/restate/attach/{invocation_id}")

        assert [202, 200] == [paused.status_code, resumed.status_code]
        assert "paused" == status.value
        assert "up" == attached.json()

    anyio.run(main, backend=backend)


def test_only_a_completed_invocation_is_purged(backend: str) -> None:
    """Before that it is a conflict, afterwards nothing of it is known."""

    async def main() -> None:
        sleepers = Sleepers()
        async with serving(sleepers.service) as served:
            waiting = await start(served, sleepers)
            conflict = await served.client.patch(f"/invocations/{waiting}/purge")
            done = (await served.client.post("/Sleepers/quick")).headers["x-restate-id"]
            purged = await served.client.patch(f"/invocations/{done}/purge")
            gone = await served.client.get(f"/restate/output/{done}")

        assert [409, 200, 404] == [conflict.status_code, purged.status_code, gone.status_code]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", f"/invocations/{UNKNOWN}/cancel", 404),
        ("PATCH", "/invocations/nobody/cancel", 400),
        ("PATCH", f"/invocations/{UNKNOWN}/stop", 404),
        ("POST", f"/invocations/{UNKNOWN}/cancel", 405),
    ],
)
def test_what_cannot_be_done_is_refused(backend: str, method: str, path: str, status: int) -> None:
    """An unknown id, no id, an unknown action, a wrong method."""

    async def main() -> None:
        async with serving(Sleepers().service) as served:
            response = await served.client.request(method, path)

        assert status == response.status_code

    anyio.run(main, backend=backend)


def test_an_operator_is_on_the_same_machine(backend: str) -> None:
    """From anywhere else the paths are forbidden, whatever the address it listens on."""

    async def main() -> None:
        async with serving(Sleepers().service) as served:
            request = Request("PATCH", f"/invocations/{UNKNOWN}/cancel")
            application = Application(served.runtime)
            here = application.route(request, local=True)
            elsewhere = application.route(request, local=False)

        assert not isinstance(here, Response)
        assert isinstance(elsewhere, Response)
        assert 403 == elsewhere.status

    anyio.run(main, backend=backend)
