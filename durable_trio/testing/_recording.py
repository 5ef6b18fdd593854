"""A recorded journal: entries, and whose they are.

Owns reading the portable form and the check that it is a journal at all. Replaying it is
``_replay.py``'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs

from durable_trio._exceptions import StoreCorruptError, StoreError, UsageError
from durable_trio._journal._entries import Completion, Entry, Input, Signal
from durable_trio._journal._jsonl import JournalHeader, dump_journal, load_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from durable_trio._records import InvocationRecord


@attrs.frozen
class RecordedJournal:
    """The journal of one invocation, as it was exported or recorded: ``header`` and ``entries``.

    ``name`` is what it is called in messages: the file it was read from, or the invocation.
    ``StoreCorruptError`` if the entries do not begin with the input.
    """

    header: JournalHeader
    entries: Sequence[Entry]
    name: str = attrs.field(
        default=attrs.Factory(
            lambda self: self.header.invocation_id or "the journal", takes_self=True
        )
    )

    def __attrs_post_init__(self) -> None:
        commands = (e for e in self.entries if not isinstance(e, Completion | Signal))
        if not isinstance(next(commands, None), Input):
            raise StoreCorruptError(
                f"{self.name} is no journal that can be replayed: its first command has to be the "
                "input. Export the invocation again."
            )

    @classmethod
    def of(cls, record: InvocationRecord, entries: Sequence[Entry]) -> RecordedJournal:
        """The journal of an invocation in a store."""
        header = JournalHeader(
            record.id, record.service, record.handler, record.key, record.idempotency_key
        )
        return cls(header, entries)

    @classmethod
    def parse(cls, data: bytes | str, name: str = "the journal") -> RecordedJournal:
        """What ``durable-trio export`` wrote.

        ``StoreVersionError`` for a newer format, ``StoreCorruptError`` for text that is no
        journal or is cut off; both name the line.
        """
        try:
            header, entries = load_journal(data)
        except StoreError as exc:
            raise type(exc)(f"{name}: {exc}") from exc

        return cls(header, entries, name)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> RecordedJournal:
        """The journal in a file; see ``parse``. ``OSError`` if it cannot be read."""
        return cls.parse(Path(path).read_bytes(), str(path))

    def dump(self) -> bytes:
        """The portable form, as ``parse`` reads it."""
        return dump_journal(self.entries, self.header)

    @property
    def target(self) -> tuple[str, str]:
        """The names of its service and handler. ``UsageError`` if it does not say."""
        service, handler = self.header.service, self.header.handler
        if not service or not handler:
            raise UsageError(
                f'{self.name} does not say whose journal it is: its first line needs "service" and '
                '"handler", as `durable-trio export` writes them'
            )

        return service, handler


Journal: TypeAlias = "RecordedJournal | bytes | str | PathLike[str]"
"""A recorded journal, its text as bytes, or the path of its file."""


def recorded(journal: Journal) -> RecordedJournal:
    """The journal, read if need be."""
    if isinstance(journal, RecordedJournal):
        return journal

    return (
        RecordedJournal.parse(journal)
        if isinstance(journal, bytes)
        else RecordedJournal.load(journal)
    )
