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
from typing import TYPE_CHECKING, Final

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
    from ._recording import Journal
    from ._replay import Services

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
    journals: str | PathLike[str] | Iterable[Journal], services: Services
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
    return [await _replayed(journal, registry) for journal in journals]


async def _replayed(journal: Journal, registry: ServiceRegistry) -> Replay:
    try:
        return await replay(journal, registry)
    except (StoreError, UsageError) as error:
        name = journal.name if isinstance(journal, RecordedJournal) else _name(journal)
        return Replay(name, ReplayOutcome.IMPOSSIBLE, 0, 0, error=error)


def _name(journal: bytes | str | PathLike[str]) -> str:
    return "the journal" if isinstance(journal, bytes) else str(journal)
