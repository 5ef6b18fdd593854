"""Every public name has one home, and only public modules have public names."""

import ast
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import durable_trio

HOMES = (
    "durable_trio",
    "durable_trio.abc",
    "durable_trio.client",
    "durable_trio.serde",
    "durable_trio.local",
    "durable_trio.local.http",
    "durable_trio.testing",
    "durable_trio_file",
    "durable_trio_restate",
    "durable_trio_pytest",
)


def reexported(module: ModuleType) -> dict[str, str]:
    """The names a module re-exports as ``X as X``, with the module each comes from."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    return {
        alias.asname: f"{'.' * node.level}{node.module or ''}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }


@pytest.mark.parametrize("home", HOMES)
def test_a_home_exports_only_names_that_exist(home: str) -> None:
    """``X as X`` names what is really there, under its own name."""
    module = importlib.import_module(home)
    for name in reexported(module):
        assert hasattr(module, name), name
        assert not name.startswith("_"), name


def test_every_public_name_has_one_home() -> None:
    """No name is re-exported by two public modules."""
    homes: dict[str, list[str]] = {}
    for home in HOMES:
        for name in reexported(importlib.import_module(home)):
            homes.setdefault(name, []).append(home)

    assert {} == {name: where for name, where in homes.items() if len(where) > 1}


def test_every_other_module_is_private() -> None:
    """A module that is no home has a leading underscore somewhere in its path."""
    public = [
        info.name
        for info in pkgutil.walk_packages(durable_trio.__path__, "durable_trio.")
        if not any(part.startswith("_") for part in info.name.split("."))
    ]

    assert sorted(set(HOMES) & set(public)) == sorted(public)
