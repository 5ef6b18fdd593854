"""For the guide: errors that are final, and errors that are not."""

from tempfile import TemporaryDirectory

import trio

from durable_trio import (
    Context,
    RetryPolicy,
    Service,
    TerminalError,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

TWICE = RetryPolicy(max_attempts=2, initial_interval=0.001)


class UnknownBook(Exception):
    """An error of the library's own."""


def final(error: Exception) -> TerminalError | None:
    return TerminalError(f"no such book: {error}", code=404) if type(error) is UnknownBook else None


library = Service("Library", as_terminal_error=final)
services = [library]

shelf = {"emma": 1815, "persuasion": 1817}


def year_of(title: str) -> int:
    if title == "sanditon":
        raise ConnectionError("the catalogue does not answer")

    return shelf.get(title, 0)


@library.handler
async def year(ctx: Context, title: str) -> int:
    found = await ctx.run(year_of, title, retry=TWICE)
    if not found:
        raise UnknownBook(title)

    return found


@library.handler
async def years(ctx: Context, titles: list[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for title in titles:
        try:
            told[title] = str(await ctx.call(year, title))
        except TerminalError as error:  # what a step or a callee ended with
            told[title] = f"{error.code} {error.message}"
    return told


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/library.journal")) as runtime:
            print(await runtime.call(years, ["emma", "emmma", "sanditon"]))
            try:
                await runtime.call(year, "emmma")
            except TerminalError as error:
                print(error.code, error)


if __name__ == "__main__":
    trio.run(main)
