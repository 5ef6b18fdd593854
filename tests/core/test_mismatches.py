"""Code that does not do what its journal says: found at the command, and reported (J4)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    NonDeterminismError,
    checkpoint,
    move_on_after,
    open_nursery,
    remote,
    sleep,
)
from durable_trio._invocation import awakeable_id
from durable_trio._journal._cursor import Cursor
from durable_trio._journal._mismatch import Mismatch, report
from durable_trio.abc import (
    AttemptCompleted,
    AttemptFailed,
    Call,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Entry,
    Failure,
    Input,
    InvocationId,
    OneWayCall,
    Output,
    Run,
    SetState,
    Signal,
    Sleep,
    Value,
)

from .world import World, object_handler, other, service_handler, unanswered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from durable_trio import AnyHandler, Context, ObjectContext

PEER = remote("Peer", "handle", input=str, output=str)


async def give(value: Any) -> Any:
    return value


def recorded(function: Any, backend: str, **world: Any) -> list[Entry]:
    """What a handler journals up to its end."""
    made = World(service_handler(function), **world)
    made.play(backend)
    return made.entries


def mismatch(
    function: Any,
    entries: Sequence[Entry],
    backend: str,
    *,
    make: Any = service_handler,
    code: int = 570,
) -> AttemptFailed:
    """How a replay of ``entries`` with other code fails."""
    world = World(make(function), recorded=entries)
    end = world.play(backend)
    assert isinstance(end, AttemptFailed), end
    assert isinstance(end.error, NonDeterminismError), end
    assert end.failure.code == code
    assert list(entries) == world.entries
    return end


async def two_steps(ctx: Context) -> str:
    await ctx.run(give, 1, name="first")
    await ctx.run(give, 2, name="second")
    return "done"


def test_another_name_is_a_mismatch(backend: str) -> None:
    """The report shows both, the call's line, the last match, likely causes and the remedy."""

    async def changed(ctx: Context) -> None:
        await ctx.run(give, 1, name="first")
        await ctx.run(give, 2, name="renamed")

    end = mismatch(changed, recorded(two_steps, backend), backend)
    report = str(end.error)

    assert end.command_index == 2
    assert "branch:   the handler itself" in report
    assert f"at:       {__file__}:{changed.__code__.co_firstlineno + 2}" in report
    assert "command:  number 2 (Input is 0)" in report
    assert "  Run('first', completion_id=1)  (the last that matched)" in report
    assert "- Run('second', completion_id=2)  (recorded)" in report
    assert "+ Run('renamed', completion_id=2)  (the code now)" in report
    assert "name: 'second' was recorded, now it is 'renamed'" in report
    assert "likely causes:" in report
    assert "ctx.random" in report


def test_another_kind_is_a_mismatch(backend: str) -> None:
    """The report says which kind was expected."""

    async def changed(ctx: Context) -> None:
        await ctx.run(give, 1, name="first")
        await sleep(5)

    report = str(mismatch(changed, recorded(two_steps, backend), backend).error)

    assert "kind: Run was recorded, now it is Sleep" in report


def test_fewer_commands_are_a_mismatch(backend: str) -> None:
    """A handler that returns early meets the recorded command with its output."""

    async def changed(ctx: Context) -> str:
        await ctx.run(give, 1, name="first")
        return "done"

    report = str(mismatch(changed, recorded(two_steps, backend), backend).error)

    assert "- Run('second', completion_id=2)  (recorded)" in report
    assert "+ Output('', result=" in report


def test_more_commands_are_a_mismatch(backend: str) -> None:
    """A handler that goes on meets its recorded output."""

    async def changed(ctx: Context) -> str:
        await two_steps(ctx)
        await ctx.run(give, 3, name="third")
        return "done"

    report = str(mismatch(changed, recorded(two_steps, backend), backend).error)

    assert "- Output('', result=" in report
    assert "+ Run('third', completion_id=3)  (the code now)" in report


def test_another_output_is_a_mismatch(backend: str) -> None:
    """Also the value that is returned has to be the recorded one."""

    async def changed(ctx: Context) -> str:
        await two_steps(ctx)
        return "something else"

    report = str(mismatch(changed, recorded(two_steps, backend), backend).error)

    assert "result: Value(content=b'\"done\"') was recorded" in report


@pytest.mark.parametrize("length", [4, 6])
def test_waiting_where_it_went_on_is_a_mismatch(backend: str, length: int) -> None:
    """Quiescent, and commands are left over; with an answer to one of them or without."""

    async def changed(ctx: Context) -> None:
        await ctx.run(give, 1, name="first")
        await ctx.awakeable().future

    end = mismatch(changed, recorded(two_steps, backend)[:length], backend)
    report = str(end.error)

    assert "- Run('second', completion_id=2)  (recorded)" in report
    assert "+ waits  (the code now)" in report
    assert f"at:       {__file__}:{changed.__code__.co_firstlineno + 2}" in report


def test_commands_after_the_output_are_a_mismatch(backend: str) -> None:
    """A handler that has ended, though it went on when it was recorded: no code writes that."""

    async def handler(ctx: Context) -> None:
        return None

    entries: list[Entry] = [Input(b""), Output(Value(b"null")), Run(1, "after")]
    end = mismatch(handler, entries, backend, code=571)
    report = str(end.error)

    assert end.command_index == 2
    assert "- Run('after', completion_id=1)  (recorded)" in report
    assert "+ has ended  (the code now)" in report


def test_an_answer_to_a_command_that_was_never_issued_is_a_mismatch(backend: str) -> None:
    """The code does less than it did."""

    async def handler(ctx: Context) -> None:
        await ctx.awakeable().future

    entries: list[Entry] = [Input(b""), Completion(3, Value(b"1"))]
    report = str(mismatch(handler, entries, backend).error)

    assert "an answer to a later command  (recorded)" in report


def test_swapped_branches_are_a_mismatch(backend: str) -> None:
    """Two branches that change places are told apart by their paths (J5)."""

    def fan_out(order: str) -> Callable[[Context], Awaitable[None]]:
        async def download(ctx: Context) -> None:
            await ctx.run(give, 1, name="hash")

        async def upload(ctx: Context) -> None:
            await ctx.run(give, 1, name="hash")

        async def handler(ctx: Context) -> None:
            async with open_nursery() as nursery:
                for letter in order:
                    nursery.start_soon({"d": download, "u": upload}[letter], ctx)

        return handler

    entries = recorded(fan_out("du"), backend)
    report = str(mismatch(fan_out("ud"), entries, backend).error)

    assert "branch:   upload[0]" in report
    assert "- Run('download[0]/hash', completion_id=1)  (recorded)" in report
    assert "+ Run('upload[0]/hash', completion_id=1)  (the code now)" in report


def test_a_branch_s_waiting_line_is_shown(backend: str) -> None:
    """The site of a wait is that of the task that ran last."""

    async def changed(ctx: Context) -> None:
        async def branch() -> None:
            await checkpoint()
            await ctx.awakeable().future

        async with open_nursery() as nursery:
            nursery.start_soon(branch)

    report = str(mismatch(changed, recorded(two_steps, backend), backend).error)

    assert f"at:       {__file__}:" in report
    assert "- Run('first', completion_id=1)  (recorded)" in report


def test_a_mismatch_cannot_be_caught(backend: str) -> None:
    """The handler sees a teardown, and no later command is matched or written."""
    seen: list[str] = []

    async def changed(ctx: Context) -> None:
        try:
            await ctx.run(give, 1, name="renamed")
        except Exception as error:
            seen.append(repr(error))
        finally:
            with CancelScope(shield=True):
                await ctx.run(give, 1, name="first")
            seen.append("went on")

    mismatch(changed, recorded(two_steps, backend), backend)

    assert [] == seen


def test_a_signal_that_is_not_recorded_is_a_mismatch(backend: str) -> None:
    """A cancel signal that is issued when a deadline is delivered, with no task running."""

    async def handler(ctx: Context) -> None:
        with move_on_after(5):
            await ctx.call(PEER, "x")
        await ctx.run(give, 1)

    entries: list[Entry] = [
        Input(b""),
        Sleep(1_000_005_000, 1, "deadline"),
        *recorded(handler, backend, answer=unanswered)[2:3],
        Completion(2, InvocationId("inv_3")),
        Completion(1, Value(b"")),
        Run(4, "give"),
    ]
    end = mismatch(handler, entries, backend)

    assert "+ SendSignal('', target='inv_3', signal=1" in str(end.error)


def test_a_signal_to_a_callee_whose_id_comes_later_is_compared_too(backend: str) -> None:
    """The cancel signal of an intent is issued where the id is delivered."""

    async def handler(ctx: Context) -> None:
        ctx.call(PEER, "x").cancel()
        await ctx.run(give, 1)

    entries: list[Entry] = [
        *recorded(handler, backend, answer=unanswered)[:3],
        Completion(1, InvocationId("inv_2")),
        Run(4, "other"),
    ]
    end = mismatch(handler, entries, backend)

    assert "SendSignal" in str(end.error)


def test_a_mismatch_of_the_first_command_shows_no_last_match() -> None:
    """There is none."""
    shown = report(
        Mismatch(recorded=Run(1, "a"), now=Run(1, "b"), last=None, index=0), branch="", site="here"
    )

    assert "the last that matched" not in shown


# -- what is not compared


PAYLOADS: list[tuple[Any, Any]] = [
    (Call("S", "h", b"1", 1, 2), Call("S", "h", b"2", 1, 2)),
    (OneWayCall("S", "h", b"1", 1), OneWayCall("S", "h", b"2", 1)),
    (SetState("k", b"1"), SetState("k", b"2")),
    (CompletePromise("p", Value(b"1"), 1), CompletePromise("p", Value(b"2"), 1)),
    (CompleteAwakeable("s", Value(b"1")), CompleteAwakeable("s", Value(b"2"))),
    (Output(Value(b"1")), Output(Value(b"2"))),
]


@pytest.mark.parametrize(("recorded_one", "now"), PAYLOADS)
def test_payloads_may_be_left_out_of_the_comparison(recorded_one: Any, now: Any) -> None:
    """For encodings that differ from time to time; everything else is still compared."""
    strict = Cursor([recorded_one])
    lenient = Cursor([recorded_one], check_payloads=False)

    with pytest.raises(Mismatch):
        strict.match(now)
    assert recorded_one == lenient.match(now)


def test_failures_and_names_are_compared_without_payloads_too() -> None:
    """They are no encodings."""
    failed = Output(Failure(500, "no"))

    for now in (Output(Failure(500, "other")), Output(Value(b"1")), Run(1)):
        with pytest.raises(Mismatch):
            Cursor([failed], check_payloads=False).match(now)
    with pytest.raises(Mismatch):
        Cursor([SetState("k", b"1")], check_payloads=False).match(SetState("l", b"1"))


def replays(function: Any, entries: Sequence[Entry], backend: str, *, make: Any) -> object:
    world = World(make(function), recorded=entries)
    end = world.play(backend)
    assert isinstance(end, AttemptCompleted), end
    return end.result


def test_times_are_not_compared(backend: str) -> None:
    """Sleeps and delayed sends are recorded with the time of then."""

    async def handler(ctx: Context) -> None:
        ctx.send(PEER, "x", delay=5, name="later")
        await sleep(5)

    world = World(service_handler(handler))
    world.clock.advance(1_234_567.0)
    world.play(backend)

    assert replays(handler, world.entries, backend, make=service_handler) == Value(b"null")


@pytest.mark.parametrize(("was_partial", "is_partial"), [(True, False), (False, True)])
def test_a_state_read_matches_however_it_was_answered(
    backend: str, was_partial: bool, is_partial: bool
) -> None:
    """Eagerly from what was at hand, or by a completion: the recorded answer counts."""

    async def handler(ctx: ObjectContext) -> list[Any]:
        return [await ctx.get("a", int), await ctx.keys()]

    made = object_handler(handler)
    world = World(made, start={"state": {"a": b"1"}, "partial_state": was_partial})
    end = world.play(backend)
    again = World(
        made,
        recorded=world.entries,
        start={"state": {"a": b"2", "b": b"3"}, "partial_state": is_partial},
    )

    assert end == again.play(backend) == AttemptCompleted(Value(b'[1,["a"]]'))


def test_another_state_key_is_a_mismatch(backend: str) -> None:
    """The name of what is read is compared."""

    async def handler(ctx: ObjectContext) -> Any:
        return await ctx.get("a")

    async def changed(ctx: ObjectContext) -> Any:
        return await ctx.get("b")

    world = World(object_handler(handler))
    world.play(backend)

    mismatch(changed, world.entries, backend, make=object_handler)


def test_payloads_are_compared(backend: str) -> None:
    """Another argument of a call is another call."""

    def caller(argument: str) -> Callable[[Context], Awaitable[None]]:
        async def handler(ctx: Context) -> None:
            await ctx.call(PEER, argument)

        return handler

    entries = recorded(caller("x"), backend)

    assert "parameter" in str(mismatch(caller("y"), entries, backend).error)


def test_payloads_that_differ_each_time_may_be_left_out(backend: str) -> None:
    """With ``check_payloads=False`` a replay takes what was recorded, and its output counts."""
    salt = itertools.count()

    async def handler(ctx: ObjectContext) -> int:
        ctx.set("a", next(salt))
        ctx.send(PEER, f"{next(salt)}", delay=1)
        ctx.resolve_awakeable(awakeable_id(b"1", 17), value=next(salt))
        return next(salt)

    lenient = object_handler(handler, check_payloads=False)
    world = World(lenient)

    assert world.play(backend) == AttemptCompleted(Value(b"3"))
    again = World(lenient, recorded=world.entries)
    assert again.replay(other(backend)) == AttemptCompleted(Value(b"3"))
    mismatch(handler, world.entries, backend, make=object_handler)


def test_everything_else_is_compared_without_payloads_too(backend: str) -> None:
    """Names, keys and failures are what the code does."""

    def writing(key: str) -> AnyHandler:
        async def handler(ctx: ObjectContext) -> None:
            ctx.set(key, key)

        made: AnyHandler = object_handler(handler, check_payloads=False)
        return made

    world = World(writing("a"))
    world.play(backend)
    end = World(writing("b"), recorded=world.entries).play(backend)

    assert isinstance(end, AttemptFailed)
    assert "key: 'a' was recorded, now it is 'b'" in end.failure.message


def test_a_long_payload_is_shortened_in_the_report(backend: str) -> None:
    """A report is read by people."""

    async def handler(ctx: Context) -> str:
        return "x" * 1000

    async def changed(ctx: Context) -> str:
        return "y" * 1000

    report = str(mismatch(changed, recorded(handler, backend), backend).error)

    assert "... (1" in report
    assert "x" * 200 not in report


def test_notifications_that_nobody_waits_for_are_no_mismatch(backend: str) -> None:
    """Answers to cancelled futures, second answers and unknown signals are ignored."""

    async def handler(ctx: Context) -> str:
        with CancelScope() as scope:
            ctx.run(give, 1, name="dropped")
            ctx.awakeable()
            scope.cancel()
        return await ctx.run(give, "done", name="kept")

    entries: list[Entry] = [
        Input(b""),
        Run(1, "dropped"),
        Run(2, "kept"),
        Completion(1, Value(b"1")),
        Completion(1, Failure(500, "twice")),
        Signal(2, Value(b"")),
        Signal(17, Value(b"1")),
        Signal("unknown", Value(b"1")),
        Completion(2, Value(b'"done"')),
    ]

    assert replays(handler, entries, backend, make=service_handler) == Value(b'"done"')
