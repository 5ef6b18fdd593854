"""Race with timeout: give an operation so much time and no more.

A deadline is a durable timer: journaled when the block is entered, it holds across
crashes, and after a restart only the rest of the time is left. When it passes, everything
in the block is cancelled, the called service included.
"""

from tempfile import TemporaryDirectory

import anyio
import attrs
import trio

from durable_trio import Context, Service, TooSlowError, fail_after, move_on_after, wait_first
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

translators = Service("Translators")
documents = Service("Documents")
services = [translators, documents]


@attrs.frozen
class Job:
    text: str
    takes: float
    """Seconds that the translator needs."""
    patience: float
    """Seconds that we wait."""


async def translate_slowly(job: Job) -> str:
    """Stands for a slow service."""
    await anyio.sleep(job.takes)
    return job.text.upper()


@translators.handler
async def translate(ctx: Context, job: Job) -> str:
    return await ctx.run(translate_slowly, job)


@documents.handler
async def translated(ctx: Context, job: Job) -> str:
    """In the structured style: without a result in time, go on without it."""
    with move_on_after(job.patience):
        return await ctx.call(translate, job)
    return job.text


@documents.handler
async def translated_or_error(ctx: Context, job: Job) -> str:
    """The same where being late is an error."""
    try:
        with fail_after(job.patience):
            return await ctx.call(translate, job)
    except TooSlowError:
        return "too slow"


@documents.handler
async def translated_or_timer(ctx: Context, job: Job) -> str:
    """In the futures style: a timer is one more future in the race."""
    translation = ctx.call(translate, job)
    await wait_first(translation, ctx.timer(job.patience))
    return translation.return_value if translation.done else "the timer won"


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/documents.journal")) as runtime:
            print(await runtime.call(translated, Job("hello", takes=0.01, patience=60)))
            late = Job("hello", takes=60, patience=0.05)
            for handler in (translated, translated_or_error, translated_or_timer):
                print(await runtime.call(handler, late))


if __name__ == "__main__":
    trio.run(main)
