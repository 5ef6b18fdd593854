"""The pages show the figures of the benchmarks' runs, and say how each was made."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script that makes the page."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("results")


@pytest.fixture
def tables(results: Any) -> dict[str, Any]:
    """Its tables."""
    found: dict[str, Any] = importlib.import_module("tables").TABLES
    return found


def test_tables_are_those_of_the_runs(results: Any, tables: dict[str, Any]) -> None:
    """Run ``python benchmarks/results.py`` when this fails."""
    for path in results.PAGES:
        page = path.read_text("utf-8")

        assert page == results.filled(page, results.load(), tables)


def test_every_table_has_its_place(results: Any, tables: dict[str, Any]) -> None:
    """And every place a table."""
    text = "".join(path.read_text("utf-8") for path in results.PAGES)

    assert set(tables) == set(re.findall(r"^<!-- results: ([\w -]+) -->$", text, re.MULTILINE))


def test_a_figure_that_was_not_measured_leaves_its_cell_empty(
    results: Any, tables: dict[str, Any]
) -> None:
    """A peer that is not installed is no error, nor is a benchmark that was not run."""
    run = {
        "command": "benchmarks/run.py --only wire --rounds 1",
        "figures": {"no-op, 50 concurrent: ours, trio": ["ms", 0.5, 0.7, 0.4]},
    }

    text = tables["wire"]({"wire": run})
    assert (
        "| no-op handler, 50 concurrent | 0.5 (0.4 to 0.7) | | | | | 0.45 | missed by 11 % |"
        in text
    )
    assert text.startswith("```sh\n.venv/bin/python benchmarks/run.py --only wire --rounds 1\n```")
    assert tables["peers"]({}) == "Not run yet: `--only peers`."


def test_numbers_have_three_digits(tables: dict[str, Any]) -> None:
    """No exponents, no digits that say nothing."""
    number = importlib.import_module("tables").number

    assert [number(value) for value in (0.012345, 1.5, 99.96, 725.4, 18_123.0, 1.5e6)] == [
        *("0.0123", "1.5", "100", "725", "18,100", "1,500,000")
    ]


def test_what_a_run_writes_fills_the_table(
    results: Any, tables: dict[str, Any], tmp_path: Path
) -> None:
    """From the benchmark to the page: every figure that the table asks for is there."""
    written = tmp_path / "run.json"
    script = ROOT / "benchmarks" / "run.py"
    command = [sys.executable, str(script), "--only", "concurrency", "--rounds", "1"]
    subprocess.run([*command, "--json", str(written)], check=True, capture_output=True)

    runs = results.load(written)
    rows = tables["concurrency"](runs).splitlines()[6:]
    assert 7 == len(rows)
    for row in rows:
        _, _, trio, asyncio, *_ = row.split("|")
        assert re.search(r"\d", trio), row
        assert re.search(r"\d", asyncio), row
    assert "trio" in tables["machine"](runs)
