"""Recorded journals, from a journal file or from a server, as ``export``, ``replay`` and ``check`` need them.

Owns reading them; where that is is ``_place.py``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio

from durable_trio.abc import InvocationStatus
from durable_trio.testing import RecordedJournal

from ._exits import NOT_FOUND, Exit
from ._files import find, open_reader, open_server
from ._place import admin_port, check_one_place, unknown
from ._progress import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from durable_trio.abc import Entry, InvocationRecord, JournalHeader

    from ._files import Reader


_UNFINISHED: Final = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}


def read_journal(invocation_id: str, file: Path | None, admin: str | None) -> RecordedJournal:
    """The journal of an invocation, from the one place that is named."""
    check_one_place(file, admin)
    if file is not None:
        with progress(f"reading {file}"), open_reader(file) as reader:
            return _of_record(reader, find(reader, invocation_id, file))

    assert admin is not None
    with progress(f"asking {admin}"):
        found = anyio.run(_ask, admin, invocation_id, backend="trio")
    if found is None:
        raise unknown(admin, invocation_id)

    return _of_server(invocation_id, *found)


async def _ask(admin: str, invocation_id: str) -> tuple[JournalHeader, Sequence[Entry]] | None:
    with admin_port(admin):
        async with open_server(admin) as server:
            return await server.journal(invocation_id)


def read_unfinished(file: Path | None, admin: str | None) -> Iterator[RecordedJournal]:
    """The journals of all invocations that have not ended, from every place that is named.

    One that ends meanwhile may be left out.
    """
    if file is not None:
        with open_reader(file) as reader:
            for record in reader.invocations(status=_UNFINISHED):
                if entries := reader.journal(record.id):
                    yield RecordedJournal.of(record, entries)
    if admin is not None:
        yield from anyio.run(_ask_unfinished, admin, backend="trio")


async def _ask_unfinished(admin: str) -> list[RecordedJournal]:
    with admin_port(admin):
        async with open_server(admin) as server:
            return [
                RecordedJournal(header, entries) async for header, entries in server.unfinished()
            ]


def _of_record(reader: Reader, record: InvocationRecord) -> RecordedJournal:
    entries = reader.journal(record.id)
    if not entries:
        raise _expired(record.id)

    return RecordedJournal.of(record, entries)


def _of_server(
    invocation_id: str, header: JournalHeader, entries: Sequence[Entry]
) -> RecordedJournal:
    if not entries:
        raise _expired(invocation_id)

    return RecordedJournal(header, entries)


def _expired(invocation_id: str) -> Exit:
    return Exit(f"the journal of {invocation_id} has expired: only its result is kept", NOT_FOUND)
