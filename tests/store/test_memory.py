"""MemoryStore: what survives a crash, and the hooks that make one."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from durable_trio import abc
from durable_trio._exceptions import StoreLockedError, StoreWriteError, UsageError
from durable_trio.testing import MemoryStore

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


def run(number: int) -> list[abc.Write]:
    return [abc.AppendEntries("inv_a", (abc.Run(number),))]


def numbers(store: MemoryStore) -> list[int]:
    entries = store.committed.journal("inv_a")
    return [entry.completion_id for entry in entries if isinstance(entry, abc.Run)]


@BACKENDS
def test_commits_happen_at_a_later_turn(backend: str) -> None:
    """``write`` itself commits nothing; each transaction is one commit, in order."""

    async def main() -> None:
        async with MemoryStore() as store:
            for number in range(5):
                store.write(run(number))
            assert store.commits == 0
            assert numbers(store) == []
            await store.sync()
            assert store.commits == 5
            assert numbers(store) == [0, 1, 2, 3, 4]

    anyio.run(main, backend=backend)


@BACKENDS
@pytest.mark.parametrize(("hook", "kept"), [("before_commit", [0, 1]), ("after_commit", [0, 1, 2])])
def test_a_hook_that_raises_is_a_crash(backend: str, hook: str, kept: list[int]) -> None:
    """Before the commit the transaction is lost, after it only its acknowledgement is."""

    def crash(writes: object) -> None:
        if writes == tuple(run(2)):
            raise OSError("pulled the plug")

    async def main() -> None:
        acknowledged: list[int] = []
        store = MemoryStore()
        setattr(store, hook, crash)

        async def use() -> None:
            async with store:
                for number in range(4):
                    store.write(run(number), partial(acknowledged.append, number))
                with pytest.raises(StoreWriteError):
                    await store.sync()
                with pytest.raises(StoreWriteError):
                    await store.journal("inv_a")
                assert isinstance(await store.failed(), StoreWriteError)
                store.write(run(9), partial(acknowledged.append, 9))

        with pytest.raises(StoreWriteError, match="pulled the plug") as caught:
            await use()
        assert isinstance(caught.value.__cause__, OSError)
        assert acknowledged == [0, 1]
        assert numbers(store) == kept
        setattr(store, hook, None)
        async with store:
            store.write(run(7))
            await store.sync()
        assert numbers(store) == [*kept, 7]

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_crash_by_hand_loses_what_is_queued(backend: str) -> None:
    """``crash`` takes effect at once, from inside a hook as well."""

    async def main() -> None:
        store = MemoryStore()

        async def use() -> None:
            async with store:
                store.write(run(1))
                await store.sync()
                store.write(run(2))
                store.crash()
                raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            await use()
        assert numbers(store) == [1]

        def crash(writes: object) -> None:
            store.crash()

        store.before_commit = crash
        with pytest.raises(StoreWriteError, match="crash"):
            async with store:
                store.write(run(3))
        assert numbers(store) == [1]

    anyio.run(main, backend=backend)


@BACKENDS
def test_failed_waits_for_a_failure(backend: str) -> None:
    """Whoever waits for a failure is woken by it."""

    async def main() -> None:
        found: list[Exception] = []

        async def use() -> None:
            async with store, anyio.create_task_group() as tasks:

                async def watch() -> None:
                    found.append(await store.failed())

                tasks.start_soon(watch)
                await anyio.wait_all_tasks_blocked()
                store.crash(error)

        store, error = MemoryStore(), StoreWriteError("mine")
        with pytest.raises(StoreWriteError, match="mine"):
            await use()
        assert found == [error]

    anyio.run(main, backend=backend)


def test_it_survives_the_end_of_the_loop() -> None:
    """The same object may be opened on another loop, of another backend."""
    store = MemoryStore()

    async def main(number: int) -> None:
        async with store:
            store.write(run(number))

    anyio.run(main, 1, backend="trio")
    anyio.run(main, 2, backend="asyncio")
    assert numbers(store) == [1, 2]


@BACKENDS
def test_a_store_that_was_never_left_can_be_opened_on_a_new_loop(backend: str) -> None:
    """A loop that ended without leaving the block does not lock the store for ever."""
    store = MemoryStore()

    async def abandon() -> None:
        await store.__aenter__()
        store.write(run(1))
        with pytest.raises(StoreLockedError, match="already open"):
            await store.__aenter__()

    async def main() -> None:
        async with store:
            store.write(run(2))

    anyio.run(abandon, backend=backend)
    before = numbers(store)
    anyio.run(main, backend=backend)
    assert numbers(store) == [*before, 2]


@BACKENDS
def test_leaving_commits_even_when_cancelled(backend: str) -> None:
    """Cancellation does not lose what was queued before it."""

    async def main() -> None:
        store = MemoryStore()
        with anyio.CancelScope() as scope:
            async with store:
                store.write(run(1))
                scope.cancel()
                await anyio.sleep_forever()
        assert numbers(store) == [1]

    anyio.run(main, backend=backend)


def test_it_must_be_open() -> None:
    """A write to a store that is not open says what to do."""
    with pytest.raises(UsageError, match="async with"):
        MemoryStore().write(run(1))
