"""The two stores are compared on random histories: the file must do what the tables say."""

from __future__ import annotations

import tempfile
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_trio import abc
from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal
from durable_trio_file._plan import Plan, ops_of
from durable_trio_file._schema import connect_for_writing

from .strategies import transactions

if TYPE_CHECKING:
    from collections.abc import Iterable

IDS = ("inv_a", "inv_b", "inv_c")
OBJECTS = tuple((service, key) for service in "st" for key in ("", "k"))


def promise_names(history: Iterable[list[abc.Write]]) -> set[str]:
    return {
        write.name
        for writes in history
        for write in writes
        if isinstance(write, (abc.PutPromise, abc.PutPromiseWaiter))
    }


async def everything(store: abc.JournalStore, names: Iterable[str]) -> dict[str, Any]:
    """Whatever a store can be asked, in a form that can be compared."""
    seen: dict[str, Any] = {
        "unfinished": list(await store.unfinished()),
        "holders": list(await store.holders()),
        "backlog": sorted(await store.backlog()),
        "invocations": list(await store.invocations()),
        "some": list(await store.invocations(service="s", key="k", limit=1)),
        "running": list(await store.invocations(status=frozenset({abc.InvocationStatus.RUNNING}))),
        "last sequence": await store.last_sequence(),
        "timers": list(await store.timers(due_by=9, limit=99)),
        "due timers": list(await store.timers(due_by=2, limit=2)),
        "next timer": await store.next_timer(after=1.5),
    }
    for invocation_id in IDS:
        record = await store.invocation(invocation_id)
        seen[f"record {invocation_id}"] = record
        seen[f"journal {invocation_id}"] = list(await store.journal(invocation_id))
        seen[f"waiters {invocation_id}"] = list(await store.waiters(invocation_id))
        if record is not None:
            target = record.service, record.key, record.handler, record.idempotency_key
            seen[f"find {target}"] = await store.find(*target)
    for service, key in OBJECTS:
        seen[f"state {service}/{key}"] = dict(await store.state(service, key))
        seen[f"queued {service}/{key}"] = await store.queued(service, key)
        for name in names:
            seen[f"promise {service}/{key}/{name}"] = (
                await store.promise(service, key, name),
                list(await store.promise_waiters(service, key, name)),
            )
    return seen


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_the_file_answers_as_the_memory_does(backend: str) -> None:
    """After any history of transactions, committed in any groups, all answers are the same."""

    @settings(deadline=None, max_examples=60)
    @given(st.lists(transactions, max_size=8), st.integers(1, 8))
    def check(history: list[list[abc.Write]], every: int) -> None:
        names = promise_names(history)

        async def main(path: Path) -> None:
            memory = MemoryStore()
            async with memory, FileJournal(path, synchronous="off") as file:
                for number, writes in enumerate(history):
                    for store in (memory, file):
                        store.write(writes, urgent=False)
                        if number % every == 0:
                            await store.sync()
                expected = await everything(memory, names)
                assert expected == await everything(file, names)
            async with FileJournal(path, synchronous="off") as file:
                assert expected == await everything(file, names)

        with tempfile.TemporaryDirectory() as directory:
            anyio.run(main, Path(directory) / "a.journal", backend=backend)

    check()


TABLES = {
    "entry": "number",
    "invocation": "id",
    "state": "service, key, name",
    "timer": "due, number",
    "waiter": "number",
    "promise": "service, key, name",
    "promise_waiter": "number",
    "meta": "name",
}


def test_grouping_changes_nothing() -> None:
    """One plan for all writes leaves the same rows as one plan a write, in the same order."""

    @settings(deadline=None, max_examples=150)
    @given(st.lists(transactions, max_size=4))
    def check(history: list[list[abc.Write]]) -> None:
        writes = [write for transaction in history for write in transaction]

        def rows(groups: list[list[abc.Write]]) -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as directory:
                connection = connect_for_writing(Path(directory) / "a.journal", "off")
                plan = Plan(0)
                connection.execute("BEGIN")
                for group in groups:
                    plan.add(ops_of(group))
                    for statement in plan.take():
                        connection.execute(*statement)
                found: dict[str, Any] = {}
                for table, order in TABLES.items():
                    columns = [
                        name
                        for (name,) in connection.execute(
                            "SELECT name FROM pragma_table_info(?)", (table,)
                        )
                        if name != "number"
                    ]
                    where = "WHERE name <> 'created_at'" if table == "meta" else ""
                    found[table] = connection.execute(
                        f"SELECT {', '.join(columns)} FROM {table} {where} ORDER BY {order}"
                    ).fetchall()
                connection.execute("ROLLBACK")
                connection.close()
            # Only the order within each journal is promised.
            found["entry"].sort(key=itemgetter(0))
            return found

        assert rows([[write] for write in writes]) == rows([writes])

    check()
