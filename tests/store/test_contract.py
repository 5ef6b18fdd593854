"""The contract suite: both stores pass it, and it finds stores that are wrong."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import abc
from durable_trio._loop import current_call_soon
from durable_trio.testing import MemoryStore, check_journal
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


@BACKENDS
def test_the_memory_store_keeps_the_contract(backend: str) -> None:
    """MemoryStore, reopened as the same object."""
    anyio.run(check_journal, MemoryStore, backend=backend)


@BACKENDS
def test_the_file_journal_keeps_the_contract(backend: str, tmp_path: Path) -> None:
    """FileJournal, reopened as a new object on the same path."""
    paths = (tmp_path / f"{number}.journal" for number in itertools.count())

    async def main() -> None:
        await check_journal(
            lambda: FileJournal(next(paths), synchronous="off"),
            lambda store: FileJournal(store.path),
        )

    anyio.run(main, backend=backend)


@BACKENDS
def test_the_same_file_journal_object_can_be_opened_again(backend: str, tmp_path: Path) -> None:
    """FileJournal, reopened as the same object."""
    paths = (tmp_path / f"{number}.journal" for number in itertools.count())

    async def main() -> None:
        await check_journal(lambda: FileJournal(next(paths), synchronous="off"))

    anyio.run(main, backend=backend)


class Forgetful(MemoryStore):
    """Loses all writes of one kind."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def write(
        self,
        writes: Sequence[abc.Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        kept = [write for write in writes if not isinstance(write, self.kind)]
        super().write(kept, on_commit, urgent=urgent)


@pytest.mark.parametrize("kind", sorted(abc.Write.__args__, key=lambda kind: kind.__name__))  # type: ignore[attr-defined]
def test_it_finds_a_store_that_loses_a_kind_of_write(kind: type) -> None:
    """Every kind of write is covered by some case."""
    with pytest.raises(AssertionError, match=r"expected .*, found "):
        anyio.run(check_journal, partial(Forgetful, kind))


class Eager(MemoryStore):
    """Calls back before anything is durable."""

    def write(self, writes: Any, on_commit: Any = None, *, urgent: bool = True) -> None:
        super().write(writes, urgent=urgent)
        if on_commit is not None:
            on_commit()


class Reversing(MemoryStore):
    """Writes each transaction backwards."""

    def write(self, writes: Any, on_commit: Any = None, *, urgent: bool = True) -> None:
        super().write(writes[::-1], on_commit, urgent=urgent)


class Tearing(MemoryStore):
    """Commits the second half of a transaction a little later."""

    def write(self, writes: Any, on_commit: Any = None, *, urgent: bool = True) -> None:
        whole = not all(isinstance(write, abc.PutState) for write in writes)
        half = 0 if whole else len(writes) // 2
        super().write(writes[:half])
        rest = partial(super().write, writes[half:], on_commit)
        if half:
            call_soon = current_call_soon()
            call_soon(lambda: call_soon(lambda: call_soon(rest)))
        else:
            rest()


class Amnesic(MemoryStore):
    """Forgets everything when it is opened."""

    async def __aenter__(self) -> Any:
        self.committed = type(self.committed)()
        return await super().__aenter__()


def unlocked(store: MemoryStore) -> MemoryStore:
    """The same storage through an object that knows nothing of the first one."""
    other = MemoryStore()
    other.committed = store.committed
    return other


class Careless(MemoryStore):
    """Takes writes while it is closed."""

    def write(self, writes: Any, on_commit: Any = None, *, urgent: bool = True) -> None:
        if self._call_soon is not None:
            super().write(writes, on_commit, urgent=urgent)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Eager, "callbacks that ran inside of write"),
        (Reversing, "keep the order"),
        (Tearing, "reads that saw half"),
        (Amnesic, "leaving keeps everything"),
        (Careless, "expected UsageError"),
    ],
)
def test_it_finds_stores_that_break_a_promise(make: Callable[[], MemoryStore], text: str) -> None:
    """The message names the case that failed."""
    with pytest.raises(AssertionError, match=text):
        anyio.run(check_journal, make)


def test_it_finds_a_store_that_can_be_opened_twice() -> None:
    """A second opening while the first is still open must be refused."""
    with pytest.raises(AssertionError, match="opened twice"):
        anyio.run(check_journal, MemoryStore, unlocked)


def test_it_turns_a_hang_into_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that never commits what is not urgent does not hang the suite."""

    class Lazy(MemoryStore):
        def write(self, writes: Any, on_commit: Any = None, *, urgent: bool = True) -> None:
            super().write(writes, on_commit if urgent else None, urgent=urgent)

    monkeypatch.setattr("durable_trio.testing._contract._HANG", 0.0)
    with pytest.raises(AssertionError, match="still waiting"):
        anyio.run(check_journal, Lazy)
