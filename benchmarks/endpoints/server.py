"""What bench_http.py asks: a fixed answer or an attempt, by our server or by Hypercorn.

``PORT``, ``DURABLE_TRIO_BACKEND``, ``SERVER`` (ours, hypercorn) and ``ANSWER`` (fixed, attempt).
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, cast

import anyio

from durable_trio import Context, Service
from durable_trio_restate import Endpoint, endpoint, serve
from durable_trio_restate._http import Answer

service = Service("Bench")
BODY = bytes(60)
HEADERS = [
    (b"content-type", b"application/vnd.restate.invocation.v6"),
    (b"x-restate-server", b"durable-trio/0.1.0"),
]


@service.handler
async def noop(_ctx: Context) -> str:
    """Do nothing."""
    return "done"


class Fixed:
    """The same bytes for every request."""

    headers = HEADERS

    def respond(self, _head: object) -> Answer:
        """For our server."""
        return Answer(200, HEADERS, BODY)

    def reopen(self) -> None:
        """It never closes."""

    async def drain(self) -> None:
        """Nothing is under way."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """For an ASGI server."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return

        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY, "more_body": False})


async def hypercorn(app: Any, bind: str, backend: str) -> None:
    """Serve with Hypercorn, with settings that do not hold it back."""
    config: Any = importlib.import_module("hypercorn.config").Config()
    config.bind = [bind]
    config.h2_max_concurrent_streams = 1_000
    config.max_app_queue_size = 1_000
    config.keep_alive_max_requests = sys.maxsize
    await importlib.import_module(f"hypercorn.{backend}").serve(app, config)


def main() -> None:
    """Serve what the environment asks for."""
    backend = os.environ["DURABLE_TRIO_BACKEND"]
    bind = f"127.0.0.1:{os.environ['PORT']}"
    app: Any = Fixed() if os.environ["ANSWER"] == "fixed" else endpoint([service])
    if os.environ["SERVER"] == "hypercorn":
        anyio.run(hypercorn, app, bind, backend, backend=backend)
    else:
        anyio.run(serve, cast("Endpoint", app), bind, backend=backend)


if __name__ == "__main__":
    main()
