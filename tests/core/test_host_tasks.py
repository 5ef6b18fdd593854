"""Tasks of the host's own, many of them: they end with their block, whatever happens in it."""

from __future__ import annotations

import anyio
import pytest

from durable_trio._host import current_host


def run(backend: str, main: object) -> None:
    """Run an async function."""
    anyio.run(main, backend=backend)  # type: ignore[arg-type]


async def stay(log: list[str], name: str) -> None:
    """Wait until cancelled, and take a moment to end."""
    log.append(f"{name} began")
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
        log.append(f"{name} ended")


def test_a_block_ends_after_its_tasks(backend: str) -> None:
    """As with a nursery: what was started in it is waited for."""
    log: list[str] = []

    async def work(name: str) -> None:
        await anyio.lowlevel.checkpoint()
        log.append(name)

    async def main() -> None:
        async with current_host().open_tasks() as tasks:
            tasks.start_soon(work, "a")
            tasks.start_soon(work, "b")
        assert sorted(log) == ["a", "b"]

    run(backend, main)


@pytest.mark.parametrize("inside", [True, False])
def test_tasks_are_cancelled_with_what_is_around_them(backend: str, inside: bool) -> None:
    """Whether the block is being executed or waits for its tasks; they may clean up."""
    log: list[str] = []

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                try:
                    async with current_host().open_tasks() as tasks:
                        tasks.start_soon(stay, log, "a")
                        tasks.start_soon(stay, log, "b")
                        await anyio.wait_all_tasks_blocked()
                        if inside:
                            scope.cancel()
                            await anyio.sleep_forever()
                        group.start_soon(cancel_later, scope)
                finally:
                    log.append("the block ended")
        assert sorted(log[:-1]) == ["a began", "a ended", "b began", "b ended"]
        assert log[-1] == "the block ended"

    async def cancel_later(scope: anyio.CancelScope) -> None:
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    run(backend, main)


def test_an_error_of_the_block_ends_its_tasks(backend: str) -> None:
    """It is raised once they have ended."""
    log: list[str] = []

    async def main() -> None:
        async with current_host().open_tasks() as tasks:
            tasks.start_soon(stay, log, "a")
            await anyio.wait_all_tasks_blocked()
            raise ValueError("the block's own")

    with pytest.raises((ValueError, ExceptionGroup)):
        run(backend, main)
    assert log == ["a began", "a ended"]
