"""Basic race: ask several services for the same thing, take the first answer.

Who was first is journaled, so a replay sees the same winner. ``race`` ends its losers:
each of them is cancelled, here and in the service it has called. With ``wait_first`` they
go on until the handler returns, which cancels them as well: nothing is left behind.
"""

from functools import partial
from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, Service, race, wait_first
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

mirrors = Service("Mirrors")
packages = Service("Packages")
services = [mirrors, packages]

SECONDS = {"amsterdam": 60.0, "berlin": 0.005, "lisbon": 60.0}
"""How long each mirror takes."""


async def fetch(mirror: str) -> str:
    """Stands for a download."""
    await anyio.sleep(SECONDS[mirror])
    return f"package from {mirror}"


@mirrors.handler
async def download(ctx: Context, mirror: str) -> str:
    return await ctx.run(fetch, mirror, name=f"fetch from {mirror}")


@packages.handler
async def fastest(ctx: Context) -> str:
    """In the structured style: the losers have ended when ``race`` returns."""

    async def ask(mirror: str) -> str:
        return await ctx.call(download, mirror)

    return await race(*(partial(ask, mirror) for mirror in SECONDS))


@packages.handler
async def fastest_mirror(ctx: Context) -> str:
    """In the futures style: which one was first, and its future."""
    names = list(SECONDS)
    index, future = await wait_first(*(ctx.call(download, mirror) for mirror in names))
    return f"{names[index]}: {future.return_value}"


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/packages.journal")) as runtime:
            print(await runtime.call(fastest))
            print(await runtime.call(fastest_mirror))


if __name__ == "__main__":
    trio.run(main)
