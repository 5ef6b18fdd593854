"""One writer a journal: the lock file beside it.

Owns ``<path>.lock``, an advisory ``flock`` on it, and the process id written into it for
whoever is refused. Readers do not look at it.

 1. The lock belongs to the open file, so it ends with the process however that dies, and
    a second opening in the same process is refused like any other.
 2. The file stays behind: removing it would let two writers hold two files of one name.
 3. A forked child drops its copy at once, or it would hold the lock for its dead parent.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from durable_trio._exceptions import StoreLockedError

from ._errors import translated

if TYPE_CHECKING:
    from pathlib import Path

_held: Final[dict[int, JournalLock]] = {}


class JournalLock:
    """The exclusive right to write to the journal at ``path``."""

    def __init__(self, path: Path) -> None:
        self._journal = path
        self._path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises ``StoreLockedError`` if it is held, ``StoreWriteError`` if it cannot be made."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise translated(exc, self._journal, f"creating {self._path.name}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        except BlockingIOError as exc:
            owner = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise StoreLockedError(self._refusal(owner)) from exc
        except OSError as exc:
            os.close(fd)
            raise translated(exc, self._journal, f"locking {self._path.name}") from exc
        self._fd = fd
        _held[fd] = self

    def _refusal(self, owner: str) -> str:
        if owner == str(os.getpid()):
            return (
                f"{self._journal}: this process (pid {owner}) has the journal open already."
                " Share one FileJournal, or leave the first one before opening another."
            )
        return (
            f"{self._journal}: the journal is open in another process (pid {owner or 'unknown'})."
            " Stop that process, use another path, or only look with FileJournalReader."
        )

    def release(self) -> None:
        """Give the lock back. Nothing happens if it is not held."""
        fd, self._fd = self._fd, None
        if fd is not None:
            del _held[fd]
            os.close(fd)


def _drop_inherited() -> None:
    for lock in list(_held.values()):
        lock.release()


os.register_at_fork(after_in_child=_drop_inherited)
