"""Where the peers are: beside durable_trio, or in a virtual environment and an npm folder of their own.

Owns how they are found, what is said about those that are missing, and which versions a run
had of everything. Installs nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Final

HOME: Final = Path.home() / ".cache" / "durable-trio-bench"
NODE_MODULES: Final = HOME / "node_modules"

PIP_INSTALL: Final = (
    f"python3 -m venv {HOME}/venv && {HOME}/venv/bin/pip install dbos restate-sdk hypercorn granian"
)
NPM_INSTALL: Final = f"npm install --prefix {HOME} @restatedev/restate-sdk node@22"

_HERE: Final = ("trio", "anyio", "h2", "msgspec", "hypercorn", "granian")
_PEERS: Final = ("restate-sdk", "dbos")
_SERVER: Final = "@restatedev/restate-server"
_NODE: Final = ("@restatedev/restate-sdk", "node")


def _environment() -> list[str]:
    """The folder of the packages in the peers' own environment, or nothing."""
    return [str(path) for path in (HOME / "venv").glob("lib/python3*/site-packages")]


def python_with(*modules: str) -> str | None:
    """An interpreter that has all of these: this one, or the one of the peers."""
    if all(importlib.util.find_spec(module) for module in modules):
        return sys.executable

    for packages in _environment():
        if all((Path(packages) / module).is_dir() for module in modules):
            return str(HOME / "venv" / "bin" / "python")
    return None


def node_with(package: str) -> str | None:
    """The node binary, if it and the package are there."""
    node = NODE_MODULES / ".bin" / "node"
    return str(node) if node.exists() and (NODE_MODULES / package).exists() else None


def versions() -> dict[str, str]:
    """What is installed, by name."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in (*_HERE, *_PEERS):
        path = [*sys.path, *_environment()] if name in _PEERS else sys.path
        for distribution in importlib.metadata.distributions(name=name, path=path):
            found.setdefault(name, distribution.version)
    packages = {name: NODE_MODULES / name / "package.json" for name in _NODE}
    # Where the tests keep it, and the benchmarks with them.
    for package in (HOME.parent / "durable-trio-tests").glob(
        f"*/node_modules/{_SERVER}/package.json"
    ):
        packages["restate-server"] = package
    for name, package in packages.items():
        if package.exists():
            found[name] = json.loads(package.read_text("utf-8"))["version"]
    return found
