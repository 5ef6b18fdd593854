"""Running an endpoint with Hypercorn, on whichever backend is running.

Owns the settings under which Hypercorn suits a Restate server, and the order of a
shutdown: attempts are drained first, while the server still takes their last bytes.
"""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import anyio
import sniffio
from hypercorn.config import Config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._endpoint import Endpoint

_STREAMS: Final = 1_000
"""Attempts at once on one connection; Hypercorn's own default is 100."""

_QUEUE: Final = 1_000
"""Pieces of a request body that may wait for an attempt's reader, before the reading of the
whole connection stops."""


async def serve(
    app: Endpoint,
    bind: str = "127.0.0.1:9080",
    *,
    shutdown_timeout: float = 10.0,
    until: Callable[[], Awaitable[object]] | None = None,
    config: Config | None = None,
) -> None:
    """Serve an endpoint over HTTP/2 and HTTP/1.1 in clear text, until SIGINT or SIGTERM.

    ``bind`` is host:port, or ``unix:PATH``. Then attempts are drained: those that wait
    suspend, those at work have ``shutdown_timeout`` seconds to end. ``until`` replaces the
    signals: it is awaited instead. ``config`` is Hypercorn's own, for TLS and logs say.
    """
    settings = config or Config()
    settings.bind = [bind]
    settings.h2_max_concurrent_streams = _STREAMS
    settings.max_app_queue_size = _QUEUE
    # After as many requests Hypercorn closes the connection under all that are in flight.
    settings.keep_alive_max_requests = sys.maxsize
    settings.keep_alive_timeout = 3600
    settings.graceful_timeout = min(1.0, shutdown_timeout)

    async def shutdown() -> None:
        await (until or _stopped)()
        with anyio.move_on_after(shutdown_timeout):
            await app.drain()

    hypercorn: Any = importlib.import_module(f"hypercorn.{sniffio.current_async_library()}")
    await hypercorn.serve(app, settings, shutdown_trigger=shutdown)


async def _stopped() -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            return
