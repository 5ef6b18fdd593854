"""Partial failures: do what can be done, and say what could not.

A branch that catches its own errors has none, so its siblings go on. The error of a
``ctx.run`` that gave up after its retries is a ``TerminalError``, as that of a call is.
"""

from tempfile import TemporaryDirectory

import trio

from durable_trio import Context, RetryPolicy, Service, TerminalError, amap, wait_all
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

news = Service("News")
services = [news]

HEADLINES = {"gazette": "Rain again", "herald": "Trains on time"}
TWICE = RetryPolicy(max_attempts=2, initial_interval=0.001)


def fetch(paper: str) -> str:
    """Stands for a request. An error that may pass is retried: here twice, by default for ever."""
    if paper not in HEADLINES:
        raise ConnectionError(f"{paper} does not answer")

    return HEADLINES[paper]


@news.handler
async def digest(ctx: Context, papers: list[str]) -> list[str]:
    """In the structured style: every branch handles its own failure."""

    async def headline(paper: str) -> str | None:
        try:
            return await ctx.run(fetch, paper, retry=TWICE)
        except TerminalError as error:
            ctx.log.warning("left out %s: %s", paper, error)
            return None

    found = [text for text in await amap(headline, papers, limit=8) if text is not None]
    if not found:
        raise TerminalError("no paper could be fetched", code=503)

    return found


@news.handler
async def coverage(ctx: Context, papers: list[str]) -> str:
    """In the futures style: futures that have ended know whether they succeeded."""
    steps = [ctx.run(fetch, paper, name=paper, retry=TWICE) for paper in papers]
    ended = await wait_all(*steps)
    return f"{sum(future.succeeded for future in ended)} of {len(papers)} papers"


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/news.journal")) as runtime:
            print(await runtime.call(digest, ["gazette", "mirror", "herald"]))
            print(await runtime.call(coverage, ["gazette", "mirror", "herald"]))


if __name__ == "__main__":
    trio.run(main)
