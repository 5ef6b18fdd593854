"""What of a command is compared on replay: every field of every command, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_args

import attrs
import pytest

from durable_trio import IdempotentTarget, WorkflowTarget
from durable_trio._journal._cursor import Cursor
from durable_trio._journal._mismatch import Mismatch
from durable_trio.abc import (
    VOID,
    Attach,
    Call,
    ClearAllState,
    ClearState,
    Command,
    CompleteAwakeable,
    CompletePromise,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetOutput,
    GetPromise,
    GetState,
    GetStateKeys,
    Input,
    InvocationTarget,
    OneWayCall,
    Output,
    PeekPromise,
    Run,
    SendSignal,
    SetState,
    Sleep,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADERS = (("a", "1"), ("b", "2"))
SAMPLES: list[Command] = [
    Input(b"1", HEADERS, "n"),
    Output(Value(b"1"), "n"),
    Run(1, "n"),
    Sleep(1, 1, "n"),
    Call("S", "h", b"1", 1, 2, "k", HEADERS, "i", "s", "l", "n"),
    OneWayCall("S", "h", b"1", 1, 5, "k", HEADERS, "i", "s", "l", "n"),
    GetState("k", 1, "n"),
    GetEagerState("k", Value(b"1"), "n"),
    GetStateKeys(1, "n"),
    GetEagerStateKeys(("a",), "n"),
    SetState("k", b"1", "n"),
    ClearState("k", "n"),
    ClearAllState("n"),
    GetPromise("k", 1, "n"),
    PeekPromise("k", 1, "n"),
    CompletePromise("k", Value(b"1"), 1, "n"),
    Attach(InvocationTarget("inv_1"), 1, "n"),
    GetOutput(IdempotentTarget("S", "h", "i", "k", "s"), 1, "n"),
    GetOutput(WorkflowTarget("W", "k", "s"), 1, "n"),
    SendSignal("inv_1", 17, Value(b"1"), "n"),
    CompleteAwakeable("sign_1", Value(b"1"), "n"),
]

UNCOMPARED: dict[type, set[str]] = {
    Input: {"content", "headers", "name"},
    Sleep: {"wake_up_time", "completion_id"},
    OneWayCall: {"invoke_time"},
    # What was read then is the answer: this invocation may have written since.
    GetEagerState: {"result"},
    GetEagerStateKeys: {"keys"},
}
PAYLOADS = {
    (type_, field)
    for field, types in {
        "parameter": (Call, OneWayCall),
        "content": (SetState,),
        "result": (Output, CompletePromise, CompleteAwakeable),
    }.items()
    for type_ in types
}
"""What is not compared where payloads are not."""


def others(value: Any) -> Iterator[Any]:
    """Values that differ from this one, each a little."""
    if value is None or isinstance(value, str):
        yield f"{value}x"
        yield ""
    elif isinstance(value, bytes):
        yield value + b"x"
    elif isinstance(value, int):
        yield value + 1
        yield "a name"
    elif isinstance(value, tuple):
        several = tuple(cast("Iterable[Any]", value))
        yield several[:-1]
        yield several * 2
        if len(several) > 1:
            yield several[::-1]
    elif isinstance(value, Value):
        yield Value(value.content + b"x")
        yield VOID
        yield Failure(500, "x")
    else:
        for _, other in changed(value):
            yield other


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """An object with another value in one field, and which."""
    for field in attrs.fields(value.__class__):
        for other in others(getattr(value, field.name)):
            yield field.name, attrs.evolve(value, **{field.name: other})


def matches(recorded: Command, now: Command, *, check_payloads: bool = True) -> bool:
    """Whether one is taken for the other."""
    try:
        return Cursor([recorded], check_payloads=check_payloads).match(now) is recorded
    except Mismatch:
        return False


def test_every_command_is_here() -> None:
    """None is compared in a way that nobody has thought of."""
    assert {type(command) for command in SAMPLES} == set(get_args(Command))


@pytest.mark.parametrize("command", SAMPLES, ids=lambda command: type(command).__name__)
def test_every_field(command: Command) -> None:
    """All are compared, but for times and what was read."""
    ignored = UNCOMPARED.get(type(command), set())

    assert matches(command, command)
    for field, other in changed(command):
        assert matches(command, other) is matches(other, command) is (field in ignored), other


@pytest.mark.parametrize("command", SAMPLES, ids=lambda command: type(command).__name__)
def test_without_payloads(command: Command) -> None:
    """Only the bytes of values are left out then, and what has no bytes is none."""
    ignored = UNCOMPARED.get(type(command), set())
    for field, other in changed(command):
        bytes_only = isinstance(getattr(other, "result", Value(b"")), Value)
        expected = field in ignored or ((type(command), field) in PAYLOADS and bytes_only)

        assert matches(command, other, check_payloads=False) is expected, other


def test_no_command_is_another() -> None:
    """But for state that is read, which is the same question however it was answered."""
    same = [{GetState, GetEagerState}, {GetStateKeys, GetEagerStateKeys}]
    for recorded in SAMPLES:
        for now in SAMPLES:
            kinds = {type(recorded), type(now)}
            if len(kinds) == 2:
                assert matches(recorded, now) is (kinds in same), (recorded, now)


def test_state_that_was_read_otherwise() -> None:
    """Name and key are compared, whichever way it was answered."""
    assert not matches(GetState("k", 1, "n"), GetEagerState("l", VOID, "n"))
    assert not matches(GetEagerState("k", VOID, "n"), GetState("k", 1, "m"))
    assert not matches(GetStateKeys(1, "n"), GetEagerStateKeys((), "m"))
    assert matches(GetStateKeys(7, "n"), GetEagerStateKeys(("a",), "n"))
