"""As the page on scaling has it: two versions at once, and state that moves to a server."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import Workflow, WorkflowContext, WorkflowSharedContext, WorkflowTarget
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore
from durable_trio_restate import endpoint, serve

from .conftest import ONE_WORKER
from .served import serving
from .server import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .conftest import Servers
    from .server import RestateServer

pytestmark = ONE_WORKER
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SOON = 0.02


@pytest.fixture(params=["scaling_upgrade"])
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's example, imported."""
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    yield importlib.import_module(request.param)
    del sys.modules[request.param]


def version(name: str) -> tuple[Workflow, Any, Any]:
    """A workflow that waits unless it need not, and tells which code went on; how to end its wait."""
    orders = Workflow("Orders")

    @orders.main
    async def ship(ctx: WorkflowContext, wait: bool) -> str:
        address = await ctx.promise("address", str) if wait else "the shop"
        return f"to {address}, {name}"

    @orders.shared
    async def moved(ctx: WorkflowSharedContext, address: str) -> str:
        await ctx.promise("address", str).resolve(address)
        return name

    return orders, ship, moved


def new_address(server: RestateServer) -> str:
    """Where no deployment of the server is, nor was: it would not be asked what it serves now."""
    known = server.admin.get("/deployments").text
    while (address := f"127.0.0.1:{free_port()}") in known:
        pass
    return address


async def until(probe: Callable[[], Awaitable[object]]) -> None:
    """Return when it says something that is true."""
    with anyio.fail_after(30):
        while True:
            if await probe():
                return

            await anyio.sleep(SOON)


def test_the_old_version_ends_what_it_began(example: Any, servers: Servers, backend: str) -> None:
    """New invocations are the new code's; the upgrade waits for those of the old."""
    server = servers({})
    old_orders, ship, moved = version("old")
    new_orders, *_ = version("new")
    bind = new_address(server)
    key = f"A-17 {backend}"

    async def main() -> None:
        stop, started, ended = anyio.Event(), anyio.Event(), anyio.Event()

        async def serve_new() -> None:
            await serve(endpoint([new_orders]), bind, until=stop.wait, started=started.set)

        async with serving(server, old_orders) as served, anyio.create_task_group() as group:
            admin, ingress = served.admin, served.ingress
            rows = await admin.query("SELECT deployment_id FROM sys_service WHERE name = 'Orders'")
            old = rows[0]["deployment_id"]
            await ingress.send(ship, True, key=key)
            await until(partial(example.unfinished, admin, old))

            upgraded: list[str] = []

            async def upgrade() -> None:
                upgraded.append(await example.upgrade(admin, f"http://{bind}", old, every=SOON))
                ended.set()

            group.start_soon(serve_new)
            await started.wait()
            group.start_soon(upgrade)
            numbers = count()

            async def answered_by_new() -> bool:
                answer = await ingress.call(ship, False, key=f"{key}.{next(numbers)}")
                return bool(answer == "to the shop, new")

            await until(answered_by_new)
            assert [] == upgraded

            assert "new" == await ingress.call(moved, "the harbour", key=key)
            assert "to the harbour, old" == await ingress.attach(WorkflowTarget("Orders", key))
            await ended.wait()
            rows = await admin.query("SELECT deployment_id FROM sys_service WHERE name = 'Orders'")
            assert upgraded == [rows[0]["deployment_id"]]
            assert server.admin.get(f"/deployments/{old}").status_code == 404
            stop.set()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("example", ["scaling_moving"], indirect=True)
def test_state_moves_to_a_server(example: Any, servers: Servers, backend: str) -> None:
    """What an object has in the embedded runtime it has on the server; no other key has."""
    server = servers({})

    async def main() -> None:
        keys = [f"{name} {backend}" for name in ("tea", "cake")]
        async with (
            serving(server, *example.services) as served,
            LocalRuntime(example.services, MemoryStore()) as runtime,
        ):
            for amount, key in enumerate(keys, 3):
                await runtime.call(example.add, amount, key=key)
            await example.move_state(runtime, served.admin, "Counters", keys)

            async def moved() -> bool:
                states = [await served.admin.get_state("Counters", key) for key in keys]
                return all(states)

            # The server has only been asked to when a call of ``set_state`` returns.
            await until(moved)
            assert [4, 5] == [await served.ingress.call(example.add, 1, key=key) for key in keys]
            assert 1 == await served.ingress.call(example.add, 1, key=f"other {backend}")

    anyio.run(main, backend=backend)
