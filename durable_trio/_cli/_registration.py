"""``--register``: have a Restate server discover what is served.

Owns waiting for its admin port, and what is said about the outcome.

 1. A server that is not there yet is waited for; one that says no is not asked again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import anyio

from durable_trio._exceptions import RefusedError, RequestError
from durable_trio.client import AdminClient

from ._exits import FAILED, Exit
from ._output import announce

if TYPE_CHECKING:
    from durable_trio.client import Deployment

_log = logging.getLogger("durable_trio.serve")

_NOT_THERE: Final = (400, 404)
"""What who has no deployments answers: an ingress, or the embedded runtime."""

_ELSEWHERE: Final = (
    ". Is that the admin port of a Restate server, 9070 unless it was set otherwise? Its ingress "
    "(8080) registers nothing"
)

_FIRST_DELAY: Final = 0.2
_LAST_DELAY: Final = 5.0


async def register(admin: str, uri: str, *, force: bool) -> None:
    """Register ``uri``, however long it takes. ``Exit`` if the server refuses it."""
    deployment = await _registered(admin, uri, force=force)
    services = ", ".join(deployment.services)
    announce([f"Registered {uri} with {admin}: {deployment.id}, {services}"])


async def _registered(admin: str, uri: str, *, force: bool) -> Deployment:
    delay, said = _FIRST_DELAY, ""
    async with AdminClient(admin) as client:
        while True:
            try:
                return await client.register_deployment(uri, force=force)
            except RefusedError as error:
                hint = _ELSEWHERE if error.code in _NOT_THERE else ""
                message = f"{admin} does not register {uri}: {error}{hint}"
                raise Exit(message, FAILED) from error
            except RequestError as error:
                if str(error) != said:
                    said = str(error)
                    _log.warning("not registered yet, trying on: %s", error)
            await anyio.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY)
