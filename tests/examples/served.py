"""The services of every example, or of those named in EXAMPLES, served to a Restate server."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from durable_trio_restate import endpoint, serve

if TYPE_CHECKING:
    from durable_trio import ServiceDefinition

FOLDER = Path(__file__).parents[2] / "docs" / "examples"


async def main() -> None:
    """Serve until it is stopped or killed."""
    services: list[ServiceDefinition] = []
    for name in os.environ["EXAMPLES"].split(","):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        services += module.services
    await serve(endpoint(services), f"127.0.0.1:{os.environ['PORT']}", shutdown_timeout=1)


if __name__ == "__main__":
    anyio.run(main, backend=os.environ["DURABLE_TRIO_BACKEND"])
