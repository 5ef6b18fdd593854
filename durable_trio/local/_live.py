"""Live invocations: those that are in memory.

Owns what is remembered of an invocation between its creation (or its load) and the moment
it completes, suspends, backs off or is paused. Everything else about it is in the store.

 1. An invocation is live at most once; while it is, nobody else writes its record.
 2. Whether somebody is live is asked when a write is queued, never after an await: the
    store's order and the order in here are one.
 3. ``generation`` counts journal reads. A notification queued before the read is in what
    was read; one queued after it is delivered. No notification is ever both.

| phase    | means                                             | next                     |
| -------- | ------------------------------------------------- | ------------------------ |
| ADMITTED | created; waits for its creation to be durable     | LOADING, gone            |
| LOADING  | what its attempt starts with is being read        | RUNNING, gone            |
| RUNNING  | an attempt runs                                   | CLOSING, gone            |
| CLOSING  | the attempt has been asked to suspend             | LOADING, gone            |
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import anyio
import attrs

from durable_trio._journal._entries import Completion
from durable_trio._records import InvocationRecord, Waiter

from ._ids import to_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._attempt import Attempt
    from durable_trio._journal._entries import Entry, Notification

    from ._journal import AttemptJournal
    from ._waits import Waits


class Phase(enum.Enum):
    """See the module's docstring."""

    ADMITTED = enum.auto()
    LOADING = enum.auto()
    RUNNING = enum.auto()
    CLOSING = enum.auto()


@attrs.define(eq=False)
class LiveInvocation:
    """One invocation in memory."""

    record: InvocationRecord
    phase: Phase
    waits: Waits
    """What it has in the store because it waits."""
    recorded: Sequence[Entry] = ()
    """What its next attempt replays; empty: to be read."""
    waiters: dict[Waiter, None] = attrs.field(factory=dict[Waiter, None])
    """Who waits for its result, as in the store, in order of arrival."""
    generation: int = 0
    inflight: int = 0
    """Notifications that are queued and not durable yet."""
    backlog: list[Notification] = attrs.field(factory=list["Notification"])
    """What became durable before there was an attempt to deliver it to."""
    late: bool = False
    """Whether anything arrived after the attempt was asked to suspend."""
    deaf: bool = False
    """Whether nothing is delivered any more, since the runtime stops."""
    progressed: bool = False
    """Whether the journal has grown since the attempt began."""
    cancel_arrived: bool = False
    """Whether CANCEL was sent since the attempt began."""
    attempt: Attempt | None = None
    journal: AttemptJournal | None = None
    scope: anyio.CancelScope | None = None
    """Around everything that is done for it."""
    gone: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when it is no longer live."""

    @property
    def id(self) -> str:
        """The invocation id."""
        return self.record.id

    @property
    def raw_id(self) -> bytes:
        """The invocation id as bytes."""
        return to_raw(self.record.id)

    def receive(self, notification: Notification) -> None:
        """A notification of this generation has become durable."""
        if isinstance(notification, Completion):
            self.waits.answered(notification.completion_id)
        if self.attempt is None:
            self.backlog.append(notification)
            return

        if self.phase is Phase.CLOSING:
            self.late = True
        if not self.deaf:
            self.attempt.deliver(notification)
