"""From the writes of many transactions to few SQL statements.

Owns the SQL of every write and the order in which statements run. Each statement changes
many rows in one step, because every step hands the interpreter lock back and forth with
the event loop.

 1. A *lane* is one kind of statement; its rows run in the order they were added. Within
    a *segment* the lanes run in the order of ``Lane``.
 2. Every row names what it *touches*. A row that touches what a later lane of the segment
    has touched already starts a new segment. So rows are reordered only when nobody can
    tell, and running all segments has the effect of running all writes one by one.
"""

from __future__ import annotations

import enum
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio import abc
from durable_trio._journal._jsonl import dump_entry

from ._rows import RECORD_COLUMNS, Row, outcome_text, record_row, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Touch: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, "list[Any]"]


class Lane(enum.IntEnum):
    """The kinds of statements, in the order in which they run.

    What usually follows something else in one commit comes after it here.
    """

    PUT_INVOCATION = 0
    APPEND = 1
    DELIVER = 2
    PUT_STATE = 3
    DELETE_STATE = 4
    CLEAR_STATE = 5
    PUT_TIMER = 6
    DELETE_TIMER = 7
    PUT_WAITER = 8
    DELETE_WAITERS = 9
    PUT_PROMISE = 10
    PUT_PROMISE_WAITER = 11
    DELETE_WAITER = 12
    LEAVE_PROMISE = 13
    DELETE_PROMISE_WAITERS = 14
    DELETE_PROMISES = 15
    DELETE_ALL_PROMISE_WAITERS = 16
    DELETE_ENTRIES = 17
    DELETE_TIMERS = 18
    DELETE_INVOCATION = 19


def _sized(row: str, separator: str, sql: str) -> tuple[tuple[int, str], ...]:
    # SQLite before 3.32 takes at most 999 parameters a statement.
    sizes = (size for size in (64, 16, 8, 4, 3, 2, 1) if size * row.count("?") <= 999)
    return tuple((size, sql.format(rows=separator.join([row] * size))) for size in sizes)


def _insert(into: str, *columns: str) -> tuple[tuple[int, str], ...]:
    row = f"({', '.join('?' * len(columns))})"
    return _sized(row, ", ", f"{into} ({', '.join(columns)}) VALUES {{rows}}")


def _delete(table: str, *columns: str) -> tuple[tuple[int, str], ...]:
    # A list of row values (a, b) IN (...) would scan the table; OR looks each one up.
    row = f"({' AND '.join(f'{column} = ?' for column in columns)})"
    return _sized(row, " OR ", f"DELETE FROM {table} WHERE {{rows}}")  # noqa: S608


# A few fixed sizes, largest first, so that every statement is prepared once and kept.
STATEMENTS: Final[dict[Lane, tuple[tuple[int, str], ...]]] = {
    Lane.PUT_INVOCATION: _insert("INSERT OR REPLACE INTO invocation", *RECORD_COLUMNS),
    Lane.APPEND: _insert("INSERT INTO entry", "invocation_id", "line"),
    Lane.DELIVER: _sized(
        "(?, ?)",
        ", ",
        "INSERT INTO entry (invocation_id, line) SELECT column1, column2 FROM (VALUES {rows})"
        " WHERE EXISTS"
        " (SELECT 1 FROM invocation WHERE id = column1 AND status <> 'completed')",
    ),
    Lane.PUT_STATE: _insert("INSERT OR REPLACE INTO state", "service", "key", "name", "content"),
    Lane.DELETE_STATE: _delete("state", "service", "key", "name"),
    Lane.CLEAR_STATE: _delete("state", "service", "key"),
    Lane.PUT_TIMER: _insert(
        "INSERT OR REPLACE INTO timer", "due", "invocation_id", "kind", "completion_id"
    ),
    Lane.DELETE_TIMER: _delete("timer", "invocation_id", "kind", "completion_id"),
    Lane.PUT_WAITER: _insert(
        "INSERT OR IGNORE INTO waiter", "target", "invocation_id", "completion_id"
    ),
    Lane.DELETE_WAITERS: _delete("waiter", "target"),
    Lane.PUT_PROMISE: _insert("INSERT OR IGNORE INTO promise", "service", "key", "name", "result"),
    Lane.PUT_PROMISE_WAITER: _insert(
        "INSERT OR IGNORE INTO promise_waiter",
        "service",
        "key",
        "name",
        "invocation_id",
        "completion_id",
    ),
    Lane.DELETE_WAITER: _delete("waiter", "invocation_id", "completion_id"),
    Lane.LEAVE_PROMISE: _delete("promise_waiter", "invocation_id", "completion_id"),
    Lane.DELETE_PROMISE_WAITERS: _delete("promise_waiter", "service", "key", "name"),
    Lane.DELETE_PROMISES: _delete("promise", "service", "key"),
    Lane.DELETE_ALL_PROMISE_WAITERS: _delete("promise_waiter", "service", "key"),
    Lane.DELETE_ENTRIES: _delete("entry", "invocation_id"),
    Lane.DELETE_TIMERS: _delete("timer", "invocation_id"),
    Lane.DELETE_INVOCATION: _delete("invocation", "id"),
}
_PUT_SEQUENCE: Final = "UPDATE meta SET value = ? WHERE name = 'last_sequence'"


class Op:
    """Rows for one lane and what they touch. Made once a write, so it is kept bare."""

    __slots__ = ("lane", "rows", "sequence", "touches")

    def __init__(
        self, lane: Lane, touches: tuple[Touch, ...], rows: list[Row], sequence: int = 0
    ) -> None:
        self.lane = lane
        self.touches = touches
        self.rows = rows
        self.sequence = sequence


class Plan:
    """Collects ops and hands them out as statements.

    ``sequence`` is the highest one that the file knows of. It outlives the record that
    had it, so every higher one that comes by is written down as well.
    """

    def __init__(self, sequence: int) -> None:
        self._known_sequence = sequence
        self._sequence = sequence
        self._statements: list[Statement] = []
        self._rows: list[list[Row]] = [[] for _ in Lane]
        self._used: set[Lane] = set()
        self._touched: dict[Touch, Lane] = {}

    def add(self, ops: Iterable[Op]) -> None:
        touched = self._touched
        for op in ops:
            lane = op.lane
            for touch in op.touches:
                if touched.get(touch, lane) > lane:
                    self._cut()
                    break
            for touch in op.touches:
                touched[touch] = lane
            self._rows[lane].extend(op.rows)
            self._used.add(lane)
            self._sequence = max(self._sequence, op.sequence)

    def take(self) -> list[Statement]:
        """The statements for everything added since the last time."""
        self._cut()
        if self._sequence > self._known_sequence:
            self._statements.append((_PUT_SEQUENCE, [self._sequence]))
            self._known_sequence = self._sequence
        statements, self._statements = self._statements, []
        return statements

    def _cut(self) -> None:
        for lane in sorted(self._used):
            rows = self._rows[lane]
            start, end = 0, len(rows)
            for size, sql in STATEMENTS[lane]:
                while end - start >= size:
                    values = list(chain.from_iterable(rows[start : start + size]))
                    self._statements.append((sql, values))
                    start += size
            rows.clear()
        self._used.clear()
        self._touched.clear()


# -- writes to ops


def _append(write: abc.AppendEntries) -> tuple[Op, ...]:
    invocation_id = text(write.invocation_id)
    rows = [(invocation_id, dump_entry(entry).decode()) for entry in write.entries]
    return (Op(Lane.APPEND, (("entry", invocation_id),), rows),)


def _deliver(write: abc.DeliverNotification) -> tuple[Op, ...]:
    invocation_id = text(write.invocation_id)
    touches = ("entry", invocation_id), ("invocation", invocation_id)
    rows = [(invocation_id, dump_entry(write.notification).decode())]
    return (Op(Lane.DELIVER, touches, rows),)


def _put_invocation(write: abc.PutInvocation) -> tuple[Op, ...]:
    record = write.record
    row = record_row(record)
    touches = (("invocation", record.id),)
    return (Op(Lane.PUT_INVOCATION, touches, [row], record.sequence),)


def _delete_invocation(write: abc.DeleteInvocation) -> tuple[Op, ...]:
    invocation_id = text(write.invocation_id)
    row = [(invocation_id,)]
    return (
        Op(Lane.DELETE_WAITERS, (("waiter", invocation_id),), row),
        Op(Lane.DELETE_ENTRIES, (("entry", invocation_id),), row),
        Op(Lane.DELETE_TIMERS, (("timer", invocation_id),), row),
        Op(Lane.DELETE_INVOCATION, (("invocation", invocation_id),), row),
    )


def _delete_journal(write: abc.DeleteJournal) -> tuple[Op, ...]:
    invocation_id = text(write.invocation_id)
    row = [(invocation_id,)]
    return (
        Op(Lane.DELETE_ENTRIES, (("entry", invocation_id),), row),
        Op(Lane.DELETE_TIMERS, (("timer", invocation_id),), row),
    )


def _put_state(write: abc.PutState) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    row = service, key, text(write.name), write.content
    return (Op(Lane.PUT_STATE, (("state", service, key),), [row]),)


def _delete_state(write: abc.DeleteState) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    touches = (("state", service, key),)
    if write.name is None:
        return (Op(Lane.CLEAR_STATE, touches, [(service, key)]),)
    return (Op(Lane.DELETE_STATE, touches, [(service, key, text(write.name))]),)


def _put_timer(write: abc.PutTimer) -> tuple[Op, ...]:
    timer = write.timer
    row = timer.due, text(timer.invocation_id), timer.kind.value, timer.completion_id
    return (Op(Lane.PUT_TIMER, (("timer", timer.invocation_id),), [row]),)


def _delete_timer(write: abc.DeleteTimer) -> tuple[Op, ...]:
    row = text(write.invocation_id), write.kind.value, write.completion_id
    return (Op(Lane.DELETE_TIMER, (("timer", write.invocation_id),), [row]),)


def _put_waiter(write: abc.PutWaiter) -> tuple[Op, ...]:
    waiter = write.waiter
    row = text(write.target), text(waiter.invocation_id), waiter.completion_id
    touches = ("waiter", write.target), ("waiter of", waiter.invocation_id)
    return (Op(Lane.PUT_WAITER, touches, [row]),)


def _delete_waiters(write: abc.DeleteWaiters) -> tuple[Op, ...]:
    return (Op(Lane.DELETE_WAITERS, (("waiter", write.target),), [(text(write.target),)]),)


def _delete_waiter(write: abc.DeleteWaiter) -> tuple[Op, ...]:
    waiter = write.waiter
    touches = (("waiter of", waiter.invocation_id),)
    row = [(text(waiter.invocation_id), waiter.completion_id)]
    return Op(Lane.DELETE_WAITER, touches, row), Op(Lane.LEAVE_PROMISE, touches, row)


def _put_promise(write: abc.PutPromise) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    row = service, key, text(write.name), outcome_text(write.result)
    return (Op(Lane.PUT_PROMISE, (("promise", service, key),), [row]),)


def _delete_promises(write: abc.DeletePromises) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    return (
        Op(Lane.DELETE_PROMISES, (("promise", service, key),), [(service, key)]),
        Op(
            Lane.DELETE_ALL_PROMISE_WAITERS,
            (("promise_waiter", service, key),),
            [(service, key)],
        ),
    )


def _put_promise_waiter(write: abc.PutPromiseWaiter) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    waiter = write.waiter
    row = service, key, text(write.name), text(waiter.invocation_id), waiter.completion_id
    touches = ("promise_waiter", service, key), ("waiter of", waiter.invocation_id)
    return (Op(Lane.PUT_PROMISE_WAITER, touches, [row]),)


def _delete_promise_waiters(write: abc.DeletePromiseWaiters) -> tuple[Op, ...]:
    service, key = text(write.service), text(write.key)
    row = service, key, text(write.name)
    return (Op(Lane.DELETE_PROMISE_WAITERS, (("promise_waiter", service, key),), [row]),)


_OPS: Final[dict[type, Callable[[Any], tuple[Op, ...]]]] = {
    abc.AppendEntries: _append,
    abc.DeliverNotification: _deliver,
    abc.PutInvocation: _put_invocation,
    abc.DeleteInvocation: _delete_invocation,
    abc.DeleteJournal: _delete_journal,
    abc.PutState: _put_state,
    abc.DeleteState: _delete_state,
    abc.PutTimer: _put_timer,
    abc.DeleteTimer: _delete_timer,
    abc.PutWaiter: _put_waiter,
    abc.DeleteWaiters: _delete_waiters,
    abc.DeleteWaiter: _delete_waiter,
    abc.PutPromise: _put_promise,
    abc.DeletePromises: _delete_promises,
    abc.PutPromiseWaiter: _put_promise_waiter,
    abc.DeletePromiseWaiters: _delete_promise_waiters,
}


def ops_of(writes: Iterable[abc.Write]) -> list[Op]:
    """The ops of one transaction. Raises ``SerializationError`` for what cannot be stored."""
    return [op for write in writes for op in _OPS[type(write)](write)]
