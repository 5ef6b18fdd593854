"""The journal of one attempt, as the attempt sees it.

Owns the buffer between an attempt and the store. It implements ``abc.Journal``.

 1. Commands are written at the attempt's quiescence, all at once, together with what they
    do. The attempt does not wait for that write; what is released because of it (a
    child's id, a signal) waits for its commit.
 2. A run's result is written as soon as it is proposed and delivered once it is durable.
 3. A closed journal takes nothing any more: what a torn down attempt still does is lost,
    as it would be in a crash.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from durable_trio._journal._entries import Completion, Output
from durable_trio._records import AppendEntries, DeleteTimer, TimerKind

from ._effects import EFFECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio._journal._entries import AwaitTree, Command, Failure, Value

    from ._effects import Effects
    from ._engine import Engine
    from ._live import LiveInvocation
    from ._mail import Transaction
    from ._residency import Residency


class AttemptJournal:
    """See the module's docstring."""

    __slots__ = (
        "_commands",
        "_effective",
        "_effects",
        "_engine",
        "_forgotten",
        "_id",
        "_live",
        "_residency",
        "closed",
    )

    def __init__(
        self, live: LiveInvocation, engine: Engine, effects: Effects, residency: Residency
    ) -> None:
        self._live = live
        self._id = live.id
        self._engine = engine
        self._effects = effects
        self._residency = residency
        self._commands: list[Command] = []
        self._effective = False
        self._forgotten: list[int] = []
        self.closed = False

    def append(self, command: Command) -> None:
        """Take the next command; ``UsageError`` if it can never work."""
        if self.closed:
            return

        effect = EFFECTS.get(type(command))
        if effect is not None:
            if effect.check is not None:
                effect.check(self._effects, self._live, command)
            self._effective = True
        self._commands.append(command)

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """Make a run's result durable, then deliver it."""
        if self.closed:
            return

        live = self._live
        live.inflight += 1
        live.progressed = True
        completion = Completion(completion_id, result)
        self._engine.store.write(
            (AppendEntries(self._id, (completion,)),),
            partial(self._proposed, completion, live.generation),
        )

    def forget(self, completion_id: int) -> None:
        """Remove the timer that nobody waits for."""
        self._forgotten.append(completion_id)

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:  # noqa: ARG002
        """Write what was appended. The attempt is idle from now on, unless a body executes."""
        commands = self._commands
        if self.closed or (commands and type(commands[-1]) is Output):
            # After its output the attempt ends at once, and is written together with it.
            return

        if self._effective or self._forgotten:
            transaction = self._effects.mail.transaction()
            self.take(transaction)
            transaction.commit(urgent=transaction.has_consequences)
        elif commands:
            self._live.progressed = True
            self._commands = []
            self._engine.store.write((AppendEntries(self._id, tuple(commands)),), urgent=False)
        if executing:
            self._residency.busy(self._live)
        else:
            self._residency.idle(self._live)

    def take(self, transaction: Transaction) -> None:
        """Move what is buffered into a transaction, with all that it does."""
        live = self._live
        if self._commands:
            live.progressed = True
            commands, self._commands = self._commands, []
            self._effective = False
            place = len(transaction.writes)
            entries = self._effects.apply(live, commands, transaction)
            transaction.writes.insert(place, AppendEntries(self._id, tuple(entries)))
        forgotten, self._forgotten = self._forgotten, []
        for completion_id in forgotten:
            if completion_id in live.sleeps:
                live.sleeps.discard(completion_id)
                self._engine.timers.remove(self._id, TimerKind.SLEEP, completion_id)
                transaction.add(DeleteTimer(self._id, TimerKind.SLEEP, completion_id))

    def _proposed(self, completion: Completion, generation: int) -> None:
        live = self._live
        live.inflight -= 1
        if live.generation == generation and self._engine.lives.get(self._id) is live:
            live.receive(completion)
