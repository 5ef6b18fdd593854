"""Invocations and state as a journal file or a server has them now, for commands that show them.

Owns reading them from either, in the same form.

 1. Reading disturbs nobody: a file is read while it is served, a server is asked for rows.
 2. What a server does not tell is None: which timers have fired that nobody waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import anyio
import attrs

from durable_trio._records import InvocationStatus, TimerKind

from ._files import find, open_reader, open_server
from ._place import admin_port, check_one_place, unknown
from ._progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from durable_trio.abc import Entry, InvocationRecord, StateEntry

    from ._files import Reader

_HOLDERS: Final = frozenset(
    {
        InvocationStatus.RUNNING,
        InvocationStatus.BACKING_OFF,
        InvocationStatus.SUSPENDED,
        InvocationStatus.PAUSED,
    }
)


@attrs.frozen
class Chosen:
    """Which invocations are looked at. ``before``: only older ones than the one with this id."""

    service: str | None
    key: str | None
    status: frozenset[InvocationStatus] | None
    before: str | None
    limit: int


@attrs.frozen
class View:
    """An invocation and its journal."""

    record: InvocationRecord
    entries: Sequence[Entry]
    timers: frozenset[int] | None
    """The completion ids of its timers that have not fired; None: not known."""
    holder: str | None
    """Who holds the key that it waits for."""


def view(invocation_id: str, file: Path | None, admin: str | None) -> View:
    """An invocation, by its id; in a file by the beginning of its id."""
    check_one_place(file, admin)
    if file is not None:
        with progress(f"reading {file}"), open_reader(file) as reader:
            record = find(reader, invocation_id, file)
            entries = reader.journal(record.id)
            return View(record, entries, _timers(reader, record), _holder(reader, record))

    assert admin is not None
    with progress(f"asking {admin}"):
        return anyio.run(_ask, invocation_id, admin, backend="trio")


def view_all(chosen: Chosen, file: Path | None, admin: str | None) -> Sequence[InvocationRecord]:
    """The invocations that were chosen, the newest first."""
    check_one_place(file, admin)
    if file is not None:
        with progress(f"reading {file}"), open_reader(file) as reader:
            before = None if chosen.before is None else find(reader, chosen.before, file).sequence
            return reader.invocations(
                service=chosen.service,
                key=chosen.key,
                status=chosen.status,
                before=before,
                limit=chosen.limit,
            )

    assert admin is not None
    with progress(f"asking {admin}"):
        return anyio.run(_ask_all, chosen, admin, backend="trio")


def view_state(
    service: str, key: str, file: Path | None, admin: str | None
) -> Sequence[StateEntry]:
    """The state of an object or workflow key, ordered by name."""
    check_one_place(file, admin)
    if file is not None:
        with progress(f"reading {file}"), open_reader(file) as reader:
            return reader.state(service, key)

    assert admin is not None
    with progress(f"asking {admin}"):
        return anyio.run(_ask_state, service, key, admin, backend="trio")


async def _ask(invocation_id: str, admin: str) -> View:
    with admin_port(admin):
        async with open_server(admin) as server:
            found = await server.invocation(invocation_id)
            if found is None:
                raise unknown(admin, invocation_id)

            record, entries = found
            holder = None
            if record.status is InvocationStatus.PENDING and record.key is not None:
                holder = await server.holder(record.service, record.key)
            return View(record, entries, None, holder)


async def _ask_all(chosen: Chosen, admin: str) -> Sequence[InvocationRecord]:
    with admin_port(admin):
        async with open_server(admin) as server:
            found = await server.invocations(**attrs.asdict(chosen, recurse=False))
    if found is None:
        raise unknown(admin, str(chosen.before))

    return found


async def _ask_state(service: str, key: str, admin: str) -> Sequence[StateEntry]:
    with admin_port(admin):
        async with open_server(admin) as server:
            return await server.state(service, key)


def _timers(reader: Reader, record: InvocationRecord) -> frozenset[int]:
    return frozenset(
        timer.completion_id
        for timer in reader.timers()
        if timer.invocation_id == record.id and timer.kind is TimerKind.SLEEP
    )


def _holder(reader: Reader, record: InvocationRecord) -> str | None:
    if record.status is not InvocationStatus.PENDING:
        return None

    others = reader.invocations(service=record.service, key=record.key, status=_HOLDERS)
    return next((other.id for other in others if other.exclusive), None)
