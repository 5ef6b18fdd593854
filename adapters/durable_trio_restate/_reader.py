"""``RestateReader``: looking at what a Restate server keeps, through its admin port.

Owns the questions. What the answers mean is in ``_stored.py`` and ``_invocations.py``, how they
come in the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from durable_trio.abc import Output, StateEntry

from ._ids import raw_id
from ._invocations import chosen, literal, record_of
from ._stored import entry_of, header_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from durable_trio.abc import Entry, InvocationRecord, InvocationStatus, JournalHeader

_AT_ONCE: Final = 500
"""Entries an answer."""
_LARGEST: Final = 1 << 30
"""Bytes of an answer: an entry may have megabytes, and is written twice as long."""
_DRAWN: Final = "unique_random_seeds"
"""The feature of a server that draws random seeds instead of deriving them."""


class RestateReader:
    """A read-only view of a server's invocations. ``url`` is that of its admin port.

    An async context manager, for trio and asyncio. All methods raise what ``AdminClient.query``
    does; an invocation need not wait while it is looked at.
    """

    def __init__(self, url: str) -> None:
        # An endpoint has no use for httpx, which takes longer to import than all of this adapter.
        from durable_trio.client import AdminClient

        self._admin = AdminClient(url, max_body_size=_LARGEST)
        self._features: frozenset[str] | None = None

    async def __aenter__(self) -> Self:
        await self._admin.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._admin.__aexit__(*exc_info)

    async def journal(self, invocation_id: str) -> tuple[JournalHeader, Sequence[Entry]] | None:
        """Whose journal it is and its entries; none of them if they have expired, None if unknown.

        ``UsageError`` for an id that is none, ``StoreVersionError`` and ``StoreCorruptError`` for
        entries that cannot be read here.
        """
        row = await self._row(invocation_id)
        return None if row is None else await self._journal(row)

    async def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[InvocationStatus] | None = None,
        before: str | None = None,
        limit: int = _AT_ONCE,
    ) -> Sequence[InvocationRecord] | None:
        """Records that match, newest first; with ``before`` those older than this invocation.

        None if nobody knows that one. The outputs of completed ones are not in them, nor their
        idempotency keys.
        """
        row = None if before is None else await self._row(before)
        if row is None and before is not None:
            return None

        condition = chosen(service=service, key=key, status=status, before=row)
        rows = await self._admin.query(
            f"SELECT * FROM sys_invocation WHERE {condition} "  # noqa: S608
            f"ORDER BY created_at DESC, id DESC LIMIT {limit}"
        )
        return [record_of(each) for each in rows]

    async def invocation(
        self, invocation_id: str
    ) -> tuple[InvocationRecord, Sequence[Entry]] | None:
        """The record, with its output if that is in its journal, and the journal; see ``journal``."""
        row = await self._row(invocation_id)
        if row is None:
            return None

        record = record_of(row)
        _, entries = await self._journal(row)
        output = next((each for each in reversed(entries) if isinstance(each, Output)), None)
        if record.completed_at is not None and record.result is None and output is not None:
            record = attrs.evolve(record, result=output.result)
        return record, entries

    async def holder(self, service: str, key: str) -> str | None:
        """The id of the invocation that holds an object key, if one does."""
        found = await self._admin.query(
            "SELECT invocation_id FROM sys_keyed_service_status "  # noqa: S608
            f"WHERE service_name = {literal(service)} AND service_key = {literal(key)}"
        )
        return str(found[0]["invocation_id"]) if found else None

    async def state(self, service: str, key: str) -> Sequence[StateEntry]:
        """The state of one object or workflow key, ordered by name."""
        found = await self._admin.get_state(service, key)
        return [StateEntry(service, key, name, content) for name, content in found.items()]

    async def unfinished(self) -> AsyncIterator[tuple[JournalHeader, Sequence[Entry]]]:
        """All invocations that have started and not completed, the newest first; see ``journal``.

        What completes or starts meanwhile may be left out.
        """
        for invocation in await self._admin.query(
            "SELECT * FROM sys_invocation WHERE status <> 'completed' ORDER BY created_at DESC"
        ):
            header, entries = await self._journal(invocation)
            if entries:
                yield header, entries

    async def _row(self, invocation_id: str) -> dict[str, Any] | None:
        raw_id(invocation_id)  # raises for what may not be put into SQL
        found = await self._admin.query(
            f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'"  # noqa: S608
        )
        return found[0] if found else None

    async def _journal(
        self, invocation: Mapping[str, Any]
    ) -> tuple[JournalHeader, Sequence[Entry]]:
        if self._features is None:
            self._features = await self._admin.features()
        header = header_of(invocation, seeds_are_drawn=_DRAWN in self._features)
        entries: list[Entry] = []
        while True:
            rows = await self._admin.query(
                "SELECT index, entry_type, version, raw FROM sys_journal "  # noqa: S608
                f"WHERE id = '{header.invocation_id}' AND index >= {len(entries)} "
                f"ORDER BY index LIMIT {_AT_ONCE}"
            )
            entries.extend(map(entry_of, rows))
            if len(rows) < _AT_ONCE:
                return header, entries
