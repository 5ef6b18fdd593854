"""Handlers served from a test's own event loop to a real server, and clients of that server.

Owns the way a test sees both sides: what its handlers do in this process, and what the server
says of their invocations. Nothing may be left on the server when a test ends.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
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
    stopped, started = anyio.Event(), anyio.Event()
    problem: Exception | None = None
    app = endpoint(services, **options)
    run = partial(serve, app, bind, until=stopped.wait, started=started.set, shutdown_timeout=5)
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await started.wait()
        async with (
            IngressClient(str(server.ingress.base_url)) as ingress,
            AdminClient(str(server.admin.base_url)) as admin,
        ):
            try:
                await admin.register_deployment(f"http://{bind}", force=True, http_11=http_11)
                yield Served(ingress, admin)
            except Exception as exc:  # to leave as it came, in no group
                problem = exc
                await _kill_all(admin)
            except BaseException:
                with anyio.move_on_after(_PATIENCE, shield=True):
                    await _kill_all(admin)
                raise
        stopped.set()
    if problem is not None:
        raise problem


async def _kill_all(admin: AdminClient) -> None:
    """Leave nothing to the tests after a failed one."""
    for row in await admin.query("SELECT id FROM sys_invocation WHERE status <> 'completed'"):
        await admin.kill(row["id"])
