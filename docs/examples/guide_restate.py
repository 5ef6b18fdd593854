"""For the guide: handlers served to a Restate server. It runs until it is interrupted."""

from collections.abc import Awaitable, Callable

import trio

from durable_trio import Context, Service, ServiceOptions, sleep
from durable_trio_restate import endpoint, serve

reminders = Service("Reminders")
services = [reminders]


@reminders.handler
async def remind(ctx: Context, text: str) -> str:
    await sleep(24 * 3600)
    return f"Do not forget: {text}"


async def main(
    bind: str = "127.0.0.1:9080", until: Callable[[], Awaitable[object]] | None = None
) -> None:
    app = endpoint(services, defaults=ServiceOptions(inactivity_timeout=30))
    await serve(app, bind, until=until)


if __name__ == "__main__":
    trio.run(main)  # or anyio.run(main), for asyncio
