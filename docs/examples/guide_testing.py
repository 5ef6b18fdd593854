"""For the guide: three ways to test a handler. Run it with pytest, or as a script."""

from typing import Any, cast

import anyio

from durable_trio import Context, Service
from durable_trio.testing import VirtualRuntime, crash_everywhere, runtime

greetings = Service("Greetings")
services = [greetings]

asked: list[str] = []  # an effect that a test can count


def look_up(name: str) -> str:
    asked.append(name)
    return f"Dr {name}"


@greetings.handler
async def greet(ctx: Context, name: str) -> str:
    title = await ctx.run(look_up, name)
    return f"Hello {title}"


class FakeContext:
    """Enough of a context for a handler that only runs steps."""

    async def run(self, function: Any, name: str) -> str:
        titles = {look_up: "Prof"}
        return f"{titles[function]} {name}"


def test_as_a_function() -> None:
    greeting = anyio.run(greet, cast("Context", FakeContext()), "Ada")
    assert greeting == "Hello Prof Ada"


async def in_memory() -> str:
    async with runtime(services) as rt:
        return await rt.call(greet, "Ada")


def test_on_both_loops() -> None:
    for backend in ("trio", "asyncio"):
        assert anyio.run(in_memory, backend=backend) == "Hello Dr Ada"


async def ada_is_greeted(rt: VirtualRuntime) -> str:
    asked.clear()
    return await rt.call(greet, "Ada")


def test_killed_everywhere() -> None:
    """Whenever the process dies, the next one gives the same, and repeats no recorded step."""
    report = anyio.run(crash_everywhere, services, ada_is_greeted)
    assert report.crashes > 2


if __name__ == "__main__":
    test_as_a_function()
    test_on_both_loops()
    test_killed_everywhere()
    print("3 passed")
