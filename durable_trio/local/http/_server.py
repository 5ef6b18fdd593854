"""``HttpIngress``: the listener and its connections.

Owns accepting, how many connections there are, and the order in which the ingress ends.

 1. It listens on loopback unless told otherwise.
 2. No client can end it: trouble with a socket ends that connection, and running out of
    file descriptors makes it wait.
 3. It ends in this order: no more connections; idle ones are closed; those who wait for an
    invocation are told; what is left after ``stop_timeout`` is cut.
"""

from __future__ import annotations

import errno
import logging
import socket
from typing import TYPE_CHECKING, Final, Self

import anyio
from anyio.abc import SocketAttribute, SocketListener

from durable_trio._exceptions import UsageError
from durable_trio._listening import another_address

from ._application import Application
from ._connection import Connection
from ._limits import Limits
from ._messages import refusal
from ._origins import Origins, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from anyio.abc import SocketStream, TaskGroup

    from durable_trio.local import LocalRuntime

_log = logging.getLogger("durable_trio.local.http")

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.1
_REFUSAL_TIMEOUT: Final = 1.0


class HttpIngress:
    """Serves a runtime over HTTP/1.1, with Restate's paths, headers and answers.

    An async context manager, entered inside the runtime's block. It listens on ``host``
    (loopback by default; anything else opens it to the network, without authentication)
    and ``port`` (0: any free one, see ``port``). ``allowed_hosts`` are host names, beside
    those of this machine, that requests and web pages may come from. Entering raises
    ``UsageError`` if it cannot listen there. Leaving ends it, see ``stop``.
    """

    def __init__(
        self,
        runtime: LocalRuntime,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        allowed_hosts: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._limits = limits or Limits()
        self._application = Application(runtime)
        self._origins = Origins(host, allowed_hosts)
        self._connections: dict[Connection, None] = {}
        self._vacant = anyio.Event()
        self._tasks: TaskGroup
        self._listeners: list[SocketListener] = []

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """Where to send requests on this machine."""
        host = self._host
        if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # what it means, not where it binds
            host = "127.0.0.1"
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self._host)

    async def __aenter__(self) -> Self:
        try:
            multi = await anyio.create_tcp_listener(local_host=self._host, local_port=self._port)
        except socket.gaierror as exc:
            raise UsageError(
                f"cannot listen on {self._host}: {exc.strerror}. It is no name or address of this "
                "machine."
            ) from exc
        except (OSError, OverflowError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise UsageError(
                f"cannot listen on {self._host}, port {self._port}: {reason}. "
                f"{another_address(exc)}"
            ) from exc

        self._listeners = [each for each in multi.listeners if isinstance(each, SocketListener)]
        self._port = self._listeners[0].extra(SocketAttribute.local_port)  # noqa: S610  # no Django
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        for listener in self._listeners:
            self._tasks.start_soon(self._accept, listener)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self.stop()
        finally:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)

    async def close_listeners(self) -> None:
        """Take no more connections, and no more requests on those there are."""
        for listener in self._listeners:
            await listener.aclose()
        for connection in list(self._connections):
            connection.close_if_idle()

    async def stop(self) -> None:
        """Answer everybody who waits and close all connections. Invocations are left alone."""
        await self.close_listeners()
        self._application.stop()
        with anyio.move_on_after(self._limits.stop_timeout):
            await self._until_vacant()
        for connection in self._connections:
            connection.cut()
        await self._until_vacant()

    async def _until_vacant(self) -> None:
        while self._connections:
            self._vacant = anyio.Event()
            await self._vacant.wait()

    async def _accept(self, listener: SocketListener) -> None:
        while True:
            try:
                stream = await listener.accept()
            except anyio.ClosedResourceError:
                return
            except (OSError, anyio.BrokenResourceError) as error:
                # On trio, anyio says of every OSError that the listener is broken.
                trouble = error if isinstance(error, OSError) else error.__cause__
                if isinstance(trouble, OSError) and trouble.errno in _EXHAUSTED:
                    _log.warning("cannot accept connections: %s", trouble.strerror)
                    await anyio.sleep(_PAUSE)
                continue

            self._admit(stream)

    def _admit(self, stream: SocketStream) -> None:
        if len(self._connections) >= self._limits.max_connections and not self._evict():
            self._tasks.start_soon(self._refuse, stream)
            return

        connection = Connection(stream, self._application, self._origins, self._limits)
        self._connections[connection] = None
        self._tasks.start_soon(self._serve, connection)

    def _evict(self) -> bool:
        """Close the connection that has been idle for longest, if any is idle."""
        idle = [each for each in self._connections if each.idle_since is not None]
        if not idle:
            return False

        oldest = min(idle, key=lambda each: each.idle_since or 0.0)
        oldest.close_if_idle()
        del self._connections[oldest]
        return True

    async def _serve(self, connection: Connection) -> None:
        try:
            await connection.serve()
        except Exception:
            _log.exception("a connection failed")
        finally:
            self._connections.pop(connection, None)
            if not self._connections:
                self._vacant.set()

    async def _refuse(self, stream: SocketStream) -> None:
        body = refusal(503, "too many connections: try again later").body
        head = (
            "HTTP/1.1 503 Service Unavailable\r\n"
            "content-type: application/json\r\n"
            "x-restate-error-source: ingress\r\n"
            "retry-after: 1\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        try:
            with anyio.move_on_after(_REFUSAL_TIMEOUT):
                await stream.send(head.encode() + body)
                await stream.send_eof()
                await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            await anyio.aclose_forcefully(stream)
