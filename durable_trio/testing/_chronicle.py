"""What became durable in a test, in order: the journals of all invocations as one story.

Owns what is known of every invocation, how it is called in reports, and the story as text.
It reads commits; that they happen is the store's.

 1. An invocation is called by its handler, and numbered if there are several.
 2. Its place is the way to it from outside: the number of the request, then, caller by
    caller, the completion id of the call. It is the same in every run of a program.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from durable_trio._journal._entries import (
    CANCEL_SIGNAL,
    Call,
    Completion,
    Entry,
    InvocationId,
    Signal,
    Sleep,
)
from durable_trio._records import (
    AppendEntries,
    DeliverNotification,
    InvocationStatus,
    PutInvocation,
    PutState,
)
from durable_trio._transcript._describe import Words, target_name
from durable_trio._transcript._tree import Step

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping

    from durable_trio._journal._entries import Notification, Result
    from durable_trio._records import InvocationRecord, Write

Place: TypeAlias = tuple[int, ...]

_ANSWERS: Final = ("completion_id", "invocation_id_completion")


@attrs.define(eq=False)
class Known:
    """What is known of one invocation."""

    record: InvocationRecord
    label: str
    asked_by: tuple[str, int] | None = None
    """The invocation that called it, and under which completion id."""
    number: int = 0
    """Which one of those from outside it is."""
    entries: list[Entry] = attrs.field(factory=list[Entry])
    commands: dict[int, Any] = attrs.field(factory=dict[int, Any])
    """By the completion ids that answer them."""
    results: dict[int, Result] = attrs.field(factory=dict[int, "Result"])
    """By completion id."""

    @property
    def answered(self) -> Collection[int]:
        """The completion ids whose results are recorded."""
        return self.results.keys()

    def waits_for(self) -> list[str]:
        """What was not answered yet, in words."""
        words = Words(self.record.id)
        return [
            words.action(Step(0, command, command.name))
            for number, command in self.commands.items()
            if number not in self.answered
            and not (isinstance(command, Call) and number != command.completion_id)
        ]


class Chronicle:
    """See the module's docstring."""

    def __init__(self) -> None:
        self.known: dict[str, Known] = {}
        self.keys: set[tuple[str, str]] = set()
        """The services and keys that had state."""
        self._story: list[tuple[Known, Entry]] = []
        self._callers: dict[str, tuple[str, int]] = {}
        self._labels: Counter[str] = Counter()
        self._outside = 0

    def note(self, writes: Iterable[Write]) -> None:
        """A transaction was committed."""
        for write in writes:
            if isinstance(write, PutInvocation):
                self._put(write.record)
            elif isinstance(write, PutState):
                self.keys.add((write.service, write.key))
            elif isinstance(write, AppendEntries):
                for entry in write.entries:
                    self._append(write.invocation_id, entry)
            elif isinstance(write, DeliverNotification):
                known = self.known.get(write.invocation_id)
                if known is not None and known.record.status is not InvocationStatus.COMPLETED:
                    self._append(write.invocation_id, write.notification)

    def _put(self, record: InvocationRecord) -> None:
        known = self.known.get(record.id)
        if known is not None:
            known.record = record
            return

        name = target_name(record.service, record.key, record.handler)
        self._labels[name] += 1
        label = name if self._labels[name] == 1 else f"{name} #{self._labels[name]}"
        known = self.known[record.id] = Known(record, label)
        if record.parent is None:
            self._outside += 1
            known.number = self._outside

    def _append(self, invocation_id: str, entry: Entry) -> None:
        known = self.known[invocation_id]
        known.entries.append(entry)
        self._story.append((known, entry))
        if isinstance(entry, Completion):
            known.results.setdefault(entry.completion_id, entry.result)
            if isinstance(entry.result, InvocationId):
                caller = invocation_id, entry.completion_id
                self._callers.setdefault(entry.result.id, caller)
        else:
            for field in _ANSWERS:
                number = getattr(entry, field, None)
                if number is not None:
                    known.commands[number] = entry

    # -- names

    def label(self, invocation_id: str) -> str:
        """How an invocation is called."""
        known = self.known.get(invocation_id)
        return invocation_id if known is None else known.label

    def labelled(self, text: str) -> str:
        """A text in which invocations are called as they are here, not by their ids."""
        for invocation_id, known in self.known.items():
            text = text.replace(invocation_id, known.label)
        return text

    def place(self, invocation_id: str) -> Place:
        """The way to an invocation from outside."""
        known = self.known.get(invocation_id)
        caller = self._callers.get(invocation_id)
        if known is None or known.record.parent is None or caller is None:
            return (0 if known is None else known.number,)

        return (*self.place(caller[0]), caller[1])

    def notification(self, invocation_id: str, notification: Notification) -> str:
        """What an invocation gets, in words."""
        if isinstance(notification, Signal):
            named = isinstance(notification.signal, str)
            if notification.signal == CANCEL_SIGNAL:
                return "CANCEL"

            return f"{'signal' if named else 'awakeable'} {notification.signal} arrives"

        known = self.known.get(invocation_id)
        command = None if known is None else known.commands.get(notification.completion_id)
        if command is None:
            return f"answer {notification.completion_id}"

        if isinstance(command, Sleep):
            return f"timer {command.name or 'of a sleep'} fires"

        word = "id of" if isinstance(notification.result, InvocationId) else "answer to"
        return f"the {word} {Words(invocation_id).action(Step(0, command, command.name))}"

    def sender(self, invocation_id: str, notification: Notification) -> Hashable | None:
        """Who sends in order: the key that was called, signals of a name; None: nobody known."""
        if isinstance(notification, Signal):
            return notification.signal if isinstance(notification.signal, str) else None

        known = self.known.get(invocation_id)
        command = None if known is None else known.commands.get(notification.completion_id)
        if isinstance(command, Call) and command.key:
            return command.service, command.key

        return None

    # -- the story

    def __len__(self) -> int:
        return len(self._story)

    def tell(self, marks: Mapping[int, str] | None = None) -> str:
        """The story as text, an entry a line. ``marks`` are lines to come after so many."""
        marks = marks or {}
        width = max((len(known.label) for known, _ in self._story), default=0)
        lines: list[str] = []
        for number in range(len(self._story) + 1):
            if number:
                known, entry = self._story[number - 1]
                lines += [f"    {known.label:<{width}} {text}" for text in _told(known, entry)]
            if number in marks:
                lines.append(f"    {marks[number]}")
        return "\n".join(lines)


def _told(known: Known, entry: Entry) -> Iterator[str]:
    words = Words(known.record.id, known.record.started_at)
    if isinstance(entry, Completion):
        command = known.commands.get(entry.completion_id)
        if command is not None and not isinstance(entry.result, InvocationId):
            yield f"<- {words.step(_step(command, entry))}"
    elif isinstance(entry, Signal):
        yield f"<- {words.action(_step(entry))}"
    else:
        yield f"   {words.action(_step(entry))}"


def _step(entry: Any, answer: Completion | None = None) -> Step:
    result = None if answer is None else answer.result
    return Step(0, entry, getattr(entry, "name", ""), result=result)
