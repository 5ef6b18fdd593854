"""The replay cursor against two plain queues, in random histories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from durable_trio._journal._cursor import Cursor
from durable_trio._journal._mismatch import Mismatch, branch_of
from durable_trio.abc import (
    Call,
    ClearState,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Failure,
    GetEagerState,
    GetEagerStateKeys,
    GetState,
    GetStateKeys,
    Input,
    OneWayCall,
    Output,
    Run,
    SetState,
    Signal,
    Sleep,
    Value,
    Void,
)

if TYPE_CHECKING:
    from durable_trio.abc import Command, Entry

names = st.sampled_from(["", "a", "b", "child[0]/a", "child[1]/a", "child[0]/deep[0]/a"])
numbers = st.integers(1, 9)
payloads = st.sampled_from([b"1", b"2"])
values = st.builds(Value, payloads)
commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(Run, numbers, names),
    st.builds(Sleep, numbers, numbers, names),
    st.builds(Call, st.just("S"), st.just("h"), payloads, numbers, numbers, name=names),
    st.builds(OneWayCall, st.just("S"), st.just("h"), payloads, numbers, numbers, name=names),
    st.builds(GetState, st.sampled_from("kl"), numbers, names),
    st.builds(GetEagerState, st.sampled_from("kl"), values | st.just(Void()), names),
    st.builds(GetStateKeys, numbers, names),
    st.builds(GetEagerStateKeys, st.just(()), names),
    st.builds(SetState, st.sampled_from("kl"), payloads, names),
    st.builds(ClearState, st.sampled_from("kl"), names),
    st.builds(CompleteAwakeable, st.just("sign_1"), values, names),
    st.builds(CompletePromise, st.just("p"), values, numbers, names),
    st.builds(Output, values | st.builds(Failure, st.just(500), st.just("no")), names),
)
notifications: st.SearchStrategy[Completion | Signal] = st.one_of(
    st.builds(Completion, numbers, values),
    st.builds(Signal, numbers | st.sampled_from(["x", "y"]), values),
)
entries: st.SearchStrategy[Entry] = commands | notifications


def matches(recorded: Any, now: Any, *, check_payloads: bool) -> bool:
    """The rules once more, written out naively."""
    kinds = [
        {"GetEagerState": "GetState", "GetEagerStateKeys": "GetStateKeys"}.get(kind, kind)
        for kind in (type(recorded).__name__, type(now).__name__)
    ]
    if kinds[0] != kinds[1]:
        return False

    ignored = {
        "Sleep": {"wake_up_time", "completion_id"},
        "OneWayCall": {"invoke_time"},
        "GetState": {"completion_id", "result"},
        "GetStateKeys": {"completion_id", "keys"},
    }.get(kinds[0], set())
    if type(recorded) is type(now) and hasattr(now, "completion_id") and kinds[0] != "Sleep":
        ignored = ignored - {"completion_id"}
    if not check_payloads:
        ignored = ignored | {"parameter", "content"}
    seen = [
        {
            name: "payload"
            if not check_payloads and isinstance(getattr(entry, name), Value)
            else getattr(entry, name)
            for name in entry.__slots__
            if name not in ignored and not name.startswith("__")
        }
        for entry in (recorded, now)
    ]
    return seen[0] == seen[1]


class CursorMachine(RuleBasedStateMachine):
    """See the module's docstring."""

    @initialize(recorded=st.lists(entries, max_size=12), check_payloads=st.booleans())
    def record(self, recorded: list[Entry], check_payloads: bool) -> None:
        begin = Input(b"")
        self.cursor = Cursor([begin, *recorded], check_payloads=check_payloads)
        self.check_payloads = check_payloads
        self.commands: list[Command] = [
            begin,
            *(entry for entry in recorded if not isinstance(entry, Completion | Signal)),
        ]
        self.notifications = [entry for entry in recorded if isinstance(entry, Completion | Signal)]
        self.known = {entry.completion_id for entry in recorded if isinstance(entry, Completion)}
        self.done: list[Command] = []

    def _next(self) -> Command | None:
        return self.commands[len(self.done)] if len(self.done) < len(self.commands) else None

    @precondition(lambda self: self._next() is not None)
    @rule()
    def match_the_next(self) -> None:
        command: Any = self._next()

        assert self.cursor.match(command) is command
        self.done.append(command)

    @precondition(lambda self: self._next() is not None)
    @rule(command=commands)
    def match_any(self, command: Command) -> None:
        recorded: Any = self._next()
        if matches(recorded, command, check_payloads=self.check_payloads):
            assert self.cursor.match(command) is recorded
            self.done.append(recorded)
        else:
            with pytest.raises(Mismatch) as raised:
                self.cursor.match(command)
            mismatch = raised.value
            assert (recorded, command) == (mismatch.recorded, mismatch.now)
            assert len(self.done) == mismatch.index
            assert (self.done[-1] if self.done else None) == mismatch.last

    @rule()
    def take_a_notification(self) -> None:
        if self.notifications:
            assert self.cursor.next_notification() is self.notifications.pop(0)
        elif self._next() is not None:
            with pytest.raises(Mismatch) as raised:
                self.cursor.next_notification()
            assert raised.value.recorded is self._next()
            assert raised.value.now is None
        else:
            assert self.cursor.next_notification() is None

    @invariant()
    def it_stands_where_the_queues_do(self) -> None:
        if not hasattr(self, "cursor"):
            return

        left = self.commands[len(self.done) :]
        assert bool(left) is self.cursor.replaying
        assert len(self.done) == self.cursor.command_index
        assert (self.done[-1] if self.done else None) is self.cursor.last
        assert self.known == self.cursor.known
        for branch in ("", "child[0]", "child[1]", "child[0]/deep[0]", "other[0]"):
            expected = any(branch_of(command.name) == branch for command in left)
            assert expected is self.cursor.branch_replays(branch)


TestCursor = CursorMachine.TestCase
TestCursor.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
