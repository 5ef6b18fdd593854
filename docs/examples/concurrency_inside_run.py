"""Concurrency inside a run: in the body of a step everything is allowed.

A body is an ordinary function. Its task groups, timeouts and clients are those of your
event loop, and of what it does only the result is journaled. So the step is all or
nothing: a crash in it runs all of it again. Where each part should be kept, make each
part a step (see ``parallel_runs.py``).
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, Service
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

site = Service("Site")
services = [site]

PAGES = {"/": 4120, "/about": 980, "/blog": 15200, "/contact": None}


async def size_of(page: str) -> int | None:
    """Stands for a request; one page never answers."""
    if PAGES[page] is None:
        await anyio.sleep_forever()
    return PAGES[page]


async def check_links(pages: list[str]) -> dict[str, int]:
    """The body: all pages at once, with a timeout of the event loop's own."""
    sizes: dict[str, int] = {}

    async def check(page: str) -> None:
        size = await size_of(page)
        if size is not None:
            sizes[page] = size

    with anyio.move_on_after(0.05):
        async with anyio.create_task_group() as group:
            for page in pages:
                group.start_soon(check, page)
    return dict(sorted(sizes.items()))


@site.handler
async def reachable(ctx: Context) -> dict[str, int]:
    return await ctx.run(check_links, list(PAGES))


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/site.journal")) as runtime:
            print(await runtime.call(reachable))


if __name__ == "__main__":
    trio.run(main)
