"""The rows of a journal file: how records, results and headers are spelled in columns.

Owns both directions for whole rows. Times, texts and numbers are plain columns that the
``sqlite3`` shell can query; what is nested is JSON, spelled as in the portable form.

 1. Text that SQLite cannot hold is refused when a row is made, not when it is written:
    the error belongs to whoever made the write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio import _json, abc
from durable_trio._exceptions import StoreCorruptError
from durable_trio._journal._jsonl import dump_outcome, load_outcome

from ._errors import unstorable

if TYPE_CHECKING:
    from collections.abc import Sequence

Row: TypeAlias = tuple[Any, ...]

RECORD_COLUMNS: Final = (
    "id",
    "service",
    "handler",
    "status",
    "created_at",
    "sequence",
    "key",
    "exclusive",
    "idempotency_key",
    "headers",
    "parent",
    "scheduled_for",
    "started_at",
    "completed_at",
    "retry_count",
    "first_failed_at",
    "next_attempt_at",
    "last_failure",
    "result",
    "cancelled",
    "journal_expires_at",
    "expires_at",
)

_STATUS: Final = {status.value: status for status in abc.InvocationStatus}
_KIND: Final = {kind.value: kind for kind in abc.TimerKind}


def text(value: str) -> str:
    """The text itself. Raises ``SerializationError`` if it is no valid Unicode."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise unstorable(exc) from exc
    return value


def _optional_text(value: str | None) -> str | None:
    return None if value is None else text(value)


def _optional_outcome(outcome: abc.Value | abc.Failure | None) -> str | None:
    return None if outcome is None else dump_outcome(outcome).decode()


def outcome_text(outcome: abc.Value | abc.Failure) -> str:
    return dump_outcome(outcome).decode()


def record_row(record: abc.InvocationRecord) -> Row:
    headers: str | None = None
    if record.headers:
        for name, value in record.headers:
            text(name)
            text(value)
        headers = _json.write(record.headers).decode()
    return (
        text(record.id),
        text(record.service),
        text(record.handler),
        record.status.value,
        record.created_at,
        record.sequence,
        _optional_text(record.key),
        int(record.exclusive),
        _optional_text(record.idempotency_key),
        headers,
        _optional_text(record.parent),
        record.scheduled_for,
        record.started_at,
        record.completed_at,
        record.retry_count,
        record.first_failed_at,
        record.next_attempt_at,
        _optional_outcome(record.last_failure),
        _optional_outcome(record.result),
        int(record.cancelled),
        record.journal_expires_at,
        record.expires_at,
    )


def record_of(row: Row) -> abc.InvocationRecord:
    """Raises ``StoreCorruptError`` for what ``record_row`` cannot have made."""
    values = dict(zip(RECORD_COLUMNS, row, strict=True))
    try:
        values["status"] = _STATUS[values["status"]]
        values["exclusive"] = bool(values["exclusive"])
        values["cancelled"] = bool(values["cancelled"])
        values["headers"] = _headers_of(values["headers"])
        for name in ("last_failure", "result"):
            if values[name] is not None:
                values[name] = load_outcome(values[name])
        return abc.InvocationRecord(**values)
    except (KeyError, TypeError, ValueError) as exc:
        raise StoreCorruptError(
            f"the record of invocation {row[0]!r} is damaged: {exc!r}. Restore it from a copy."
        ) from exc


def _headers_of(value: str | None) -> abc.Headers:
    if value is None:
        return ()
    return tuple((name, content) for name, content in _json.read(value))


def timer_of(row: Sequence[Any]) -> abc.Timer:
    """Raises ``StoreCorruptError`` for a kind that does not exist."""
    due, invocation_id, kind, completion_id = row
    try:
        return abc.Timer(due, invocation_id, _KIND[kind], completion_id)
    except KeyError as exc:
        raise StoreCorruptError(
            f"a timer of invocation {invocation_id!r} is of unknown kind {kind!r}. Restore the"
            " file from a copy."
        ) from exc
