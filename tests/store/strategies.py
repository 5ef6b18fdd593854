"""Hypothesis strategies for entries, records and writes, derived from the fields' annotations."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

from durable_trio import IdempotentTarget, WorkflowTarget, abc
from durable_trio._journal._spelling import COMMAND_TAGS, NOTIFICATION_TAGS

texts = st.text(max_size=8)
names = st.one_of(st.sampled_from(["", "a", "b"]), texts)
payloads = st.binary(max_size=12) | st.sampled_from([b"{}", b'"text"', b"\xff"])
numbers = st.integers(0, 2**63 - 1)
headers = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
failures = st.builds(abc.Failure, st.integers(100, 599), texts, headers)
values = st.builds(abc.Value, payloads)
voids = st.just(abc.VOID)
outcomes = values | failures
keys = st.lists(texts, max_size=3).map(tuple)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "int": numbers,
    "str": texts,
    "str | None": st.none() | texts,
    "int | str": numbers | texts,
    "bytes": payloads,
    "tuple[str, ...]": keys,
    "Headers": headers,
    "Value | Failure": outcomes,
    "Void | Value": voids | values,
    "Void | Value | Failure": voids | outcomes,
    "Result": voids
    | outcomes
    | st.builds(abc.InvocationId, texts)
    | st.builds(abc.StateKeys, keys),
    "Target": st.builds(abc.InvocationTarget, texts)
    | st.builds(WorkflowTarget, texts, texts, st.none() | texts)
    | st.builds(IdempotentTarget, texts, texts, texts, st.none() | texts, st.none() | texts),
}


def instances(cls: type) -> st.SearchStrategy[Any]:
    """Instances of an attrs class, with and without its optional fields."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in attrs.fields(cls):
        kind = required if field.default is attrs.NOTHING else optional
        kind[field.name] = _FIELDS[str(field.type)]
    return st.fixed_dictionaries(required, optional=optional).map(lambda kwargs: cls(**kwargs))


entry_types = [*COMMAND_TAGS, *NOTIFICATION_TAGS]
entries = st.one_of([instances(cls) for cls in entry_types])
notifications = st.one_of([instances(cls) for cls in NOTIFICATION_TAGS])

# Few different ids and keys, so that random writes often meet.
ids = st.sampled_from(["inv_a", "inv_b", "inv_c"])
services = st.sampled_from(["s", "t"])
object_keys = st.sampled_from(["", "k"])
times = st.floats(0, 4, allow_nan=False).map(lambda time: round(time, 1))
kinds = st.sampled_from(abc.TimerKind)
completion_ids = st.integers(0, 2)
waiters = st.builds(abc.Waiter, ids, completion_ids)


@st.composite
def records(draw: st.DrawFn) -> abc.InvocationRecord:
    """Records whose sequence is unique to their id, as in a real store."""
    number = draw(st.integers(0, 2))
    optional_time = st.none() | times
    return abc.InvocationRecord(
        id=f"inv_{'abc'[number]}",
        service=draw(services),
        handler=draw(st.sampled_from(["h", "i"])),
        status=draw(st.sampled_from(abc.InvocationStatus)),
        created_at=draw(times),
        sequence=draw(st.integers(0, 3)) * 3 + number + 1,
        key=draw(st.none() | object_keys),
        exclusive=draw(st.booleans()),
        idempotency_key=draw(st.none() | names),
        headers=draw(headers),
        parent=draw(st.none() | texts),
        scheduled_for=draw(optional_time),
        started_at=draw(optional_time),
        completed_at=draw(optional_time),
        retry_count=draw(st.integers(0, 9)),
        first_failed_at=draw(optional_time),
        next_attempt_at=draw(optional_time),
        last_failure=draw(st.none() | failures),
        result=draw(st.none() | outcomes),
        cancelled=draw(st.booleans()),
        journal_expires_at=draw(optional_time),
        expires_at=draw(optional_time),
    )


writes: st.SearchStrategy[abc.Write] = st.one_of(
    st.builds(abc.AppendEntries, ids, st.lists(entries, max_size=3).map(tuple)),
    st.builds(abc.DeliverNotification, ids, notifications),
    st.builds(abc.PutInvocation, records()),
    st.builds(abc.DeleteInvocation, ids),
    st.builds(abc.DeleteJournal, ids),
    st.builds(abc.PutState, services, object_keys, names, payloads),
    st.builds(abc.DeleteState, services, object_keys, st.none() | names),
    st.builds(abc.PutTimer, st.builds(abc.Timer, times, ids, kinds, completion_ids)),
    st.builds(abc.DeleteTimer, ids, kinds, completion_ids),
    st.builds(abc.PutWaiter, ids, waiters),
    st.builds(abc.DeleteWaiters, ids),
    st.builds(abc.DeleteWaiter, waiters),
    st.builds(abc.PutPromise, services, object_keys, names, outcomes),
    st.builds(abc.DeletePromises, services, object_keys),
    st.builds(abc.PutPromiseWaiter, services, object_keys, names, waiters),
    st.builds(abc.DeletePromiseWaiters, services, object_keys, names),
)
transactions = st.lists(writes, max_size=6)
