"""``AdminClient``'s deployments, services and second lives of invocations, on a Restate server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    BadAnswerError,
    RefusedError,
    ServiceKind,
    UsageError,
)
from durable_trio.client import AdminClient, DeployedService, Deployment, IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.testing import MemoryStore
from tests.restate.server import EndpointProcess, RestateServer

from .conftest import ONE_WORKER
from .fake import answer, answering
from .lives import SERVICES
from .services import add, count, counter, greet, services, taken, wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from .conftest import Restate


@ONE_WORKER
def test_an_invocation_starts_once_more(backend: str, restate: Restate) -> None:
    """As a new one, from its input or from what it had done; the old one stays as it is."""

    async def main() -> None:
        async with AdminClient(restate.admin) as admin, IngressClient(restate.ingress) as ingress:
            old = await ingress.send(greet, "ada")
            assert "hello ada" == await ingress.attach(old.invocation_id, str)
            new = await admin.restart_as_new(old.invocation_id)
            assert old.invocation_id != new
            assert "hello ada" == await ingress.attach(new, str)
            assert "hello ada" == await ingress.attach(old.invocation_id, str)

            key = f"restarted {backend}"
            counted = (await ingress.send(count, key)).invocation_id
            assert 1 == await ingress.attach(counted, int)
            # The call is kept with its result: nothing is counted.
            kept = await admin.restart_as_new(counted, keep=1, deployment="latest")
            assert 1 == await ingress.attach(kept, int)
            assert 1 == await ingress.call(add, 0, key=key)
            again = await admin.restart_as_new(counted)
            assert 2 == await ingress.attach(again, int)

            waiting = (await ingress.send(wait, key)).invocation_id
            await ingress.call(taken, key=key)
            for name, keep, code in ((counted, 99, 400), (waiting, 0, 409)):
                with pytest.raises(RefusedError, match=name) as caught:
                    await admin.restart_as_new(name, keep=keep)
                assert code == caught.value.code
            with pytest.raises(UsageError, match="keep"):
                await admin.restart_as_new(counted, keep=-1)

    anyio.run(main, backend=backend)


@ONE_WORKER
def test_a_journal_is_forgotten(backend: str, restate: Restate) -> None:
    """The result is not, and nothing can be restarted without it."""

    async def main() -> None:
        async with AdminClient(restate.admin) as admin, IngressClient(restate.ingress) as ingress:
            sent = await ingress.send(greet, "ada")
            await ingress.attach(sent.invocation_id)
            await admin.purge_journal(sent.invocation_id)
            entries = f"SELECT id FROM sys_journal WHERE id = '{sent.invocation_id}'"
            while await admin.query(entries):
                await anyio.lowlevel.checkpoint()
            assert "hello ada" == await ingress.attach(sent.invocation_id, str)
            with pytest.raises(RefusedError) as caught:
                await admin.restart_as_new(sent.invocation_id)
            assert 410 == caught.value.code
            waiting = await ingress.send(wait, f"not purged {backend}")
            await ingress.call(taken, key=f"not purged {backend}")
            with pytest.raises(RefusedError) as caught:
                await admin.purge_journal(waiting.invocation_id)
            assert 409 == caught.value.code

    anyio.run(main, backend=backend)


@ONE_WORKER
def test_what_is_deployed_is_listed(backend: str, restate: Restate) -> None:
    """Deployments with their URLs and services, services with their handlers and deployment."""

    async def main() -> None:
        async with AdminClient(restate.admin) as admin:
            registered = await admin.register_deployment(restate.endpoint)
            [found] = [each for each in await admin.deployments() if each.id == registered.id]
            assert f"{restate.endpoint}/" == found.uri
            assert found.created_at is not None
            assert found == await admin.deployment(registered.id)
            assert {each.name for each in services} == set(found.services)

            listed = {each.name: each for each in await admin.services()}
            assert {each.name for each in services} <= set(listed)
            service = listed[counter.name]
            assert isinstance(service, DeployedService)
            assert (ServiceKind.VIRTUAL_OBJECT, True) == (service.kind, service.public)
            assert (registered.id, 1) == (service.deployment_id, service.revision)
            assert set(counter.handlers) == set(service.handlers)
            assert service == await admin.service(counter.name)
            for ask in (admin.service("Nobody"), admin.deployment("dp_17sztQp4gnEC1L0OCFM9aEh")):
                with pytest.raises(RefusedError) as caught:
                    await ask
                assert 404 == caught.value.code
            with pytest.raises(RefusedError) as caught:
                await admin.deployment("nonsense/1")
            assert 400 == caught.value.code

    anyio.run(main, backend=backend)


def test_a_deployment_is_deleted(tmp_path: Path) -> None:
    """Its services are called no more; until then an invocation moves to a newer one."""

    async def main(server: RestateServer, old: str, new: str) -> None:
        async with (
            AdminClient(str(server.admin.base_url)) as admin,
            IngressClient(str(server.ingress.base_url)) as ingress,
        ):
            first = await admin.register_deployment(old)
            sent = await ingress.send(wait, "moved")
            awakeable = await ingress.call(taken, key="moved")
            second = await admin.register_deployment(new)
            assert {first.id, second.id} == {each.id for each in await admin.deployments()}
            await admin.pause(sent.invocation_id)
            where = f"SELECT * FROM sys_invocation WHERE id = '{sent.invocation_id}'"
            while "paused" != (await admin.query(where))[0]["status"]:
                await anyio.lowlevel.checkpoint()
            await admin.resume(sent.invocation_id, deployment="latest")
            await ingress.resolve_awakeable(awakeable, "on")
            assert "on" == await ingress.attach(sent.invocation_id, str)
            [row] = await admin.query(where)
            assert second.id == row["pinned_deployment_id"]

            await admin.delete_deployment(first.id)
            assert [second.id] == [each.id for each in await admin.deployments()]
            assert "hello you" == await ingress.call(greet)
            await admin.delete_deployment(second.id)
            assert [] == await admin.services()
            with pytest.raises(RefusedError) as caught:
                await admin.delete_deployment(second.id)
            assert 404 == caught.value.code

    with (
        RestateServer(tmp_path) as server,
        EndpointProcess(SERVICES, tmp_path) as old,
        EndpointProcess(SERVICES, tmp_path) as new,
    ):
        anyio.run(main, server, old.uri, new.uri)


ASKED: dict[str, Callable[[AdminClient], Awaitable[Any]]] = {
    "restart-as-new": lambda admin: admin.restart_as_new("inv_1AAAAAAAAAAAAAAAAAAAAAA"),
    "purge-journal": lambda admin: admin.purge_journal("inv_1AAAAAAAAAAAAAAAAAAAAAA"),
    "deployments": lambda admin: admin.deployments(),
    "deployment": lambda admin: admin.deployment("dp_1"),
    "delete": lambda admin: admin.delete_deployment("dp_1"),
    "register": lambda admin: admin.register_deployment("http://h"),
    "services": lambda admin: admin.services(),
    "service": lambda admin: admin.service("Counter"),
    "get_state": lambda admin: admin.get_state("Counter", "k"),
    "set_state": lambda admin: admin.set_state("Counter", "k", {}),
    "features": lambda admin: admin.features(),
    "query": lambda admin: admin.query("SELECT 1"),
}


def test_the_embedded_runtime_says_what_it_has_not(backend: str) -> None:
    """Each of these is refused with 404, whose it is, and what there is instead."""

    async def main() -> None:
        async with (
            LocalRuntime(services, MemoryStore()) as runtime,
            HttpIngress(runtime, port=0) as server,
            AdminClient(server.url) as admin,
        ):
            for name, ask in ASKED.items():
                with pytest.raises(RefusedError, match="embedded runtime") as caught:
                    await ask(admin)
                assert 404 == caught.value.code, name

    anyio.run(main, backend=backend)


WRONG: list[tuple[Callable[[AdminClient], Awaitable[Any]], bytes]] = [
    (lambda admin: admin.deployments(), b"{}"),
    (lambda admin: admin.deployments(), b'{"deployments": [1]}'),
    (lambda admin: admin.deployments(), b'{"deployments": [{"id": "dp_1"}]}'),
    (lambda admin: admin.services(), b'{"services": [{"name": "x"}]}'),
    (lambda admin: admin.service("x"), b'{"name": "x", "ty": "Other", "handlers": []}'),
    (lambda admin: admin.restart_as_new("inv_1"), b"{}"),
    (lambda admin: admin.register_deployment("http://h"), b'{"id": "dp_1"}'),
]


@pytest.mark.parametrize(("ask", "body"), WRONG)
def test_an_answer_of_something_else(
    ask: Callable[[AdminClient], Awaitable[Any]], body: bytes
) -> None:
    """It is an error of the tree that shows it."""

    async def main() -> None:
        async with answering(answer(200, body)) as fake, AdminClient(fake.url) as admin:
            with pytest.raises(BadAnswerError, match="expected"):
                await ask(admin)

    anyio.run(main)


def test_a_deployment_without_a_time() -> None:
    """What a server does not say, or says otherwise, is None."""
    fields: dict[str, object] = {"id": "dp_1", "services": [], "arn": "arn:x"}

    assert Deployment("dp_1", (), "arn:x") == Deployment.read(fields)
    assert Deployment("dp_1", (), "arn:x") == Deployment.read({**fields, "created_at": "soon"})
