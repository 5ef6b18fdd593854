"""Where a command takes the journal of an invocation from: a file, or a server.

Owns the options, and the export's form of what was found.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import click

from durable_trio._exceptions import RefusedError
from durable_trio._transcript._text import plain
from durable_trio.abc import InvocationStatus
from durable_trio.testing import RecordedJournal

from ._exits import NOT_FOUND, USAGE, Exit, refused
from ._files import find, open_reader, open_server
from ._progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from durable_trio.abc import Entry, InvocationRecord, JournalHeader

    from ._files import Reader


ONE_SOURCE: Final = "expected one of --journal FILE and --admin URL"

_UNFINISHED: Final = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options ``--journal`` and ``--admin``, of which a command takes one."""
    command = click.option(
        "--admin",
        metavar="URL",
        help="The admin port of a Restate server, for example http://127.0.0.1:9070.",
    )(command)
    return click.option(
        "--journal",
        "journal_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The journal file.",
    )(command)


def read_journal(invocation_id: str, file: Path | None, admin: str | None) -> RecordedJournal:
    """The journal of an invocation, from the one place that is named."""
    if (file is None) == (admin is None):
        given = "neither" if file is None else "both"
        raise Exit(f"{ONE_SOURCE}, found {given}", USAGE)

    if file is not None:
        with progress(f"reading {file}"), open_reader(file) as reader:
            return _of_record(reader, find(reader, invocation_id, file))

    assert admin is not None
    with progress(f"asking {admin}"):
        found = anyio.run(_ask, admin, invocation_id, backend="trio")
    if found is None:
        raise Exit(f"{admin} knows no invocation {plain(invocation_id)}", NOT_FOUND)

    return _of_server(invocation_id, *found)


_ELSEWHERE: Final = "Is that the admin port of a Restate server, 9070 unless it was set otherwise?"


@contextmanager
def _admin_port(url: str) -> Generator[None]:
    try:
        yield
    except RefusedError as error:
        message = f"{url} refused: {error.code} {plain(error.message)}. {_ELSEWHERE}"
        raise Exit(message, refused(error.code)) from error


async def _ask(admin: str, invocation_id: str) -> tuple[JournalHeader, Sequence[Entry]] | None:
    with _admin_port(admin):
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
    with _admin_port(admin):
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
