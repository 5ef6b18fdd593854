"""Map-reduce: one durable step per item, and one that puts the results together.

After a crash only the items that were not done are mapped again. Reducing in a step of its
own keeps long computations off the event loop and out of every replay.
"""

from collections import Counter
from tempfile import TemporaryDirectory

import trio

from durable_trio import Context, Service, amap
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

words = Service("Words")
services = [words]

POEM = [
    "the rain it raineth every day",
    "the rain upon the just",
    "and the rain on the unjust too",
]


def count_words(line: str) -> dict[str, int]:
    """Map. A plain function runs in a worker thread."""
    return dict(Counter(line.split()))


def most_frequent(counts: list[dict[str, int]], how_many: int) -> list[tuple[str, int]]:
    """Reduce."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))[:how_many]


@words.handler
async def top_words(ctx: Context, lines: list[str]) -> list[tuple[str, int]]:
    async def one(line: str) -> dict[str, int]:
        return await ctx.run(count_words, line)

    counts = await amap(one, lines, limit=4)
    return await ctx.run(most_frequent, counts, 3)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/words.journal")) as runtime:
            print(await runtime.call(top_words, POEM))


if __name__ == "__main__":
    trio.run(main)
