"""The handlers of the crash tests, served to a Restate server on PORT; effects go to EFFECTS."""

from __future__ import annotations

import os

import anyio

from durable_trio_restate import endpoint, serve
from tests.crash import crash_app


async def main() -> None:
    """Serve until it is stopped or killed."""
    app = endpoint([crash_app.ledger, crash_app.approval, crash_app.job, crash_app.worker])
    await serve(app, f"127.0.0.1:{os.environ['PORT']}")


if __name__ == "__main__":
    crash_app.effects = os.environ["EFFECTS"]
    anyio.run(main, backend=os.environ["DURABLE_TRIO_BACKEND"])
