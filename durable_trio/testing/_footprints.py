"""What an event touched: the reason why its order with another one may matter.

Owns the resources that reads and writes of the store stand for, and the question whether two
events commute. Two commute if nothing that one of them touched was touched by the other.

 1. An invocation is one resource: whatever arrives there is observed in order (J3). No finer
    one is sound: branches that wait for different results run with the same variables, each
    future's end is numbered, and completion ids are allocated in the order of what they do.
 2. The key of an object or workflow is one: its queue, its state, its promises.
 3. So are the world outside, which the bodies of runs change, and the test itself.
 4. Time commutes with nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from durable_trio import _records as records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._tables import Tables

Resource: TypeAlias = tuple[object, ...]
Footprint: TypeAlias = set[Resource]

EVERYTHING: Final[Resource] = ("everything",)
WORLD: Final[Resource] = ("the world outside",)
CLIENT: Final[Resource] = ("the test",)


def commute(one: Footprint, other: Footprint) -> bool:
    """Whether two events may change places without any difference."""
    if EVERYTHING in one or EVERYTHING in other:
        return False

    return one.isdisjoint(other)


def invocation(invocation_id: str) -> Resource:
    """The resource that an invocation is."""
    return ("invocation", invocation_id)


def _key(service: str, key: str) -> Resource:
    return ("key", service, key)


def _promise(service: str, key: str, _name: str) -> Resource:
    return _key(service, key)


def _identity(*identity: str | None) -> Resource:
    return ("identity", *identity)


_READS: Final[dict[str, Callable[..., Resource]]] = {
    "invocation": invocation,
    "journal": invocation,
    "waiters": invocation,
    "state": _key,
    "queued": _key,
    "promise": _promise,
    "promise_waiters": _promise,
    "find": _identity,
}


def observed(tables: Tables, touch: Callable[[Resource], object]) -> Tables:
    """The same tables; ``touch`` is told of every resource that is read or written."""
    return cast("Tables", _Observed(tables, touch))


class _Observed:
    """Stands before ``Tables``."""

    def __init__(self, tables: Tables, touch: Callable[[Resource], object]) -> None:
        self._tables = tables
        self._touch = touch

    def apply(self, writes: Iterable[records.Write]) -> None:
        for write in (writes := tuple(writes)):
            for resource in _written(write):
                self._touch(resource)
            if isinstance(write, records.DeleteWaiter):
                for place in self._tables.waits_at(write.waiter):
                    self._touch(invocation(*place) if len(place) == 1 else _key(*place[:2]))
        self._tables.apply(writes)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._tables, name)
        resource = _READS.get(name)
        if resource is None:
            return attribute

        def read(*arguments: Any) -> Any:
            self._touch(resource(*arguments))
            return attribute(*arguments)

        return read


def _written(write: records.Write) -> Iterator[Resource]:
    if isinstance(write, records.PutInvocation):
        record = write.record
        yield invocation(record.id)
        if record.exclusive and record.key is not None:
            yield _key(record.service, record.key)
        elif record.key is not None or record.idempotency_key is not None:
            yield _identity(record.service, record.key, record.handler, record.idempotency_key)
        if record.parent is None and record.result is not None:
            yield CLIENT
    elif isinstance(
        write, records.AppendEntries | records.DeliverNotification | records.DeleteInvocation
    ):
        yield invocation(write.invocation_id)
    elif isinstance(write, records.PutWaiter | records.DeleteWaiters):
        yield invocation(write.target)
    elif isinstance(
        write,
        records.PutState
        | records.DeleteState
        | records.PutPromise
        | records.DeletePromises
        | records.PutPromiseWaiter
        | records.DeletePromiseWaiters,
    ):
        yield _key(write.service, write.key)
