"""Every test of the runtime runs on both hosts and, where it opens a store, on both stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal

from .virtual_time import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

    from durable_trio.abc import JournalStore


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The host."""
    name: str = request.param
    return name


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> JournalStore:
    """A store that is empty and not open yet."""
    if request.param == "memory":
        return MemoryStore()

    return FileJournal(tmp_path / "journal", synchronous="off")


@pytest.fixture
def clock(store: JournalStore) -> VirtualClock:
    """The time of the runtime on ``store``."""
    return VirtualClock(store)
