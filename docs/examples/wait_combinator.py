"""Wait combinator: wait until everything has ended, however it did.

Leaving a nursery's block *is* the wait: no list of futures, no loop over them, and nothing
can be forgotten. ``wait_all`` is the same for futures: it never raises, and every future
then tells how it ended.
"""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, RetryPolicy, Service, current_context, open_nursery, wait_all
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

images = Service("Images")
services = [images]

ONCE = RetryPolicy(max_attempts=1)


async def make_thumbnail(image: str) -> None:
    """Stands for some work."""
    await anyio.sleep(0.005)
    if image.endswith(".txt"):
        raise ValueError(f"{image} is no image")


async def process(image: str) -> None:
    """One branch."""
    await current_context().run(make_thumbnail, image)


@images.handler
async def thumbnails(ctx: Context, names: list[str]) -> str:
    """In the nursery style."""
    async with open_nursery() as nursery:
        for image in names:
            nursery.start_soon(process, image)
    return f"{len(names)} thumbnails made"


@images.handler
async def report(ctx: Context, names: list[str]) -> dict[str, str]:
    """In the futures style."""
    steps = [ctx.run(make_thumbnail, image, name=image, retry=ONCE) for image in names]
    ended = await wait_all(*steps)
    return {
        image: "made" if step.succeeded else str(step.exception)
        for image, step in zip(names, ended, strict=True)
    }


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/images.journal")) as runtime:
            print(await runtime.call(thumbnails, ["cat.png", "dog.png"]))
            print(await runtime.call(report, ["cat.png", "notes.txt", "dog.png"]))


if __name__ == "__main__":
    trio.run(main)
