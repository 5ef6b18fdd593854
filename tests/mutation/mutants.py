"""Deliberate bugs, each with the tests that have to notice it.

Owns the table. A mutant is a textual replacement in one source file; the text has to be there
exactly once. How the mutants are run is ``run.py``'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]


@attrs.frozen
class Mutant:
    """One bug. ``tests`` are pytest's arguments; one of them at the least has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, source: str) -> str:
        """The source with the bug in it. ``ValueError`` if the text is not there exactly once."""
        if (count := source.count(self.old)) != 1:
            raise ValueError(
                f"the mutant {self.name!r} does not fit any more: its text stands {count} times in "
                f"{self.file}. Find what became of that code and make the same mistake there."
            )

        return source.replace(self.old, self.new)


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, file, old, new, tuple(f"tests/{test}" for test in tests))


SCHEDULER: Final = (
    _mutant(
        "the task that became ready last runs first",
        "durable_trio/_scheduler.py",
        "                following.reverse()\n",
        "",
        "core/test_nursery.py",
    ),
    _mutant(
        "two notifications are delivered at once",
        "durable_trio/_attempt.py",
        "            self.ledger.deliver(notification)\n",
        "            self.ledger.deliver(notification)\n"
        "            if (more := self._cursor.next_notification()) is not None:\n"
        "                self.ledger.deliver(more)\n",
        "core/test_combinators.py",
    ),
    _mutant(
        "run bodies start while there is something to replay",
        "durable_trio/_attempt.py",
        "            notification = self._cursor.next_notification()\n",
        "            self.bodies.start_pending()\n"
        "            notification = self._cursor.next_notification()\n",
        "core/test_cancelled_runs.py",
    ),
    _mutant(
        "a wait that may not be interrupted is interrupted",
        "durable_trio/_task.py",
        "return future._abandoned_by(self)",
        "return future._abandoned_by(self) or True",
        "core/test_cancelled_calls.py",
    ),
    _mutant(
        "those who wait for a future are told in the wrong order",
        "durable_trio/_future.py",
        "            for tell in waiters.values():",
        "            for tell in reversed(waiters.values()):",
        "core/test_combinators.py",
    ),
    _mutant(
        "a task that gives everybody a turn goes on before them",
        "durable_trio/_scheduler.py",
        "            self.ready.append(task)\n            self.count_turn(task)",
        "            self._next.append(task)\n            self.count_turn(task)",
        "core/test_combinators.py",
    ),
    _mutant(
        "a cancelled exception that nobody asked for reaches the host",
        "durable_trio/_bodies.py",
        "            failed = self._unbidden(body, failed)\n",
        "",
        "core/test_wrong_bodies.py",
    ),
    _mutant(
        "a branch may end inside of a native scope",
        "durable_trio/_scheduler.py",
        "        if self.closed or not self.leave(task):",
        "        if self.closed:",
        "core/test_foreign_deadlines.py",
    ),
    _mutant(
        "an attempt suspends while a body is at work",
        "durable_trio/_attempt.py",
        "        if self._input_closed and not self.bodies.executing:",
        "        if self._input_closed:",
        "core/test_attempts.py",
    ),
    _mutant(
        "the retry of a body forgets how often it has failed",
        "durable_trio/_bodies.py",
        "                body.retries += 1\n",
        "                body.retries = 1\n",
        "core/test_retries.py",
    ),
)

CURSOR: Final = (
    _mutant(
        "a command of the same kind matches, whatever it is",
        "durable_trio/_journal/_cursor.py",
        "return compare(recorded, now) if compare else recorded == now",
        "return compare(recorded, now) if compare else True",
        "core/test_mismatches.py",
    ),
    _mutant(
        "payloads are compared, whatever the handler says",
        "durable_trio/_attempt.py",
        "check_payloads=self._options.check_payloads is not False",
        "check_payloads=True",
        "core/test_mismatches.py",
    ),
    _mutant(
        "times are compared on replay",
        "durable_trio/_journal/_cursor.py",
        "    Sleep: _same_name,\n",
        "",
        "core/test_mismatches.py",
    ),
    _mutant(
        "what is left of a record is ignored by code that waits",
        "durable_trio/_journal/_cursor.py",
        "        if self._index < len(self._commands):\n            raise self.left_over",
        "        if self._index > len(self._commands):\n            raise self.left_over",
        "core/test_mismatches.py",
    ),
    _mutant(
        "the order of completions is forgotten",
        "durable_trio/_journal/_cursor.py",
        "            notification = self._notifications[self._notification]",
        "            notification = sorted(\n"
        "                self._notifications, key=lambda entry: getattr(entry, 'completion_id', 0)\n"
        "            )[self._notification]",
        "core/test_combinators.py",
    ),
)

CANCELLATION: Final = (
    _mutant(
        "futures outlive the scope that is cancelled",
        "durable_trio/_cancel.py",
        "    for future in sorted(futures, key=_OF_FUTURE):\n        future._drop()\n",
        "    for future in sorted(futures, key=_OF_FUTURE):\n        future._move_to(None)\n",
        "core/test_cancelled_calls.py",
    ),
    _mutant(
        "futures outlive their task",
        "durable_trio/_cancel.py",
        "        for future in sorted(pending, key=_OF_FUTURE):\n            future._drop()\n",
        "        for future in sorted(pending, key=_OF_FUTURE):\n            future._move_to(None)\n",
        "core/test_cancelled_calls.py",
    ),
    _mutant(
        "a shield keeps nothing out",
        "durable_trio/_cancel.py",
        "parent is not None and parent._effective and not current._shield",
        "parent is not None and parent._effective",
        "core/test_shield.py",
    ),
    _mutant(
        "cancelled tasks wake in the wrong order",
        "durable_trio/_cancel.py",
        "    for task in sorted(parked, key=_OF_TASK):",
        "    for task in sorted(parked, key=_OF_TASK, reverse=True):",
        "core/test_cancel_scopes.py",
    ),
    _mutant(
        "the deadline of a scope that was left still counts",
        "durable_trio/_cancel.py",
        "            timer._unsubscribe(self)\n            timer._drop()\n",
        "            timer._move_to(None)\n",
        "core/test_deadlines.py",
    ),
    _mutant(
        "a scope takes the cancellation of the one around it for its own",
        "durable_trio/_cancel.py",
        "            not self._shield and self._parent is not None and self._parent._effective\n",
        "            not self._shield and self._parent is None\n",
        "core/test_cancel_scopes.py",
    ),
    _mutant(
        "the siblings of a child that failed go on",
        "durable_trio/_nursery.py",
        "            if not owner.scheduler.closed:\n                self.cancel_scope._request_cancel()\n",
        "",
        "core/test_nursery_errors.py",
    ),
    _mutant(
        "the errors of children are in the wrong order",
        "durable_trio/_nursery.py",
        "            self._errors.append(error)\n",
        "            self._errors.insert(0, error)\n",
        "core/test_nursery_errors.py",
    ),
    _mutant(
        "a nursery is left before its children have ended",
        "durable_trio/_nursery.py",
        "        while self._alive:\n",
        "        while self._alive > 1:\n",
        "core/test_nursery.py",
    ),
    _mutant(
        "the last child wakes a parent that waits for something else",
        "durable_trio/_nursery.py",
        "        if not self._alive and self._joining:",
        "        if not self._alive:",
        "core/test_nursery.py",
    ),
    _mutant(
        "a notified waiter of a condition is told twice",
        "durable_trio/_sync.py",
        "            self._waiting.popleft().set()\n",
        "            self._waiting[0].set()\n",
        "core/test_locks.py",
    ),
)

LEDGER: Final = (
    _mutant(
        "a cancel signal is forgotten if the callee's id is not known yet",
        "durable_trio/_ledger.py",
        "            self._intents[completion_id] = name\n",
        "            pass\n",
        "core/test_cancelled_calls.py",
    ),
    _mutant(
        "the output is written before the cancel signals that are due",
        "durable_trio/_attempt.py",
        "                elif self._ended is not None and not self.ledger.intents:",
        "                elif self._ended is not None:",
        "core/test_cancelled_calls.py",
    ),
    _mutant(
        "signals that came early are given out in the wrong order",
        "durable_trio/_ledger.py",
        "            settle(future, decode, early.popleft())",
        "            settle(future, decode, early.pop())",
        "core/test_operations.py",
    ),
    _mutant(
        "a signal is lost on a listener that was cancelled",
        "durable_trio/_ledger.py",
        "            if not future.done:\n                settle",
        "            if True:\n                settle",
        "core/test_operations.py",
    ),
    _mutant(
        "an answer to what was never asked is ignored",
        "durable_trio/_ledger.py",
        "        if notification.completion_id >= self._next_completion:",
        "        if notification.completion_id > 2**31:",
        "core/test_mismatches.py",
    ),
)

RUNTIME: Final = (
    _mutant(
        "a step's result is released before the commit that holds it",
        "durable_trio/local/_journal.py",
        "            self._engine.store.write(writes, partial(self._deliver, proposed, live.generation))\n",
        "            self._engine.store.write(writes)\n"
        "            self._deliver(proposed, live.generation)\n",
        "local/test_release.py",
    ),
    _mutant(
        "two invocations hold one key",
        "durable_trio/local/_admission.py",
        "                status = InvocationStatus.PENDING\n",
        "                status = InvocationStatus.RUNNING\n",
        "local/test_objects.py::test_one_at_a_time_in_order_of_arrival",
    ),
    _mutant(
        "an idempotency key is no identity",
        "durable_trio/local/_admission.py",
        "        if self.handler.kind is HandlerKind.WORKFLOW or self.idempotency_key is not None:",
        "        if self.handler.kind is HandlerKind.WORKFLOW:",
        "local/test_calls.py::test_an_idempotency_key_names_one_invocation",
    ),
    _mutant(
        "attempts are not counted",
        "durable_trio/local/_endings.py",
        "            count, first = record.retry_count + 1, record.first_failed_at\n",
        "            count, first = record.retry_count, record.first_failed_at\n",
        "local/test_retries.py::test_the_delay_grows",
    ),
    _mutant(
        "who is not in memory is not woken by what comes for it",
        "durable_trio/local/_mail.py",
        "            self._letters.append(_Letter(target, notification, None, 0))\n",
        "",
        "local/test_mail.py",
    ),
    _mutant(
        "somebody overtakes on a key that passes on",
        "durable_trio/local/_keys.py",
        "        if key in self._queued:\n            self._holders[key] = IN_TRANSIT\n            return True\n",
        "        if key in self._queued:\n            del self._holders[key]\n            return True\n",
        "local/test_keys.py",
    ),
    _mutant(
        "effects that a crash left undone stay undone",
        "durable_trio/local/_effects.py",
        "                if answer is not None and answer(entry) not in answered:",
        "                if answer is not None and answer(entry) in answered:",
        "local/test_races.py::test_a_send_is_not_lost_with_its_sender",
    ),
    _mutant(
        "a timer that is near is not seen if another one was nearer",
        "durable_trio/local/_timers.py",
        "self._heap[0][2] == key):",
        "self._heap[0][2] != key):",
        "local/test_timers.py::test_every_timer_fires_once_when_it_is_due",
    ),
)

STORES: Final = (
    _mutant(
        "the memory store acknowledges what a crash has lost",
        "durable_trio/testing/_memory.py",
        "        if self._error is None and on_commit is not None:",
        "        if on_commit is not None:",
        "store/test_memory.py",
    ),
    _mutant(
        "the memory store commits inside of write",
        "durable_trio/testing/_memory.py",
        "        self._enqueue(partial(self._commit, tuple(writes), on_commit))\n",
        "        self._commit(tuple(writes), on_commit)\n",
        "store/test_memory.py",
    ),
    _mutant(
        "the memory store delivers to who has completed",
        "durable_trio/testing/_tables.py",
        "        if record is not None and record.status is not abc.InvocationStatus.COMPLETED:\n",
        "        if record is not None:\n",
        "store/test_contract.py",
    ),
    _mutant(
        "the memory store's queue is served last come, first served",
        "durable_trio/testing/_tables.py",
        "self._records[min(queue, key=queue.__getitem__)]",
        "self._records[max(queue, key=queue.__getitem__)]",
        "store/test_contract.py",
    ),
    _mutant(
        "the file acknowledges what was not written",
        "adapters/durable_trio_file/_writer.py",
        "            elif item[1] is not None and self.error is None:\n",
        "            elif item[1] is not None:\n",
        "file/test_write_errors.py",
    ),
    _mutant(
        "the file takes back what it acknowledges",
        "adapters/durable_trio_file/_writer.py",
        '            connection.execute("COMMIT")\n',
        '            connection.execute("ROLLBACK")\n',
        "store/test_contract.py",
    ),
    _mutant(
        "the file reorders writes that touch the same thing",
        "adapters/durable_trio_file/_plan.py",
        "                if touched.get(touch, lane) > lane:",
        "                if touched.get(touch, lane) < lane:",
        "store/test_contract.py",
    ),
    _mutant(
        "timers that are due at once come in the wrong order from the file",
        "adapters/durable_trio_file/_queries.py",
        "WHERE due <= ? ORDER BY due, number LIMIT ?",
        "WHERE due <= ? ORDER BY due, number DESC LIMIT ?",
        "store/test_contract.py",
    ),
    _mutant(
        "the file delivers to who has completed",
        "adapters/durable_trio_file/_plan.py",
        "WHERE id = column1 AND status <> 'completed')",
        "WHERE id = column1)",
        "store/test_contract.py",
    ),
)

REPLAYS: Final = (
    _mutant(
        "a replay executes steps",
        "durable_trio/testing/_replay.py",
        "        self._attempt.bodies.held = True\n",
        "",
        "replay/test_replay.py",
    ),
    _mutant(
        "a replay takes state that was not recorded for absent",
        "durable_trio/testing/_replay.py",
        "partial_state=True,",
        "partial_state=False,",
        "replay/test_replay.py",
    ),
    _mutant(
        "a replay ends before the last notifications",
        "durable_trio/testing/_replay.py",
        "        if self._cursor.exhausted:\n            self._attempt.abort",
        "        if True:\n            self._attempt.abort",
        "replay/test_replay.py",
    ),
    _mutant(
        "golden journals are named by their times",
        "durable_trio/testing/_golden.py",
        "return attrs.evolve(entry, wake_up_time=0)",
        "return entry",
        "replay/test_golden.py",
    ),
    _mutant(
        "of a scenario only the last run is kept",
        "durable_trio/testing/_golden.py",
        "            self._read_played()\n            self._playing",
        "            self._playing",
        "replay/test_golden.py",
    ),
)

MUTANTS: Final = (*SCHEDULER, *CURSOR, *CANCELLATION, *LEDGER, *RUNTIME, *STORES, *REPLAYS)
