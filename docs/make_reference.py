"""Makes docs/reference.md from the docstrings of all public names.

``python docs/make_reference.py`` writes the page; a test holds it to be up to date.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).with_name("reference.md")

HOMES: Final = {
    "durable_trio": "What handlers are written with.",
    "durable_trio.local": "The embedded runtime: one process, no server.",
    "durable_trio_file": "The file journal.",
    "durable_trio_restate": "The same handlers, served to a Restate server.",
    "durable_trio.serde": "From values to bytes and back.",
    "durable_trio.testing": "For tests.",
    "durable_trio.abc": "The ports that adapters, stores, clocks and serdes implement.",
}


def exported(home: str) -> dict[str, str]:
    """The public names of a module, each with the module that defines it."""
    module = importlib.import_module(home)
    source = Path(str(module.__file__)).read_text("utf-8")
    names: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname: node.module or "" for alias in node.names if alias.asname}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            names[node.name] = ""
    return names


def reference() -> str:
    """The whole page."""
    lines = [
        "# API reference",
        "",
        "Made from the docstrings by `python docs/make_reference.py`; do not edit it by hand.",
        "",
    ]
    for home, about in HOMES.items():
        lines += [f"## `{home}`", "", about, ""]
        module = importlib.import_module(home)
        for name in sorted(exported(home), key=str.lower):
            lines += list(entry(name, getattr(module, name)))
    return "\n".join(lines).rstrip() + "\n"


def entry(name: str, value: Any) -> Iterator[str]:
    """One public name: its signature, its docstring, its public members."""
    if inspect.isclass(value):
        yield f"### `{name}{_signature(value)}`"
        yield ""
        yield from _text(value)
        yield from _members(value)
    elif callable(value) and inspect.isroutine(value):
        yield f"### `{name}{_signature(value)}`"
        yield ""
        yield from _text(value)
    else:
        yield f"### `{name}`"
        yield ""
        yield f"`{re.sub(' at 0x[0-9a-f]+', '', repr(value))}`"
        yield ""


def _members(owner: type) -> Iterator[str]:
    if issubclass(owner, enum.Enum):
        yield ", ".join(f"`{member.name}`" for member in owner)
        yield ""
        return

    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue

        doc = inspect.getdoc(member) if not isinstance(member, str | int | float | tuple) else None
        if isinstance(member, property):
            yield f"- **`{name}`** {_first(doc)}"
        elif inspect.isroutine(member) or isinstance(member, staticmethod | classmethod):
            yield f"- **`{name}{_signature(member)}`** {_first(doc)}"
    yield ""


def _signature(value: Any) -> str:
    if inspect.isclass(value) and (
        getattr(value, "_is_protocol", False) or issubclass(value, enum.Enum)
    ):
        return ""

    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return "()"

    text = re.sub(r" at 0x[0-9a-f]+", "", text.replace("self, ", "").replace("(self)", "()"))
    text = re.sub(r"ForwardRef\(('[^']*')\)", r"\1", text)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _text(value: Any) -> list[str]:
    return [textwrap.dedent(inspect.getdoc(value) or ""), ""]


def _first(doc: str | None) -> str:
    return " ".join((doc or "").split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
