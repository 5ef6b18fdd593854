"""How an ingress ends: what is under way, what is idle, what is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from durable_trio import Context, Service, StoreWriteError
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress, Limits
from durable_trio.testing import MemoryStore

from .served import serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .served import Served


class Waiters:
    """A service whose handler waits for a signal."""

    def __init__(self) -> None:
        self.service = Service("Waiters")
        self.reached = anyio.Event()

        @self.service.handler
        async def wait(ctx: Context) -> str:
            await ctx.run(self.reached.set, name="reach", on_thread=False)
            return str(await ctx.signal("wake", str))


async def answer_while(
    served: Served, waiters: Waiters, act: Callable[[], Awaitable[None]]
) -> httpx.Response:
    """What somebody who waits for a call is told when this is done."""
    responses: list[httpx.Response] = []

    async def call() -> None:
        responses.append(await served.client.post("/Waiters/wait"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await waiters.reached.wait()
        await act()
    return responses[0]


def test_whoever_waits_is_told_to_attach_later(backend: str) -> None:
    """503 with the id, when the ingress stops; the invocation goes on."""

    async def main() -> None:
        waiters = Waiters()
        async with serving(waiters.service) as served:
            response = await answer_while(served, waiters, served.ingress.stop)
            invocation_id = response.headers["x-restate-id"]
            await served.runtime.resolve_signal(invocation_id, "wake", "up")
            result: str = await served.runtime.attach(invocation_id, str)

        assert (503, "ingress") == (response.status_code, response.json()["source"])
        assert "close" == response.headers["connection"]
        assert "up" == result

    anyio.run(main, backend=backend)


def test_whoever_waits_is_told_when_the_runtime_drains(backend: str) -> None:
    """The same, if it is the runtime that ends first."""

    async def main() -> None:
        waiters = Waiters()
        async with serving(waiters.service) as served:
            response = await answer_while(served, waiters, served.runtime.drain)
            refused = await served.client.post("/Waiters/wait")

        assert [503, 503] == [response.status_code, refused.status_code]
        assert "x-restate-id" in response.headers

    anyio.run(main, backend=backend)


def test_a_store_that_fails_is_told(backend: str) -> None:
    """The runtime's block is cancelled and fails; whoever waits gets a 503 all the same."""

    async def main() -> None:
        waiters, store = Waiters(), MemoryStore()
        responses: list[httpx.Response] = []
        address: list[str] = []
        listening, answered = anyio.Event(), anyio.Event()

        async def call() -> None:
            await listening.wait()
            async with httpx.AsyncClient(base_url=address[0]) as client:
                responses.append(await client.post("/Waiters/wait"))
            answered.set()

        async def run() -> None:
            async with (
                LocalRuntime([waiters.service], store) as runtime,
                HttpIngress(runtime, port=0) as ingress,
            ):
                address.append(ingress.url)
                listening.set()
                await waiters.reached.wait()
                store.crash(StoreWriteError("the disk is full"))
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            with pytest.raises(StoreWriteError, match="full"):
                await run()
            await answered.wait()

        assert 503 == responses[0].status_code

    anyio.run(main, backend=backend)


def test_idle_connections_are_closed_at_once(backend: str) -> None:
    """Nobody who only keeps a connection holds up the end."""

    async def main() -> None:
        async with serving(Waiters().service) as served, served.wire() as wire:
            await wire.send(b"GET /restate/health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            await wire.answer()
            await served.ingress.close_listeners()
            rest = await wire.rest()
            with pytest.raises(OSError, match=r"."):
                await anyio.connect_tcp("127.0.0.1", served.ingress.port)

        assert b"" == rest

    anyio.run(main, backend=backend)


def test_a_client_that_dawdles_is_cut(backend: str) -> None:
    """A request that is half sent does not hold up the end for longer than ``stop_timeout``."""

    async def main() -> None:
        limits = Limits(stop_timeout=0.05)
        async with serving(Waiters().service, limits=limits) as served, served.wire() as wire:
            await wire.send(
                b"POST /Waiters/wait HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n"
                b"content-length: 100\r\n\r\n"
            )
            await wire.until(b"\r\n\r\n")
            await served.ingress.stop()
            rest = await wire.rest()

        assert b"" == rest

    anyio.run(main, backend=backend)


def test_the_port_is_free_afterwards(backend: str) -> None:
    """A restart takes the same port at once."""

    async def main() -> None:
        async with serving(Waiters().service) as served:
            port = served.ingress.port
            await served.client.get("/restate/health")
        async with (
            LocalRuntime([Waiters().service], MemoryStore()) as runtime,
            HttpIngress(runtime, port=port) as ingress,
            httpx.AsyncClient(base_url=ingress.url) as client,
        ):
            response = await client.get("/restate/health")
            assert 200 == response.status_code

    anyio.run(main, backend=backend)


def test_it_tells_where_it_listens(backend: str) -> None:
    """The URL is one to send requests to, whatever the address it listens on."""

    async def main() -> None:
        async with serving(Waiters().service, host="0.0.0.0") as served:
            health = await served.client.get("/restate/health")

            assert f"http://127.0.0.1:{served.ingress.port}" == served.ingress.url
            assert not served.ingress.is_local
            assert 200 == health.status_code
        async with serving(Waiters().service, host="::1") as served:
            assert f"http://[::1]:{served.ingress.port}" == served.ingress.url
            assert served.ingress.is_local

    anyio.run(main, backend=backend)
