"""Fixtures of the Restate adapter's tests."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias

import pytest

from .server import RestateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    Servers: TypeAlias = Callable[[Mapping[str, str]], RestateServer]


ONE_WORKER = pytest.mark.xdist_group("Restate servers")
"""For tests that take ``servers``: those of one process, however many there are."""


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The host that a test runs on."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Generator[Servers]:
    """Servers by their settings, each started once for all tests that ask for it."""
    started: dict[tuple[tuple[str, str], ...], RestateServer] = {}
    with ExitStack() as stack:

        def get(settings: Mapping[str, str]) -> RestateServer:
            key = tuple(sorted(settings.items()))
            if key not in started:
                folder = tmp_path_factory.mktemp("restate")
                started[key] = stack.enter_context(RestateServer(folder, settings))
            return started[key]

        yield get
