"""For the guide: three ways to test a handler. Run it with pytest, or as a script."""

from collections.abc import Sequence
from typing import Any, cast

import anyio

from durable_trio import Context, Service, StoreError
from durable_trio.abc import Write
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

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


async def in_memory(store: MemoryStore) -> str:
    async with LocalRuntime(services, store) as runtime:
        return await runtime.call(greet, "Ada", idempotency_key="once")


def test_on_both_loops() -> None:
    for backend in ("trio", "asyncio"):
        assert anyio.run(in_memory, MemoryStore(), backend=backend) == "Hello Dr Ada"


def test_killed_at_every_commit() -> None:
    """Whenever the process dies, the next one gives the same, and repeats no recorded step."""
    commit, killed = 0, True
    while killed:
        commit += 1
        asked.clear()
        store = MemoryStore(after_commit=dying_at(commit))
        try:
            anyio.run(in_memory, store)
            killed = False
        except StoreError:
            store.after_commit = None
            anyio.run(in_memory, store)
        assert 1 <= len(asked) <= 2  # twice: it had run, and its result was not recorded yet
    assert commit > 2


def dying_at(last: int) -> Any:
    left = last

    def after_commit(_: Sequence[Write]) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise RuntimeError("killed")

    return after_commit


if __name__ == "__main__":
    test_as_a_function()
    test_on_both_loops()
    test_killed_at_every_commit()
    print("3 passed")
