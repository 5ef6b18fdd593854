"""The server: its listeners, their connections, and the order of a shutdown.

Owns accepting, how many connections there are, their clock, and draining.

 1. No client can end it: trouble with a socket ends that connection, and running out of
    file descriptors makes it wait.
 2. It ends in this order: no more connections; attempts suspend, those at work end first; a
    client whose streams have ended is told to leave; after half the shutdown's timeout new
    streams are refused; what is left after all of it is cut.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import SocketStream
from anyio.streams.tls import TLSStream

from durable_trio._host import current_host

from ._connection import Connection
from ._listeners import prepare

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from anyio.abc import ByteStream, TaskGroup

    from durable_trio_restate._endpoint import Endpoint

    from ._limits import ServerLimits

_log = logging.getLogger("durable_trio.restate.server")

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.1
_TICK: Final = 1.0
_DRAINING_TICK: Final = 0.1
_HESITATION: Final = 0.001
"""Seconds that a process waits for others to take a connection, for each that it has."""
_CROWD: Final = 50


class Server:
    """See the module's docstring."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: ServerLimits,
        tls: ssl.SSLContext | None,
        *,
        shared: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._tls = tls
        self._shared = shared
        self._host = current_host()
        self._now = anyio.current_time()
        self._connections: dict[Connection, None] = {}
        self._draining = False
        self._vacant = anyio.Event()
        self._tasks: TaskGroup

    async def run(
        self,
        listeners: Sequence[socket.socket],
        until: Callable[[], Awaitable[object]],
        started: Callable[[], object] | None,
        shutdown_timeout: float,
    ) -> None:
        """Serve until ``until`` returns and everything has ended."""
        self._endpoint.reopen()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._keep_time, _TICK)
            for listener in listeners:
                listener.setblocking(False)
                tasks.start_soon(self._accept, listener)
            if started is not None:
                started()
            await until()
            for listener in listeners:
                anyio.notify_closing(listener)
                listener.close()
            tasks.start_soon(self._keep_time, _DRAINING_TICK)
            with anyio.move_on_after(shutdown_timeout):
                await self._drain(shutdown_timeout / 2)
            for connection in self._connections:
                connection.cut()
            await self._until_vacant()
            tasks.cancel_scope.cancel()

    async def _drain(self, patience: float) -> None:
        self._draining = True
        self._tell_time()
        for connection in tuple(self._connections):
            connection.drain(patience)
        await self._endpoint.drain()
        await self._until_vacant()

    async def _until_vacant(self) -> None:
        while self._connections:
            self._vacant = anyio.Event()
            await self._vacant.wait()

    async def _keep_time(self, tick: float) -> None:
        while True:
            await anyio.sleep(tick)
            self._tell_time()

    def _tell_time(self) -> None:
        self._now = anyio.current_time()
        for connection in tuple(self._connections):
            connection.tick(self._now)

    async def _accept(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:
            try:
                await anyio.wait_readable(listener)
                if self._shared:
                    # Whoever has less to do is faster.
                    await anyio.sleep(min(len(self._connections), _CROWD) * _HESITATION)
                accepted = listener.accept()[0]
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    _log.warning("cannot accept connections: %s", error.strerror)
                    await anyio.sleep(_PAUSE)
                continue

            self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        if len(self._connections) >= self._limits.max_connections and not self._evict():
            _log.warning("there are %d connections already", len(self._connections))
            accepted.close()
            return

        try:
            prepare(accepted)
        except OSError:  # it is gone already
            accepted.close()
            return

        self._tasks.start_soon(self._serve, accepted)

    def _evict(self) -> bool:
        """Close the connection that has been idle for longest, if any is idle."""
        idle = [each for each in self._connections if each.idle_since is not None]
        if not idle:
            return False

        min(idle, key=lambda each: each.idle_since or 0.0).cut()
        return True

    async def _serve(self, accepted: socket.socket) -> None:
        stream = await self._handshake(await SocketStream.from_socket(accepted))
        if stream is None:
            return

        if self._draining:
            # It was accepted just before, and nothing of it was read.
            await anyio.aclose_forcefully(stream)
            return

        connection = Connection(stream, self._endpoint, self._limits, self._host, self._now)
        self._connections[connection] = None
        try:
            await connection.serve()
        except Exception:
            _log.exception("a connection broke")
        finally:
            del self._connections[connection]
            if not self._connections:
                self._vacant.set()

    async def _handshake(self, stream: SocketStream) -> ByteStream | None:
        if self._tls is None:
            return stream

        try:
            with anyio.fail_after(self._limits.handshake_timeout):
                return await TLSStream.wrap(
                    stream, server_side=True, ssl_context=self._tls, standard_compatible=False
                )
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            # ssl.SSLError and TimeoutError are OSErrors.
            _log.debug("a TLS handshake failed: %s", error)
            await anyio.aclose_forcefully(stream)
            return None
