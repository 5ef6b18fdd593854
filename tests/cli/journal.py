"""A journal file in which every kind of entry and every status occurs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from durable_trio import IdempotentTarget, WorkflowTarget, abc
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = 1_800_000_000.0
"""2027-01-15 08:00:00 UTC."""

Entries = tuple[abc.Entry, ...]


def name_of(number: int) -> str:
    """The id of the invocation with this number."""
    return "inv_1" + base64.urlsafe_b64encode(bytes([number]) * 16).decode().rstrip("=")


def record(number: int, status: abc.InvocationStatus, **fields: Any) -> abc.InvocationRecord:
    values: dict[str, Any] = {
        "service": "Reports",
        "handler": "build",
        "created_at": START + number,
        "started_at": START + number + 0.5,
        "sequence": number,
        **fields,
    }
    return abc.InvocationRecord(id=name_of(number), status=status, **values)


def text(value: str) -> abc.Value:
    return abc.Value(value.encode())


FAN_OUT: Entries = (
    abc.Input(b'{"user":"42"}', (("x-tenant", "acme"), ("accept", "*/*"))),
    abc.Run(1, "read config"),
    abc.Completion(1, text('{"limit":3}')),
    abc.Run(2, "download[0]/fetch"),
    abc.Run(3, "download[1]/fetch"),
    abc.Call("Users", "get", b'"ada"', 4, 5, key="ada", name="download[2]"),
    abc.Run(6, "download[0]/part[0]/hash"),
    abc.Run(7, "download[0]/part[1]/hash"),
    abc.Completion(3, abc.Failure(503, "the server is down")),
    abc.Completion(4, abc.InvocationId(name_of(9))),
    abc.Sleep(int((START + 31) * 1000), 8, "deadline"),
    abc.Completion(7, text('"9f86d0"')),
    abc.SendSignal(name_of(9), 1, abc.VOID, "download[2]"),
    abc.Signal(17, text('"approved"')),
)

EVERYTHING: Entries = (
    abc.Input(b""),
    abc.GetState("name", 1),
    abc.Completion(1, abc.VOID),
    abc.GetEagerState("total", text("5")),
    abc.GetStateKeys(2),
    abc.Completion(2, abc.StateKeys(("name", "total"))),
    abc.GetEagerStateKeys(()),
    abc.SetState("name", b'"Ada"'),
    abc.ClearState("total"),
    abc.ClearAllState(),
    abc.OneWayCall("Mail", "post", b"\x00\xff", 3, name="notify"),
    abc.Completion(3, abc.InvocationId(name_of(8))),
    abc.OneWayCall("Mail", "post", b"", 4, int((START + 3600) * 1000)),
    abc.GetPromise("signed", 5),
    abc.PeekPromise("signed", 6),
    abc.Completion(6, abc.VOID),
    abc.CompletePromise("signed", text("true"), 7),
    abc.Completion(7, abc.VOID),
    abc.Completion(5, text("true")),
    abc.Attach(abc.InvocationTarget(name_of(8)), 8),
    abc.Completion(8, abc.Failure(409, "cancelled")),
    abc.GetOutput(IdempotentTarget("Users", "get", "once", "ada"), 9),
    abc.Completion(9, abc.VOID),
    abc.GetOutput(WorkflowTarget("Signup", "ada"), 10),
    abc.Completion(10, text('"done"')),
    abc.SendSignal(name_of(8), "go on", text("1")),
    abc.CompleteAwakeable("sign_1abc", abc.Failure(500, "no")),
    abc.Sleep(int((START + 12) * 1000), 11, "nap"),
    abc.Completion(11, abc.VOID),
    abc.Signal("hello", text('"\x1b[2J\nboo"')),
    abc.Signal(1, abc.VOID),
    abc.Completion(99, text("?")),
    abc.Run(12, "a[0]/b[0]/c[0]/deep"),
    abc.Run(13, "long"),
    abc.Completion(13, text('"' + "x" * 500 + '"')),
    abc.Output(abc.Failure(409, "cancelled")),
)

S = abc.InvocationStatus

Invocations: TypeAlias = "Sequence[tuple[abc.InvocationRecord, Entries]]"

INVOCATIONS: Invocations = (
    (record(1, S.SUSPENDED, idempotency_key="r-42", parent=name_of(7)), FAN_OUT),
    (
        record(
            2,
            S.COMPLETED,
            key="k",
            exclusive=True,
            completed_at=START + 75,
            result=abc.Failure(409, "cancelled", (("why", "asked"),)),
            cancelled=True,
            expires_at=START + 86_475,
        ),
        EVERYTHING,
    ),
    (
        record(3, S.COMPLETED, completed_at=START + 4, result=text('{"pages":12}')),
        (),
    ),
    (record(4, S.SCHEDULED, started_at=None, scheduled_for=START + 3600), (abc.Input(b"1"),)),
    (record(5, S.RUNNING, service="Users", key="ada", exclusive=True), (abc.Input(b"2"),)),
    (
        record(6, S.PENDING, service="Users", key="ada", exclusive=True, started_at=None),
        (abc.Input(b"3"),),
    ),
    (
        record(
            7,
            S.BACKING_OFF,
            retry_count=3,
            next_attempt_at=START + 60,
            last_failure=abc.Failure(500, "ValueError: no\nluck"),
        ),
        (abc.Input(b"4"),),
    ),
    (
        record(8, S.PAUSED, retry_count=1, last_failure=abc.Failure(570, "diverged")),
        (abc.Input(b"5"),),
    ),
)

TIMERS = (
    abc.Timer(START + 31, name_of(1), abc.TimerKind.SLEEP, 8),
    abc.Timer(START + 60, name_of(7), abc.TimerKind.RETRY),
)


def write_journal(path: Path, invocations: Invocations = INVOCATIONS) -> None:
    """Make the file."""

    async def main() -> None:
        async with FileJournal(path, synchronous="off") as store:
            for each, entries in invocations:
                store.write([abc.PutInvocation(each), abc.AppendEntries(each.id, entries)])
            store.write([abc.PutTimer(timer) for timer in TIMERS])
            await store.sync()

    anyio.run(main)
