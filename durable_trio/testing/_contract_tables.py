"""The contract of a ``JournalStore``, second part: what every table keeps and answers.

Owns the cases about journals, records, state, timers, waiters and promises, and the
builders that all cases share. ``_contract`` runs them.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from durable_trio import abc
from durable_trio._journal._entries import IdempotentTarget

if TYPE_CHECKING:
    from collections.abc import Callable

Status: TypeAlias = abc.InvocationStatus

_SEQUENCES: Final = (list, tuple)
_LONGEST: Final = 400

ME: Final = abc.Waiter("inv_me", 3)
YOU: Final = abc.Waiter("inv_you", 4)


@attrs.frozen
class Storage:
    """Fresh storage for one case: ``open`` opens it for the first time or again."""

    make: Callable[[], abc.JournalStore]
    reopen: Callable[[abc.JournalStore], abc.JournalStore]


def expect(what: str, expected: Any, found: Any) -> None:
    """Raises an ``AssertionError`` that is readable for long sequences and payloads as well."""
    if expected == found:
        return
    if type(expected) in _SEQUENCES and type(found) in _SEQUENCES:
        pairs = zip_longest(expected, found, fillvalue="nothing")
        place, (expected, found) = next(
            (place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1]
        )
        what = f"{what}, item {place}"
    raise AssertionError(f"{what}: expected {_short(expected)}, found {_short(found)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def record(number: int, **changes: Any) -> abc.InvocationRecord:
    fields: dict[str, Any] = {
        "id": f"inv_{number}",
        "service": "service",
        "handler": "handler",
        "status": Status.RUNNING,
        "created_at": 1000.25 + number,
        "sequence": number,
    }
    return abc.InvocationRecord(**{**fields, **changes})


def full_record(number: int) -> abc.InvocationRecord:
    return abc.InvocationRecord(
        id=f"inv_{number}",
        service="söök",
        handler="händler",
        status=Status.COMPLETED,
        created_at=1.5,
        sequence=number,
        key="",
        exclusive=True,
        idempotency_key="",
        headers=(("b", "2"), ("a", "1"), ("b", "\x00")),
        parent="inv_parent",
        scheduled_for=2.5,
        started_at=3.5,
        completed_at=1_700_000_000.123456,
        retry_count=7,
        first_failed_at=4.5,
        next_attempt_at=5.5,
        last_failure=abc.Failure(500, "böse", (("k", "v"),)),
        result=abc.Value(b"\xff\x00"),
        cancelled=True,
        journal_expires_at=6.5,
        expires_at=7.5,
    )


def put(*records: abc.InvocationRecord) -> list[abc.Write]:
    return [abc.PutInvocation(record) for record in records]


def ids(records: Any) -> list[str]:
    return [record.id for record in records]


def runs(first: int, last: int) -> tuple[abc.Entry, ...]:
    return tuple(abc.Run(number, f"run {number}") for number in range(first, last))


# -- journals and invocations


async def _notifications_reach_only_known_and_unfinished_invocations(storage: Storage) -> None:
    done = abc.Completion(1, abc.Value(b"1"))
    cancel = abc.Signal(abc.CANCEL_SIGNAL, abc.VOID)
    named = abc.Signal("go", abc.Failure(500, "no"))
    async with storage.make() as store:
        finished = record(1, status=Status.COMPLETED, result=abc.Value(b"0"))
        waiting = [status for status in Status if status is not Status.COMPLETED]
        store.write(
            [
                abc.DeliverNotification("inv_2", cancel),
                *put(record(2), finished),
                abc.DeliverNotification("inv_1", cancel),
                abc.DeliverNotification("inv_2", named),
                abc.AppendEntries("inv_2", runs(1, 2)),
                abc.DeliverNotification("inv_2", done),
                abc.DeliverNotification("inv_2", done),
                abc.DeliverNotification("inv_unknown", done),
            ]
        )
        expect("journal of a completed one", [], list(await store.journal("inv_1")))
        expect("journal of an unknown one", [], list(await store.journal("inv_unknown")))
        found = list(await store.journal("inv_2"))
        expect("journal of a running one", [named, *runs(1, 2), done, done], found)
        store.write([*put(attrs.evolve(record(2), status=Status.COMPLETED))])
        store.write([abc.DeliverNotification("inv_2", done)])
        expect("entries after completion", found, list(await store.journal("inv_2")))
        for number, status in enumerate(waiting, start=10):
            store.write(put(record(number, status=status)))
            store.write([abc.DeliverNotification(f"inv_{number}", done)])
            journal = list(await store.journal(f"inv_{number}"))
            expect(f"journal of a {status.value} one", [done], journal)
        store.write(
            [
                abc.DeliverNotification("inv_10", cancel),
                abc.PutInvocation(record(10, status=Status.COMPLETED)),
                abc.DeliverNotification("inv_10", named),
                abc.PutInvocation(record(10)),
                abc.DeliverNotification("inv_10", named),
                abc.DeleteInvocation("inv_10"),
                abc.DeliverNotification("inv_10", done),
                abc.PutInvocation(record(10)),
                abc.DeliverNotification("inv_10", done),
            ]
        )
        journal = list(await store.journal("inv_10"))
        expect("journal of one that was deleted and made again", [done], journal)


async def _every_entry_and_payload_comes_back_unchanged(storage: Storage) -> None:
    payloads = [b"", b"{}", bytes(range(256)), "ünïcödé \U0001f600\x00".encode(), b"x" * (1 << 20)]
    entries: list[abc.Entry] = []
    for number, payload in enumerate(payloads, start=1):
        headers = ((f"header {number}", "wört"), ("", ""))
        entries += [
            abc.Input(payload, headers, "name"),
            abc.Call("s", "h", payload, number, number + 1, "key", headers, "", "scope", "limit"),
            abc.SetState("\x00\u2028\n", payload),
            abc.Completion(number, abc.Value(payload)),
        ]
    entries += [
        abc.Run(1, 'a[3]/"b"\\\n'),
        abc.Attach(IdempotentTarget("s", "h", "i", None), 1),
        abc.SendSignal("inv_1", "go", abc.Failure(400, "bad", (("k", "v"),))),
        abc.Completion(5, abc.StateKeys(("a", "b"))),
        abc.Completion(6, abc.InvocationId("inv_2")),
        abc.Signal(17, abc.VOID),
        abc.Signal("17", abc.VOID),
    ]
    store = storage.make()
    async with store:
        store.write([abc.AppendEntries("inv_a", tuple(entries))])
    store = storage.reopen(store)
    async with store:
        expect("journal", entries, list(await store.journal("inv_a")))


async def _records_are_replaced_whole(storage: Storage) -> None:
    async with storage.make() as store:
        store.write(put(full_record(3)))
        expect("full record", full_record(3), await store.invocation("inv_3"))
        store.write([*put(record(3), full_record(3)), *put(record(3))])
        expect("replaced record", record(3), await store.invocation("inv_3"))
        expect("unknown record", None, await store.invocation("inv_4"))


async def _find_returns_the_newest_match(storage: Storage) -> None:
    async with storage.make() as store:
        store.write(
            put(
                record(5, idempotency_key="i"),
                record(9, idempotency_key="i"),
                record(2, idempotency_key="i"),
                record(10, idempotency_key="j"),
                record(11),
                record(12, key="k", idempotency_key="i"),
                record(13, key="", idempotency_key="i"),
                record(14, handler="other", idempotency_key="i"),
                record(15, service="other", idempotency_key="i"),
                record(16, idempotency_key=""),
            )
        )
        wanted = {
            ("service", None, "handler", "i"): "inv_9",
            ("service", None, "handler", None): "inv_11",
            ("service", None, "handler", ""): "inv_16",
            ("service", "k", "handler", "i"): "inv_12",
            ("service", "", "handler", "i"): "inv_13",
            ("service", "k", "handler", None): None,
            ("service", None, "nobody", "i"): None,
        }
        for question, answer in wanted.items():
            found = await store.find(*question)
            expect(f"find{question}", answer, found and found.id)
        store.write([abc.DeleteInvocation("inv_9")])
        found = await store.find("service", None, "handler", "i")
        expect("find after the newest was deleted", "inv_5", found and found.id)


async def _queues_and_holders_follow_the_status(storage: Storage) -> None:
    keyed = {"key": "k", "exclusive": True}
    pending = {**keyed, "status": Status.PENDING}
    async with storage.make() as store:
        store.write(
            put(
                record(4, **pending),
                record(3, **pending),
                record(8, **{**pending, "key": "other"}),
                record(1, **keyed),
                record(2, key="k", status=Status.PENDING),
                record(5, **{**keyed, "status": Status.COMPLETED}),
                record(9, **{**keyed, "key": "j", "status": Status.PAUSED}),
                record(7, **{**keyed, "key": "i", "status": Status.SUSPENDED}),
                record(6, **{**keyed, "key": "h", "status": Status.BACKING_OFF}),
                record(10, **{**keyed, "key": "g", "status": Status.SCHEDULED}),
                record(11, status=Status.BACKING_OFF),
            )
        )
        queued = await store.queued("service", "k")
        expect("first in the queue", "inv_3", queued and queued.id)
        expect("an empty queue", None, await store.queued("service", "nobody"))
        expect("unfinished", ["inv_1", "inv_6", "inv_9", "inv_11"], ids(await store.unfinished()))
        holders = ids(await store.holders())
        expect("holders", ["inv_1", "inv_6", "inv_7", "inv_9"], holders)
        backlog = sorted(await store.backlog())
        expect("backlog", [("service", "k"), ("service", "other")], backlog)
        store.write(put(record(3, **keyed), record(1, **{**keyed, "status": Status.COMPLETED})))
        queued = await store.queued("service", "k")
        expect("next in the queue", "inv_4", queued and queued.id)
        holders = ids(await store.holders())
        expect("holders later", ["inv_3", "inv_6", "inv_7", "inv_9"], holders)
        store.write([abc.DeleteInvocation("inv_4"), abc.DeleteInvocation("inv_8")])
        expect("queue at the end", None, await store.queued("service", "k"))
        expect("backlog at the end", [], list(await store.backlog()))


async def _listings_are_filtered_and_newest_first(storage: Storage) -> None:
    async with storage.make() as store:
        expect("last sequence of an empty store", 0, await store.last_sequence())
        store.write(
            put(
                record(2, key="k"),
                record(4, status=Status.COMPLETED),
                record(1, key="k", service="other"),
                record(3, key="j", status=Status.PAUSED),
            )
        )
        listings: list[tuple[dict[str, Any], list[str]]] = [
            ({}, ["inv_4", "inv_3", "inv_2", "inv_1"]),
            ({"limit": 2}, ["inv_4", "inv_3"]),
            ({"limit": 0}, []),
            ({"service": "service"}, ["inv_4", "inv_3", "inv_2"]),
            ({"key": "k"}, ["inv_2", "inv_1"]),
            ({"service": "other", "key": "k"}, ["inv_1"]),
            ({"status": frozenset({Status.COMPLETED, Status.PAUSED})}, ["inv_4", "inv_3"]),
            ({"status": frozenset[Status]()}, []),
            ({"service": "service", "status": frozenset({Status.RUNNING})}, ["inv_2"]),
        ]
        for question, answer in listings:
            found = ids(await store.invocations(**question))
            expect(f"invocations({question})", answer, found)
        store.write([abc.DeleteInvocation("inv_4")])
        expect("last sequence ever", 4, await store.last_sequence())


async def _deleting_an_invocation_forgets_what_belongs_to_it(storage: Storage) -> None:
    timers = [abc.Timer(1.0, f"inv_{number}", abc.TimerKind.SLEEP, 1) for number in (1, 2)]
    fill: list[abc.Write] = [
        *put(record(1), record(2)),
        *(abc.AppendEntries(f"inv_{number}", runs(1, 3)) for number in (1, 2)),
        *map(abc.PutTimer, timers),
        abc.PutWaiter("inv_1", ME),
        abc.PutWaiter("inv_2", ME),
    ]
    async with storage.make() as store:
        store.write(fill)
        store.write([abc.DeleteJournal("inv_1"), abc.DeleteJournal("inv_unknown")])
        expect("journal", [], list(await store.journal("inv_1")))
        expect("timers", timers[1:], list(await store.timers(due_by=9, limit=9)))
        expect("record kept", record(1), await store.invocation("inv_1"))
        expect("waiters kept", [ME], list(await store.waiters("inv_1")))
        store.write(fill)
        store.write([abc.DeleteInvocation("inv_1"), abc.DeleteInvocation("inv_unknown")])
        expect("journal", [], list(await store.journal("inv_1")))
        expect("timers", timers[1:], list(await store.timers(due_by=9, limit=9)))
        expect("record", None, await store.invocation("inv_1"))
        expect("waiters", [], list(await store.waiters("inv_1")))
        expect("the other's record", record(2), await store.invocation("inv_2"))
        expect("the other's waiters", [ME], list(await store.waiters("inv_2")))
        other = list(await store.journal("inv_2"))
        expect("the other's journal", [*runs(1, 3), *runs(1, 3)], other)
        store.write([abc.AppendEntries("inv_1", runs(7, 8))])
        expect("new journal", list(runs(7, 8)), list(await store.journal("inv_1")))


# -- state, timers, waiters, promises


async def _state_is_kept_per_object(storage: Storage) -> None:
    async with storage.make() as store:
        store.write(
            [
                abc.PutState("s", "k", "a", b"1"),
                abc.PutState("s", "k", "a", b"2"),
                abc.PutState("s", "k", "", b""),
                abc.PutState("s", "", "a", b"3"),
                abc.PutState("t", "k", "ä\x00", b"\xff"),
                abc.DeleteState("s", "k", "missing"),
            ]
        )
        expect("state", {"a": b"2", "": b""}, dict(await store.state("s", "k")))
        expect("state of the empty key", {"a": b"3"}, dict(await store.state("s", "")))
        expect("state of a stranger", {}, dict(await store.state("s", "x")))
        store.write([abc.DeleteState("s", "k", "a"), abc.DeleteState("t", "k")])
        store.write([abc.PutState("t", "k", "new", b"4")])
        expect("after a deletion", {"": b""}, dict(await store.state("s", "k")))
        expect("after clearing", {"new": b"4"}, dict(await store.state("t", "k")))


async def _timers_come_in_order_of_due_time(storage: Storage) -> None:
    sleep, retry = abc.TimerKind.SLEEP, abc.TimerKind.RETRY
    early = abc.Timer(10.0, "inv_z", sleep, 1)
    same = abc.Timer(10.0, "inv_a", sleep, 2)
    later = abc.Timer(10.5, "inv_a", retry)
    late = abc.Timer(2_000_000_000.75, "inv_a", abc.TimerKind.EXPIRE)
    async with storage.make() as store:
        store.write(list(map(abc.PutTimer, (late, later, early, same))))
        expect("due", [early, same], list(await store.timers(due_by=10.0, limit=9)))
        expect("limited", [early, same], list(await store.timers(due_by=1e12, limit=2)))
        everything = list(await store.timers(due_by=1e12, limit=9))
        expect("all", [early, same, later, late], everything)
        expect("none due", [], list(await store.timers(due_by=9.99, limit=9)))
        expect("next", early, await store.next_timer(after=0))
        expect("next but one", later, await store.next_timer(after=10.0))
        expect("no next", None, await store.next_timer(after=2_000_000_000.75))
        moved = attrs.evolve(early, due=11.0)
        store.write(
            [
                abc.PutTimer(moved),
                abc.DeleteTimer("inv_a", sleep, 2),
                abc.DeleteTimer("inv_a", sleep, 9),
                abc.DeleteTimer("inv_z", retry, 1),
            ]
        )
        everything = list(await store.timers(due_by=1e12, limit=9))
        expect("after a move and a deletion", [later, moved, late], everything)


async def _waiters_are_kept_in_order_of_arrival(storage: Storage) -> None:
    async with storage.make() as store:
        again = abc.Waiter(YOU.invocation_id, 5)
        arrivals = (YOU, ME, again, YOU)
        store.write([abc.PutWaiter("inv_a", waiter) for waiter in arrivals])
        store.write([abc.PutWaiter("inv_b", ME)])
        expect("waiters, each once", [YOU, ME, again], list(await store.waiters("inv_a")))
        store.write([abc.DeleteWaiters("inv_a"), abc.DeleteWaiters("inv_c")])
        expect("answered waiters", [], list(await store.waiters("inv_a")))
        expect("waiters of another", [ME], list(await store.waiters("inv_b")))


async def _one_waiter_leaves_wherever_it_waits(storage: Storage) -> None:
    again = abc.Waiter(ME.invocation_id, ME.completion_id + 1)
    async with storage.make() as store:
        for waiter in (YOU, ME, again):
            store.write(
                [abc.PutWaiter("inv_a", waiter), abc.PutPromiseWaiter("w", "k", "p", waiter)]
            )
        store.write([abc.PutPromiseWaiter("w", "k", "another", ME), abc.PutWaiter("inv_b", ME)])
        store.write([abc.DeleteWaiter(ME), abc.DeleteWaiter(abc.Waiter("inv_unknown", 1))])
        expect("waiters that stay", [YOU, again], list(await store.waiters("inv_a")))
        expect("nobody stays", [], list(await store.waiters("inv_b")))
        waiters = list(await store.promise_waiters("w", "k", "p"))
        expect("promise waiters that stay", [YOU, again], waiters)
        waiters = list(await store.promise_waiters("w", "k", "another"))
        expect("nobody stays at the promise", [], waiters)
        store.write(
            [
                abc.PutWaiter("inv_b", YOU),
                abc.DeleteWaiter(YOU),
                abc.PutWaiter("inv_b", ME),
                abc.PutPromiseWaiter("w", "k", "p", ME),
            ]
        )
        expect("who came back", [ME], list(await store.waiters("inv_b")))
        waiters = list(await store.promise_waiters("w", "k", "p"))
        expect("who came back to the promise", [again, ME], waiters)


async def _promises_belong_to_their_workflow_key(storage: Storage) -> None:
    async with storage.make() as store:
        results: dict[str, abc.Value | abc.Failure] = {
            "value": abc.Value(b"\xff"),
            "failure": abc.Failure(410, "göne", (("k", "v"),)),
        }
        store.write([abc.PutPromise("w", "k", name, result) for name, result in results.items()])
        store.write([abc.PutPromise("w", "other", "value", abc.Value(b""))])
        for name, result in results.items():
            expect(f"promise {name}", result, await store.promise("w", "k", name))
        expect("pending promise", None, await store.promise("w", "k", "pending"))
        for name in ("pending", "value"):
            for waiter in (YOU, ME, YOU):
                store.write([abc.PutPromiseWaiter("w", "k", name, waiter)])
        store.write([abc.PutPromiseWaiter("w", "other", "pending", ME)])
        waiters = list(await store.promise_waiters("w", "k", "pending"))
        expect("promise waiters, each once", [YOU, ME], waiters)
        store.write([abc.DeletePromiseWaiters("w", "k", "pending")])
        waiters = list(await store.promise_waiters("w", "k", "pending"))
        expect("answered promise waiters", [], waiters)
        waiters = list(await store.promise_waiters("w", "k", "value"))
        expect("waiters of another promise", [YOU, ME], waiters)
        store.write([abc.DeletePromises("w", "k"), abc.DeletePromises("w", "unknown")])
        expect("forgotten promise", None, await store.promise("w", "k", "value"))
        waiters = list(await store.promise_waiters("w", "k", "value"))
        expect("forgotten promise waiters", [], waiters)
        kept = await store.promise("w", "other", "value")
        expect("promise of another key", abc.Value(b""), kept)
        waiters = list(await store.promise_waiters("w", "other", "pending"))
        expect("promise waiters of another key", [ME], waiters)


async def _many_rows_are_no_matter(storage: Storage) -> None:
    count = 2_000
    store = storage.make()
    async with store:
        for number in range(count):
            store.write(
                [
                    *put(record(number, key="k", exclusive=True, status=Status.PENDING)),
                    abc.AppendEntries(f"inv_{number}", runs(1, 3)),
                    abc.PutTimer(abc.Timer(float(number), f"inv_{number}", abc.TimerKind.SLEEP, 1)),
                    abc.PutState("s", "k", str(number), b"x"),
                    abc.PutWaiter("inv_0", abc.Waiter(f"inv_{number}", 1)),
                ],
                urgent=False,
            )
    store = storage.reopen(store)
    async with store:
        numbers = [f"inv_{number}" for number in range(count)]
        expect("records", numbers[::-1], ids(await store.invocations()))
        expect("state entries", count, len(await store.state("s", "k")))
        waiters = [waiter.invocation_id for waiter in await store.waiters("inv_0")]
        expect("waiters", numbers, waiters)
        timers = await store.timers(due_by=1e12, limit=count)
        expect("timers", numbers, [timer.invocation_id for timer in timers])
        for number in range(0, count, 97):
            journal = tuple(await store.journal(f"inv_{number}"))
            expect(f"journal of inv_{number}", runs(1, 3), journal)
        store.write([abc.DeleteInvocation(each) for each in numbers])
        expect("records after deletion", [], list(await store.invocations()))
        expect("timers after deletion", None, await store.next_timer(after=-1))


TABLE_CASES: Final[tuple[Any, ...]] = (
    _notifications_reach_only_known_and_unfinished_invocations,
    _every_entry_and_payload_comes_back_unchanged,
    _records_are_replaced_whole,
    _find_returns_the_newest_match,
    _queues_and_holders_follow_the_status,
    _listings_are_filtered_and_newest_first,
    _deleting_an_invocation_forgets_what_belongs_to_it,
    _state_is_kept_per_object,
    _timers_come_in_order_of_due_time,
    _waiters_are_kept_in_order_of_arrival,
    _one_waiter_leaves_wherever_it_waits,
    _promises_belong_to_their_workflow_key,
    _many_rows_are_no_matter,
)
