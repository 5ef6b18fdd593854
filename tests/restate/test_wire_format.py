"""Every message, field by field, as the protocol has it: types, numbers, wire types.

The expectations are written out and read by a decoder of their own: nothing here asks the tables
of the adapter what they are about to be held against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest

from durable_trio import IdempotentTarget, WorkflowTarget
from durable_trio.abc import (
    VOID,
    Attach,
    AwaitKind,
    AwaitTree,
    Call,
    ClearAllState,
    ClearState,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetOutput,
    GetPromise,
    GetState,
    GetStateKeys,
    Input,
    InvocationId,
    InvocationTarget,
    OneWayCall,
    Output,
    PeekPromise,
    Run,
    SendSignal,
    SetState,
    Signal,
    Sleep,
    StateKeys,
    Value,
)
from durable_trio_restate._entries import (
    COMMANDS,
    NOTIFICATIONS,
    decode_command,
    decode_notification,
    encode_command,
)
from durable_trio_restate._messages import (
    CONTROL_CODECS,
    AwaitingOnMessage,
    Behavior,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    encode_control,
    encode_suspension,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Fields: TypeAlias = "list[tuple[int, Any]]"
"""Numbers and values: an int is a varint, everything else has a length, a list is a message."""

FAILED = Failure(418, "no", (("a", "b"),))
FAILURE: Fields = [(1, 418), (2, "no"), (3, [(1, "a"), (2, "b")])]
VALUE: Fields = [(1, b"v")]
HEADERS = (("a", "b"), ("c", "d"))
FIRST_HEADER: Fields = [(1, "a"), (2, "b")]
SECOND_HEADER: Fields = [(1, "c"), (2, "d")]


def varint(number: int) -> bytes:
    """Seven bits a byte, the last one without the high bit."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def message(fields: Fields) -> bytes:
    """A message's bytes."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: Any) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)

    if isinstance(value, list):
        content = message(cast("Fields", value))
    else:
        content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def split(data: bytes) -> tuple[int, int, bytes]:
    """A frame's type, flags and payload."""
    assert int.from_bytes(data[4:8], "big") == len(data) - 8
    return int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big"), data[8:]


def parts(payload: bytes) -> list[bytes]:
    """The fields of a message, each with its tag; their order does not matter in protobuf."""
    return sorted(_parts(payload))


def _parts(payload: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(payload):
        start = position
        tag, position = _number(payload, position)
        number, position = _number(payload, position)
        if tag & 7 == 2:
            position += number
        else:
            assert tag & 7 == 0
        yield payload[start:position]


def _number(payload: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = payload[position]
        position, number, shift = position + 1, number | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return number, position


COMMAND_ROWS: list[tuple[Any, int, Fields]] = [
    (Input(b"v", HEADERS, "n"), 0x0400, [(1, FIRST_HEADER), (1, SECOND_HEADER), (14, VALUE), (12, "n")]),
    (Output(Value(b"v"), "n"), 0x0401, [(14, VALUE), (12, "n")]),
    (Output(Value(b"")), 0x0401, [(14, [])]),
    (Output(FAILED, "n"), 0x0401, [(15, FAILURE), (12, "n")]),
    (GetState("k", 300, "n"), 0x0402, [(1, "k"), (11, 300), (12, "n")]),
    (SetState("k", b"v", "n"), 0x0403, [(1, "k"), (3, VALUE), (12, "n")]),
    (ClearState("k", "n"), 0x0404, [(1, "k"), (12, "n")]),
    (ClearAllState("n"), 0x0405, [(12, "n")]),
    (GetStateKeys(300, "n"), 0x0406, [(11, 300), (12, "n")]),
    (GetEagerState("k", VOID, "n"), 0x0407, [(1, "k"), (13, []), (12, "n")]),
    (GetEagerState("k", Value(b"v"), "n"), 0x0407, [(1, "k"), (14, VALUE), (12, "n")]),
    (GetEagerStateKeys(("a", "b"), "n"), 0x0408, [(14, [(1, "a"), (1, "b")]), (12, "n")]),
    (GetPromise("k", 300, "n"), 0x0409, [(1, "k"), (11, 300), (12, "n")]),
    (PeekPromise("k", 300, "n"), 0x040A, [(1, "k"), (11, 300), (12, "n")]),
    (CompletePromise("k", Value(b"v"), 300, "n"), 0x040B, [(1, "k"), (2, VALUE), (11, 300), (12, "n")]),
    (CompletePromise("k", FAILED, 300, "n"), 0x040B, [(1, "k"), (3, FAILURE), (11, 300), (12, "n")]),
    (Sleep(1_700_000_000_000, 300, "n"), 0x040C, [(1, 1_700_000_000_000), (11, 300), (12, "n")]),
    (
        Call("S", "h", b"p", 299, 300, "k", HEADERS, "i", "s", "l", "n"),
        0x040D,
        [(1, "S"), (2, "h"), (3, b"p"), (4, FIRST_HEADER), (4, SECOND_HEADER), (5, "k"), (6, "i"), (7, "s"),
         (8, "l"), (10, 299), (11, 300), (12, "n")],
    ),
    (
        OneWayCall("S", "h", b"p", 300, 5, "k", HEADERS, "i", "s", "l", "n"),
        0x040E,
        [(1, "S"), (2, "h"), (3, b"p"), (4, 5), (5, FIRST_HEADER), (5, SECOND_HEADER), (6, "k"), (7, "i"),
         (8, "s"), (9, "l"), (10, 300), (12, "n")],
    ),
    (SendSignal("i", 1, VOID, "n"), 0x0410, [(1, "i"), (2, 1), (4, []), (12, "n")]),
    (SendSignal("i", "s", Value(b"v"), "n"), 0x0410, [(1, "i"), (3, "s"), (5, VALUE), (12, "n")]),
    (SendSignal("i", "", FAILED, "n"), 0x0410, [(1, "i"), (3, ""), (6, FAILURE), (12, "n")]),
    (Run(300, "n"), 0x0411, [(11, 300), (12, "n")]),
    (Attach(InvocationTarget("i"), 300, "n"), 0x0412, [(1, "i"), (11, 300), (12, "n")]),
    (
        Attach(IdempotentTarget("S", "h", "i", "k", "s"), 300, "n"),
        0x0412,
        [(3, [(1, "S"), (2, "k"), (3, "h"), (4, "i"), (5, "s")]), (11, 300), (12, "n")],
    ),
    (
        Attach(WorkflowTarget("W", "k", "s"), 300, "n"),
        0x0412,
        [(4, [(1, "W"), (2, "k"), (3, "s")]), (11, 300), (12, "n")],
    ),
    (GetOutput(InvocationTarget("i"), 300, "n"), 0x0413, [(1, "i"), (11, 300), (12, "n")]),
    (CompleteAwakeable("i", Value(b"v"), "n"), 0x0414, [(1, "i"), (2, VALUE), (12, "n")]),
    (CompleteAwakeable("i", FAILED, "n"), 0x0414, [(1, "i"), (3, FAILURE), (12, "n")]),
]  # fmt: skip

NESTED = AwaitTree(AwaitKind.ALL_SUCCEEDED_OR_FIRST_FAILED, (300,))
TREE = AwaitTree(AwaitKind.FIRST_COMPLETED, (1, 2), (1, "s"), (NESTED,))
TREE_FIELDS: Fields = [
    (1, b"\1\2"),
    (2, b"\1"),
    (3, "s"),
    (4, [(1, b"\xac\2"), (5, 4)]),
    (5, 1),
]
FLAT_FIELDS: Fields = [(1, b"\1\2\xac\2"), (2, b"\1"), (3, "s")]

SENT_ROWS: list[tuple[bytes, int, int, Fields]] = [
    (encode_suspension(TREE, 7), 0x0001, 0, [(4, TREE_FIELDS)]),
    (encode_suspension(TREE, 6), 0x0001, 0, FLAT_FIELDS),
    (encode_suspension(TREE, 5), 0x0001, 0, FLAT_FIELDS),
    (
        encode_control(ErrorMessage(
            code=500, message="m", stacktrace="t", related_command_index=2, related_command_name="n",
            related_command_type=0x0411, next_retry_delay=300, behavior=Behavior.FAIL,
        )),
        0x0002, 0,
        [(1, 500), (2, "m"), (3, "t"), (4, 2), (5, "n"), (6, 0x0411), (8, 300), (9, 2)],
    ),
    (encode_control(ErrorMessage(code=500, message="m", behavior=Behavior.PAUSE)), 0x0002, 0, [(1, 500), (2, "m"), (9, 1)]),
    (encode_control(EndMessage()), 0x0003, 0, []),
    (encode_control(ProposeRunCompletionMessage(300, Value(b"v"))), 0x0005, 0, [(1, 300), (14, b"v")]),
    (encode_control(ProposeRunCompletionMessage(300, FAILED), 0x8000), 0x0005, 0x8000, [(1, 300), (15, FAILURE)]),
    (encode_control(AwaitingOnMessage(TREE, executing=True)), 0x0006, 0, [(1, TREE_FIELDS), (2, 1)]),
]  # fmt: skip

RECEIVED_ROWS: list[tuple[int, Fields, Any]] = [
    (
        0x0000,
        [(1, b"\1\2"), (2, "inv_1"), (3, 300), (4, [(1, "a"), (2, b"1")]), (4, [(1, "b")]), (5, 1), (6, "k"),
         (7, 3), (8, 1500), (9, 2**64 - 1), (10, "s"), (11, "l"), (12, "i")],
        StartMessage(
            id=b"\1\2", debug_id="inv_1", known_entries=300, state_map={"a": b"1", "b": b""},
            partial_state=True, key="k", retry_count=3, retry_duration=1500, random_seed=2**64 - 1,
            scope="s", limit_key="l", idempotency_key="i",
        ),
    ),
    (0x0000, [(3, 1)], StartMessage(id=b"", debug_id="", known_entries=1)),
    (0x0007, [(1, 300)], ProposeRunCompletionAckMessage(300)),
]  # fmt: skip

NOTIFICATION_ROWS: list[tuple[Fields, Any]] = [
    ([(1, 300), (4, [])], Completion(300, VOID)),
    ([(1, 300), (5, VALUE)], Completion(300, Value(b"v"))),
    ([(1, 300), (5, [])], Completion(300, Value(b""))),
    ([(1, 300), (6, FAILURE)], Completion(300, FAILED)),
    ([(1, 300), (16, "inv_1")], Completion(300, InvocationId("inv_1"))),
    ([(1, 300), (17, [(1, "b"), (1, "a")])], Completion(300, StateKeys(("a", "b")))),
    ([(2, 17), (5, VALUE)], Signal(17, Value(b"v"))),
    ([(3, "s"), (6, FAILURE)], Signal("s", FAILED)),
    ([(3, ""), (4, [])], Signal("", VOID)),
]


@pytest.mark.parametrize(("command", "type_", "fields"), COMMAND_ROWS, ids=repr)
def test_a_command(command: Any, type_: int, fields: Fields) -> None:
    """It is written as the protocol says, and read from that."""
    found, flags, payload = split(encode_command(command))

    assert (found, flags) == (type_, 0)
    assert parts(payload) == parts(message(fields))
    assert decode_command(type_, message(fields)) == command


def test_every_command_is_here() -> None:
    """By its type: the protocol has no others."""
    assert {type(row[0]) for row in COMMAND_ROWS} == set(COMMANDS)
    assert {row[1] for row in COMMAND_ROWS} == {*range(0x0400, 0x040F), *range(0x0410, 0x0415)}


@pytest.mark.parametrize(("frame", "type_", "flags", "fields"), SENT_ROWS)
def test_what_an_endpoint_says(frame: bytes, type_: int, flags: int, fields: Fields) -> None:
    """Control messages, written as the protocol says."""
    assert split(frame)[:2] == (type_, flags)
    assert parts(split(frame)[2]) == parts(message(fields))


@pytest.mark.parametrize(("type_", "fields", "expected"), RECEIVED_ROWS)
def test_what_a_server_says(type_: int, fields: Fields, expected: Any) -> None:
    """Control messages, read as the protocol says."""
    assert CONTROL_CODECS[type_].decode(message(fields)) == expected


@pytest.mark.parametrize(("fields", "expected"), NOTIFICATION_ROWS)
def test_a_notification(fields: Fields, expected: Any) -> None:
    """One template for all of them, read as the protocol says."""
    assert decode_notification(message(fields)) == expected


def test_the_types_of_notifications() -> None:
    """Completions by what they complete, and signals."""
    answered = {0x02, 0x06, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x11, 0x12, 0x13}

    assert {0x8000 | each for each in answered} | {0xFBFF} == NOTIFICATIONS
