"""Where a command looks: a journal file, or the admin port of a server.

Owns the two options, of which a command takes one, and what is said of a server that has no
answer for them.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from durable_trio._exceptions import RefusedError
from durable_trio._transcript._text import plain

from ._exits import NOT_FOUND, USAGE, Exit, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ONE_PLACE: Final = "expected one of --journal FILE and --admin URL"

_ELSEWHERE: Final = (
    "Is that the admin port of a Restate server, 9070 unless it was set otherwise? What "
    "`durable-trio run` serves is looked at with --journal FILE."
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
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
        type=click.Path(readable=False, path_type=Path),  # the reader says what is wrong
        help="The journal file.",
    )(command)


def check_one_place(file: Path | None, admin: str | None) -> None:
    """``Exit`` unless exactly one is named."""
    if (file is None) == (admin is None):
        given = "neither" if file is None else "both"
        raise Exit(f"{ONE_PLACE}, found {given}", USAGE)


@contextmanager
def admin_port(url: str) -> Generator[None]:
    """Where a server is asked; what it refuses ends the command."""
    try:
        yield
    except RefusedError as error:
        message = f"{url} refused: {error.code} {plain(error.message)}. {_ELSEWHERE}"
        raise Exit(message, refused(error.code)) from error


def unknown(admin: str, invocation_id: str) -> Exit:
    """A server knows no such invocation."""
    return Exit(
        f"{admin} knows no invocation {plain(invocation_id)}: see durable-trio ls --admin {admin}",
        NOT_FOUND,
    )
