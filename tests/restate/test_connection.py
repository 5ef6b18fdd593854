"""The sans-IO attempt: what is accepted when, and what is sent when."""

from __future__ import annotations

import traceback
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import IdempotentTarget, NonDeterminismError, UsageError, WorkflowTarget
from durable_trio._invocation import seed_of
from durable_trio.abc import (
    VOID,
    Attach,
    AttemptCompleted,
    AttemptFailed,
    AttemptSuspended,
    AwaitKind,
    AwaitTree,
    Call,
    Command,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Entry,
    Failure,
    GetOutput,
    Input,
    Notification,
    OneWayCall,
    Output,
    Run,
    SendSignal,
    SetState,
    Signal,
    Sleep,
    Value,
)
from durable_trio_restate import ProtocolError, UnsupportedFeatureError
from durable_trio_restate._connection import Connection, Phase
from durable_trio_restate._entries import encode_command, encode_notification
from durable_trio_restate._frames import HEADER_SIZE, encode_frame
from durable_trio_restate._messages import (
    AwaitingOnMessage,
    Behavior,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    encode_control,
)

from .peer import RAW_ID, read, start_of

_DONE = Completion(1, Value(b"1"))
_CANCEL = AwaitTree(AwaitKind.FIRST_COMPLETED, signals=(1,))


@attrs.define
class Recorder:
    """An attempt that writes down what it is told."""

    told: list[object] = attrs.field(factory=list[object])

    def deliver(self, notification: Notification) -> None:
        self.told.append(notification)

    def close_input(self) -> None:
        self.told.append("input closed")

    def abort(self, error: Exception) -> None:
        self.told.append(error)


def connected(*entries: Entry, version: int = 6) -> tuple[Connection, Recorder]:
    """A connection whose attempt has just started."""
    connection, recorder = Connection(version, "S", "h"), Recorder()
    connection.receive(start_of(*entries))
    connection.attach(recorder)
    return connection, recorder


def test_after_a_violation_nothing_is_read() -> None:
    """Neither what is sound nor what is not reaches the attempt, and nothing of it is kept."""
    connection, recorder = connected()
    connection.receive(encode_frame(0xFC01, b"") + encode_notification(_DONE))
    connection.receive(encode_notification(_DONE)[:-1])
    connection.receive(b"\xff" * 100)
    connection.receive_eof()

    assert [type(each) for each in recorder.told] == [ProtocolError]
    assert connection._frames.is_empty


def test_time_before_the_first_failure_is_no_retry() -> None:
    """How long ago the last entry was stored: the run that comes next has not been tried since."""
    connection = Connection(6, "S", "h")
    connection.receive(start_of(retry_count=0, retry_duration=3_600_000))

    assert connection.start is not None
    assert (connection.start.retry_count, connection.start.retry_elapsed) == (0, 0.0)


def test_a_delay_without_end() -> None:
    """It becomes one that a server can add to the time."""
    connection, _ = connected()
    connection.finish(AttemptFailed(Failure(500, "x"), ValueError(), retry_after=1e300))

    assert read(connection.take_output())[0].next_retry_delay == 100 * 365 * 86_400_000


@pytest.mark.parametrize(
    "command",
    [
        Call("S", "h", b"", 1, 2, key=5),  # type: ignore[arg-type]
        Call("S", "h", b"", 1, 2, headers=(("a", 1),)),  # type: ignore[arg-type]
        OneWayCall("S", "h", b"", 1, idempotency_key=b"i"),  # type: ignore[arg-type]
        SetState(5, b""),  # type: ignore[arg-type]
    ],
)
def test_texts_that_are_none(command: Command) -> None:
    """What cannot be sent is told with what to do, where it is done."""
    connection, _ = connected()
    with pytest.raises(UsageError, match=r"Names, keys, ids and headers are str.* pass a str"):
        connection.append(command)
    connection.flush(never, executing=True)

    assert connection.take_output() == b""


def small(*entries: Entry) -> tuple[Connection, Recorder]:
    """A connection of which a message may have 100 bytes."""
    connection, recorder = Connection(6, "S", "h", max_message_size=100), Recorder()
    connection.receive(start_of(*entries))
    connection.attach(recorder)
    return connection, recorder


def size_of(encoded: bytes) -> int:
    return len(encoded) - HEADER_SIZE


def test_a_command_that_is_larger_than_a_message() -> None:
    """The server would end the attempt, time and again, and tell its own log only."""
    connection, _ = small()
    command = SetState("s", b"x" * 93)
    assert size_of(encode_command(command)) == 100
    connection.append(command)
    with pytest.raises(UsageError, match=r"the command SetState 'b/s' has 1\d\d bytes.* have 100"):
        connection.append(SetState("s", b"x" * 120, "b/s"))
    connection.flush(never, executing=True)

    assert connection.take_output() == encode_command(command)


@pytest.mark.parametrize("version", [6, 7])
def test_a_result_of_a_run_that_is_larger_than_a_message(version: int) -> None:
    """The attempt fails with what is wrong; nothing is proposed."""
    connection, recorder = small()
    connection.version = version
    connection.append(Run(1, "branch/load"))
    connection.flush(never, executing=True)
    connection.take_output()
    connection.propose(1, Value(b"x" * 200))

    (error,) = recorder.told
    assert isinstance(error, UsageError)
    assert str(error).startswith("the result of the run 'branch/load' has 2")
    assert connection.take_output() == b""


@pytest.mark.parametrize("text", ["", "inv_1abc", "sign_2abc", 5])
def test_an_awakeable_id_that_is_none(text: Any) -> None:
    """A server would fail the attempt, time and again."""
    connection, _ = connected()
    with pytest.raises(UsageError, match="is no awakeable id, which begins with 'sign_1'"):
        connection.append(CompleteAwakeable(text, Value(b"")))
    for sound in ("sign_1abc", "prom_1abc"):
        connection.append(CompleteAwakeable(sound, Value(b"")))


SCOPED = [
    Call("S", "h", b"", 1, 2, scope="s"),
    Call("S", "h", b"", 1, 2, limit_key="l"),
    OneWayCall("S", "h", b"", 1, scope="s"),
    OneWayCall("S", "h", b"", 1, limit_key="l"),
    Attach(IdempotentTarget("S", "h", "i", scope="s"), 1),
    Attach(WorkflowTarget("W", "k", "s"), 1),
    GetOutput(IdempotentTarget("S", "h", "i", scope="s"), 1),
    GetOutput(WorkflowTarget("W", "k", "s"), 1),
]
LABELLED = Failure(500, "no", (("a", "b"),))
WITH_METADATA = [
    Output(LABELLED),
    CompletePromise("p", LABELLED, 1),
    CompleteAwakeable("sign_1abc", LABELLED),
    SendSignal("inv_1", "s", LABELLED),
]


@pytest.mark.parametrize("command", SCOPED + WITH_METADATA, ids=repr)
def test_what_needs_a_newer_version(command: Command) -> None:
    """It fails where it is done, as 573, and is written in the version that has it."""
    since = 7 if command in SCOPED else 6
    for version in (5, 6, 7):
        connection, _ = connected(version=version)
        if version >= since:
            connection.append(command)
            connection.flush(lambda: _CANCEL, executing=True)
            if command not in WITH_METADATA[:1]:
                assert read(connection.take_output(), version)[0] == command
            continue

        with pytest.raises(UnsupportedFeatureError, match=f"needs version {since}") as caught:
            connection.append(command)
        connection.finish(AttemptFailed(Failure(500, "x"), caught.value))
        assert [each.code for each in read(connection.take_output(), version)] == [573]


def never() -> AwaitTree:
    """What is awaited, where nobody should ask."""
    raise AssertionError("the await tree was asked for")


@given(st.data())
def test_an_attempt_starts_with_exactly_the_known_entries(data: st.DataObject) -> None:
    """However the bytes are cut: the journal is what was announced, what follows is delivered."""
    journal = (Input(b"x"), Run(1, "a"), Completion(1, Value(b"1")), Signal(1, VOID))
    later = Completion(2, Value(b"2"))
    stream = start_of(*journal) + encode_notification(later)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    connection, recorder = Connection(6, "S", "h"), Recorder()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        connection.receive(stream[start:end])
    connection.attach(recorder)

    assert connection.start is not None
    assert tuple(connection.start.recorded) == journal
    assert recorder.told == [later]


def test_what_an_attempt_starts_with() -> None:
    """Everything in the start message reaches the attempt; durations become seconds."""
    connection = Connection(7, "S", "h", headers={"traceparent": "t"})
    connection.receive(
        start_of(
            key="k",
            state_map={"a": b"1"},
            partial_state=True,
            retry_count=2,
            retry_duration=1500,
            random_seed=7,
            scope="s",
            limit_key="l",
            idempotency_key="i",
        )
    )
    start = connection.start

    assert start is not None
    assert (start.invocation_id, start.raw_id, start.key) == ("inv_1", RAW_ID, "k")
    assert (start.state, start.partial_state) == ({"a": b"1"}, True)
    assert (start.attempt, start.retry_count, start.retry_elapsed) == (3, 2, 1.5)
    assert (start.random_seed, start.attempt_headers) == (7, {"traceparent": "t"})
    assert (start.scope, start.limit_key, start.idempotency_key) == ("s", "l", "i")


def test_the_seed_of_version_5() -> None:
    """V5 has no seed in its start message: it is made of the id."""
    connection = Connection(5, "S", "h")
    connection.receive(start_of(random_seed=7))

    assert connection.start is not None
    assert connection.start.random_seed == seed_of(RAW_ID)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode_command(Input(b"")), 571),
        (encode_notification(Completion(1, VOID)), 571),
        (encode_frame(0x0000, b"\xff"), 400),
        (encode_frame(0x0000, b""), 500),
        (encode_frame(0xFC01, b""), 571),
        (encode_control(EndMessage()), 571),
        (start_of(Run(1)), 571),
        (start_of(Input(b""), Input(b"")), 571),
        (start_of(Completion(1, VOID)), 571),
        (start_of(Input(b""), known_entries=2) + start_of(), 571),
        (start_of(known_entries=2) + encode_frame(0x07FF, b""), 571),
        (b"\x00\x00\x00\x00\xff\xff\xff\xff", 400),
        (start_of(known_entries=2) + encode_frame(0x8015, encode_notification(_DONE)[8:]), 571),
    ],
    ids=range(13),
)
def test_nothing_starts_on_unsound_bytes(data: bytes, code: int) -> None:
    """Wrong, malformed or oversized messages are answered with an error, and nothing starts."""
    connection = Connection(6, "S", "h")
    connection.receive(data)
    connection.receive(start_of())
    (error,) = read(connection.take_output())

    assert isinstance(error, ErrorMessage)
    assert error.code == code
    assert connection.start is None
    assert connection.closed


@pytest.mark.parametrize("length", [0, 5, -1])
def test_a_stream_that_ends_too_early(length: int) -> None:
    """A stream that ends before the whole journal has arrived is a protocol violation."""
    connection = Connection(6, "S", "h")
    connection.receive(start_of()[:length])
    connection.receive_eof()
    (error,) = read(connection.take_output())

    assert error.code == 571


@pytest.mark.parametrize(
    "data",
    [
        start_of(),
        encode_command(Run(1)),
        encode_control(ProposeRunCompletionAckMessage(1)),
        encode_frame(0x8011, encode_notification(Signal(1, VOID))[8:]),
        encode_frame(0xFBFF, encode_notification(Completion(1, VOID))[8:]),
        *(
            encode_frame(type_, encode_notification(_DONE)[8:])
            for type_ in (0x8001, 0x8015, 0xFBFE)
        ),
        encode_frame(0x0004, b"\x08\x01"),
    ],
    ids=range(9),
)
def test_violations_end_a_running_attempt(data: bytes) -> None:
    """What may not come while an attempt runs aborts it, with the protocol's code."""
    connection, recorder = connected()
    connection.receive(data)
    (error,) = recorder.told
    assert isinstance(error, ProtocolError)
    connection.finish(AttemptFailed(Failure(500, "x"), error))

    assert read(connection.take_output())[0].code == 571


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_wrong_is_not_sent_back(begun: bool) -> None:
    """A violation is told in a few words, however large the message was."""
    content = encode_notification(Signal(1, Value(b"\xff" * 4_000_000)))[8:]
    nameless = encode_notification(Completion(0, Value(b"\xff" * 4_000_000)))[10:]
    for payload in (content, nameless):
        connection, recorder = Connection(6, "S", "h"), Recorder()
        connection.receive(start_of(known_entries=1 if begun else 2))
        if begun:
            connection.attach(recorder)
        connection.receive(encode_frame(0x8011, payload))
        if begun:
            (error,) = recorder.told
            assert isinstance(error, ProtocolError)
            connection.finish(AttemptFailed(Failure(500, str(error)), error))
        told = connection.take_output()

        assert read(told)[0].code in {400, 571}
        assert len(told) < 4_000


class _Unspeakable(SyntaxError):
    """An error of which no traceback can be made."""

    @property
    def text(self) -> str:  # type: ignore[override]
        raise ValueError("no")


def test_an_error_without_a_traceback() -> None:
    """The attempt's stream ends as any other."""
    connection, _ = connected()
    with pytest.raises(ValueError, match="no"):
        traceback.format_exception(_Unspeakable("x"))
    connection.finish(AttemptFailed(Failure(500, "x"), _Unspeakable("x")))
    (error,) = read(connection.take_output())

    assert (error.code, error.message) == (500, "x")
    assert error.stacktrace == "<no traceback can be made of it: ValueError: no>"


def test_half_a_message_at_the_end() -> None:
    """A stream that ends within a message is a protocol violation."""
    connection, recorder = connected()
    connection.receive(encode_notification(Signal(1, VOID))[:-1])
    connection.receive_eof()

    assert isinstance(recorder.told[0], ProtocolError)


def test_nothing_matters_after_the_end() -> None:
    """After the attempt has ended, whatever the server sends is ignored, and nothing is sent."""
    connection, recorder = connected()
    connection.finish(AttemptCompleted(Value(b"")))
    connection.take_output()
    connection.receive(b"\xff" * 20)
    connection.receive_eof()
    connection.propose(1, Value(b""))
    connection.flush(never, executing=False)
    connection.finish(AttemptCompleted(Value(b"")))

    assert connection.take_output() == b""
    assert connection.phase is Phase.CLOSED
    assert recorder.told == []


def test_the_end_of_input_is_told_once() -> None:
    """The attempt is told that nothing more will come, also if that was known before it."""
    connection, recorder = Connection(6, "S", "h"), Recorder()
    connection.receive(start_of())
    connection.receive_eof()
    connection.attach(recorder)
    connection.receive_eof()

    assert recorder.told == ["input closed"]


def test_commands_leave_at_a_flush() -> None:
    """Appended commands are kept until the attempt is quiescent, then leave in one piece."""
    calls: list[None] = []
    connection = Connection(6, "S", "h", on_output=lambda: calls.append(None))
    connection.receive(start_of())
    connection.attach(Recorder())
    connection.append(Run(1, "a"))
    connection.append(Run(2, "b"))

    assert connection.take_output() == b""
    connection.flush(never, executing=True)
    assert read(connection.take_output()) == [Run(1, "a"), Run(2, "b")]
    assert calls == [None]


def test_a_flush_of_nothing_sends_nothing() -> None:
    """Before V7 an attempt that waits for more says nothing."""
    connection, _ = connected()
    connection.flush(never, executing=False)

    assert connection.take_output() == b""


def test_what_is_awaited_is_told_from_version_7_on() -> None:
    """V7 is told what the attempt waits for, unless a body executes or the input is closed."""
    connection, _ = connected(version=7)
    connection.flush(never, executing=True)
    connection.flush(lambda: _CANCEL, executing=False)
    assert read(connection.take_output()) == [AwaitingOnMessage(_CANCEL)]
    connection.receive_eof()
    connection.flush(never, executing=False)

    assert connection.take_output() == b""


def test_proposals_are_answered_with_completions_before_version_7() -> None:
    """V6 is sent the result without a flag, and answers with the completion itself."""
    connection, recorder = connected()
    connection.propose(1, Value(b"r"))
    sent = connection.take_output()

    assert sent[2:4] == b"\0\0"
    assert read(sent) == [ProposeRunCompletionMessage(1, Value(b"r"))]
    assert recorder.told == []
    connection.receive(encode_notification(Completion(1, Value(b"r"))))
    assert recorder.told == [Completion(1, Value(b"r"))]


def test_proposals_are_acknowledged_in_version_7() -> None:
    """V7 acknowledges, in its place among the notifications, and the result is the cached one."""
    connection, recorder = connected(version=7)
    connection.propose(1, Value(b"r"))
    connection.propose(2, Failure(500, "no"))
    assert connection.take_output()[2:4] == b"\x80\0"
    for message in (
        encode_control(ProposeRunCompletionAckMessage(2)),
        encode_notification(Signal(1, VOID)),
        encode_control(ProposeRunCompletionAckMessage(1)),
    ):
        connection.receive(message)

    assert recorder.told == [
        Completion(2, Failure(500, "no")),
        Signal(1, VOID),
        Completion(1, Value(b"r")),
    ]


@pytest.mark.parametrize("version", [6, 7])
def test_completion(version: int) -> None:
    """A completed attempt sends its output together with End, and never what it waits for."""
    connection, _ = connected(version=version)
    connection.append(Output(Value(b"1")))
    connection.flush(never, executing=False)
    assert connection.take_output() == b""
    connection.finish(AttemptCompleted(Value(b"1")))

    assert read(connection.take_output()) == [Output(Value(b"1")), EndMessage()]


@pytest.mark.parametrize("version", [5, 6, 7])
def test_suspension(version: int) -> None:
    """A suspended attempt tells what it waits for: a tree in V7, the leaves before."""
    tree = AwaitTree(
        AwaitKind.FIRST_COMPLETED,
        (3,),
        (1, "s"),
        (AwaitTree(AwaitKind.ALL_COMPLETED, (1, 2), (17,)),),
    )
    connection, _ = connected(version=version)
    connection.finish(AttemptSuspended(tree))
    (told,) = read(connection.take_output(), version)

    flat = AwaitTree(AwaitKind.FIRST_COMPLETED, (3, 1, 2), (1, 17, "s"))
    assert told == (tree if version == 7 else flat)


def test_a_suspension_is_never_empty() -> None:
    """A tree without the CANCEL signal gets it: the server refuses an empty one."""
    connection, _ = connected(version=7)
    tree = AwaitTree(AwaitKind.ALL_COMPLETED)
    connection.finish(AttemptSuspended(tree))

    expected = AwaitTree(AwaitKind.FIRST_COMPLETED, signals=(1,), nested=(tree,))
    assert read(connection.take_output(), 7) == [expected]


def test_a_failure_names_the_command() -> None:
    """A failed attempt sends what it did, the error, the last command, and the delay."""
    connection, _ = connected(Input(b""), Run(1, "a"))
    connection.append(Sleep(5, 2, "nap"))
    problem = ValueError("no")
    connection.finish(AttemptFailed(Failure(500, "ValueError: no"), problem, retry_after=0.25))
    unsent, error = read(connection.take_output())

    assert unsent == Sleep(5, 2, "nap")
    assert (error.code, error.message, error.next_retry_delay) == (500, "ValueError: no", 250)
    assert "ValueError: no" in error.stacktrace
    assert (error.related_command_index, error.related_command_name) == (2, "nap")
    assert error.related_command_type == 0x040C


def test_a_failure_may_name_an_earlier_command() -> None:
    """The command at fault is the one that the attempt names."""
    connection, _ = connected(Input(b""), Run(1, "a"), Run(2, "b"))
    connection.finish(AttemptFailed(Failure(500, "x"), ValueError(), command_index=1))
    (error,) = read(connection.take_output())

    assert (error.related_command_index, error.related_command_name) == (1, "a")
    assert error.next_retry_delay is None


@pytest.mark.parametrize(
    ("version", "on_mismatch", "expected"),
    [
        (7, None, Behavior.RETRY),
        (7, "pause", Behavior.PAUSE),
        (7, "fail", Behavior.FAIL),
        (6, "fail", Behavior.RETRY),
    ],
)
def test_what_becomes_of_a_mismatch(version: int, on_mismatch: object, expected: Behavior) -> None:
    """A mismatch is reported as 570, with the behavior that was chosen where V7 can say it."""
    connection = Connection(version, "S", "h", on_mismatch=on_mismatch)  # type: ignore[arg-type]
    connection.receive(start_of())
    connection.attach(Recorder())
    connection.finish(AttemptFailed(Failure(570, "differs"), NonDeterminismError("differs")))
    (error,) = read(connection.take_output())

    assert (error.code, error.behavior) == (570, expected)


def test_scopes_need_version_7() -> None:
    """A feature that the version lacks fails at the caller's line, as code 573."""
    connection, _ = connected()
    with pytest.raises(UnsupportedFeatureError, match="needs version 7") as caught:
        connection.append(Call("S", "h", b"", 1, 2, scope="s"))
    connection.finish(AttemptFailed(Failure(500, "x"), caught.value))

    assert read(connection.take_output())[0].code == 573
    connected(version=7)[0].append(Call("S", "h", b"", 1, 2, scope="s"))


def test_metadata_of_failures_needs_version_6() -> None:
    """A run that fails with metadata cannot be proposed in V5: the attempt fails."""
    failed = Failure(500, "no", (("a", "b"),))
    connection, recorder = connected(version=5)
    connection.propose(1, failed)

    assert isinstance(recorder.told[0], UnsupportedFeatureError)
    assert connection.take_output() == b""
    connection, _ = connected(version=6)
    connection.propose(1, failed)
    assert read(connection.take_output()) == [ProposeRunCompletionMessage(1, failed)]


def test_forgetting_is_a_hint() -> None:
    """The server keeps its timers: forgetting one sends nothing."""
    connection, _ = connected()
    connection.forget(1)
    connection.flush(never, executing=False)

    assert connection.take_output() == b""
