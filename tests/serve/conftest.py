"""Fixtures of the server's tests."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The host that a test runs on."""
    name: str = request.param
    return name
