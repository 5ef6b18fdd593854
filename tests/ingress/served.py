"""An ingress on a free port of loopback, an HTTP client for it, and raw connections to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import httpx

from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import SocketStream

    from durable_trio._services import ServiceDefinition


@attrs.define
class Wire:
    """One raw connection: bytes as they are."""

    stream: SocketStream
    received: bytes = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def until(self, end: bytes) -> bytes:
        """Everything up to and with ``end``; what follows is kept for the next time."""
        while end not in self.received:
            self.received += await self.stream.receive()
        found, _, self.received = self.received.partition(end)
        return found + end

    async def answer(self) -> tuple[bytes, bytes]:
        """The head and the body of the next answer."""
        head = await self.until(b"\r\n\r\n")
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        while len(self.received) < length:
            self.received += await self.stream.receive()
        body, self.received = self.received[:length], self.received[length:]
        return head, body

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        try:
            while True:
                self.received += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return self.received


@attrs.define
class Served:
    """A running ingress."""

    runtime: LocalRuntime
    ingress: HttpIngress
    client: httpx.AsyncClient
    store: MemoryStore

    @asynccontextmanager
    async def wire(self) -> AsyncGenerator[Wire]:
        async with await anyio.connect_tcp("127.0.0.1", self.ingress.port) as stream:
            yield Wire(stream)


@asynccontextmanager
async def serving(*services: ServiceDefinition, **options: Any) -> AsyncGenerator[Served]:
    """A runtime with these services, its ingress on a free port, and a client for it."""
    store = MemoryStore()
    with anyio.fail_after(30):
        async with (
            LocalRuntime(services, store) as runtime,
            HttpIngress(runtime, port=0, **options) as ingress,
            httpx.AsyncClient(base_url=ingress.url, timeout=20) as client,
        ):
            yield Served(runtime, ingress, client, store)
