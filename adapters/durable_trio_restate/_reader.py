"""``RestateReader``: looking at the journals of a Restate server, through its admin port.

Owns the questions. What the answers mean is in ``_stored.py``, how they come in the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from durable_trio.client import AdminClient

from ._ids import raw_id
from ._stored import entry_of, header_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.abc import Entry, JournalHeader

_AT_ONCE: Final = 500
_LARGEST: Final = 1 << 30
"""Entries and bytes of one answer. An entry may have megabytes, and is written twice as long."""


class RestateReader:
    """A read-only view of a server's invocations. ``url`` is that of its admin port.

    An async context manager, for trio and asyncio. All methods raise what ``AdminClient.query``
    does; an invocation need not wait while it is looked at.
    """

    def __init__(self, url: str) -> None:
        self._admin = AdminClient(url, max_body_size=_LARGEST)

    async def __aenter__(self) -> Self:
        await self._admin.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._admin.__aexit__(*exc_info)

    async def unfinished(self) -> Sequence[str]:
        """The ids of all invocations that have started and not completed, the newest first."""
        rows = await self._admin.query(
            "SELECT id FROM sys_invocation WHERE status <> 'completed' AND journal_size > 0 "
            "ORDER BY created_at DESC"
        )
        return [str(row["id"]) for row in rows]

    async def journal(self, invocation_id: str) -> tuple[JournalHeader, Sequence[Entry]] | None:
        """Whose journal it is and its entries; none of them if they have expired, None if unknown.

        ``UsageError`` for an id that is none, ``StoreVersionError`` and ``StoreCorruptError`` for
        entries that cannot be read here.
        """
        raw_id(invocation_id)  # raises for what may not be put into SQL
        invocations = await self._admin.query(
            f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'"  # noqa: S608
        )
        if not invocations:
            return None

        entries: list[Entry] = []
        while True:
            rows = await self._admin.query(
                "SELECT index, entry_type, version, raw FROM sys_journal "  # noqa: S608
                f"WHERE id = '{invocation_id}' AND index >= {len(entries)} "
                f"ORDER BY index LIMIT {_AT_ONCE}"
            )
            entries.extend(map(entry_of, rows))
            if len(rows) < _AT_ONCE:
                break

        drawn = await self._admin.features()
        return header_of(invocations[0], seeds_are_drawn="unique_random_seeds" in drawn), entries
