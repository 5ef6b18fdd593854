"""The process of Restate's conformance suite: the services of ``contract/``, served on PORT.

Started by ``python services.py``. SERVICES names those to serve, separated by commas, all of
them by default; with E2E_REQUEST_SIGNING every request has to be signed by the holder of that
key; DURABLE_TRIO_BACKEND is trio or asyncio.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio

from durable_trio_restate import endpoint, serve

# Python finds a script's neighbours at the top level, type checkers where they are.
if TYPE_CHECKING:
    from .contract.overview import SERVICES
else:
    from contract.overview import SERVICES


def main() -> None:
    """Serve what the environment asks for."""
    wanted = [name.strip() for name in os.environ.get("SERVICES", "").split(",") if name.strip()]
    key = os.environ.get("E2E_REQUEST_SIGNING")
    app = endpoint(
        [service for service in SERVICES if not wanted or service.name in wanted],
        identity_keys=[key] if key else [],
    )
    bind = f"127.0.0.1:{os.environ['PORT']}"
    backend = os.environ.get("DURABLE_TRIO_BACKEND") or "trio"
    anyio.run(lambda: serve(app, bind, shutdown_timeout=5), backend=backend)


if __name__ == "__main__":
    main()
