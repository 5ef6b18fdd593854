"""The page on testing: its tests pass on both loops, and its output is what its examples print."""

from __future__ import annotations

import importlib.util
import re
import runpy
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "testing.md"


def loaded(name: str) -> Any:
    """An example."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_of_them() -> Iterator[Any]:
    """The tests that the page shows."""
    for path in sorted((DOCS / "examples").glob("guide_testing_*.py")):
        for name in re.findall(r"^async def (test_\w+)", path.read_text("utf-8"), re.MULTILINE):
            yield pytest.param(path.stem, name, id=name)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@pytest.mark.parametrize(("example", "name"), list(all_of_them()))
def test_its_tests_pass(example: str, name: str, backend: str) -> None:
    """What the page calls mended is, and what it says of time holds."""
    test = getattr(loaded(example), name)
    assert iscoroutinefunction(test)

    anyio.run(test, backend=backend)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_its_output_is_what_is_printed(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each report, to the letter, on both loops."""
    shown = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    printed: list[str] = []
    for example in ("guide_testing_crashes", "guide_testing_orders"):
        anyio.run(loaded(example).main, backend=backend)
        printed.append(capsys.readouterr().out)

    assert len(shown) == len(printed)
    for report, output in zip(shown, printed, strict=True):
        assert output.startswith(report)


def test_the_bug_passes_ordinary_tests() -> None:
    """An order that a test makes by itself does not show it."""
    orders = runpy.run_path(str(DOCS / "examples" / "guide_testing_orders.py"))
    crashes = runpy.run_path(str(DOCS / "examples" / "guide_testing_crashes.py"))

    async def main() -> None:
        from durable_trio.testing import runtime

        async with runtime([orders["expenses"]]) as rt:
            await orders["the_boss_agrees"](rt)
        async with runtime([crashes["accounts"]]) as rt:
            assert await crashes["ada_signs_up"](rt) == ["Welcome, Ada"]

    anyio.run(main)
