"""For the page on scaling: a new version beside the old one, until nothing is left for the old."""

from typing import Any

import anyio

from durable_trio import Context, Service, sleep
from durable_trio.client import AdminClient

orders = Service("Orders")
services = [orders]


@orders.handler
async def ship(ctx: Context, order: str) -> str:
    await sleep(24 * 3600)
    return f"{order} shipped"


UNFINISHED = """
    SELECT count(*) AS n FROM sys_invocation
    WHERE status <> 'completed' AND '{}' IN (pinned_deployment_id, last_attempt_deployment_id)
"""


async def unfinished(admin: AdminClient, deployment_id: str) -> int:
    """How many invocations the server will go on making with this deployment."""
    rows: list[dict[str, Any]] = await admin.query(UNFINISHED.format(deployment_id))
    count: int = rows[0]["n"]
    return count


async def upgrade(admin: AdminClient, uri: str, old: str, every: float = 10) -> str:
    """New invocations go to ``uri``; returns its id when nothing is left for the old deployment."""
    new = await admin.register_deployment(uri)
    await anyio.sleep(every)  # until every node of a cluster knows
    while left := await unfinished(admin, old):
        print(f"{old}: {left} in flight")
        await anyio.sleep(every)
    await admin.delete_deployment(old)
    return new.id
