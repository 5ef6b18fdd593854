"""``export``: a journal as JSON Lines, the portable form.

Owns the command; the form is the core's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from durable_trio._journal._jsonl import dump_entry, dump_journal

from ._exits import USAGE, Exit, trouble
from ._output import say, standard_output
from ._place import ONE_PLACE, place_options
from ._progress import progress
from ._source import read_journal, read_unfinished

if TYPE_CHECKING:
    from typing import BinaryIO

    from durable_trio.testing import RecordedJournal

_AT_ONCE: Final = 1_000


@click.command()
@click.argument("invocation_id", metavar="[ID]", required=False)
@place_options
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write to this file instead of stdout; with --unfinished to this directory.",
)
@click.option(
    "--unfinished",
    is_flag=True,
    help="Write the journals of all invocations that have not ended, a file each.",
)
def export(
    invocation_id: str | None,
    journal_file: Path | None,
    admin: str | None,
    target: Path | None,
    unfinished: bool,
) -> None:
    """Write a journal as JSON Lines.

    One entry a line, after a line that says whose it is. `replay` and `check` read it.

    With --journal the beginning of an ID is enough, if no other begins like it.
    """
    if (invocation_id is None) != unfinished:
        raise Exit("expected one of ID and --unfinished", USAGE)

    if invocation_id is None:
        _export_unfinished(journal_file, admin, target)
        return

    record = read_journal(invocation_id, journal_file, admin)
    if target is None:
        with standard_output() as stream:
            _write(stream.buffer, record)
        return

    _write_to(target, record)


def _export_unfinished(journal_file: Path | None, admin: str | None, target: Path | None) -> None:
    if target is None:
        raise Exit("--unfinished needs a directory to write to: -o DIR", USAGE)

    if journal_file is None and admin is None:
        raise Exit(f"{ONE_PLACE}, found neither", USAGE)

    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise trouble(f"make {target}", exc) from exc

    count = 0
    with progress("exporting", lambda: f"{count:,} journals"):
        for record in read_unfinished(journal_file, admin):
            _write_to(target / f"{record.name}.jsonl", record)
            count += 1
    say(f"{count} journals in {target}")


def _write_to(target: Path, record: RecordedJournal) -> None:
    """All of it or nothing: a file that is there is replaced when the new one is whole."""
    try:
        if target.exists() and not target.is_file():  # a pipe or a device; a directory says so
            with target.open("wb") as file:
                _write(file, record)
            return

        whole = target.resolve()  # where a link leads: it stays one
        part = whole.with_name(f"{whole.name}.part")
        try:
            with part.open("wb") as file:
                _write(file, record)
            part.replace(whole)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise trouble(f"write {target}", exc) from exc


def _write(file: BinaryIO, record: RecordedJournal) -> None:
    entries = record.entries
    written = 0
    with progress("writing", lambda: f"{written:,} of {len(entries):,} entries"):
        file.write(dump_journal((), record.header))
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            file.write(b"".join(dump_entry(entry) + b"\n" for entry in some))
            written += len(some)
