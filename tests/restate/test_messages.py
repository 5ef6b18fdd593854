"""Messages as bytes: every entry comes back, and no bytes do harm."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import IdempotentTarget, WorkflowTarget
from durable_trio.abc import (
    VOID,
    AwaitKind,
    AwaitTree,
    Call,
    Command,
    Completion,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetStateKeys,
    Input,
    InvocationId,
    InvocationTarget,
    Run,
    SendSignal,
    SetState,
    Signal,
    Sleep,
    StateKeys,
    Value,
)
from durable_trio_restate import ProtocolError
from durable_trio_restate._entries import (
    COMMANDS,
    DECODERS,
    RUN_TYPE,
    SIGNAL_TYPE,
    any_notification,
    decode_command,
    decode_notification,
    encode_command,
    encode_notification,
    short_completion,
    short_run,
)
from durable_trio_restate._fields import scan
from durable_trio_restate._messages import (
    CONTROL_CODECS,
    AwaitingOnMessage,
    Behavior,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    StartMessage,
    decode_suspension,
    encode_control,
    encode_suspension,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_U32 = st.integers(0, 2**32 - 1)
_U64 = st.integers(0, 2**64 - 1)
_VALUES = st.builds(Value, st.binary())
_PAIRS = st.lists(st.tuples(st.text(), st.text())).map(tuple)
_FAILURES = st.builds(Failure, _U32, st.text(), _PAIRS)
_VOIDS = st.just(VOID)
_IDS = st.integers(1, 2**32 - 1)
_TARGETS = st.one_of(
    st.builds(InvocationTarget, st.text()),
    st.builds(
        IdempotentTarget,
        st.text(),
        st.text(),
        st.text(),
        st.none() | st.text(),
        st.none() | st.text(),
    ),
    st.builds(WorkflowTarget, st.text(), st.text(), st.none() | st.text()),
)
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "content": st.binary(),
    "parameter": st.binary(),
    "headers": _PAIRS,
    "completion_id": _U32,
    "invocation_id_completion": _U32,
    "wake_up_time": _U64,
    "invoke_time": _U64,
    "idempotency_key": st.none() | st.text(),
    "scope": st.none() | st.text(),
    "limit_key": st.none() | st.text(),
    "signal": _IDS | st.text(),
    "keys": st.lists(st.text()).map(lambda names: tuple(sorted(names))),
}
_RESULTS: dict[type, st.SearchStrategy[Any]] = {
    GetEagerState: _VOIDS | _VALUES,
    SendSignal: _VOIDS | _VALUES | _FAILURES,
}


def _built(kind: type) -> st.SearchStrategy[Command]:
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for field in attrs.fields(kind):
        fields[field.name] = _BY_NAME.get(field.name, st.text())
    if "result" in fields:
        fields["result"] = _RESULTS.get(kind, _VALUES | _FAILURES)
    if "target" in fields and kind is not SendSignal:
        fields["target"] = _TARGETS
    return st.builds(kind, **fields)


_COMMANDS = st.one_of([_built(kind) for kind in COMMANDS])
_NOTIFICATION_RESULTS = st.one_of(
    _VOIDS,
    _VALUES,
    _FAILURES,
    st.builds(InvocationId, st.text()),
    st.builds(StateKeys, _BY_NAME["keys"]),
)
_NOTIFICATIONS = st.builds(Completion, _U32, _NOTIFICATION_RESULTS) | st.builds(
    Signal, _IDS | st.text(), _NOTIFICATION_RESULTS
)
_TREES = st.recursive(
    st.builds(
        AwaitTree,
        st.sampled_from(AwaitKind),
        st.lists(_U32).map(tuple),
        st.tuples(st.lists(_U32), st.lists(st.text())).map(lambda both: (*both[0], *both[1])),
    ),
    lambda nested: st.builds(
        AwaitTree,
        st.sampled_from(AwaitKind),
        st.lists(_U32).map(tuple),
        st.lists(_U32).map(tuple),
        st.lists(nested, max_size=3).map(tuple),
    ),
    max_leaves=8,
)
_CONTROL = st.one_of(
    st.builds(
        StartMessage,
        id=st.binary(),
        debug_id=st.text(),
        known_entries=_U32,
        state_map=st.dictionaries(st.text(), st.binary()),
        partial_state=st.booleans(),
        key=st.text(),
        retry_count=_U32,
        retry_duration=_U64,
        random_seed=_U64,
        scope=st.none() | st.text(),
        limit_key=st.none() | st.text(),
        idempotency_key=st.none() | st.text(),
    ),
    st.builds(
        ErrorMessage,
        code=_U32,
        message=st.text(),
        stacktrace=st.text(),
        related_command_index=st.none() | _U32,
        related_command_name=st.none() | st.text(),
        related_command_type=st.none() | _U32,
        next_retry_delay=st.none() | _U64,
        behavior=st.sampled_from(Behavior),
    ),
    st.just(EndMessage()),
    st.builds(ProposeRunCompletionMessage, _U32, _VALUES | _FAILURES),
    st.builds(ProposeRunCompletionAckMessage, _U32),
    st.builds(AwaitingOnMessage, _TREES, st.booleans()),
)


def _split(frame: bytes) -> tuple[int, bytes]:
    return int.from_bytes(frame[:2], "big"), frame[8:]


@given(_COMMANDS)
def test_commands_come_back(command: Command) -> None:
    """Decoding an encoded command gives it back."""
    assert decode_command(*_split(encode_command(command))) == command


@given(_NOTIFICATIONS)
def test_notifications_come_back(notification: Completion | Signal) -> None:
    """Decoding an encoded notification gives it back."""
    _, payload = _split(encode_notification(notification))

    assert decode_notification(payload) == notification


@given(_CONTROL)
def test_control_messages_come_back(message: object) -> None:
    """Decoding an encoded control message gives it back."""
    type_, payload = _split(encode_control(message))

    assert CONTROL_CODECS[type_].decode(payload) == message


@given(_TREES)
def test_suspensions_come_back(tree: AwaitTree) -> None:
    """From V7 on a suspension has the whole tree, before it only the leaves, each once."""

    def leaves(node: AwaitTree) -> set[object]:
        return {*node.completions, *node.signals}.union(*map(leaves, node.nested))

    assert decode_suspension(_split(encode_suspension(tree, 7))[1], 7) == tree
    flat = decode_suspension(_split(encode_suspension(tree, 6))[1], 6)
    assert (flat.kind, flat.nested) == (AwaitKind.FIRST_COMPLETED, ())
    found = (*flat.completions, *flat.signals)
    assert (set(found), len(flat.completions)) == (leaves(tree), len(set(flat.completions)))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Run(1, "hash"), "0411 0000 00000008 5801 62 04 68617368"),
        (Sleep(300, 2), "040C 0000 00000005 08AC02 5802"),
        (SetState("a", b""), "0403 0000 00000005 0A 01 61 1A 00"),
        (GetEagerStateKeys(()), "0408 0000 00000002 72 00"),
        (GetStateKeys(7), "0406 0000 00000002 5807"),
        (Input(b"x"), "0400 0000 00000005 72 03 0A 01 78"),
        (SendSignal("i", 1, VOID), "0410 0000 00000007 0A 01 69 1001 22 00"),
        (SendSignal("i", "s", Value(b"")), "0410 0000 00000008 0A 01 69 1A 01 73 2A 00"),
        (
            Call("S", "h", b"p", 1, 2, "k", (("a", "b"),), "i"),
            "040D 0000 0000001B 0A0153 120168 1A0170 22060A0161120162 2A016B 320169 5001 5802",
        ),
    ],
)
def test_the_bytes_are_the_protocols(command: Command, expected: str) -> None:
    """Types, field numbers and wire types are those of the protocol, byte by byte."""
    assert encode_command(command).hex() == expected.replace(" ", "").lower()


def test_a_proposal_holds_bare_bytes() -> None:
    """A proposed value has no message around it; an empty one is written all the same."""
    proposal = encode_control(ProposeRunCompletionMessage(1, Value(b"")), 0x8000)

    assert proposal.hex() == "000580000000000408017200"


def test_a_zero_index_is_written() -> None:
    """A field of its own presence is written when it is 0, and left out when it is None."""
    error = encode_control(ErrorMessage(code=500, message="", related_command_index=0))

    assert error[8:].hex() == "08f4032000"


def test_signals_have_a_type_of_their_own() -> None:
    """A signal, by index or by name, is always the same message type."""
    assert _split(encode_notification(Signal("x", VOID)))[0] == SIGNAL_TYPE


@given(
    st.binary(max_size=200), st.sampled_from([*(type_ for type_, _ in COMMANDS.values()), 0x07FF])
)
def test_hostile_commands(data: bytes, type_: int) -> None:
    """Any bytes are a command or a ``ProtocolError``, never another error."""
    with contextlib.suppress(ProtocolError):
        decode_command(type_, data)


@given(st.binary(max_size=200))
def test_hostile_notifications(data: bytes) -> None:
    """Any bytes are a notification or a ``ProtocolError``, never another error."""
    with contextlib.suppress(ProtocolError):
        decode_notification(data)


@given(_COMMANDS, st.data())
def test_truncated_commands(command: Command, data: st.DataObject) -> None:
    """A command that is cut off is another command or a ``ProtocolError``."""
    type_, payload = _split(encode_command(command))
    cut = data.draw(st.integers(0, len(payload)))
    with contextlib.suppress(ProtocolError):
        decode_command(type_, payload[:cut])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("0a05", "cut off"),
        ("0a", "cut off"),
        ("88", "cut off"),
        ("09010203", "cut off"),
        ("0b", "wire type 3|cut off"),
        ("0b00", "wire type 3"),
        ("0001", "number 0"),
        ("08" + "ff" * 10 + "01", "64 bits"),
        ("08" + "ff" * 9 + "7f", "64 bits"),
    ],
)
def test_malformed_fields(data: str, reason: str) -> None:
    """What is no protobuf is refused, with the reason."""
    with pytest.raises(ProtocolError, match=reason):
        scan(bytes.fromhex(data))


def _altered(frame: bytes) -> Iterator[bytes]:
    """A message without its header: as it is, and with each change of a byte near its beginning."""
    data = frame[8:]
    yield data
    for place in range(min(len(data), 8)):
        before, after = data[:place], data[place + 1 :]
        yield before + after
        for byte in range(256):
            yield before + bytes([byte]) + after
            yield before + bytes([byte]) + data[place:]


def _read(decode: Callable[[bytes], object], payload: bytes) -> object:
    try:
        return decode(payload)
    except ProtocolError as error:
        return str(error)


_NUMBERS = pytest.mark.parametrize("number", [1, 127, 128, 2**14 - 1, 2**14])
_SIZES = pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 129])


@_NUMBERS
@_SIZES
def test_short_runs_are_read_as_any_run(number: int, size: int) -> None:
    """What the short form's reader takes at all, it reads as the table does."""
    frame = encode_command(Run(number, "n" * size))

    assert (short_run(frame[8:]) is not None) == (number < 2**14 and 0 < size < 128)
    for payload in _altered(frame):
        run = _read(short_run, payload)
        assert run is None or run == _read(DECODERS[RUN_TYPE].decode, payload), payload


@_NUMBERS
@_SIZES
def test_short_completions_are_read_as_any(number: int, size: int) -> None:
    """What the short form's reader takes at all, it reads as the template does."""
    frame = encode_notification(Completion(number, Value(b"v" * size)))

    assert (short_completion(frame[8:]) is not None) == (number < 2**14 and 0 < size < 126)
    for payload in _altered(frame):
        completion = _read(short_completion, payload)
        assert completion is None or completion == _read(any_notification, payload), payload


def test_unknown_fields_are_skipped() -> None:
    """A later version's fields, of any wire type, do not matter."""
    known = encode_command(Run(1, "hash"))[8:]
    unknown = bytes.fromhex("f80701 fa070161 fd0700000000 f9070000000000000000")

    assert decode_command(0x0411, unknown[:3] + known + unknown[3:]) == Run(1, "hash")


def test_a_code_has_32_bits() -> None:
    """Of one with more the lower ones count, as they do to protobuf: a failure of ours has no other."""
    failure = bytes.fromhex("0801 3206 08 f483808010")

    assert decode_notification(failure) == Completion(1, Failure(500, ""))


def test_text_is_utf8() -> None:
    """A text that is not UTF-8 is refused; the name of a state entry may be any bytes."""
    with pytest.raises(ProtocolError, match="UTF-8"):
        decode_command(0x0411, bytes.fromhex("6201ff"))
    strange = decode_command(0x0404, bytes.fromhex("0a01ff"))

    assert encode_command(strange)[8:].hex() == "0a01ff"


def test_state_keys_are_sorted() -> None:
    """The server lists keys in its own order; handlers see them sorted."""
    unsorted = bytes.fromhex("0801 8a0106 0a0162 0a0161")

    assert decode_notification(unsorted) == Completion(1, StateKeys(("a", "b")))


def test_numbers_may_be_unpacked() -> None:
    """A list of numbers may come packed or one by one."""
    assert decode_suspension(bytes.fromhex("0801 0802 0a020304"), 6).completions == (1, 2, 3, 4)
    with pytest.raises(ProtocolError, match="cut off"):
        decode_suspension(bytes.fromhex("0a0188"), 6)


@pytest.mark.parametrize("data", ["", "0801", "1a00", "2200"])
def test_notifications_without_name_or_result(data: str) -> None:
    """A notification names a completion or a signal, and has a result."""
    with pytest.raises(ProtocolError):
        decode_notification(bytes.fromhex(data))
