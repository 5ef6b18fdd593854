"""Everything a store keeps, as plain tables in memory: what a write means, spelled out.

Owns the effect of every write and the answer of every read. It knows no event loop, no
queue and no durability; ``_memory`` puts those around it.

 1. ``apply`` is a table from the type of a write to its effect. It cannot fail.
 2. Reads that a running invocation makes (journal, state, queued, find, timers) cost what
    they return; what only a recovery or an inspection asks for may scan.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from durable_trio import abc

from ._waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_Key: TypeAlias = tuple[str, str]
_TimerKey: TypeAlias = tuple[abc.TimerKind, int]
_FindKey: TypeAlias = tuple[str, "str | None", str, "str | None"]

_UNFINISHED: Final = frozenset(
    {
        abc.InvocationStatus.RUNNING,
        abc.InvocationStatus.BACKING_OFF,
        abc.InvocationStatus.PAUSED,
    }
)
_HOLDING: Final = _UNFINISHED | {abc.InvocationStatus.SUSPENDED}


def _sequence(record: abc.InvocationRecord) -> int:
    return record.sequence


class Tables:
    """The stored data. Nothing in it is shared with the outside but immutable values."""

    def __init__(self) -> None:
        self.last_sequence: int = 0
        self._records: dict[str, abc.InvocationRecord] = {}
        self._found: dict[_FindKey, dict[str, int]] = {}
        self._pending: dict[_Key, dict[str, int]] = {}
        self._journals: dict[str, list[abc.Entry]] = {}
        self._state: dict[_Key, dict[str, bytes]] = {}
        # By invocation, then by kind and completion id: the place in the agenda.
        self._timers: dict[str, dict[_TimerKey, tuple[float, int]]] = {}
        # Sorted by due time, then by arrival.
        self._agenda: list[tuple[float, int, abc.Timer]] = []
        self._arrivals = 0
        self._waiters = Waiters()
        self._promises: dict[_Key, dict[str, abc.Value | abc.Failure]] = {}
        # Which promises of a workflow key somebody has waited for.
        self._awaited: dict[_Key, dict[str, None]] = {}

        self._effects: dict[type, Callable[[Any], None]] = {
            abc.AppendEntries: self._append,
            abc.DeliverNotification: self._deliver,
            abc.PutInvocation: self._put_invocation,
            abc.DeleteInvocation: self._delete_invocation,
            abc.DeleteJournal: self._delete_journal,
            abc.PutState: self._put_state,
            abc.DeleteState: self._delete_state,
            abc.PutTimer: self._put_timer,
            abc.DeleteTimer: self._delete_timer,
            abc.PutWaiter: self._put_waiter,
            abc.DeleteWaiters: self._delete_waiters,
            abc.DeleteWaiter: self._delete_waiter,
            abc.PutPromise: self._put_promise,
            abc.DeletePromises: self._delete_promises,
            abc.PutPromiseWaiter: self._put_promise_waiter,
            abc.DeletePromiseWaiters: self._delete_promise_waiters,
        }

    def apply(self, writes: Iterable[abc.Write]) -> None:
        for write in writes:
            self._effects[type(write)](write)

    # -- effects

    def _append(self, write: abc.AppendEntries) -> None:
        self._journals.setdefault(write.invocation_id, []).extend(write.entries)

    def _deliver(self, write: abc.DeliverNotification) -> None:
        record = self._records.get(write.invocation_id)
        if record is not None and record.status is not abc.InvocationStatus.COMPLETED:
            self._journals.setdefault(record.id, []).append(write.notification)

    def _put_invocation(self, write: abc.PutInvocation) -> None:
        record = write.record
        self._forget_record(record.id)
        self._records[record.id] = record
        self._found.setdefault(_find_key(record), {})[record.id] = record.sequence
        queue_key = _queue_key(record)
        if queue_key is not None:
            self._pending.setdefault(queue_key, {})[record.id] = record.sequence
        self.last_sequence = max(self.last_sequence, record.sequence)

    def _forget_record(self, invocation_id: str) -> None:
        record = self._records.pop(invocation_id, None)
        if record is None:
            return
        _discard(self._found, _find_key(record), record.id)
        queue_key = _queue_key(record)
        if queue_key is not None:
            _discard(self._pending, queue_key, record.id)

    def _delete_invocation(self, write: abc.DeleteInvocation) -> None:
        self._forget_record(write.invocation_id)
        self._forget_journal(write.invocation_id)
        self._waiters.clear(write.invocation_id)

    def _delete_journal(self, write: abc.DeleteJournal) -> None:
        self._forget_journal(write.invocation_id)

    def _forget_journal(self, invocation_id: str) -> None:
        self._journals.pop(invocation_id, None)
        for place in self._timers.pop(invocation_id, {}).values():
            self._strike(place)

    def _put_state(self, write: abc.PutState) -> None:
        self._state.setdefault((write.service, write.key), {})[write.name] = write.content

    def _delete_state(self, write: abc.DeleteState) -> None:
        if write.name is None:
            self._state.pop((write.service, write.key), None)
        else:
            _discard(self._state, (write.service, write.key), write.name)

    def _put_timer(self, write: abc.PutTimer) -> None:
        timer = write.timer
        self._forget_timer(timer.invocation_id, (timer.kind, timer.completion_id))
        self._arrivals += 1
        places = self._timers.setdefault(timer.invocation_id, {})
        places[timer.kind, timer.completion_id] = timer.due, self._arrivals
        insort(self._agenda, (timer.due, self._arrivals, timer))

    def _delete_timer(self, write: abc.DeleteTimer) -> None:
        self._forget_timer(write.invocation_id, (write.kind, write.completion_id))

    def _forget_timer(self, invocation_id: str, key: _TimerKey) -> None:
        place = self._timers.get(invocation_id, {}).get(key)
        if place is not None:
            _discard(self._timers, invocation_id, key)
            self._strike(place)

    def _strike(self, place: tuple[float, int]) -> None:
        # A tuple of two sorts before every tuple of three that begins with it.
        del self._agenda[bisect_right(self._agenda, place)]

    def _put_waiter(self, write: abc.PutWaiter) -> None:
        self._waiters.put(write.waiter, write.target)

    def _delete_waiters(self, write: abc.DeleteWaiters) -> None:
        self._waiters.clear(write.target)

    def _delete_waiter(self, write: abc.DeleteWaiter) -> None:
        self._waiters.leave(write.waiter)

    def _put_promise(self, write: abc.PutPromise) -> None:
        promises = self._promises.setdefault((write.service, write.key), {})
        promises.setdefault(write.name, write.result)

    def _delete_promises(self, write: abc.DeletePromises) -> None:
        self._promises.pop((write.service, write.key), None)
        for name in self._awaited.pop((write.service, write.key), {}):
            self._waiters.clear(write.service, write.key, name)

    def _put_promise_waiter(self, write: abc.PutPromiseWaiter) -> None:
        self._awaited.setdefault((write.service, write.key), {})[write.name] = None
        self._waiters.put(write.waiter, write.service, write.key, write.name)

    def _delete_promise_waiters(self, write: abc.DeletePromiseWaiters) -> None:
        _discard(self._awaited, (write.service, write.key), write.name)
        self._waiters.clear(write.service, write.key, write.name)

    # -- reads

    def invocation(self, invocation_id: str) -> abc.InvocationRecord | None:
        return self._records.get(invocation_id)

    def journal(self, invocation_id: str) -> Sequence[abc.Entry]:
        return tuple(self._journals.get(invocation_id, ()))

    def find(
        self, service: str, key: str | None, handler: str, idempotency_key: str | None
    ) -> abc.InvocationRecord | None:
        found = self._found.get((service, key, handler, idempotency_key))
        return self._records[max(found, key=found.__getitem__)] if found else None

    def queued(self, service: str, key: str) -> abc.InvocationRecord | None:
        queue = self._pending.get((service, key))
        return self._records[min(queue, key=queue.__getitem__)] if queue else None

    def unfinished(self) -> Sequence[abc.InvocationRecord]:
        return self._select(lambda record: record.status in _UNFINISHED)

    def holders(self) -> Sequence[abc.InvocationRecord]:
        return self._select(lambda record: record.exclusive and record.status in _HOLDING)

    def _select(
        self, is_wanted: Callable[[abc.InvocationRecord], bool]
    ) -> Sequence[abc.InvocationRecord]:
        return tuple(sorted(filter(is_wanted, self._records.values()), key=_sequence))

    def backlog(self) -> Sequence[tuple[str, str]]:
        return tuple(sorted(self._pending))

    def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[abc.InvocationStatus] | None = None,
        limit: int | None = None,
    ) -> Sequence[abc.InvocationRecord]:
        matching = self._select(
            lambda record: (
                (service is None or record.service == service)
                and (key is None or record.key == key)
                and (status is None or record.status in status)
            )
        )
        return matching[::-1][:limit]

    def state(self, service: str, key: str) -> Mapping[str, bytes]:
        return dict(self._state.get((service, key), {}))

    def timers(self, *, due_by: float, limit: int) -> Sequence[abc.Timer]:
        due = bisect_right(self._agenda, (due_by, self._arrivals + 1))
        return tuple(timer for _, _, timer in self._agenda[: min(due, limit)])

    def next_timer(self, *, after: float) -> abc.Timer | None:
        due = bisect_right(self._agenda, (after, self._arrivals + 1))
        return self._agenda[due][2] if due < len(self._agenda) else None

    def waiters(self, target: str) -> Sequence[abc.Waiter]:
        return self._waiters.at(target)

    def promise(self, service: str, key: str, name: str) -> abc.Value | abc.Failure | None:
        return self._promises.get((service, key), {}).get(name)

    def promise_waiters(self, service: str, key: str, name: str) -> Sequence[abc.Waiter]:
        return self._waiters.at(service, key, name)

    def waits_at(self, waiter: abc.Waiter) -> Sequence[tuple[str, ...]]:
        """The invocation id, or the promise's service, key and name, that it waits for."""
        return self._waiters.places(waiter)


def _find_key(record: abc.InvocationRecord) -> _FindKey:
    return record.service, record.key, record.handler, record.idempotency_key


def _queue_key(record: abc.InvocationRecord) -> _Key | None:
    if not record.exclusive or record.key is None:
        return None
    if record.status is not abc.InvocationStatus.PENDING:
        return None
    return record.service, record.key


def _discard(groups: dict[Any, dict[Any, Any]], group: object, member: object) -> None:
    members = groups.get(group, {})
    members.pop(member, None)
    if not members:
        groups.pop(group, None)
