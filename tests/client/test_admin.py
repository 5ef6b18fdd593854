"""What only a client of a server can be asked: over HTTP, and of a Restate server alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import RefusedError, SerializationError, TerminalError
from durable_trio.client import AdminClient, Deployment, IngressClient

from .conftest import ONE_WORKER
from .services import add, box, counter, desk, taken, wait

if TYPE_CHECKING:
    from .conftest import Clients, Restate


async def until_paused(ingress: IngressClient, admin: AdminClient, invocation_id: str) -> None:
    """Return when a Restate server says so. The embedded runtime need not be asked."""
    sql = f"SELECT id FROM sys_invocation WHERE id = '{invocation_id}' AND status = 'paused'"
    while admin.url != ingress.url and not await admin.query(sql):
        await anyio.lowlevel.checkpoint()


def test_an_operator_pauses_and_resumes(backend: str, clients: Clients) -> None:
    """Resumed it goes on; one that has completed can be neither, nor can an unknown one."""

    async def main() -> None:
        async with clients() as (ingress, admin):
            sent = await ingress.send(wait, f"paused {backend}")
            awakeable = await ingress.call(taken, key=f"paused {backend}")
            await admin.pause(sent.invocation_id)
            await until_paused(ingress, admin, sent.invocation_id)
            await admin.pause(sent.invocation_id)
            await admin.resume(sent.invocation_id)
            await ingress.resolve_awakeable(awakeable, "on")
            assert "on" == await ingress.attach(sent.invocation_id, str)
            for act in (admin.pause, admin.resume):
                with pytest.raises(RefusedError, match=sent.invocation_id) as caught:
                    await act(sent.invocation_id)
                assert 409 == caught.value.code

    anyio.run(main, backend=backend)


def test_what_there_is_not(backend: str, clients: Clients) -> None:
    """Unknown and malformed ids, unknown services and handlers: the server's code and message."""

    async def main() -> None:
        async with clients() as (ingress, admin):
            for act in (admin.cancel, admin.kill, admin.pause, admin.resume, admin.purge):
                with pytest.raises(RefusedError) as caught:
                    await act("nobody")
                assert 400 == caught.value.code
            for service, handler in (("Nobody", "echo"), ("Desk", "nothing")):
                with pytest.raises(RefusedError, match=r"Nobody|nothing") as caught:
                    await ingress.invoke(service, handler)
                assert 404 == caught.value.code
            with pytest.raises(RefusedError, match="awakeable") as caught:
                await ingress.resolve_awakeable("../health", 1)
            assert 400 == caught.value.code
            with pytest.raises(TerminalError) as caught_look:
                await ingress.output("../health")
            assert 400 == caught_look.value.code

    anyio.run(main, backend=backend)


def test_signals_are_for_the_embedded_ingress(backend: str, clients: Clients) -> None:
    """A Restate server has no such path, and says so."""

    async def main() -> None:
        async with clients() as (ingress, admin):
            sent = await ingress.send(wait, f"signalled {backend}")
            await ingress.call(taken, key=f"signalled {backend}")
            if admin.url == ingress.url:
                await ingress.resolve_signal(sent.invocation_id, "a/b", 1)
                await ingress.reject_signal(sent.invocation_id, "c", "no")
                return

            for signal in (
                ingress.resolve_signal(sent.invocation_id, "a/b", 1),
                ingress.reject_signal(sent.invocation_id, "c", "no"),
            ):
                with pytest.raises(RefusedError) as caught:
                    await signal
                assert 404 == caught.value.code

    anyio.run(main, backend=backend)


@ONE_WORKER
def test_a_deployment_is_registered(backend: str, restate: Restate) -> None:
    """Its services are named; once more is fine, and one that nobody serves is refused."""

    async def main() -> None:
        async with AdminClient(restate.admin) as admin:
            found = [
                await admin.register_deployment(restate.endpoint),
                await admin.register_deployment(restate.endpoint, dry_run=True, force=True),
            ]
            for deployment in found:
                assert isinstance(deployment, Deployment)
                assert {desk.name, counter.name, box.name} == set(deployment.services)
            with pytest.raises(RefusedError, match="META0003"):
                await admin.register_deployment("http://127.0.0.1:1")
            with pytest.raises(RefusedError, match="absolute") as caught:
                await admin.register_deployment("nonsense", headers={"x": "y"}, http_11=True)
            assert 400 == caught.value.code

    anyio.run(main, backend=backend)


@ONE_WORKER
def test_a_query_gives_rows(backend: str, restate: Restate) -> None:
    """As mappings by column; wrong SQL is refused with what is wrong."""

    async def main() -> None:
        async with AdminClient(restate.admin) as admin, IngressClient(restate.ingress) as ingress:
            key = f"queried {backend}"
            sent = await ingress.send(add, 7, key=key)
            await ingress.attach(sent.invocation_id)
            rows = await admin.query(
                "SELECT id, status, target_service_key AS key, retry_count FROM sys_invocation "
                f"WHERE id = '{sent.invocation_id}'"
            )
            assert [{"id": sent.invocation_id, "status": "completed", "key": key}] == rows
            assert [] == await admin.query(
                "SELECT id FROM sys_invocation WHERE target_service_name = 'x'"
            )
            for wrong in ("SELEC", "SELECT nothing"):
                with pytest.raises(RefusedError, match="Datafusion"):
                    await admin.query(wrong)

    anyio.run(main, backend=backend)


@ONE_WORKER
def test_state_is_read_and_replaced(backend: str, restate: Restate) -> None:
    """Of a key that may be anything; a service without state refuses."""

    async def main() -> None:
        key = f"it's {backend}/ 1"
        async with AdminClient(restate.admin) as admin, IngressClient(restate.ingress) as ingress:
            assert {} == await admin.get_state("Counter", key)
            assert 5 == await ingress.call(add, 5, key=key)
            assert {"total": b"5"} == await admin.get_state("Counter", key)
            await admin.set_state("Counter", key, {"total": 7, "other": 1}, int)
            assert 8 == await ingress.call(add, 1, key=key)
            assert {"total": 8, "other": 1} == await admin.get_state("Counter", key, int)
            with pytest.raises(RefusedError, match="Cannot modify state"):
                await admin.set_state("Desk", key, {})
            with pytest.raises(SerializationError):
                await admin.get_state("Counter", key, list[str])

    anyio.run(main, backend=backend)
