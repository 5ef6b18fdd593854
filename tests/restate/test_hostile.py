"""Valid streams with something wrong in them: every attempt ends, with exactly one last message.

The handler waits for everything there is to wait for. Its journal is the one that it writes
itself; a part of it is recorded, the rest arrives. Then bytes of the stream are changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import durable_trio as dt
from durable_trio.abc import (
    VOID,
    AwaitKind,
    AwaitTree,
    Command,
    Completion,
    Entry,
    GetEagerState,
    GetEagerStateKeys,
    Input,
    InvocationId,
    Notification,
    OneWayCall,
    Run,
    Signal,
    Sleep,
    StateKeys,
    Value,
)
from durable_trio_restate import endpoint
from durable_trio_restate._entries import (
    FIRST_COMMAND,
    FIRST_NOTIFICATION,
    decode_command,
    decode_notification,
)
from durable_trio_restate._frames import Frame, FrameBuffer, encode_frame
from durable_trio_restate._messages import (
    CONTROL_CODECS,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    encode_control,
)

from .asgi import invoked
from .peer import commands_of, encode_entry, read, start_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

VERSIONS = (5, 6, 7)
LAST = (EndMessage, AwaitTree, ErrorMessage)
CODES = {400, 570, 571}
CODES_OF_CONTENT = ("SerializationError", "an invocation without input")
"""What is no mistake in the protocol but in what it carries; code 500."""

UNKNOWN_TYPES = (0x0001, 0x0004, 0x0008, 0x03FF, 0x040F, 0x7FFF, 0x8000, 0x8010, 0xFBFE, 0xFC00)
LENGTHS = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
NEUTRAL = tuple(
    map(
        bytes.fromhex,
        (
            "f80701",  # a number
            "fa070161",  # bytes
            "fa07fc070a" + "ff" * 1019,  # many
            "fd0700000000",  # 32 bits
            "f9070000000000000000",  # 64 bits
            "f807ffffffffffffffffff01",  # the largest number
        ),
    )
)
"""Fields that only a later version knows."""
WRONG = tuple(
    map(
        bytes.fromhex,
        (
            "80" * 11 + "01",  # a number that does not end in time
            "08" + "ff" * 9 + "7f",  # of more than 64 bits
            "88",  # cut off
            "0affffffff0f61",  # bytes that are not there
            "0afeffffffffffffffff01",  # and more of them than there can be
            "6202c328",  # a name that is no UTF-8
            "1a01ff",  # another text
            "0bff",  # a group
            "0f",  # a wire type that there is not
            "00",  # a field without a number
            "320708ffffffffff7f",  # a failure with an absurd code
            "6a00",  # a void result
            "f803",  # cut off within a field of a later version
        ),
    )
)
"""Fields, or what passes for such."""

executed: ContextVar[Counter[str]] = ContextVar("executed")
"""How often each body was, in one attempt: a thread of an earlier one may have been abandoned."""

everything = dt.Workflow("Everything")


def body(name: str) -> str:
    """A step."""
    executed.get(Counter[str]())[name] += 1
    return name


@everything.main
async def wait(ctx: dt.WorkflowContext) -> None:
    """Wait for all there is, in two branches and in one."""

    async def first() -> None:
        await dt.gather(
            ctx.run(body, "a", name="a"),
            ctx.run(body, "b", name="b", on_thread=False),
            ctx.timer(60),
        )
        await ctx.call(dt.remote("S", "h", input=int, output=int), 1)

    async with dt.open_nursery() as nursery:
        nursery.start_soon(first)
        with dt.move_on_after(60):
            await ctx.awakeable(str).future
        await ctx.signal("named", str)
        await ctx.send(dt.remote("S", "h", input=int, output=int), 2).invocation_id()
    ctx.set("x", await ctx.get("lazy", int, 0))
    await ctx.keys()
    await ctx.promise("p", int).peek()
    await ctx.promise("p", int)
    await ctx.invocation("inv_1").attach(int)


app = endpoint([everything])


def answers(command: Command) -> Iterator[Notification]:
    """What a server makes of a command."""
    if isinstance(command, OneWayCall):
        yield Completion(command.invocation_id_completion, InvocationId("inv_2"))
    elif (created := getattr(command, "invocation_id_completion", None)) is not None:
        yield Completion(created, InvocationId("inv_3"))
    if (completion_id := getattr(command, "completion_id", None)) is not None:
        result: Any = Value(b"1")
        if isinstance(command, Sleep):
            result = VOID
        elif type(command).__name__ == "GetStateKeys":
            result = StateKeys(("lazy", "x"))
        elif isinstance(command, Run):
            result = Value(b'"done"')
        yield Completion(completion_id, result)


@cache
def journal(version: int) -> tuple[Entry, ...]:
    """All that is recorded of the handler but its output, by playing it again and again."""

    async def attempt(entries: list[Entry]) -> list[Any]:
        async with invoked(app, "Everything/wait", version=version) as request:
            request.end(start_of(*entries, partial_state=True))
            await request.until_ended()
        return list(commands_of(request.body)) if not ended(request.body, version) else []

    entries: list[Entry] = [Input(b""), Signal(17, Value(b'"x"')), Signal("named", Value(b'"y"'))]
    while written := anyio.run(attempt, entries):
        entries += written
        entries += [answer for command in written for answer in answers(command)]
    return tuple(entries)


def ended(data: bytes, version: int) -> bool:
    """Whether the invocation has."""
    return isinstance(read(data, version)[-1], EndMessage)


def stream(version: int, recorded: int) -> bytes:
    """The first entries as a journal, the notifications of the rest as they arrive."""
    entries = journal(version)
    runs = {entry.completion_id for entry in entries if isinstance(entry, Run)}
    later = [entry for entry in entries[recorded:] if isinstance(entry, Notification)]
    arriving = [
        encode_control(ProposeRunCompletionAckMessage(each.completion_id))
        if version >= 7 and isinstance(each, Completion) and each.completion_id in runs
        else encode_entry(each)
        for each in later
    ]
    return start_of(*entries[:recorded], partial_state=True) + b"".join(arriving)


def one_of(choices: Sequence[T], place: float) -> T:
    """One of them, by a place from 0 to 1."""
    return choices[int(place * (len(choices) - 1))]


@attrs.frozen
class Change:
    """Something that is done to a stream, at a place from 0 to 1."""

    kind: str
    place: float
    other: float
    data: bytes

    def on_bytes(self, stream: bytes) -> bytes:
        """Another stream: bytes replaced, put in, taken out, said twice, or cut off."""
        at = int(self.place * len(stream))
        end = min(len(stream), at + int(self.other * 40))
        match self.kind:
            case "bit":
                flipped = bytes([each ^ 1 << int(self.other * 7) for each in stream[at : at + 1]])
                return stream[:at] + flipped + stream[at + 1 :]
            case "field":
                return stream[:at] + one_of(WRONG, self.other) + stream[at:]
            case "length":
                starts = [0]
                while starts[-1] + 8 <= len(stream):
                    start = starts[-1]
                    starts.append(start + 8 + int.from_bytes(stream[start + 4 : start + 8], "big"))
                at = one_of(starts, self.place) + 4
                return (
                    stream[:at] + one_of(LENGTHS, self.other).to_bytes(4, "big") + stream[at + 4 :]
                )
            case "replace":
                return stream[:at] + self.data + stream[at + len(self.data) :]
            case "insert":
                return stream[:at] + self.data + stream[at:]
            case "delete":
                return stream[:at] + stream[end:]
            case "repeat":
                return stream[:end] + stream[at:]
            case _:
                return stream[:at]

    def on_frames(self, frames: list[Frame]) -> list[Frame]:
        """Other frames, each of them whole: moved, said twice, left out, of another type."""
        if not frames or self.kind == "length":
            return frames

        at, to = (int(place * (len(frames) - 1)) for place in (self.place, self.other))
        one = frames[at]
        rest = [*frames[:at], *frames[at + 1 :]]
        match self.kind:
            case "type":
                other = one._replace(type=one_of(UNKNOWN_TYPES, self.other), flags=0xFFFF)
                return [*frames[:at], other, *rest[at:]]
            case "field":
                payload = one.payload + one_of(WRONG, self.other)
                return [*frames[:at], one._replace(payload=payload), *rest[at:]]
            case "replace" | "bit":
                return [*frames[:at], one._replace(payload=self.on_bytes(one.payload)), *rest[at:]]
            case "insert":
                return [*frames[:at], one._replace(type=frames[to].type), *rest[at:]]
            case "delete":
                return rest
            case "repeat":
                return [*frames[:to], one, *frames[to:]]
            case _:
                return [*rest[:to], one, *rest[to:]]


CHANGES = st.builds(
    Change,
    st.sampled_from(
        ["replace", "insert", "delete", "repeat", "move", "bit", "field", "length", "type"]
    ),
    st.floats(0, 1),
    st.floats(0, 1),
    st.binary(min_size=1, max_size=12),
)


def frames_of(stream: bytes) -> list[Frame]:
    """A stream, taken apart."""
    buffer = FrameBuffer()
    buffer.feed(stream)
    return [Frame(*each) for each in buffer]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failed attempts are logged, each with its traceback."""
    caplog.set_level(logging.CRITICAL)


def answered(data: bytes, version: int, backend: str, piece: int) -> list[Any]:
    """What the endpoint answers to a stream that comes in pieces and then ends."""

    executed.set(Counter())

    async def main() -> bytes:
        async with invoked(app, "Everything/wait", version=version) as request:
            for start in range(0, len(data), piece):
                request.write(data[start : start + piece])
            request.end()
            await request.until_ended()
        assert request.status == 200
        return request.body

    return read(anyio.run(main, backend=backend), version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stream_that_is_changed_is_valid(backend: str, version: int) -> None:
    """However much of it is recorded: the handler ends, unless what it waits for was not heard."""
    entries = journal(version)
    whole = answered(stream(version, len(entries)), version, backend, 1 << 20)
    kinds = {type(entry).__name__ for entry in entries}

    assert isinstance(whole[-1], EndMessage)
    assert {"Run", "Sleep", "Call", "OneWayCall", "GetState", "GetStateKeys"} <= kinds
    assert {"GetPromise", "PeekPromise", "Attach", "Signal", "Completion"} <= kinds


@pytest.mark.parametrize("version", VERSIONS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(data=st.data())
def test_a_changed_stream(backend: str, version: int, data: st.DataObject) -> None:
    """It ends as any other, or is a clean error of the protocol; never one of ours."""
    recorded = data.draw(st.integers(1, len(journal(version))))
    changes = data.draw(st.lists(CHANGES, min_size=1, max_size=4))
    changed = stream(version, recorded)
    if data.draw(st.booleans()):
        frames = frames_of(changed)
        for change in changes:
            frames = change.on_frames(frames)
        changed = b"".join(encode_frame(each.type, each.payload, each.flags) for each in frames)
    else:
        for change in changes:
            changed = change.on_bytes(changed)
    said = answered(changed, version, backend, data.draw(st.sampled_from([1 << 20, 64, 7])))

    *before, last = said
    assert isinstance(last, LAST)
    assert not any(isinstance(each, LAST) for each in before)
    if isinstance(last, ErrorMessage):
        assert last.code in CODES or last.message.startswith(CODES_OF_CONTENT)
    if executed.get():
        check_bodies(version, recorded_in(changed))
    proposed = Counter(
        each.completion_id for each in before if isinstance(each, ProposeRunCompletionMessage)
    )
    assert max(proposed.values(), default=0) <= 1
    sent = [each for each in before if isinstance(each, Command)]
    if sent:
        recorded_now = recorded_in(changed)
        check_ids([each for each in recorded_now if isinstance(each, Command)], sent)


def recorded_in(stream: bytes) -> list[Entry]:
    """The journal that an attempt has begun with."""
    buffer = FrameBuffer()
    buffer.feed(stream)
    start = buffer.next()
    assert start is not None
    frames = [buffer.next() for _ in range(CONTROL_CODECS[0].decode(start.payload).known_entries)]
    return [
        decode_command(each.type, each.payload)
        if FIRST_COMMAND <= each.type < FIRST_NOTIFICATION
        else decode_notification(each.payload)
        for each in frames
        if each is not None
    ]


def check_bodies(version: int, recorded: list[Entry]) -> None:
    """None is executed twice, and none whose result is known."""
    known = {each.completion_id for each in recorded if isinstance(each, Completion)}
    numbers = {
        run.name.rpartition("/")[2]: run.completion_id
        for run in journal(version)
        if isinstance(run, Run)
    }
    for name, times in executed.get().items():
        assert times == 1
        assert numbers[name] not in known


def check_ids(recorded: list[Command], sent: list[Command]) -> None:
    """What is sent goes on where the journal ends: nothing is there twice, nothing is left out."""
    following = 1
    for command in [*recorded, *sent]:
        fields = ("invocation_id_completion", "completion_id")
        ids = [getattr(command, field) for field in fields if hasattr(command, field)]
        if command in sent:
            assert ids == list(range(following, following + len(ids)))
        following += len(ids) or isinstance(command, GetEagerState | GetEagerStateKeys)


@pytest.mark.parametrize("version", VERSIONS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20
)
@given(data=st.data())
def test_what_changes_nothing(backend: str, version: int, data: st.DataObject) -> None:
    """Flags, fields of a later version, and how a stream is cut into pieces: the end is the same."""
    entries = journal(version)
    runs = {entry.completion_id for entry in entries if isinstance(entry, Run)}
    done = [isinstance(each, Completion) and each.completion_id in runs for each in entries]
    # What a body does and what the server says to it are two things at once.
    bodies = len(done) - done[::-1].index(True)
    bare = stream(version, data.draw(st.integers(bodies, len(entries))))
    frames = [
        encode_frame(each.type, each.payload + data.draw(st.sampled_from((b"", *NEUTRAL))), flags)
        for each in frames_of(bare)
        for flags in (data.draw(st.integers(0, 0xFFFF)),)
    ]
    expected = answered(bare, version, backend, 1 << 20)[-1]
    pieces = data.draw(st.sampled_from([1 << 20, 1000, 7, 1]))

    assert answered(b"".join(frames), version, backend, pieces)[-1] == expected


@pytest.mark.parametrize("version", [5, 6])
@pytest.mark.parametrize("on_thread", [True, False])
def test_an_answer_before_the_question(backend: str, version: int, on_thread: bool) -> None:
    """A run whose result comes before it was asked for is not executed any more."""
    early = dt.Service("Early")
    executed.set(Counter())

    @early.handler
    async def run(ctx: dt.Context) -> None:
        assert await ctx.run(body, "a", on_thread=on_thread) == "early"
        await ctx.awakeable(str).future

    async def main() -> None:
        async with invoked(endpoint([early]), "Early/run", version=version) as request:
            request.end(start_of() + encode_entry(Completion(1, Value(b'"early"'))))
            await request.until_ended()
        assert read(request.body) == [
            Run(1, "body"),
            AwaitTree(AwaitKind.FIRST_COMPLETED, signals=(1, 17)),
        ]

    anyio.run(main, backend=backend)
    assert not executed.get()
