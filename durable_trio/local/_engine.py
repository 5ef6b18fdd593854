"""What the parts of the embedded runtime share.

Owns nothing but the bundle: who is live, who holds which key, which timers are near, who
waits outside. One per runtime, made when it is entered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._ids import Ids
from ._keys import KeyTable
from ._live import LiveInvocation
from ._locks import Locks
from ._observers import Observers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._registry import ServiceRegistry
    from durable_trio.abc import Clock, JournalStore

    from ._timers import TimerQueue


@attrs.define(eq=False)
class Engine:
    """See the module's docstring."""

    store: JournalStore
    clock: Clock
    registry: ServiceRegistry
    timers: TimerQueue
    spawn: Callable[[Callable[[], Awaitable[object]]], None]
    """Run a task in the background; an error in it fails the runtime."""
    fail: Callable[[Exception], None]
    """Nothing can go on."""
    ids: Ids = attrs.field(factory=Ids)
    keys: KeyTable = attrs.field(factory=KeyTable)
    locks: Locks = attrs.field(factory=Locks)
    lives: dict[str, LiveInvocation] = attrs.field(factory=dict[str, LiveInvocation])
    observers: Observers = attrs.field(factory=Observers)
    sequence: int = 0
    """The highest sequence given to an invocation."""
    stopping: bool = False
    """Nothing is brought into memory any more."""
    failure: Exception | None = None
    """Why nothing can be written any more."""

    def next_sequence(self) -> int:
        """The place in the order of arrival for one more invocation."""
        self.sequence += 1
        return self.sequence
