"""What the pages show is what runs: code from the examples, commands that exist, links that lead."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from durable_trio._cli._app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
INCLUDE = runpy.run_path(str(ROOT / "docs" / "include_examples.py"))
PAGES: list[Path] = INCLUDE["pages"]()

# Beside our own command; what a path names has to be there.
COMMANDS = {"python3", "pip", "npm", "curl", ".venv/bin/pip", ".venv/bin/python"}
SERVER = "server/node_modules/.bin/restate-server"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fence.findall(page.read_text("utf-8"))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in the shell blocks of a page."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            for command in re.split(r"&&|\|", line.split(" #")[0]):
                if words := command.split():
                    yield words


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links, as GitHub makes it."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@each_page
def test_blocks_are_those_of_the_examples(page: Path) -> None:
    """Run ``python docs/include_examples.py`` when this fails."""
    assert INCLUDE["filled"](page) == page.read_text("utf-8")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not page.name.startswith("reference")], ids=lambda p: p.name
)
def test_no_block_is_written_by_hand(page: Path) -> None:
    """Every block of Python is included from a file that the tests run (the reference is made)."""
    text = page.read_text("utf-8")

    assert len(blocks(page, "python")) == len(
        re.findall(r"^<!-- include \S+.*-->\n```python$", text, re.MULTILINE)
    )


@each_page
def test_commands_exist(page: Path) -> None:
    """Programs, the subcommands of ours, and the files that are run."""
    for words in commands(page):
        program = words[0].removeprefix(".venv/bin/")
        assert words[0] in COMMANDS | {SERVER} or program == "durable-trio", words
        if program == "durable-trio":
            assert words[1] in app.commands, words
        if words[0].endswith("python"):
            assert all((ROOT / word).exists() for word in words if word.endswith(".py")), words

    for name in re.findall(r"`(?: … )?durable-trio ([a-z]+)", page.read_text("utf-8")):
        assert name in app.commands


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """To files that are there, and to headings that they have."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue

        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_included_is_what_the_names_define() -> None:
    """With decorators and the comments above; in the order of the page; a wrong name is an error."""
    source = "import x\n\n# why\n@decorated\ndef f():\n    pass\n\n\nA: int = 1\nB = 2\n"

    assert INCLUDE["shown"](source, ["A", "f"]) == (
        "A: int = 1\n\n# why\n@decorated\ndef f():\n    pass\n"
    )
    assert INCLUDE["shown"](source, []) == source
    with pytest.raises(KeyError, match="missing"):
        INCLUDE["shown"](source, ["missing"])
