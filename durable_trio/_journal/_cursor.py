"""The replay cursor: what was recorded, handed out in order and held against the code.

Owns the recorded entries of one attempt and their comparison with what the code does
now. It appends nothing and knows no task.

 1. Commands are consumed in order, one per command that the code issues (J2, J4).
 2. Notifications are consumed in order, one per quiescence (J3, S4).
 3. A command matches if kind and fields are the same; what a field comparison leaves
    out is listed in ``_COMPARED`` and nowhere else. Times are never compared.
 4. ``known`` tells the completions that are anywhere in the journal, delivered or not:
    a run body whose result is known never starts (S7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

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
)
from ._mismatch import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

C = TypeVar("C", bound=Command)


def _same_sleep(recorded: Sleep, now: Sleep) -> bool:
    return recorded.name == now.name and recorded.completion_id == now.completion_id


def _same_send(recorded: OneWayCall, now: OneWayCall) -> bool:
    return attrs.evolve(recorded, invoke_time=now.invoke_time) == now


def _same_name_and_key(recorded: GetEagerState | GetState, now: GetEagerState | GetState) -> bool:
    return recorded.key == now.key and recorded.name == now.name


def _same_name(
    recorded: GetEagerStateKeys | GetStateKeys, now: GetEagerStateKeys | GetStateKeys
) -> bool:
    return recorded.name == now.name


def _always(recorded: Input, now: Input) -> bool:
    return True


_COMPARED: Final[dict[type, Callable[..., bool]]] = {
    Input: _always,
    Sleep: _same_sleep,
    OneWayCall: _same_send,
    GetState: _same_name_and_key,
    GetEagerState: _same_name_and_key,
    GetStateKeys: _same_name,
    GetEagerStateKeys: _same_name,
}
"""Commands that are not compared by all their fields."""

_KINDS: Final[dict[type, type]] = {
    GetEagerState: GetState,
    GetEagerStateKeys: GetStateKeys,
}
"""A state read matches whichever way it was answered when it was recorded."""

_WITHOUT_PAYLOAD: Final[dict[type, dict[str, object]]] = {
    Call: {"parameter": b""},
    OneWayCall: {"parameter": b""},
    SetState: {"content": b""},
}


def _without_payload(command: Command) -> Command:
    if isinstance(command, Output | CompletePromise | CompleteAwakeable):
        return attrs.evolve(command, result=attrs.evolve(command.result, **_blank(command.result)))

    blank = _WITHOUT_PAYLOAD.get(type(command))
    return attrs.evolve(command, **blank) if blank else command


def _blank(result: object) -> dict[str, object]:
    return {"content": b""} if hasattr(result, "content") else {}


class Cursor:
    """See the module's docstring. ``recorded`` starts with the Input command."""

    __slots__ = ("_commands", "_index", "_notification", "_notifications", "check_payloads", "known")

    def __init__(self, recorded: Sequence[Entry], *, check_payloads: bool = True) -> None:
        self._commands: list[Command] = []
        self._notifications: list[Notification] = []
        self.known: set[int] = set()
        self.check_payloads = check_payloads
        self._index = 0
        self._notification = 0
        for entry in recorded:
            if isinstance(entry, Completion):
                self._notifications.append(entry)
                self.known.add(entry.completion_id)
            elif isinstance(entry, Signal):
                self._notifications.append(entry)
            else:
                self._commands.append(entry)

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
    def remaining(self) -> Sequence[Command]:
        """The recorded commands that the code has not issued yet."""
        return self._commands[self._index :]

    @property
    def last(self) -> Command | None:
        """The last command that matched."""
        return self._commands[self._index - 1] if self._index else None

    def match(self, command: C) -> C:
        """Consume the next recorded command. Raises ``Mismatch`` if it is another one.

        Returns what was recorded, which holds the times and the state reads of then.
        """
        recorded = self._commands[self._index]
        if recorded != command and not self._equivalent(recorded, command):
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
            self._notification += 1
            return notification

        if self._index < len(self._commands):
            raise Mismatch(
                recorded=self._commands[self._index], now=None, last=self.last, index=self._index
            )

        return None

    def _equivalent(self, recorded: Command, now: Command) -> bool:
        kind = _KINDS.get(type(recorded), type(recorded))
        if kind is not _KINDS.get(type(now), type(now)):
            return False

        if not self.check_payloads:
            recorded, now = _without_payload(recorded), _without_payload(now)
        compare = _COMPARED.get(type(recorded))
        return compare(recorded, now) if compare else recorded == now
