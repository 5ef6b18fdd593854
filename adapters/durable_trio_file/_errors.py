"""What goes wrong with the file, in terms of the one error tree.

Owns the translation of SQLite's and the operating system's errors, with the remedy. It is
the only place that knows error codes.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from durable_trio._exceptions import (
    SerializationError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreWriteError,
)

if TYPE_CHECKING:
    from collections.abc import Generator

_RESTORE: Final = (
    "Restore it from a copy, or move it away together with its -wal and -shm files to start anew."
)
_WRITABLE: Final = "Make the file and its directory writable for this user."
_ROOM: Final = "Make room (disk space, quota, file size limit) and open the journal again."

_SQLITE: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_BUSY: (
        StoreLockedError,
        "Another program holds a transaction open in it: end that program or its transaction.",
    ),
    sqlite3.SQLITE_LOCKED: (StoreLockedError, "Another connection holds it: close that one."),
    sqlite3.SQLITE_PERM: (StoreWriteError, _WRITABLE),
    sqlite3.SQLITE_READONLY: (StoreWriteError, _WRITABLE),
    sqlite3.SQLITE_CANTOPEN: (StoreWriteError, _WRITABLE),
    sqlite3.SQLITE_FULL: (StoreWriteError, _ROOM),
    sqlite3.SQLITE_IOERR: (
        StoreWriteError,
        "Check the disk and the file system, then open the journal again.",
    ),
    sqlite3.SQLITE_NOMEM: (StoreWriteError, "The process is out of memory."),
    sqlite3.SQLITE_CORRUPT: (StoreCorruptError, _RESTORE),
    sqlite3.SQLITE_NOTADB: (StoreCorruptError, _RESTORE),
    sqlite3.SQLITE_ERROR: (StoreCorruptError, _RESTORE),
}
"""By primary result code: the low byte of what SQLite reports."""

_SYSTEM: Final[dict[int, str]] = {
    errno.ENOENT: "Create the directory first.",
    errno.ENOTDIR: "A part of the path is a file: choose another path.",
    errno.EISDIR: "It is a directory: name a file in it.",
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EROFS: "The file system is mounted read-only: choose another path.",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
}


def translated(
    exc: sqlite3.Error | OSError, path: str | os.PathLike[str], doing: str
) -> StoreError:
    """The ``StoreError`` for what happened to ``path`` while ``doing`` something to it."""
    if isinstance(exc, OSError):
        remedy = _SYSTEM.get(exc.errno or 0, "Check the path and the disk.")
        return StoreWriteError(f"{os.fspath(path)}: {doing} failed: {exc.strerror}. {remedy}")
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    # Without a code the error is the module's own, about text that is no UTF-8.
    kind, remedy = _SQLITE.get(
        sqlite3.SQLITE_CORRUPT if code is None else code & 0xFF,
        (StoreError, "This is unexpected: please report it."),
    )
    return kind(f"{os.fspath(path)}: {doing} failed: {exc}. {remedy}")


def unstorable(exc: UnicodeEncodeError) -> SerializationError:
    """The error for text with half a character in it, which SQLite cannot hold."""
    return SerializationError(
        f"expected text that can be stored, found {exc.object!r}, which contains half a character"
        " (a lone surrogate). Replace it, for example with"
        " text.encode(errors='replace').decode()."
    )


@contextmanager
def translating(path: str | os.PathLike[str], doing: str) -> Generator[None]:
    """Errors of SQLite and of stored lines leave the block as a ``StoreError`` naming the file.

    A question with text that SQLite cannot hold leaves it as a ``SerializationError``.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as exc:
        raise translated(exc, path, doing) from exc
    except UnicodeEncodeError as exc:
        raise unstorable(exc) from exc
    except StoreError as exc:
        if str(exc).startswith(os.fspath(path)):
            raise
        raise type(exc)(f"{os.fspath(path)}: {doing} failed: {exc}") from exc
