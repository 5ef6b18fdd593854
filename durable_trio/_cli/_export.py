"""``export``: a journal as JSON Lines, the portable form.

Owns the command; the form is the core's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from durable_trio._journal._jsonl import JournalHeader, dump_entry, dump_journal

from ._exits import FAILED, NOT_FOUND, Exit
from ._files import journal_option, open_reader
from ._progress import progress
from ._show import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from durable_trio.abc import Entry

_AT_ONCE: Final = 1_000


@click.command()
@click.argument("invocation_id", metavar="ID")
@journal_option
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of stdout.",
)
def export(invocation_id: str, journal: Path, target: Path | None) -> None:
    """Write a journal as JSON Lines.

    One entry a line, after a line that says whose it is.

    The beginning of an ID is enough, if no other begins like it.
    """
    with progress(f"reading {journal}"), open_reader(journal) as reader:
        record = find(reader, invocation_id, journal)
        entries = reader.journal(record.id)
    if not entries:
        raise Exit(f"the journal of {record.id} has expired: only its result is kept", NOT_FOUND)

    header = JournalHeader(
        record.id, record.service, record.handler, record.key, record.idempotency_key
    )
    if target is None:
        _write(sys.stdout.buffer, header, entries)
        sys.stdout.buffer.flush()
        return

    try:
        with target.open("wb") as file:
            _write(file, header, entries)
    except OSError as exc:
        raise Exit(f"cannot write {target}: {exc.strerror}", FAILED) from exc


def _write(file: BinaryIO, header: JournalHeader, entries: Sequence[Entry]) -> None:
    written = 0
    with progress("writing", lambda: f"{written:,} of {len(entries):,} entries"):
        file.write(dump_journal((), header))
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            file.write(b"".join(dump_entry(entry) + b"\n" for entry in some))
            written += len(some)
