"""Every async test of the kit runs on both hosts."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The host."""
    name: str = request.param
    return name
