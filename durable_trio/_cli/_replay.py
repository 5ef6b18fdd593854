"""``replay``: one recorded journal against the code of today.

Owns the command and where the journal comes from: a journal file, an export, or a server.
Replaying is ``durable_trio.testing``'s.
"""

from __future__ import annotations

import bdb
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from durable_trio._transcript._text import plain
from durable_trio.testing import RecordedJournal, replay

from ._backend import backend_option
from ._exits import FAILED, USAGE, Exit
from ._load import load_services
from ._progress import progress
from ._source import read_journal, source_options

if TYPE_CHECKING:
    from durable_trio.testing import Replay

contexts_option: Final = click.option(
    "--contexts",
    is_flag=True,
    help="Enter the `contexts` of the services, for code that needs what they provide.",
)


@click.command("replay")
@click.argument("journal", metavar="ID|FILE")
@click.argument("services", metavar="MODULE:SERVICES")
@source_options
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop in the debugger before entry N, as `show` numbers them.",
)
@contexts_option
@backend_option
def replay_command(
    journal: str,
    services: str,
    journal_file: Path | None,
    admin: str | None,
    at: int | None,
    contexts: bool,
    backend: str,
) -> None:
    """Replay a journal with the code of today, without doing anything.

    The journal is that of the invocation ID (the beginning is enough) in the file of
    --journal or on the server of --admin, or else an exported FILE. It replays cleanly, or
    shows where the code does something else than was recorded; then the exit code is 1.
    """
    if journal_file is None and admin is None:
        record = _load(Path(journal))
    else:
        record = read_journal(journal, journal_file, admin)
    found = load_services(services)
    try:
        result = anyio.run(
            partial(replay, at=at, contexts=contexts), record, found, backend=backend
        )
    except bdb.BdbQuit:
        raise Exit("left in the debugger", FAILED) from None

    click.echo(report(result))
    if at is not None and result.reached < at:
        raise Exit(f"the code never came to entry {at}", FAILED)

    if not result.clean:
        raise click.exceptions.Exit(FAILED)


def _load(path: Path) -> RecordedJournal:
    try:
        with progress(f"reading {path}"):
            return RecordedJournal.load(path)
    except FileNotFoundError:
        raise Exit(
            f"there is no file {path}. To replay the journal of an invocation, say where it is: "
            "--journal FILE or --admin URL",
            USAGE,
        ) from None
    except OSError as exc:
        raise Exit(f"cannot read {path}: {exc.strerror}", USAGE) from exc


def report(result: Replay) -> str:
    """The report of a replay, for a terminal."""
    colour = "green" if result.clean else "red"
    lines = [click.style(plain(result.summary), fg=colour)]
    for line in result.details():
        lines.extend(plain(each) for each in line.split("\n"))
    return "\n".join(lines)
