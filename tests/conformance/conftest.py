"""The services of the contract beside a real server, in every way the two talk to each other.

A test that takes ``restate`` runs in each of the configurations below: a subset of the cross
product in which every way occurs, on both hosts. ``DURABLE_TRIO_CONFORMANCE=full`` runs all of it.
Server and endpoint process are shared by all tests of a configuration.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.restate.server import EndpointProcess, RestateServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SERVICES = Path(__file__).with_name("services.py")

LAZY = {
    "RESTATE_WORKER__INVOKER__DISABLE_EAGER_STATE": "true",
    "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
    "RESTATE_WORKER__NUM_TIMERS_IN_MEMORY_LIMIT": "1",
}
SUSPENDING = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
V7 = {
    "RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true",
    "RESTATE_EXPERIMENTAL_ENABLE_VQUEUES": "true",
}

WAYS: dict[str, Mapping[str, str]] = {
    "v6": {},
    "v6-suspending": SUSPENDING,
    "v6-lazy": LAZY,
    "v7": V7,
    "v7-suspending": V7 | LAZY | SUSPENDING,
}
"""Settings of the server that change how it talks to an endpoint."""


SOON = {
    "RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": "20ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_INTERVAL": "200ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_ATTEMPTS": "unlimited",
}
"""Retries that a test does not have to wait for."""


@attrs.frozen
class Configuration:
    """One way for a server and an endpoint to talk to each other."""

    way: str
    http_11: bool
    backend: str

    @property
    def replays(self) -> bool:
        """Whether an attempt ends at each await, so that every handler is replayed."""
        return self.http_11 or self.way.endswith("suspending")

    def __str__(self) -> str:
        return f"{self.way}-{'h1' if self.http_11 else 'h2'}-{self.backend}"


FULL = [
    Configuration(*combined)
    for combined in itertools.product(WAYS, (False, True), ("trio", "asyncio"))
]
COVERING = [
    Configuration("v6", http_11=False, backend="trio"),
    Configuration("v6-suspending", http_11=False, backend="asyncio"),
    Configuration("v6-lazy", http_11=True, backend="trio"),
    Configuration("v7", http_11=False, backend="asyncio"),
    Configuration("v7-suspending", http_11=False, backend="trio"),
]


@attrs.frozen
class Deployment:
    """A server, and an endpoint process that is registered with it."""

    configuration: Configuration
    server: RestateServer
    process: EndpointProcess


@pytest.fixture(
    scope="session",
    # All tests of one configuration on one worker: each would start a server of its own.
    params=[
        pytest.param(each, id=str(each), marks=pytest.mark.xdist_group(str(each)))
        for each in (FULL if os.environ.get("DURABLE_TRIO_CONFORMANCE") == "full" else COVERING)
    ],
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One configuration of the server and the services."""
    configuration: Configuration = request.param
    folder = tmp_path_factory.mktemp(str(configuration))
    with (
        RestateServer(folder, SOON | dict(WAYS[configuration.way])) as server,
        EndpointProcess(
            SERVICES, folder, configuration.backend, {"CONFORMANCE_VARIABLE": "a value"}
        ) as process,
    ):
        server.register(process.uri, http_11=configuration.http_11)
        yield Deployment(configuration, server, process)


@pytest.fixture
def restate(deployment: Deployment) -> RestateServer:
    """The server, with all services of the contract."""
    return deployment.server


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The host of an endpoint process that a test starts itself."""
    name: str = request.param
    return name
