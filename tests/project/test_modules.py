"""House rules for modules that a test can hold."""

import ast
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("durable_trio", "adapters")
    for path in (ROOT / folder).rglob("*.py")
    if not path.name.endswith("_pb2.py")
)
FORBIDDEN = {"utils", "helpers", "manager", "base"}


def test_modules_are_small() -> None:
    """The median is under 200 lines, and none has more than 800."""
    sizes = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}

    assert median(sizes.values()) < 200
    assert [] == [str(path) for path, size in sizes.items() if size > 800]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_owns(path: Path) -> None:
    """Every module that holds anything opens with a docstring; none has a name that says nothing."""
    tree = ast.parse(path.read_text("utf-8"))
    if tree.body:
        assert ast.get_docstring(tree), path

    assert path.stem.strip("_") not in FORBIDDEN
