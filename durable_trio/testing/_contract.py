"""The contract of a ``JournalStore``, as a suite that any implementation can run.

Owns what every store must do, in executable form. It needs no test framework: a violation
is an ``AssertionError`` that names the case, what was expected and what was found.

 1. Every case starts on fresh storage and leaves nothing behind but what ``make_store``
    keeps. Cases do not depend on each other.
 2. Nothing depends on speed. The one timeout only turns a hang into a failure.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.lowlevel

from durable_trio import abc
from durable_trio._exceptions import StoreLockedError, UsageError

from ._contract_tables import ME, TABLE_CASES, YOU, Storage, expect, full_record, put, record, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S", bound=abc.JournalStore)

_HANG: Final = 60.0


async def check_journal(
    make_store: Callable[[], S], reopen: Callable[[S], S] | None = None
) -> None:
    """Check that a store keeps the contract of ``durable_trio.abc.JournalStore``.

    ``make_store`` returns a store, not entered yet, over fresh and empty storage; it is
    called once a case. ``reopen`` is given such a store after it was left, and returns one,
    not entered yet, over the same storage; by default that is the same object. Run it
    under each backend. Raises ``AssertionError`` at the first violation.
    """

    def reopen_any(store: Any) -> abc.JournalStore:
        return store if reopen is None else reopen(store)

    for case in (*_CASES, *TABLE_CASES):
        name = case.__name__.strip("_").replace("_", " ")
        try:
            with anyio.fail_after(_HANG):
                await case(Storage(make_store, reopen_any))
        except TimeoutError as exc:
            raise AssertionError(f"{name}: still waiting after {_HANG:.0f} seconds") from exc
        except AssertionError as exc:
            raise AssertionError(f"{name}: {exc}") from exc


# -- order, durability, callbacks


async def _journals_keep_the_order_of_their_entries(storage: Storage) -> None:
    async with storage.make() as store:
        for number in range(0, 300, 3):
            store.write(
                [
                    abc.AppendEntries("inv_a", runs(number, number + 2)),
                    abc.AppendEntries("inv_b", runs(number, number + 1)),
                    abc.AppendEntries("inv_a", runs(number + 2, number + 3)),
                ],
                urgent=number % 2 == 0,
            )
        expect("journal of inv_a", runs(0, 300), tuple(await store.journal("inv_a")))
        expected = tuple(entry for number in range(0, 300, 3) for entry in runs(number, number + 1))
        expect("journal of inv_b", expected, tuple(await store.journal("inv_b")))
        expect("journal of an unknown invocation", (), tuple(await store.journal("inv_c")))


async def _reads_see_every_write_queued_before_them(storage: Storage) -> None:
    async with storage.make() as store:
        for number in range(1, 30):
            store.write(put(record(number)), urgent=False)
            found = await store.invocation(f"inv_{number}")
            expect("record just written", record(number), found)
            store.write([abc.DeleteInvocation(f"inv_{number}")])
            expect("record just deleted", None, await store.invocation(f"inv_{number}"))


async def _reads_see_no_write_queued_after_them(storage: Storage) -> None:
    async with storage.make() as store:
        for number in range(30):
            seen: list[Sequence[abc.Entry]] = []

            async def read(seen: list[Sequence[abc.Entry]] = seen) -> None:
                seen.append(await store.journal("inv_a"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                # It has been called when somebody else has had a turn.
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                store.write([abc.AppendEntries("inv_a", runs(number, number + 1))])
            expect("journal as of the call", runs(0, number), tuple(seen[0]))


async def _callbacks_run_in_queue_order_on_the_event_loop(storage: Storage) -> None:
    called: list[tuple[int, int]] = []
    here = threading.get_ident()
    async with storage.make() as store:
        for number in range(100):

            def note(number: int = number) -> None:
                called.append((number, threading.get_ident()))

            writes = [abc.AppendEntries("inv_a", runs(number, number + 1))]
            store.write(writes, note, urgent=number % 3 == 0)
            expect("callbacks that ran inside of write()", [], called)
        await store.sync()
        expect("callbacks after sync()", [(number, here) for number in range(100)], called)
        store.write([], lambda: called.append((-1, here)))
        await store.sync()
        expect("the last callback after an empty transaction", (-1, here), called[-1])


async def _a_write_that_is_not_urgent_becomes_durable_by_itself(storage: Storage) -> None:
    async with storage.make() as store:
        for number in range(3):
            durable = anyio.Event()
            writes = [abc.AppendEntries("inv_a", runs(number, number + 1))]
            store.write(writes, durable.set, urgent=False)
            await durable.wait()


async def _a_callback_may_write(storage: Storage) -> None:
    async with storage.make() as store:
        done = anyio.Event()

        def write_more(number: int) -> None:
            if number == 10:
                done.set()
                return
            writes = [abc.AppendEntries("inv_a", runs(number, number + 1))]
            store.write(writes, lambda: write_more(number + 1))

        write_more(0)
        await done.wait()
        expect("journal", runs(0, 10), tuple(await store.journal("inv_a")))


async def _a_transaction_is_seen_whole_or_not_at_all(storage: Storage) -> None:
    seen: list[set[bytes]] = []
    async with storage.make() as store, anyio.create_task_group() as tasks:

        async def write() -> None:
            for number in range(50):
                content = str(number).encode()
                store.write([abc.PutState("s", "k", name, content) for name in "abc"])
                await store.sync()

        async def read() -> None:
            for _ in range(50):
                state = await store.state("s", "k")
                seen.append(set(state.values()))

        tasks.start_soon(write)
        tasks.start_soon(read)
        tasks.start_soon(read)
    torn = [contents for contents in seen if len(contents) > 1]
    expect("reads that saw half of a transaction", [], torn)


async def _leaving_keeps_everything_that_was_queued(storage: Storage) -> None:
    record = full_record(7)
    store = storage.make()
    async with store:
        store.write(
            [
                abc.PutInvocation(record),
                abc.AppendEntries("inv_7", runs(1, 4)),
                abc.PutState("s", "k", "n", b"\x00\xff"),
                abc.PutTimer(abc.Timer(5.25, "inv_7", abc.TimerKind.SLEEP, 2)),
                abc.PutWaiter("inv_7", ME),
                abc.PutPromise("w", "k", "done", abc.Failure(409, "no")),
                abc.PutPromiseWaiter("w", "k", "other", YOU),
            ],
            urgent=False,
        )
    for _ in range(2):
        store = storage.reopen(store)
        async with store:
            expect("record", record, await store.invocation("inv_7"))
            expect("journal", runs(1, 4), tuple(await store.journal("inv_7")))
            expect("state", {"n": b"\x00\xff"}, dict(await store.state("s", "k")))
            timers = await store.timers(due_by=10, limit=10)
            timer = abc.Timer(5.25, "inv_7", abc.TimerKind.SLEEP, 2)
            expect("timers", [timer], list(timers))
            expect("waiters", [ME], list(await store.waiters("inv_7")))
            promise = await store.promise("w", "k", "done")
            expect("promise", abc.Failure(409, "no"), promise)
            waiters = await store.promise_waiters("w", "k", "other")
            expect("promise waiters", [YOU], list(waiters))
            expect("last sequence", 7, await store.last_sequence())


async def _opening_twice_is_refused(storage: Storage) -> None:
    store = storage.make()
    async with store:
        try:
            async with storage.reopen(store):
                pass
        except StoreLockedError:
            pass
        else:
            raise AssertionError("expected StoreLockedError, but the storage was opened twice")
        store.write(put(record(1)))
        found = await store.invocation("inv_1")
        expect("record written after the refusal", record(1), found)


async def _a_closed_store_refuses_to_write(storage: Storage) -> None:
    store = storage.make()
    for moment in ("before it was opened", "after it was closed"):
        try:
            store.write(put(record(1)))
        except UsageError:
            pass
        else:
            raise AssertionError(f"expected UsageError for a write {moment}, but it was taken")
        async with store:
            await store.sync()


_CASES: Final[tuple[Any, ...]] = (
    _journals_keep_the_order_of_their_entries,
    _reads_see_every_write_queued_before_them,
    _reads_see_no_write_queued_after_them,
    _callbacks_run_in_queue_order_on_the_event_loop,
    _a_write_that_is_not_urgent_becomes_durable_by_itself,
    _a_callback_may_write,
    _a_transaction_is_seen_whole_or_not_at_all,
    _leaving_keeps_everything_that_was_queued,
    _opening_twice_is_refused,
    _a_closed_store_refuses_to_write,
)
