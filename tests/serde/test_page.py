"""The page on serialization shows what its examples print."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "serialization.md").read_text("utf-8")
EXAMPLES = sorted(DOCS.glob("examples/serde_*.py"))


def _shown() -> set[str]:
    """Every line of the page, and every JSON document on it on one line."""
    documents = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return set(PAGE.splitlines()) | {json.dumps(json.loads(document)) for document in documents}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_prints_what_the_page_shows(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of its output is on the page."""
    runpy.run_path(str(example), run_name="__main__")

    assert set(capsys.readouterr().out.splitlines()) <= _shown()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_is_shown(example: Path) -> None:
    """None of them is left over."""
    assert f"<!-- include examples/{example.name}: " in PAGE
