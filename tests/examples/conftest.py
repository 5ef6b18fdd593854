"""What the tests of the examples share: loading them, and stores that crash on demand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from durable_trio import StoreWriteError
from durable_trio.abc import Completion, Run
from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal, FileJournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType
    from typing import Self

    from durable_trio.abc import Entry, JournalStore, Write

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class Crashed(StoreWriteError):
    """Stands for the process being killed."""


class CrashingFileJournal(FileJournal):
    """A file journal whose process is "killed" before its ``crash_at``-th transaction (from 1).

    From then on nothing reaches the file and nothing is acknowledged.
    """

    def __init__(self, path: Path, crash_at: int) -> None:
        super().__init__(path, synchronous="off")
        self._left = crash_at
        self._crashed = anyio.Event()

    async def __aenter__(self) -> Self:
        self._crashed = anyio.Event()
        return await super().__aenter__()

    def write(
        self,
        writes: Sequence[Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        self._left -= 1
        if self._left > 0:
            super().write(writes, on_commit, urgent=urgent)
        else:
            self._crashed.set()

    async def failed(self) -> Exception:
        await self._crashed.wait()
        return Crashed()

    async def sync(self) -> None:
        await super().sync()
        if self._crashed.is_set():
            raise Crashed


@attrs.define
class Disk:
    """What survives a crash, and how it is opened: once more, or to crash again."""

    open: Callable[[int | None], JournalStore]
    """A store on the disk. A number: it crashes around its transaction of this number."""
    journals: Callable[[], list[Sequence[Entry]]]
    """The journals of all invocations."""

    def completed_runs(self) -> set[str]:
        """The names of the runs whose results are recorded."""
        names: set[str] = set()
        for entries in self.journals():
            done = {entry.completion_id for entry in entries if isinstance(entry, Completion)}
            runs = [entry for entry in entries if isinstance(entry, Run)]
            names.update(run.name for run in runs if run.completion_id in done)
        return names

    def runs(self) -> list[str]:
        """The names of all runs."""
        return [
            entry.name for entries in self.journals() for entry in entries if isinstance(entry, Run)
        ]


def _memory_disk(*, before: bool) -> Disk:
    store = MemoryStore()

    def open_store(crash_at: int | None) -> JournalStore:
        store.before_commit = store.after_commit = None
        left = 0 if crash_at is None else crash_at

        def hook(_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Crashed

        if before:
            store.before_commit = hook
        else:
            store.after_commit = hook
        return store

    def journals() -> list[Sequence[Entry]]:
        tables = store.committed
        return [tables.journal(record.id) for record in tables.invocations()]

    return Disk(open_store, journals)


def _file_disk(path: Path) -> Disk:
    def open_store(crash_at: int | None) -> JournalStore:
        if crash_at is None:
            return FileJournal(path, synchronous="off")

        return CrashingFileJournal(path, crash_at)

    def journals() -> list[Sequence[Entry]]:
        with FileJournalReader(path) as reader:
            return [reader.journal(record.id) for record in reader.invocations()]

    return Disk(open_store, journals)


@pytest.fixture(params=["memory", "memory-after", "file"])
def new_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Disk]:
    """Makes empty disks: memory that crashes before or after a commit, or files."""
    if request.param != "file":
        return lambda: _memory_disk(before=request.param == "memory")

    made = 0

    def new() -> Disk:
        nonlocal made
        made += 1
        return _file_disk(tmp_path / f"{made}.journal")

    return new


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> Any:
    """The event loop."""
    return request.param


@pytest.fixture(scope="session")
def load() -> Iterator[Callable[[str], ModuleType]]:
    """Imports an example by its name."""
    loaded: dict[str, ModuleType] = {}

    def load(name: str) -> ModuleType:
        if name not in loaded:
            spec = importlib.util.spec_from_file_location(
                f"example_{name}", EXAMPLES / f"{name}.py"
            )
            assert spec is not None
            assert spec.loader is not None
            loaded[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded[name])
        return loaded[name]

    yield load
    for name in loaded:
        del sys.modules[f"example_{name}"]
