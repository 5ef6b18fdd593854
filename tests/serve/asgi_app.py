"""The endpoint in a process of its own, in another's ASGI server.

``SERVER`` (hypercorn, uvicorn, granian), ``PORT`` and ``DURABLE_TRIO_BACKEND`` say how. It is
there twice: at the root, and mounted under a prefix as a framework would do it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from typing import Any

import anyio
import attrs

import durable_trio as dt
from durable_trio_restate import endpoint

greeter = dt.Service("Greeter")


@greeter.handler
async def greet(ctx: dt.Context, name: str) -> str:
    """Greets, after a step and a sleep."""
    upper = await ctx.run(str.upper, name, on_thread=False)
    await dt.sleep(0.01)
    return f"hello {upper}"


@attrs.frozen
class Mounted:
    """What a framework's router does with an application under a prefix."""

    app: Any
    prefix: str = "/mounted"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self.prefix):
            root = scope.get("root_path", "") + self.prefix
            scope = {**scope, "root_path": root}
        await self.app(scope, receive, send)


app = Mounted(endpoint([greeter]))


def main(server: str, port: int, backend: str) -> None:
    """Serve until terminated."""
    if server == "hypercorn":
        config: Any = importlib.import_module("hypercorn.config").Config()
        config.bind = [f"127.0.0.1:{port}"]
        anyio.run(
            importlib.import_module(f"hypercorn.{backend}").serve, app, config, backend=backend
        )
    elif server == "uvicorn":
        importlib.import_module("uvicorn").run(app, port=port, log_level="warning")
    else:
        granian: Any = importlib.import_module("granian.server.embed")
        asyncio.run(granian.Server(app, port=port, interface="asgi").serve())


if __name__ == "__main__":
    main(os.environ["SERVER"], int(os.environ["PORT"]), os.environ["DURABLE_TRIO_BACKEND"])
