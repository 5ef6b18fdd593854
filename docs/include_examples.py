"""Fills the pages' code blocks from the examples: what a page shows is what the tests run.

A block is preceded by a comment that names its file, relative to the page, and what of it
is shown: top-level names in the order of the page, or nothing for the whole file.

    <!-- include examples/guide_steps.py: quote, order -->

``python docs/include_examples.py`` fills in all pages; the tests hold them to be filled.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]

_BLOCK: Final = re.compile(
    r"^<!-- include (?P<path>[^\s:]+)(?:: (?P<names>[^>]+?))? -->\n```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """Every page of the documentation, the README included."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(page: Path) -> str:
    """The text of a page with every block as it has to be."""

    def fill(block: re.Match[str]) -> str:
        names = [name.strip() for name in (block["names"] or "").split(",") if name.strip()]
        code = shown((page.parent / block["path"]).read_text("utf-8"), names)
        start, end = (at - block.start() for at in block.span("code"))
        return block[0][:start] + code + block[0][end:]

    return _BLOCK.sub(fill, page.read_text("utf-8"))


def shown(source: str, names: list[str]) -> str:
    """The whole source, or the statements that define ``names``. ``KeyError`` for one it has not."""
    if not names:
        return source

    defined = dict(_definitions(source))
    return "\n\n".join(defined[name] for name in names) + "\n"


def _definitions(source: str) -> Iterator[tuple[str, str]]:
    """Each top-level name with its statement, decorators and the comments above it included."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        decorators = getattr(statement, "decorator_list", [])
        first = min(node.lineno for node in [statement, *decorators]) - 1
        while first and lines[first - 1].startswith("#"):
            first -= 1
        text = "\n".join(lines[first : statement.end_lineno])
        for name in _names(statement):
            yield name, text


def _names(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page), "utf-8")
