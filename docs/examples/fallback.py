"""Fallback: try the primary source; if it fails for good, ask another one.

A ``TerminalError`` is a callee's final word: nobody retries it, and its caller can catch
it like any exception. Any other error is retried where it happens and never gets here.
That the primary has failed is journaled: after a crash it is not asked again.
"""

from tempfile import TemporaryDirectory

import trio

from durable_trio import Context, Service, TerminalError
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

database = Service("Database")
cache = Service("Cache")
catalogue = Service("Catalogue")
services = [database, cache, catalogue]

ROWS = {"book-1": "Middlemarch"}
CACHED = {"book-1": "Middlemarch (cached)", "book-2": "Silas Marner (cached)"}


def read_row(book: str) -> str:
    """Stands for a query. A row that is not there will not be there on a retry either."""
    if book not in ROWS:
        raise TerminalError(f"no row for {book}", code=404)

    return ROWS[book]


@database.handler(name="get")
async def read_database(ctx: Context, book: str) -> str:
    return await ctx.run(read_row, book, name=f"row {book}")


@cache.handler(name="get")
async def read_cache(ctx: Context, book: str) -> str:
    return await ctx.run(CACHED.__getitem__, book, name=f"cached {book}")


@catalogue.handler
async def title(ctx: Context, book: str) -> str:
    try:
        return await ctx.call(read_database, book)
    except TerminalError as error:
        ctx.log.warning("asking the cache: %s", error)
        return await ctx.call(read_cache, book)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/catalogue.journal")) as runtime:
            print(await runtime.call(title, "book-1"))
            print(await runtime.call(title, "book-2"))


if __name__ == "__main__":
    trio.run(main)
