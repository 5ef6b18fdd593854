"""The reads of a journal file, for the store and for inspection alike.

Owns the SQL of every question and the way from its rows to an answer. It neither knows
threads nor which of the two asks.

 1. What a running invocation asks is an index lookup, however many others wait.
 2. A row that cannot be understood is a ``StoreCorruptError`` or ``StoreVersionError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from durable_trio import abc
from durable_trio._exceptions import StoreCorruptError
from durable_trio._journal._jsonl import load_entry, load_outcome

from ._rows import RECORD_COLUMNS, record_of, timer_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

_RECORD: Final = f"SELECT {', '.join(RECORD_COLUMNS)} FROM invocation"  # noqa: S608
_TIMER: Final = "SELECT due, invocation_id, kind, completion_id FROM timer"

SQL: Final[dict[str, str]] = {
    "invocation": f"{_RECORD} WHERE id = ?",
    "by prefix": f"{_RECORD} WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
    "journal": "SELECT line FROM entry WHERE invocation_id = ? ORDER BY number",
    "find": (
        f"{_RECORD} WHERE service = ? AND key IS ? AND handler = ? AND idempotency_key IS ?"
        " ORDER BY sequence DESC LIMIT 1"
    ),
    "queued": (
        f"{_RECORD} WHERE service = ? AND key = ? AND exclusive = 1 AND status = 'pending'"
        " ORDER BY sequence LIMIT 1"
    ),
    "unfinished": f"{_RECORD} WHERE status IN ('running', 'backing-off', 'paused') ORDER BY sequence",
    "holders": (
        f"{_RECORD} WHERE exclusive = 1"
        " AND status IN ('running', 'backing-off', 'suspended', 'paused') ORDER BY sequence"
    ),
    "backlog": (
        "SELECT DISTINCT service, key FROM invocation"
        " WHERE exclusive = 1 AND status = 'pending' AND key IS NOT NULL"
    ),
    "last sequence": "SELECT value FROM meta WHERE name = 'last_sequence'",
    "state": "SELECT name, content FROM state WHERE service = ? AND key = ?",
    "timers": f"{_TIMER} WHERE due <= ? ORDER BY due, number LIMIT ?",
    "next timer": f"{_TIMER} WHERE due > ? ORDER BY due, number LIMIT 1",
    "waiters": ("SELECT invocation_id, completion_id FROM waiter WHERE target = ? ORDER BY number"),
    "promise": "SELECT result FROM promise WHERE service = ? AND key = ? AND name = ?",
    "promise waiters": (
        "SELECT invocation_id, completion_id FROM promise_waiter"
        " WHERE service = ? AND key = ? AND name = ? ORDER BY number"
    ),
}

_EVERYTHING: Final = -1
_LAST_CHARACTER: Final = "\U0010ffff"


def _record(
    connection: sqlite3.Connection, question: str, values: Sequence[Any]
) -> abc.InvocationRecord | None:
    row = connection.execute(SQL[question], values).fetchone()
    return None if row is None else record_of(row)


def _records(connection: sqlite3.Connection, question: str) -> list[abc.InvocationRecord]:
    return [record_of(row) for row in connection.execute(SQL[question]).fetchall()]


def invocation(connection: sqlite3.Connection, invocation_id: str) -> abc.InvocationRecord | None:
    return _record(connection, "invocation", (invocation_id,))


def by_prefix(
    connection: sqlite3.Connection, prefix: str, limit: int
) -> list[abc.InvocationRecord]:
    """Records whose id begins with ``prefix``, by id."""
    values = prefix, prefix + _LAST_CHARACTER, limit
    return [record_of(row) for row in connection.execute(SQL["by prefix"], values).fetchall()]


def journal(connection: sqlite3.Connection, invocation_id: str) -> tuple[abc.Entry, ...]:
    rows = connection.execute(SQL["journal"], (invocation_id,)).fetchall()
    return tuple(load_entry(line, number) for number, (line,) in enumerate(rows, start=1))


def find(
    connection: sqlite3.Connection,
    service: str,
    key: str | None,
    handler: str,
    idempotency_key: str | None,
) -> abc.InvocationRecord | None:
    return _record(connection, "find", (service, key, handler, idempotency_key))


def queued(connection: sqlite3.Connection, service: str, key: str) -> abc.InvocationRecord | None:
    return _record(connection, "queued", (service, key))


def unfinished(connection: sqlite3.Connection) -> list[abc.InvocationRecord]:
    return _records(connection, "unfinished")


def holders(connection: sqlite3.Connection) -> list[abc.InvocationRecord]:
    return _records(connection, "holders")


def backlog(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute(SQL["backlog"]).fetchall()


def invocations(
    connection: sqlite3.Connection,
    *,
    service: str | None = None,
    key: str | None = None,
    status: frozenset[abc.InvocationStatus] | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> list[abc.InvocationRecord]:
    conditions = ["1"]
    values: list[Any] = []
    if service is not None:
        conditions.append("service = ?")
        values.append(service)
    if key is not None:
        conditions.append("key = ?")
        values.append(key)
    if status is not None:
        conditions.append(f"status IN ({', '.join('?' * len(status))})")
        values.extend(sorted(each.value for each in status))
    if before is not None:
        conditions.append("sequence < ?")
        values.append(before)
    values.append(_EVERYTHING if limit is None else limit)
    sql = f"{_RECORD} WHERE {' AND '.join(conditions)} ORDER BY sequence DESC LIMIT ?"
    return [record_of(row) for row in connection.execute(sql, values).fetchall()]


def last_sequence(connection: sqlite3.Connection) -> int:
    row = connection.execute(SQL["last sequence"]).fetchone()
    if row is None or type(row[0]) is not int:
        raise StoreCorruptError(
            f"the last sequence in table 'meta' must be an integer, found {row and row[0]!r}."
            " Restore the file from a copy."
        )
    return row[0]


def state(connection: sqlite3.Connection, service: str, key: str) -> Mapping[str, bytes]:
    return dict(connection.execute(SQL["state"], (service, key)).fetchall())


def state_entries(
    connection: sqlite3.Connection, service: str | None = None, key: str | None = None
) -> list[abc.StateEntry]:
    """State entries of all objects, or of one service or key, in order of their names."""
    rows = connection.execute(
        "SELECT service, key, name, content FROM state"
        " WHERE (:service IS NULL OR service = :service) AND (:key IS NULL OR key = :key)"
        " ORDER BY service, key, name",
        {"service": service, "key": key},
    )
    return [abc.StateEntry(*row) for row in rows.fetchall()]


def timers(connection: sqlite3.Connection, *, due_by: float, limit: int | None) -> list[abc.Timer]:
    values = due_by, _EVERYTHING if limit is None else limit
    return [timer_of(row) for row in connection.execute(SQL["timers"], values).fetchall()]


def next_timer(connection: sqlite3.Connection, *, after: float) -> abc.Timer | None:
    row = connection.execute(SQL["next timer"], (after,)).fetchone()
    return None if row is None else timer_of(row)


def waiters(connection: sqlite3.Connection, target: str) -> list[abc.Waiter]:
    rows = connection.execute(SQL["waiters"], (target,))
    return [abc.Waiter(*row) for row in rows.fetchall()]


def promise(
    connection: sqlite3.Connection, service: str, key: str, name: str
) -> abc.Value | abc.Failure | None:
    row = connection.execute(SQL["promise"], (service, key, name)).fetchone()
    return None if row is None else load_outcome(row[0])


def promise_waiters(
    connection: sqlite3.Connection, service: str, key: str, name: str
) -> list[abc.Waiter]:
    rows = connection.execute(SQL["promise waiters"], (service, key, name))
    return [abc.Waiter(*row) for row in rows.fetchall()]
