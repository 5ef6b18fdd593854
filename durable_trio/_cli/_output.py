"""What a command prints on standard output.

Owns writing there, colours, and what is done if it cannot be written.

 1. Output that cannot be written is one line on stderr, never a traceback. Output that nobody
    reads to its end, as before ``| head``, ends the command without a word.
 2. A server goes on: whom it told where it listens need not stay.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import click

from ._exits import FAILED, UNREAD, Exit, complain, trouble

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import TextIO

_AT_ONCE: Final = 256
"""Lines that are written together."""


def colours_wanted() -> bool | None:
    """Whether there are colours; None: as the terminal has it."""
    return False if os.environ.get("NO_COLOR") else None


def say(text: str) -> None:
    """A line, or several."""
    page([text])


def page(lines: Iterable[str]) -> None:
    """All of the lines, as they come."""
    some: list[str] = []
    for line in lines:
        some.append(line)
        if len(some) == _AT_ONCE:
            _write(some)
            some.clear()
    if some:
        _write(some)


def announce(lines: Iterable[str]) -> None:
    """As ``page``, for a server: it goes on whoever listens."""
    try:
        page(lines)
    except Exit as error:
        complain(f"warning: {error}")
    except click.exceptions.Exit:
        complain("warning: nobody reads standard output any more")


@contextmanager
def standard_output() -> Generator[TextIO]:
    """Standard output. What cannot be written in the block ends the command."""
    stream: TextIO | None = sys.stdout
    if stream is None:
        raise Exit(
            "cannot write to standard output: it is closed. Send it somewhere, to /dev/null say",
            FAILED,
        )

    try:
        yield stream
        stream.flush()
    except BrokenPipeError:
        _leave(stream)
        raise click.exceptions.Exit(UNREAD) from None
    except OSError as exc:
        _leave(stream)
        raise trouble("write to standard output", exc) from exc


def _write(lines: list[str]) -> None:
    with standard_output() as stream:
        click.echo("\n".join(lines), file=stream)


def _leave(stream: TextIO) -> None:
    """What is buffered goes nowhere: it would be an error once more when the process ends."""
    with suppress(OSError, ValueError):  # a stream of tests has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
