"""The server as ``durable-trio serve`` needs it.

Owns what the command can ask of this adapter: it is found by its entry point, because the
command knows no adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durable_trio_restate._endpoint import endpoint

from ._limits import ServerLimits
from ._listeners import open_sockets
from ._server import Server
from ._tls import tls_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from durable_trio._services import ServiceDefinition


class EndpointServer:
    """An endpoint and the settings of its server. ``UsageError`` if either makes no sense."""

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        *,
        identity_keys: Sequence[str] = (),
        certificate: str | None = None,
        key: str | None = None,
        max_streams: int | None = None,
    ) -> None:
        self._endpoint = endpoint(services, identity_keys=identity_keys)
        self._tls = None if certificate is None else tls_context(certificate, key)
        self._limits = (
            ServerLimits() if max_streams is None else ServerLimits(max_streams=max_streams)
        )

    def listen(self, host: str, port: int) -> list[socket.socket]:
        """Sockets that listen there, port 0 for any free one."""
        return open_sockets(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    async def serve(
        self,
        sockets: Sequence[socket.socket],
        *,
        until: Callable[[], Awaitable[object]],
        grace: float,
        shared: bool,
    ) -> None:
        """Serve until ``until`` returns, then drain within ``grace`` seconds.

        ``shared``: other processes accept connections on the same sockets.
        """
        server = Server(self._endpoint, self._limits, self._tls, shared=shared)
        await server.run(sockets, until, None, grace)
