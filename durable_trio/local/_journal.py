"""The journal of one attempt, as the attempt sees it.

Owns the buffer between an attempt and the store. It implements ``abc.Journal``.

 1. Commands are written at the attempt's quiescence, all at once, together with what they
    do. The attempt does not wait for that write; what is released because of it (a
    child's id, a signal) waits for its commit.
 2. A run's result is written as soon as it is proposed, but never before its command, and
    delivered once it is durable.
 3. Of an attempt that fails, nothing is written but what was written already, and results.
 4. A closed journal takes nothing any more: what a torn down attempt still does is lost,
    as it would be in a crash.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from durable_trio._journal._entries import Completion, Output
from durable_trio._records import AppendEntries

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
        "_buffer",
        "_effective",
        "_effects",
        "_engine",
        "_id",
        "_live",
        "_proposed",
        "_residency",
        "_table",
        "closed",
    )

    def __init__(
        self, live: LiveInvocation, engine: Engine, effects: Effects, residency: Residency
    ) -> None:
        self._live = live
        self._id = live.id
        self._engine = engine
        self._effects = effects
        self._table = effects.table
        self._residency = residency
        self._buffer: list[Command | Completion] = []
        self._effective = False
        """Whether a buffered command does more than be journaled."""
        self._proposed: list[Completion] = []
        """The buffered completions."""
        self.closed: bool = False

    def append(self, command: Command) -> None:
        """Take the next command; ``UsageError`` if it can never work."""
        if self.closed:
            return

        effect = self._table.get(type(command))
        if effect is not None:
            if effect.check is not None:
                effect.check(self._live, command)
            self._effective = True
        self._buffer.append(command)

    def propose(self, completion_id: int, result: Value | Failure) -> None:
        """Make a run's result durable, then deliver it."""
        if self.closed:
            return

        self._live.inflight += 1
        completion = Completion(completion_id, result)
        self._proposed.append(completion)
        if self._buffer:
            # Commands that are not written yet are flushed soon, and this with them.
            self._buffer.append(completion)
        else:
            self._buffer.append(completion)
            self._write()

    def forget(self, completion_id: int) -> None:
        """Remove what is stored because of a wait that nobody waits for any more."""
        attempt = self._live.attempt
        if attempt is not None:
            self._live.waits.forget(completion_id, replaying=attempt.is_replaying)

    def flush(self, awaiting: Callable[[], AwaitTree], *, executing: bool) -> None:
        """Write what was appended. The attempt is idle from now on, unless a body executes."""
        buffer, live = self._buffer, self._live
        if self.closed or (buffer and type(buffer[-1]) is Output):
            # After its output the attempt ends at once, and that is written together with it.
            return

        if live.waits.unsure:
            self._effects.ensure(live, awaiting())
        if self._effective or live.waits.forgotten:
            self.write_effects()
        elif buffer:
            self._write()
        if executing or live.inflight:
            self._residency.busy(live)
        else:
            self._residency.idle(live)

    def write_effects(self) -> None:
        """Write what is buffered if it does more than be journaled."""
        if self._effective or self._live.waits.forgotten:
            transaction = self._effects.mail.transaction()
            self.take(transaction)
            transaction.commit(urgent=transaction.has_consequences)

    def give_up(self) -> None:
        """The attempt failed: what it has not written yet was not done.

        An error that is retried is in no journal, so what came of it must not be in there
        either: the cancel signals of a nursery that unwound, timers that nobody waited for
        any more. Results of bodies are results whatever became of the attempt.
        """
        self._buffer = list(self._proposed)
        self._effective = False
        self._live.waits.remember()

    def take(self, transaction: Transaction) -> None:
        """Move what is buffered into a transaction, with all that it does."""
        live = self._live
        if self._buffer:
            live.progressed = True
            live.inflight -= len(self._proposed)
            self._proposed.clear()
            buffer, self._buffer = self._buffer, []
            self._effective = False
            place = len(transaction.writes)
            entries = self._effects.apply(live, buffer, transaction)
            transaction.writes.insert(place, AppendEntries(self._id, tuple(entries)))
        self._effects.withdraw(live, transaction)

    def _write(self) -> None:
        """Write what is buffered and does nothing more: what most steps come down to."""
        live = self._live
        live.progressed = True
        writes = (AppendEntries(self._id, tuple(self._buffer)),)
        self._buffer = []
        if self._proposed:
            proposed, self._proposed = self._proposed, []
            self._engine.store.write(writes, partial(self._deliver, proposed, live.generation))
        else:
            self._engine.store.write(writes, urgent=False)

    def _deliver(self, proposed: list[Completion], generation: int) -> None:
        live = self._live
        live.inflight -= len(proposed)
        if live.generation == generation and self._engine.lives.get(self._id) is live:
            for completion in proposed:
                live.receive(completion)
