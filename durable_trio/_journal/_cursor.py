"""The replay cursor: what was recorded, handed out in order and held against the code.

Owns the recorded entries of one attempt and their comparison with what the code does
now. It appends nothing and knows no task.

 1. Commands are consumed in order, one per command that the code issues (J2, J4).
 2. Notifications are consumed in order, one per quiescence (J3, S4).
 3. A command matches if kind and fields are the same; what a field comparison leaves
    out is listed in ``_COMPARED`` and nowhere else. Times are never compared.
 4. ``known`` tells the completions that are anywhere in the journal, delivered or not:
    a run body whose result is known never starts (S7).
 5. ``watch`` is told of every command before it is compared, and of every recorded
    notification before it is delivered: that is where a debugger stops.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import attrs

from ._entries import (
    Call,
    Command,
    CompleteAwakeable,
    CompletePromise,
    Completion,
    Entry,
    GetEagerState,
    GetEagerStateKeys,
    GetState,
    GetStateKeys,
    Input,
    Notification,
    OneWayCall,
    Output,
    SetState,
    Signal,
    Sleep,
    Value,
)
from ._mismatch import Mismatch, branch_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

C = TypeVar("C", bound=Command)

_Read: TypeAlias = GetState | GetEagerState | GetStateKeys | GetEagerStateKeys

_NOTHING: Final[AbstractSet[int]] = frozenset()


def _same_name(recorded: Command, now: Command) -> bool:
    return recorded.name == now.name


def _same_send(recorded: OneWayCall, now: OneWayCall) -> bool:
    return attrs.evolve(recorded, invoke_time=now.invoke_time) == now


def _same_read(recorded: GetEagerState | GetState, now: GetEagerState | GetState) -> bool:
    return recorded.key == now.key and _same_question(recorded, now)


def _same_question(recorded: _Read, now: _Read) -> bool:
    # What was read eagerly is not compared: the code may have written since, in an earlier attempt.
    if isinstance(recorded, GetState | GetStateKeys) and type(recorded) is type(now):
        return recorded == now

    return recorded.name == now.name


def _always(_recorded: Input, _now: Input) -> bool:
    return True


_COMPARED: Final[dict[type, Callable[..., bool]]] = {
    Input: _always,
    Sleep: _same_name,
    OneWayCall: _same_send,
    GetState: _same_read,
    GetEagerState: _same_read,
    GetStateKeys: _same_question,
    GetEagerStateKeys: _same_question,
}
"""Commands that are not compared by all their fields."""

_KINDS: Final[dict[type, type]] = {
    GetEagerState: GetState,
    GetEagerStateKeys: GetStateKeys,
}
"""A state read matches whichever way it was answered when it was recorded."""


def _without_payload(command: Command) -> Command:
    if isinstance(command, Call | OneWayCall):
        return attrs.evolve(command, parameter=b"")

    if isinstance(command, SetState):
        return attrs.evolve(command, content=b"")

    if isinstance(command, Output | CompletePromise | CompleteAwakeable):
        result = command.result
        if isinstance(result, Value):
            return attrs.evolve(command, result=Value(b""))

    return command


class Cursor:
    """See the module's docstring. ``recorded`` starts with the Input command."""

    __slots__ = (
        "_by_branch",
        "_commands",
        "_counted",
        "_index",
        "_notification",
        "_notifications",
        "check_payloads",
        "known",
        "watch",
    )

    def __init__(self, recorded: Sequence[Entry], *, check_payloads: bool = True) -> None:
        self._commands: list[Command] = []
        self._notifications: list[Notification] = []
        known: set[int] | None = None
        self.check_payloads: bool = check_payloads
        self.watch: Callable[[Entry], object] | None = None
        self._index = 0
        self._by_branch: Counter[str] | None = None
        self._counted = 0
        self._notification = 0
        for entry in recorded:
            if isinstance(entry, Completion):
                self._notifications.append(entry)
                if known is None:
                    known = set()
                known.add(entry.completion_id)
            elif isinstance(entry, Signal):
                self._notifications.append(entry)
            else:
                self._commands.append(entry)
        self.known: AbstractSet[int] = known or _NOTHING

    @property
    def replaying(self) -> bool:
        """Whether the next command is a recorded one."""
        return self._index < len(self._commands)

    @property
    def exhausted(self) -> bool:
        """Whether nothing recorded is left, commands or notifications."""
        return self._index >= len(self._commands) and self._notification >= len(self._notifications)

    @property
    def command_index(self) -> int:
        """The number of commands consumed so far: the index of the next one."""
        return self._index

    @property
    def last(self) -> Command | None:
        """The last command that matched."""
        return self._commands[self._index - 1] if self._index else None

    def match(self, command: C) -> C:
        """Consume the next recorded command. Raises ``Mismatch`` if it is another one.

        Returns what was recorded, which holds the times and the state reads of then.
        """
        if self.watch is not None:
            self.watch(command)
        recorded = self._commands[self._index]
        # Generated comparisons are quick for "==", and a detour for "!=".
        if not (recorded == command or self._equivalent(recorded, command)):
            raise Mismatch(recorded=recorded, now=command, last=self.last, index=self._index)

        self._index += 1
        return recorded  # type: ignore[return-value]  # same kind, or the other form of a read

    def next_notification(self) -> Notification | None:
        """Consume the next recorded notification, None when there is none left.

        Raises ``Mismatch`` if commands are left over instead: the code waits where it
        went on when it was recorded.
        """
        if self._notification < len(self._notifications):
            notification = self._notifications[self._notification]
            if self.watch is not None:
                self.watch(notification)
            self._notification += 1
            return notification

        if self._index < len(self._commands):
            raise self.left_over(ended=False)

        return None

    def left_over(self, *, ended: bool) -> Mismatch:
        """The divergence of code that waits, or has ended, where it went on when it was recorded."""
        return Mismatch(
            recorded=self._commands[self._index],
            now=None,
            last=self.last,
            index=self._index,
            ended=ended,
        )

    def branch_replays(self, path: str) -> bool:
        """Whether recorded commands of the branch with this path are left."""
        if self._by_branch is None:
            self._by_branch = Counter(branch_of(command.name) for command in self._commands)
        while self._counted < self._index:
            self._by_branch[branch_of(self._commands[self._counted].name)] -= 1
            self._counted += 1
        return self._by_branch[path] > 0

    def _equivalent(self, recorded: Command, now: Command) -> bool:
        kind = _KINDS.get(type(recorded), type(recorded))
        if kind is not _KINDS.get(type(now), type(now)):
            return False

        if not self.check_payloads:
            recorded, now = _without_payload(recorded), _without_payload(now)
        compare = _COMPARED.get(type(recorded))
        return compare(recorded, now) if compare else recorded == now
