"""Fixtures of the tests of replay."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every test that takes it runs on both hosts."""
    name: str = request.param
    return name
