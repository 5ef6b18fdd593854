"""The mistake: starting tasks that are not durable, and the error that finds it.

Elsewhere this is the goroutine in a handler. A task of anyio's (or of trio's, or of
``asyncio.create_task``) journals nothing, so what it does and when would differ on a
replay. It is found on the first run, at its line, not when a replay goes astray: the
invocation is paused, and goes on when it is started with mended code. Start
durable tasks instead, with ``durable_trio.open_nursery``; anything goes inside of a
``ctx.run`` (see ``concurrency_inside_run.py``).
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, InvocationPausedError, Service, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

letters = Service("Letters")
services = [letters]


async def fetch(letter: str) -> str:
    """Stands for a request."""
    await anyio.sleep(0.005)
    return letter.upper()


@letters.handler
async def wrong(ctx: Context) -> list[str]:
    found: list[str] = []

    async def collect(letter: str) -> None:
        found.append(await fetch(letter))

    async with anyio.create_task_group() as group:  # nobody journals who is first
        for letter in "abc":
            group.start_soon(collect, letter)
    return found


@letters.handler
async def right(ctx: Context) -> list[str]:
    found: list[str] = []

    async def collect(letter: str) -> None:
        found.append(await ctx.run(fetch, letter))

    async with open_nursery() as nursery:  # the journal does
        for letter in "abc":
            nursery.start_soon(collect, letter)
    return sorted(found)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/letters.journal")) as runtime:
            try:
                await runtime.call(wrong)
            except InvocationPausedError as error:  # it goes on when the handler is mended
                print(error)
            print(await runtime.call(right))


if __name__ == "__main__":
    trio.run(main)
