"""Journals as a Restate server keeps them: rows of ``sys_journal``, and the header that they need.

Owns which row is which entry, and what of ``sys_invocation`` a replay needs to know. Asking
is ``_reader.py``'s; the bytes of an entry are those of the protocol's messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio._exceptions import StoreCorruptError, StoreVersionError
from durable_trio.abc import JournalHeader

from ._entries import decode_command, decode_notification
from ._errors import ProtocolError
from ._ids import random_seed, raw_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from durable_trio.abc import Entry

_STORAGE: Final = 2
"""The version of the storage that holds the protocol's messages."""

_COMMAND: Final = "Command: "
_NOTIFICATION: Final = "Notification: "

COMMAND_TYPES: Final[Mapping[str, int]] = {
    "Input": 0x0400,
    "Output": 0x0401,
    "GetLazyState": 0x0402,
    "SetState": 0x0403,
    "ClearState": 0x0404,
    "ClearAllState": 0x0405,
    "GetLazyStateKeys": 0x0406,
    "GetEagerState": 0x0407,
    "GetEagerStateKeys": 0x0408,
    "GetPromise": 0x0409,
    "PeekPromise": 0x040A,
    "CompletePromise": 0x040B,
    "Sleep": 0x040C,
    "Call": 0x040D,
    "OneWayCall": 0x040E,
    "SendSignal": 0x0410,
    "Run": 0x0411,
    "AttachInvocation": 0x0412,
    "GetInvocationOutput": 0x0413,
    "CompleteAwakeable": 0x0414,
}
"""The message type of each command, by what ``sys_journal.entry_type`` calls it."""


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The entry of a row with ``index``, ``entry_type``, ``version`` and ``raw`` (hexadecimal).

    ``StoreVersionError`` for a kind or a storage version that is not known here,
    ``StoreCorruptError`` for bytes that are not what the kind says.
    """
    kind = str(row.get("entry_type"))
    where = f"entry {row.get('index', 0)} ({kind})"
    if row.get("version") != _STORAGE:
        raise StoreVersionError(
            f"{where} is kept in version {row.get('version')} of the server's storage, expected "
            f"{_STORAGE}: it was not made by a current server, or it was by a newer one"
        )

    name = kind.removeprefix(_COMMAND)
    type_ = COMMAND_TYPES.get(name) if name != kind else None
    if type_ is None and not kind.startswith(_NOTIFICATION):
        raise StoreVersionError(f"{where} is of a kind that is not known here: upgrade to read it")

    try:
        raw = bytes.fromhex(row.get("raw", ""))
        return decode_notification(raw) if type_ is None else decode_command(type_, raw)
    except (ProtocolError, ValueError) as exc:
        raise StoreCorruptError(f"{where} cannot be decoded: {exc}") from exc


def header_of(row: Mapping[str, Any], *, seeds_are_drawn: bool) -> JournalHeader:
    """Whose journal it is, by its row in ``sys_invocation``."""
    invocation_id = str(row["id"])
    protocol = int(row.get("pinned_service_protocol_version") or 0)
    raw = raw_id(invocation_id)
    # No idempotency key: a server makes one up where there is none, and tells handlers neither.
    return JournalHeader(
        invocation_id,
        row.get("target_service_name"),
        row.get("target_handler_name"),
        row.get("target_service_key"),
        scope=row.get("scope"),
        limit_key=row.get("limit_key"),
        raw_id=raw,
        random_seed=None if seeds_are_drawn else random_seed(raw, protocol),
    )
