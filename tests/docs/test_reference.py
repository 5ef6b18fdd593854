"""The API reference is what the docstrings say today."""

import inspect
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MODULE = runpy.run_path(str(DOCS / "make_reference.py"))


def test_the_reference_is_up_to_date() -> None:
    """Run ``python docs/make_reference.py`` when this fails."""
    assert MODULE["reference"]() == (DOCS / "reference.md").read_text("utf-8")


@pytest.mark.parametrize("home", MODULE["HOMES"])
def test_every_public_class_and_function_is_described(home: str) -> None:
    """A public name without a docstring is a name without a contract."""
    module = __import__(home, fromlist=["_"])
    bare = [
        name
        for name in MODULE["exported"](home)
        if (inspect.isclass(value := getattr(module, name)) or inspect.isroutine(value))
        and not (value.__doc__ or "").strip()
    ]

    assert [] == bare
