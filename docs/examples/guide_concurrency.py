"""For the guide: branches in nurseries, and futures of one step each."""

from functools import partial
from tempfile import TemporaryDirectory

import anyio
import attrs
import trio

from durable_trio import (
    Context,
    Service,
    TaskHandle,
    TerminalError,
    amap,
    as_completed,
    gather,
    open_nursery,
    race,
    wait_first,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

press = Service("Press")
services = [press]


@attrs.frozen
class Article:
    text: str
    picture: str


async def write(topic: str) -> str:
    await anyio.sleep(0.002)
    return f"on {topic}"


async def check(text: str) -> str:
    return f"{text}, checked"


async def draw(topic: str) -> str:
    if topic == "nothing":
        raise TerminalError("nothing to draw")

    await anyio.sleep(0.001)
    return f"a picture of {topic}"


async def article(ctx: Context, topic: str) -> Article:
    """A branch: as many steps as it takes."""
    draft = await ctx.run(write, topic)
    text = await ctx.run(check, draft)
    return Article(text, await ctx.run(draw, topic))


@press.handler
async def issue(ctx: Context, topics: list[str]) -> list[Article]:
    branches: list[TaskHandle[Article]] = []
    async with open_nursery() as nursery:
        for topic in topics:
            branches.append(nursery.start_soon(article, ctx, topic))
    return [branch.return_value for branch in branches]  # they have all ended


@press.handler
async def thick_issue(ctx: Context, topics: list[str]) -> list[Article]:
    return await amap(partial(article, ctx), topics, limit=8)  # eight at a time, in this order


@press.handler
async def soonest(ctx: Context, topic: str) -> str:
    async def text() -> str:
        return await ctx.run(check, await ctx.run(write, topic))

    async def drawing() -> str:
        return await ctx.run(draw, topic)

    return await race(text, drawing)  # the other one is cancelled, with all it has begun


@press.handler
async def together(ctx: Context, topic: str) -> str:
    text, picture = await gather(ctx.run(write, topic), ctx.run(draw, topic))
    return f"{text}, {picture}"


@press.handler
async def first_two(ctx: Context, topics: list[str]) -> list[str]:
    pictures = [ctx.run(draw, topic, name=topic) for topic in topics]
    found: list[str] = []
    async for drawn in as_completed(*pictures):
        if drawn.succeeded:
            found.append(drawn.return_value)
        if len(found) == 2:
            break
    return found  # what is still pending ends here, with the handler


@press.handler
async def or_default(ctx: Context, topic: str) -> str:
    drawn = ctx.run(draw, topic)
    await wait_first(drawn, ctx.timer(60))
    return drawn.return_value if drawn.succeeded else "no picture"


@press.handler
async def all_or_reason(ctx: Context, topics: list[str]) -> str:
    reason = "printed"
    try:
        async with open_nursery() as nursery:
            for topic in topics:
                nursery.start_soon(article, ctx, topic, name=topic)
    except* TerminalError as errors:
        reason = f"not printed: {errors.exceptions[0]}"
    return reason


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/press.journal")) as runtime:
            print(await runtime.call(issue, ["rain"]))
            print(len(await runtime.call(thick_issue, ["rain", "snow", "sun"])))
            print(await runtime.call(soonest, "rain"))
            print(await runtime.call(together, "rain"))
            print(await runtime.call(first_two, ["nothing", "rain", "snow", "sun"]))
            print(await runtime.call(or_default, "nothing"))
            print(await runtime.call(all_or_reason, ["rain", "nothing"]))


if __name__ == "__main__":
    trio.run(main)
