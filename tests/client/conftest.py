"""Where handlers are served: in this process, behind the embedded ingress, on a Restate server."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import attrs
import pytest

from durable_trio.client import AdminClient, IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.testing import MemoryStore
from tests.restate.server import EndpointProcess, RestateServer

from .services import services

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractAsyncContextManager

    from durable_trio.abc import Admin, Ingress

    Anywhere: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[Ingress, Admin]]]
    Urls: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[str, str]]]
    Clients: TypeAlias = Callable[
        [], AbstractAsyncContextManager[tuple[IngressClient, AdminClient]]
    ]


ONE_WORKER = pytest.mark.xdist_group("clients of a Restate server")
"""One server, however many processes the tests run in."""


@attrs.frozen
class Restate:
    """A running server that has the services."""

    ingress: str
    admin: str
    endpoint: str


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The host that a test runs on."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def restate(tmp_path_factory: pytest.TempPathFactory) -> Generator[Restate]:
    """One server for all tests: they use keys and names of their own."""
    folder = tmp_path_factory.mktemp("restate")
    script = Path(__file__).with_name("services.py")
    with RestateServer(folder) as server, EndpointProcess(script, folder) as process:
        server.register(process.uri)
        yield Restate(str(server.ingress.base_url), str(server.admin.base_url), process.uri)


@pytest.fixture(params=["embedded", pytest.param("restate", marks=ONE_WORKER)])
def urls(request: pytest.FixtureRequest) -> Urls:
    """The URLs of an ingress and of its admin port: the embedded runtime's, and Restate's."""
    if request.param == "restate":
        restate: Restate = request.getfixturevalue("restate")

        @asynccontextmanager
        async def running() -> AsyncGenerator[tuple[str, str]]:
            with anyio.fail_after(60):
                yield restate.ingress, restate.admin

        return running

    @asynccontextmanager
    async def embedded() -> AsyncGenerator[tuple[str, str]]:
        with anyio.fail_after(60):
            async with (
                LocalRuntime(services, MemoryStore()) as runtime,
                HttpIngress(runtime, port=0) as ingress,
            ):
                yield ingress.url, ingress.url

    return embedded


@pytest.fixture
def clients(urls: Urls) -> Clients:
    """Clients of either."""

    @asynccontextmanager
    async def connected() -> AsyncGenerator[tuple[IngressClient, AdminClient]]:
        async with (
            urls() as (url, admin_url),
            IngressClient(url) as ingress,
            AdminClient(admin_url) as admin,
        ):
            yield ingress, admin

    return connected


@pytest.fixture(params=["in process", "embedded", pytest.param("restate", marks=ONE_WORKER)])
def anywhere(request: pytest.FixtureRequest) -> Anywhere:
    """Whatever is an ``Ingress`` and an ``Admin``: the runtime itself, or a client of a server."""
    where: str = request.param
    restate: Restate | None = request.getfixturevalue("restate") if where == "restate" else None

    @asynccontextmanager
    async def opened() -> AsyncGenerator[tuple[Ingress, Admin]]:
        with anyio.fail_after(60):
            async with AsyncExitStack() as stack:
                if restate is not None:
                    yield (
                        await stack.enter_async_context(IngressClient(restate.ingress)),
                        await stack.enter_async_context(AdminClient(restate.admin)),
                    )
                    return

                runtime = await stack.enter_async_context(LocalRuntime(services, MemoryStore()))
                if where == "in process":
                    yield runtime, runtime
                    return

                server = await stack.enter_async_context(HttpIngress(runtime, port=0))
                yield (
                    await stack.enter_async_context(IngressClient(server.url)),
                    await stack.enter_async_context(AdminClient(server.url)),
                )

    return opened
