"""``replay``: one recorded journal against the code of today.

Owns the command and where the journal comes from: a journal file, an export, or a server.
Replaying is ``durable_trio.testing``'s.
"""

from __future__ import annotations

import bdb
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import click

from durable_trio import _json
from durable_trio._exceptions import StoreCorruptError, StoreError
from durable_trio._transcript._text import plain
from durable_trio.testing import RecordedJournal, replay

from ._backend import backend_option
from ._exits import FAILED, USAGE, Exit
from ._files import open_reader
from ._load import is_reference, load_services, split_reference
from ._output import say
from ._place import place_options
from ._progress import progress
from ._source import read_journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.testing import Replay

contexts_option: Final = click.option(
    "--contexts",
    is_flag=True,
    help="Enter the `contexts` of the services, for code that needs what they provide.",
)

json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object for each journal, on a line."
)


@click.command("replay")
@click.argument("journal", metavar="ID|FILE")
@click.argument("services", metavar="MODULE:SERVICES")
@place_options
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop in the debugger before entry N, as `show` numbers them.",
)
@json_option
@contexts_option
@backend_option
def replay_command(
    journal: str,
    services: str,
    journal_file: Path | None,
    admin: str | None,
    at: int | None,
    as_json: bool,
    contexts: bool,
    backend: str,
) -> None:
    """Replay a journal with the code of today, without doing anything.

    The journal is that of the invocation ID in the file of --journal (the beginning of the ID
    is enough there) or on the server of --admin, or else an exported FILE. It replays cleanly,
    or shows where the code does something else than was recorded; then the exit code is 1.
    """
    in_order([journal], services)
    if journal_file is None and admin is None:
        record = _load(Path(journal))
    else:
        _be_no_file(journal, "--journal" if journal_file is not None else "--admin")
        record = read_journal(journal, journal_file, admin)
    found = load_services(services)
    try:
        result = anyio.run(
            partial(replay, at=at, contexts=contexts), record, found, backend=backend
        )
    except bdb.BdbQuit:
        raise Exit("left in the debugger", FAILED) from None

    say(_json.write(fields(result)).decode() if as_json else report(result))
    if at is not None and result.reached < at:
        raise Exit(f"the code never came to entry {at}", FAILED)

    if not result.clean:
        raise click.exceptions.Exit(FAILED)


def in_order(journals: Sequence[str], services: str) -> None:
    """``Exit`` if ``MODULE:SERVICES`` stands where the journals should."""
    wrong = next((each for each in journals if is_reference(each)), None)
    if wrong is not None and not is_reference(services):
        raise Exit(
            f"expected the journals first and MODULE:SERVICES last, found {wrong} before "
            f"{services}: swap them",
            USAGE,
        )

    split_reference(services)


def _be_no_file(journal: str, option: str) -> None:
    if Path(journal).is_file():
        raise Exit(
            f"with {option} the first argument is the ID of an invocation, found the file "
            f"{journal}: leave out {option} to replay the file",
            USAGE,
        )


def be_no_store(path: Path) -> None:
    """``Exit`` if this is a journal file rather than an export."""
    with suppress(StoreError), open_reader(path):
        raise Exit(
            f"{path} is a journal file, of many invocations: pass it as --journal {path}",
            USAGE,
        )


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
    except StoreCorruptError as error:
        be_no_store(path)
        raise StoreCorruptError(
            f"{error} Expected JSON Lines, as `durable-trio export` writes them."
        ) from error
    except OSError as exc:
        raise Exit(
            f"cannot read {path}: {exc.strerror}. Expected a file that `durable-trio export` or a "
            "test wrote, which this user may read",
            USAGE,
        ) from exc


def fields(result: Replay) -> dict[str, object]:
    """What ``--json`` tells of a replay."""
    found: dict[str, object] = {
        "journal": result.name,
        "clean": result.clean,
        "outcome": result.outcome.name.lower(),
        "entries": result.entries,
        "reached": result.reached,
        "next_steps": [attrs.asdict(step) for step in result.next_steps],
    }
    if result.error is not None:
        found["error"] = {
            "type": type(result.error).__name__,
            "message": str(result.error),
            "site": result.site,
        }
    if result.note:
        found["note"] = result.note
    return found


def report(result: Replay) -> str:
    """The report of a replay, for a terminal."""
    colour = "green" if result.clean else "red"
    lines = [click.style(plain(result.summary), fg=colour)]
    for line in result.details():
        lines.extend(plain(each) for each in line.split("\n"))
    return "\n".join(lines)
