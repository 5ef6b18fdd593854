"""For the guide: an endpoint with TLS and limits of its own, and as an ASGI application."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from durable_trio import Context, Service
from durable_trio_restate import ServerLimits, endpoint, serve, tls_context

greeter = Service("Greeter")
services = [greeter]


@greeter.handler
async def greet(ctx: Context, name: str) -> str:
    return f"Hello {name}"


# For any ASGI server, at the root or mounted below a path.
app = endpoint(services)


async def main(
    folder: Path = Path(),
    bind: str = "127.0.0.1:9080",
    until: Callable[[], Awaitable[object]] | None = None,
    started: Callable[[], object] | None = None,
) -> None:
    await serve(
        app,
        bind,
        tls=tls_context(folder / "certificate.pem", folder / "key.pem"),
        limits=ServerLimits(max_streams=100, send_timeout=20),
        shutdown_timeout=30,
        until=until,
        started=started,
    )


if __name__ == "__main__":
    trio.run(main)  # or anyio.run(main), for asyncio
