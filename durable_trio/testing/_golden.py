"""Golden journals: what tests recorded once, replayed against the code of every later day.

Owns the directory: which journals are distinct, what their files are called, and replaying
all of them. One replay is ``_replay.py``'s.

 1. A journal is one file, named after its handler and its content. Recording the same again
    writes nothing; recording something new never changes a file that is there.
 2. Ids and times do not distinguish journals: they differ every time the same is done.
 3. A file that cannot be replayed is among the results. It hides none of the others.
"""

from __future__ import annotations

import hashlib
import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from durable_trio._exceptions import StoreError, UsageError
from durable_trio._journal._entries import OneWayCall, Sleep
from durable_trio._registry import ServiceRegistry

from ._recording import RecordedJournal
from ._replay import replay
from ._verdict import Replay, ReplayOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from durable_trio._journal._entries import Entry

    from ._memory import MemoryStore
    from ._performance import Scenario
    from ._recording import Journal
    from ._replay import Services
    from ._runtime import VirtualRuntime

T = TypeVar("T")

_SUFFIX: Final = ".jsonl"
_IDS: Final = re.compile(rb"\b(?:inv|sign)_1[\w-]+")
_DIGITS: Final = 12


def journals_of(store: MemoryStore) -> Iterator[RecordedJournal]:
    """The journals in a store, in the order in which their invocations were made."""
    tables = store.committed
    for record in sorted(tables.invocations(), key=lambda record: record.sequence):
        if entries := tables.journal(record.id):
            yield RecordedJournal.of(record, tuple(entries))


def record(store: MemoryStore, directory: str | PathLike[str]) -> list[Path]:
    """Save every distinct journal that ``store`` holds; the files they are in, in order.

    Call it when a test has done its work, as often as there is something new to see: what is
    saved already is left as it is. ``durable-trio check`` and ``replay_all`` replay the
    directory, which belongs under version control. It is made if it is not there. ``OSError``
    if it cannot be written.
    """
    return save(journals_of(store), directory)


def save(journals: Iterable[RecordedJournal], directory: str | PathLike[str]) -> list[Path]:
    """As ``record``, for journals from anywhere."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[Path, None] = {}
    for journal in journals:
        path = folder / golden_name(journal)
        paths[path] = None
        if not path.exists():
            path.write_bytes(journal.dump())
    return list(paths)


def golden_name(journal: RecordedJournal) -> str:
    """The name of the file of a journal and of all that differ from it in ids and times only."""
    service, handler = journal.target
    content = RecordedJournal(
        attrs.evolve(journal.header, invocation_id=None, raw_id=None, random_seed=None),
        [_without_time(entry) for entry in journal.entries],
    ).dump()
    numbers: dict[bytes, int] = {}
    alike = _IDS.sub(
        lambda found: b"id %d" % numbers.setdefault(found.group(), len(numbers)), content
    )
    return f"{service}.{handler}-{hashlib.sha256(alike).hexdigest()[:_DIGITS]}{_SUFFIX}"


def _without_time(entry: Entry) -> Entry:
    if isinstance(entry, Sleep):
        return attrs.evolve(entry, wake_up_time=0)

    return attrs.evolve(entry, invoke_time=0) if isinstance(entry, OneWayCall) else entry


def golden_files(place: str | PathLike[str]) -> list[Path]:
    """The journals in a directory and those below it, by name; or the one in a file.

    ``UsageError`` if there is none.
    """
    path = Path(place)
    if path.is_file():
        return [path]

    found = sorted(path.rglob(f"*{_SUFFIX}"))
    if not found:
        raise UsageError(
            f"there is no journal in {path}: expected *{_SUFFIX} files, as "
            "durable_trio.testing.record() and `durable-trio export` write them"
        )

    return found


async def replay_all(
    journals: str | PathLike[str] | Iterable[Journal],
    services: Services,
    *,
    contexts: bool = False,
) -> list[Replay]:
    """Replay every journal in a directory, and below it, against the code of today; see ``replay``.

    Or every one of ``journals``. The answers come in the order of the names, or as given. A
    journal that cannot be read, or whose handler is not served, is in there as
    ``ReplayOutcome.IMPOSSIBLE``. ``UsageError`` if there is none in the directory,
    ``DefinitionError`` for services that cannot be served.
    """
    registry = services if isinstance(services, ServiceRegistry) else ServiceRegistry(services)
    if isinstance(journals, str | PathLike):
        journals = golden_files(journals)
    return [await _replayed(journal, registry, contexts=contexts) for journal in journals]


async def _replayed(journal: Journal, registry: ServiceRegistry, *, contexts: bool) -> Replay:
    try:
        return await replay(journal, registry, contexts=contexts)
    except (StoreError, UsageError) as error:
        name = journal.name if isinstance(journal, RecordedJournal) else _name(journal)
        return Replay(name, ReplayOutcome.IMPOSSIBLE, 0, 0, error=error)


def _name(journal: bytes | str | PathLike[str]) -> str:
    return "the journal" if isinstance(journal, bytes) else str(journal)


class GoldenJournals:
    """The golden journals of one test, in a directory of their own.

    ``keep`` is given every store that the test made, or ``keeping`` the scenario of
    ``crash_everywhere`` and ``explore``. ``check`` comes last: it replays what was recorded
    before against the code of today. With ``update`` it first makes the directory hold what
    was kept, no more and no less.
    """

    def __init__(self, directory: str | PathLike[str], *, update: bool = False) -> None:
        self.directory: Path = Path(directory)
        """Where they are; it need not be there yet."""
        self.update = update
        """Whether ``check`` records."""
        self._kept: dict[str, RecordedJournal] = {}
        self._stores: list[MemoryStore] = []
        self._playing: MemoryStore | None = None

    def keep(self, store: MemoryStore) -> None:
        """Record every distinct journal that this store holds when ``check`` is called."""
        self._stores.append(store)

    def keeping(self, scenario: Scenario[T]) -> Scenario[T]:
        """The same scenario, of which every distinct journal is recorded that any run leaves.

        ``await explore([shop], golden.keeping(lambda rt: rt.call(buy, 12)))``: for whoever plays
        it time and again, one run after the other.
        """

        async def kept(runtime: VirtualRuntime) -> T:
            self._read_played()
            self._playing = runtime.store
            return await scenario(runtime)

        return kept

    async def check(self, services: Services, *, contexts: bool = False) -> list[Replay]:
        """Replay what is recorded; with ``update`` record what was kept, and replay that.

        ``AssertionError`` with the reports of all that do not replay cleanly, or if nothing is
        recorded; ``UsageError`` if there is nothing to record.
        """
        if self.update:
            self._record()
        files = sorted(self.directory.glob(f"*{_SUFFIX}"))
        if not files:
            raise AssertionError(
                f"nothing is recorded in {self.directory}: record it once (update=True, or pytest "
                "--durable-update-goldens) and keep it under version control"
            )

        results = await replay_all(files, services, contexts=contexts)
        broken = [str(result) for result in results if not result.clean]
        if broken:
            first = (
                f"{len(broken)} of {len(results)} golden journals do not replay: invocations like "
                "these, in flight when this code is deployed, would break"
            )
            raise AssertionError("\n\n".join([first, *broken]))

        return results

    def _read_played(self) -> None:
        """The run before has come to rest."""
        if self._playing is not None:
            self._read(self._playing)
        self._playing = None

    def _read(self, store: MemoryStore) -> None:
        for journal in journals_of(store):
            self._kept.setdefault(golden_name(journal), journal)

    def _record(self) -> None:
        self._read_played()
        for store in self._stores:
            self._read(store)
        if not self._kept:
            raise UsageError(
                "there is no journal to record: give keep() the stores in which handlers ran"
            )

        for path in self.directory.glob(f"*{_SUFFIX}"):
            if path.name not in self._kept:
                path.unlink()
        save(self._kept.values(), self.directory)
