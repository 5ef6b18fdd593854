"""How the command ends: one line on stderr, and a code that a script can tell apart.

Owns the table of exit codes. They are documented in ``docs/cli.md`` and never change their
meaning.

| code | meaning                                                              |
| ---- | -------------------------------------------------------------------- |
| 0    | done                                                                 |
| 1    | the invocation failed, a replay does not agree, or something         |
|      | unexpected happened                                                  |
| 2    | the command was used wrongly: options, MODULE:SERVICES, a definition |
| 3    | not found: an invocation, a service, a handler                       |
| 4    | the output is not ready yet                                          |
| 5    | no answer: nobody listens at the URL, the server is stopping, or the |
|      | invocation is paused                                                 |
| 10   | the journal is open in another process                               |
| 11   | the journal is damaged, or the file is no journal                    |
| 12   | the journal was written by a newer version                           |
| 13   | the journal cannot be written: full disk, read-only, I/O error       |
| 14   | the journal cannot be opened or read for another reason              |
| 128+ | stopped by a signal: 128 and its number; 141 is what a reader like   |
|      | `head` leaves behind                                                 |
"""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Final

import click

from durable_trio._exceptions import (
    BadAnswerError,
    RefusedError,
    RequestError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreVersionError,
    StoreWriteError,
    UsageError,
)

if TYPE_CHECKING:
    from durable_trio._exceptions import DurableTrioError

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
NOT_READY: Final = 4
NO_ANSWER: Final = 5
INTERRUPTED: Final = 128 + signal.SIGINT
UNREAD: Final = 128 + signal.SIGPIPE

_CODES: Final = (
    (StoreLockedError, 10),
    (StoreCorruptError, 11),
    (StoreVersionError, 12),
    (StoreWriteError, 13),
    (StoreError, 14),
    (UsageError, USAGE),
    (BadAnswerError, FAILED),
    (RequestError, NO_ANSWER),
)

_ALLOW: Final = "Choose another place, or have this user allowed to write there."
_ROOM: Final = "Make room, or choose another place."
_REMEDIES: Final = {
    errno.ENOENT: "Create the directory first.",
    errno.ENOTDIR: "A part of the path is a file: choose another path.",
    errno.EISDIR: "It is a directory: name a file.",
    errno.EEXIST: "It is a file: name a directory.",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: "The file system is read-only: choose another place.",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
}

_REFUSED: Final = {404: NOT_FOUND, 503: NO_ANSWER}


class Exit(Exception):
    """The command ends with this message and code. Caught where commands are invoked."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def complain(message: str) -> None:
    """What is wrong, on stderr."""
    click.echo(f"durable-trio: {message}", err=True)


def trouble(what: str, exc: OSError) -> Exit:
    """The operating system does not let the command do something, and what helps."""
    remedy = _REMEDIES.get(exc.errno or 0, "Check the path and the disk.")
    return Exit(f"cannot {what}: {exc.strerror}. {remedy}", FAILED)


def refused(status: int) -> int:
    """The exit code of what a server refuses with this status."""
    return _REFUSED.get(status, USAGE if 400 <= status < 500 else FAILED)


def code_of(error: Exit | DurableTrioError) -> int:
    """The exit code of an error of its kind."""
    if isinstance(error, Exit):
        return error.code

    if isinstance(error, RefusedError):
        return refused(error.code)

    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
