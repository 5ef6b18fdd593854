"""Handlers served from a test's own event loop to a real server, and clients of that server.

Owns the way a test sees both sides: what its handlers do in this process, and what the server
says of their invocations. Nothing may be left on the server when a test ends.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from durable_trio.client import AdminClient, IngressClient
from durable_trio_restate import endpoint, serve

from .server import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from durable_trio import ServiceDefinition

    from .server import RestateServer

_PATIENCE = 30.0


@attrs.frozen
class Served:
    """Clients of the server that has the services."""

    ingress: IngressClient
    admin: AdminClient

    async def unfinished(self) -> list[str]:
        """The targets of all invocations that have not completed."""
        rows = await self.admin.query(
            "SELECT target, status FROM sys_invocation WHERE status <> 'completed' ORDER BY target"
        )
        return [f"{row['target']} {row['status']}" for row in rows]

    async def until_quiet(self) -> None:
        """Return when every invocation has completed."""
        left: list[str] = []
        with anyio.move_on_after(_PATIENCE):
            while left := await self.unfinished():
                await anyio.lowlevel.checkpoint()
            return
        raise AssertionError(f"orphans: {left}")

    async def outcomes(self, service: str) -> dict[str, str]:
        """How the invocations of a service have ended, by their idempotency keys."""
        rows = await self.admin.query(
            "SELECT idempotency_key, completion_result, completion_failure FROM sys_invocation "
            f"WHERE target_service_name = '{service}' AND idempotency_key IS NOT NULL"
        )
        return {
            row["idempotency_key"]: row.get("completion_failure") or row["completion_result"]
            for row in rows
        }


@asynccontextmanager
async def serving(
    server: RestateServer, *services: ServiceDefinition, http_11: bool = False, **options: Any
) -> AsyncGenerator[Served]:
    """Serve these services here until the block ends; the server has them by then."""
    bind = f"127.0.0.1:{free_port()}"
    stopped = anyio.Event()
    problem: Exception | None = None
    async with anyio.create_task_group() as group:
        app = endpoint(services, **options)
        group.start_soon(lambda: serve(app, bind, until=stopped.wait, shutdown_timeout=5))
        async with (
            IngressClient(str(server.ingress.base_url)) as ingress,
            AdminClient(str(server.admin.base_url)) as admin,
        ):
            await _until_served(admin, f"http://{bind}", http_11=http_11)
            try:
                yield Served(ingress, admin)
            except Exception as exc:  # to leave as it came, in no group
                problem = exc
        stopped.set()
    if problem is not None:
        raise problem


async def _kill_all(admin: AdminClient) -> None:
    """Leave nothing to the tests after a failed one."""
    for row in await admin.query("SELECT id FROM sys_invocation WHERE status <> 'completed'"):
        await admin.kill(row["id"])


async def _until_served(admin: AdminClient, uri: str, *, http_11: bool) -> None:
    """Register when somebody listens."""
    port = int(uri.rpartition(":")[2])
    while True:
        try:
            async with await anyio.connect_tcp("127.0.0.1", port):
                break
        except OSError:
            await anyio.lowlevel.checkpoint()
    await admin.register_deployment(uri, force=True, http_11=http_11)
