"""The API reference is what the sources say today, and they say something of every public name."""

import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """The script that makes the pages."""
    return runpy.run_path(str(DOCS / "make_reference.py"))


def test_the_pages_are_up_to_date(reference: dict[str, Any]) -> None:
    """Pages, and themes that name every public name once."""
    stale = [
        name
        for name, text in reference["pages"]().items()
        if text != (DOCS / name).read_text("utf-8")
    ]

    assert [] == stale, "run python docs/make_reference.py"


def test_every_public_name_is_described(reference: dict[str, Any]) -> None:
    """A name without a docstring is a name without a contract."""
    assert [] == [name for name, text in reference["described"]() if not text.strip()]


def test_a_name_without_a_theme_is_refused(
    reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a new name does not go missing."""
    monkeypatch.setitem(
        reference["THEMES"], "reference.md", reference["THEMES"]["reference.md"][1:]
    )

    with pytest.raises(SystemExit, match="'Service'"):
        reference["pages"]()
