"""The endpoint in everybody's ASGI servers, called by a real Restate server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.restate.server import EndpointProcess, RestateServer

if TYPE_CHECKING:
    from collections.abc import Iterator

_APP = Path(__file__).parent / "asgi_app.py"


@pytest.fixture(scope="module")
def restate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestateServer]:
    """One server for all."""
    with RestateServer(tmp_path_factory.mktemp("restate")) as server:
        yield server


@pytest.mark.parametrize(
    ("server", "backend", "versions"),
    [
        ("hypercorn", "trio", ["2", "1.1"]),
        ("hypercorn", "asyncio", ["2", "1.1"]),
        ("uvicorn", "asyncio", ["1.1"]),
        ("granian", "asyncio", ["2", "1.1"]),
    ],
)
def test_an_asgi_server(
    restate: RestateServer, tmp_path: Path, server: str, backend: str, versions: list[str]
) -> None:
    """At the root and mounted, over every version of HTTP it has, and with a graceful end."""
    with EndpointProcess(_APP, tmp_path, backend, {"SERVER": server}) as process:
        for version in versions:
            for prefix in ("", "/mounted"):
                restate.register(f"{process.uri}{prefix}", http_11=version == "1.1")
                assert restate.call("Greeter/greet", "you") == "hello YOU"
        assert httpx.get(f"{process.uri}/mounted/discover").json()["protocolMode"] == (
            "REQUEST_RESPONSE"
        )
        process.stop()
        assert "Traceback" not in process.log
