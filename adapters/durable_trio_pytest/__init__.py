"""The pytest plugin: fixtures for tests of durable handlers, and their options.

Owns what pytest adds: where golden journals are kept, and what the command line says. What the
fixtures give is ``durable_trio.testing``'s.

 1. Importing this imports pytest and nothing else. Whoever uses no fixture of it pays nothing.
 2. No fixture needs an event loop, and each gives something to call in the test: tests are
    run by pytest-trio, by anyio's plugin, or by a loop of their own.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from durable_trio.testing import GoldenJournals, VirtualRuntime

_GOLDEN: Final = "golden"
_UNSAFE: Final = re.compile(r"[^\w.-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("durable", "tests of durable handlers (durable_trio)")
    group.addoption(
        "--durable-schedules",
        type=int,
        metavar="N",
        help="how many orders of events the fixture explore tries at most",
    )
    group.addoption(
        "--durable-double-crashes",
        type=int,
        metavar="N",
        help="how many double crashes the fixture crash_everywhere tries",
    )
    group.addoption(
        "--durable-update-goldens",
        action="store_true",
        help="golden_journals.check() records the journals of this run instead of those before",
    )


@pytest.fixture
def durable_runtime() -> Callable[..., VirtualRuntime]:
    """Makes runtimes for tests, with virtual time: ``async with durable_runtime([shop]) as rt:``."""
    from durable_trio.testing import runtime

    return runtime


@pytest.fixture
def crash_everywhere(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs a program, and again for each point at which it can die: see ``testing.crash_everywhere``."""
    from durable_trio.testing import crash_everywhere

    double: int | None = request.config.getoption("--durable-double-crashes")
    return crash_everywhere if double is None else partial(crash_everywhere, double=double)


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Runs a program in every order in which its events can come: see ``testing.explore``."""
    from durable_trio.testing import explore

    limit: int | None = request.config.getoption("--durable-schedules")
    return explore if limit is None else partial(explore, limit=limit)


@pytest.fixture
def golden_journals(request: pytest.FixtureRequest) -> GoldenJournals:
    """The golden journals of this test: ``keep(rt.store)``, then ``await check([shop])``.

    They are in ``golden/FILE/TEST``, beside the file of the test, and belong under version
    control. ``--durable-update-goldens`` records them.
    """
    from durable_trio.testing import GoldenJournals

    update = bool(request.config.getoption("--durable-update-goldens"))
    return GoldenJournals(_directory(request), update=update)


def _directory(request: pytest.FixtureRequest) -> Path:
    name = request.node.name
    readable = _UNSAFE.sub("-", name)
    if readable != name:
        # Two tests may differ in nothing else.
        readable = f"{readable.strip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return request.path.parent / _GOLDEN / request.path.stem / readable
