"""``serve``: an endpoint on a port, until a signal or whatever else ends it.

Owns the signals, and the sockets if it opened them. Everything else is ``_server.py``'s.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import anyio

from ._limits import ServerLimits
from ._listeners import open_sockets

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from durable_trio_restate._endpoint import Endpoint


async def serve(
    app: Endpoint,
    bind: str | Sequence[socket.socket] = "127.0.0.1:9080",
    *,
    shutdown_timeout: float = 10.0,
    until: Callable[[], Awaitable[object]] | None = None,
    started: Callable[[], object] | None = None,
    limits: ServerLimits | None = None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve an endpoint over HTTP/2 and HTTP/1.1, on one port, until SIGINT or SIGTERM.

    ``bind`` is host:port, ``unix:PATH``, or sockets that listen. ``until`` replaces the
    signals: it is awaited instead. Then attempts are drained: those that wait suspend, those
    at work have ``shutdown_timeout`` seconds to end. ``started`` is called when it listens.
    ``limits`` bound what a client may use. ``tls`` is a server's context, for example
    ``tls_context(certificate, key)``; without one all is clear text, HTTP/2 with prior
    knowledge. ``UsageError`` if it cannot listen there.
    """
    # h2 is imported when it is served: other servers, and AWS Lambda, start without it.
    from ._server import Server

    listeners = open_sockets(bind) if isinstance(bind, str) else bind
    server = Server(app, limits or ServerLimits(), tls)
    try:
        await server.run(listeners, until or _stopped, started, shutdown_timeout)
    finally:
        # Whoever cancels it expects the port to be free.
        for listener in listeners:
            listener.close()


async def _stopped() -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return
