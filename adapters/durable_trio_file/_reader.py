"""``FileJournalReader``: looking at a journal file, also while somebody writes to it.

Owns the read-only view for inspection. It is synchronous, takes no lock, changes nothing,
and never keeps the writer waiting.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from durable_trio._exceptions import UsageError

from . import _queries
from ._errors import translating
from ._schema import connect_for_reading

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from durable_trio import abc

T = TypeVar("T")

_NAMED: int = 5


class FileJournalReader:
    """A read-only view of the journal at ``path``, as of the last commit before each call.

    A context manager; ``close`` does the same. Opening raises ``StoreError`` if there is
    no journal, ``StoreCorruptError`` if the file is no journal or damaged, and
    ``StoreVersionError`` if a newer version wrote it. Use it from one thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path).absolute()
        self._connection = connect_for_reading(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A second time does nothing."""
        self._connection.close()

    def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        with translating(self.path, "reading"):
            return ask(self._connection)

    def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[abc.InvocationStatus] | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Sequence[abc.InvocationRecord]:
        """Records that match, newest first. ``before`` leaves out those from that ``sequence`` on."""
        return self._ask(
            lambda file: _queries.invocations(
                file, service=service, key=key, status=status, before=before, limit=limit
            )
        )

    def invocation(self, id_or_prefix: str) -> abc.InvocationRecord | None:
        """The record with this id, or the only one whose id begins like this, or None.

        Raises ``UsageError`` if several ids begin like this.
        """
        exact = self._ask(lambda file: _queries.invocation(file, id_or_prefix))
        if exact is not None:
            return exact
        found = self._ask(lambda file: _queries.by_prefix(file, id_or_prefix, _NAMED + 1))
        if len(found) > 1:
            names = ", ".join(record.id for record in found[:_NAMED])
            more = ", ..." if len(found) > _NAMED else ""
            raise UsageError(
                f"expected the beginning of one invocation id, found {id_or_prefix!r} to be that"
                f" of several: {names}{more}. Give more characters."
            )
        return found[0] if found else None

    def journal(self, invocation_id: str) -> Sequence[abc.Entry]:
        """All entries of an invocation in order; empty when unknown or expired."""
        return self._ask(lambda file: _queries.journal(file, invocation_id))

    def state(self, service: str | None = None, key: str | None = None) -> Sequence[abc.StateEntry]:
        """The state entries of all objects, or of one service or key, ordered by name."""
        return self._ask(lambda file: _queries.state_entries(file, service, key))

    def timers(self) -> Sequence[abc.Timer]:
        """All timers, earliest first."""
        return self._ask(lambda file: _queries.timers(file, due_by=math.inf, limit=None))
