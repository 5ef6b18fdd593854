"""One attempt of one invocation: where journal, scheduler and user code meet.

Owns the driver: the one host task in which every durable task of the attempt is
stepped, what it does at quiescence, and how the attempt ends. It knows no adapter: see
``abc.py`` for the ports it writes to.

 1. At quiescence exactly one notification is delivered, recorded ones first; then
    everything runs to quiescence again (S4). Live and replay are the same loop.
 2. Only when nothing is left to deliver are pending run bodies started and the output
    flushed, once (S7, S8).
 3. With the input closed, nothing executing and nothing to deliver, it suspends (S5).
 4. A trap that is not the scheduler's is the host's. A plain checkpoint is answered; any
    other one is a foreign await: it is named, aborted by the host, and fails the attempt.
 5. Once the attempt is closed, coroutines are only unwound, and nothing is journaled (C7).
 6. Whoever cancels the driver's host task while the driver waits tears the attempt down; a handler
    or inline body that does so fails it, and what it asked for is taken back.
"""

from __future__ import annotations

import contextvars
import logging
import math
from collections import deque
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from ._bodies import Bodies
from ._context import context_for
from ._duration import milliseconds
from ._exceptions import (
    CancelledError,
    ForeignAwaitError,
    ForeignDeadlineError,
    InvalidInputError,
    NonDeterminismError,
    UsageError,
)
from ._future import DurableFuture, FutureStatus
from ._host import current_host
from ._invocation import (
    AttemptCompleted,
    AttemptEnd,
    AttemptFailed,
    AttemptSuspended,
    InvocationStart,
)
from ._journal._cursor import Cursor
from ._journal._entries import CANCEL_SIGNAL, Failure, Input, Output, Sleep, Value
from ._journal._mismatch import Mismatch, branch_of, report
from ._ledger import Ledger, awaited
from ._mistakes import mistake
from ._options import ServiceOptions
from ._outcome import Retry, is_usage_error, outcome_of_error, retry_failure
from ._scheduler import Pause, Scheduler, is_fatal
from ._source import call_site, is_inside, native_context_managers, where
from ._task import DurableTask, TaskState, running_task
from ._traps import host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from ._handler import Handler
    from ._host import Parking
    from ._journal._entries import AwaitTree, Notification
    from .abc import Clock, Journal

_log = logging.getLogger("durable_trio")

BUDGET: Final = 512
"""Steps after which a long replay lets the host's other tasks run."""

JOURNAL_MISMATCH: Final = 570
"""Restate's code for a divergence."""

JOURNAL_GOES_ON: Final = 571
"""Restate's code for a protocol violation: here, a journal that goes on after its output."""

_NO_TIMER: Final = "use sleep_forever() to wait for a cancellation: a timer at"

_DURABLE_NAMES: Final = {
    "ursery": "durable_trio.open_nursery()",
    "TaskGroup": "durable_trio.open_nursery()",
    "Timeout": "durable_trio.fail_after() or move_on_after()",
    "CancelScope": "durable_trio.move_on_after(), fail_after() or CancelScope()",
}


class Attempt:
    """See the module's docstring. One attempt runs once; make a new one for the next."""

    # From thirty names on a dict costs more than a KiB an attempt, and many of them wait. There is
    # one for ``testing``, which puts a ``deliver`` of its own there.
    __slots__ = (
        "__dict__",
        "_aborting",
        "_cancellation",
        "_cancelled",
        "_command_index",
        "_completed",
        "_cursor",
        "_ended",
        "_error",
        "_fatal",
        "_host",
        "_idle",
        "_inbox",
        "_input_closed",
        "_journal",
        "_mismatch_code",
        "_native",
        "_opened",
        "_options",
        "_retry_after",
        "_root",
        "_suspended",
        "_torn_down",
        "_wakeup",
        "bodies",
        "cancellation",
        "clock",
        "handler",
        "ledger",
        "scheduler",
        "start",
    )

    def __init__(
        self,
        start: InvocationStart,
        handler: Handler[Any, Any, Any],
        journal: Journal,
        clock: Clock,
        options: ServiceOptions | None = None,
    ) -> None:
        self.start: InvocationStart = start
        self.handler: Handler[Any, Any, Any] = handler
        self.clock: Clock = clock
        self._journal = journal
        self._options = options or handler.resolve_options(ServiceOptions())
        self._cursor = Cursor(
            start.recorded, check_payloads=self._options.check_payloads is not False
        )
        self._inbox: deque[Notification] | None = None
        """What was handed over and not delivered yet; None: nothing."""
        self._input_closed = False
        self._wakeup: Parking | None = None
        self._idle = False
        self._error: BaseException | None = None
        self._retry_after: float | None = None
        self._command_index: int | None = None
        self._mismatch_code = JOURNAL_MISMATCH
        self._suspended: AwaitTree | None = None
        self._cancelled = False
        self.cancellation: DurableFuture[None] | None = None
        """What CANCEL ends where the handler decides what becomes of it."""
        self._ended: tuple[Any, BaseException | None] | None = None
        self._root: DurableTask | None = None
        self._completed: AttemptCompleted | None = None
        self._fatal: BaseException | None = None
        """An error that is for the host; raised where no task group wraps it."""
        self._cancellation: BaseException | None = None
        """The host's cancelled exception that tore the attempt down."""
        self._torn_down = False
        """Whether it was torn down by the host without such an exception: the task has it."""
        self._opened = False
        self._aborting = False
        """Whether the host was made to abort a foreign await."""
        self.bodies: Bodies = Bodies(
            start,
            journal,
            clock,
            self._options.run_contexts or (),
            self._options.as_terminal_error,
            self._entry_line,
            self._fail,
            self._wake,
        )

    # -- the adapter's side

    async def run(self) -> AttemptEnd:
        """Run the handler until it ends, fails, or has to wait with the input closed.

        Raises nothing but what the host raises: its cancelled exception when the calling
        scope is cancelled, and errors that are no ``Exception`` (``KeyboardInterrupt``).
        """
        self._open()
        if self._error is not None:
            return self._end()

        try:
            if not self._options.contexts:
                return await self._run()

            async with AsyncExitStack() as stack:
                for factory in self._options.contexts:
                    await stack.enter_async_context(factory())
                return await self._run()
        except Exception as error:  # a context manager of the user's failed
            if self._error is None:
                self._error = error
        return self._end()

    def deliver(self, notification: Notification) -> None:
        """Hand over a notification, once it is durable, in the journal's order."""
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(notification)
        self._wake()

    def close_input(self) -> None:
        """Nothing but proposed results will be delivered: suspend when nothing executes."""
        self._input_closed = self.bodies.closing = True
        self._wake()

    def abort(self, error: Exception) -> None:
        """End the attempt as failed with ``error``: the storage or the connection is gone."""
        self._fail(error)
        self._wake()

    @property
    def awaiting(self) -> AwaitTree | None:
        """What it waits for; None while it is busy or has ended."""
        return self._await_tree() if self._idle else None

    @property
    def executing(self) -> bool:
        """Whether a run body executes."""
        return self.bodies.executing

    # -- the context's side

    @property
    def is_replaying(self) -> bool:
        """Whether recorded commands are left."""
        return self._cursor.replaying

    def branch_replays(self, path: str) -> bool:
        """Whether recorded commands of this branch are left."""
        return self._cursor.branch_replays(path)

    def running_task(self, operation: str) -> DurableTask:
        """The durable task that is calling, which has to be one of this attempt's own."""
        task = running_task(operation)
        if task.scheduler is not self.scheduler:
            raise UsageError(
                f"{operation} was called on the context of another invocation. Use the context "
                "that this handler was given, or current_context()."
            )

        return task

    def start_timer(self, deadline: float, name: str) -> tuple[DurableFuture[None], float]:
        """Journal a timer; returns its future and its recorded time, in seconds."""
        task = self.running_task("a durable timer")
        wakes_at = milliseconds(deadline, _NO_TIMER)
        completion_id = self.ledger.allocate()
        command = self.ledger.issue(Sleep(wakes_at, completion_id, task.entry_name(name)))
        future: DurableFuture[None] = DurableFuture(
            self.scheduler,
            command.name or "sleep",
            scope=task.scope,
            leaf=completion_id,
        )
        future._on_cancel(partial(self.ledger.forget, completion_id))
        self.ledger.expect(completion_id, future, _no_value)
        return future, command.wake_up_time / 1000

    def future(
        self,
        name: str,
        completion_id: int,
        decode: Callable[[Any], Any],
        *,
        scoped: bool = True,
        enlisted: bool = False,
    ) -> DurableFuture[Any]:
        """The future that a completion ends; in the running task's scope, or in none.

        ``enlisted``: it is among those who wait for somebody else, until it is cancelled.
        """
        scope = running_task(name).scope if scoped else None
        future: DurableFuture[Any] = DurableFuture(
            self.scheduler, name, scope=scope, leaf=completion_id
        )
        if enlisted:
            future._on_cancel(partial(self.ledger.forget, completion_id))
        self.ledger.expect(completion_id, future, decode)
        return future

    @property
    def known(self) -> AbstractSet[int]:
        """The completion ids whose results are recorded."""
        return self._cursor.known

    # -- the driver

    def _open(self) -> None:
        self._host = self.bodies.host = current_host()
        self._native = self._host.scopes()
        self.scheduler: Scheduler = Scheduler(
            cancelled=self._host.cancelled,
            cancelled_type=self._host.cancelled_type,
            now=self.clock.now,
            start_timer=self.start_timer,
            fail=self._fail,
            leave=self._may_leave,
            forgotten=self._forgotten,
            watch=bool(self._host.hidden),
        )
        self.ledger: Ledger = Ledger(
            self._cursor, self._journal, self.scheduler, self._diverged, self._cancel
        )
        self._opened = True

    async def _run(self) -> AttemptEnd:
        recorded = self._cursor.match(Input(b""))
        self.ledger.commands = 1
        try:
            arguments = self.handler.decode_input(recorded.content)
        except InvalidInputError as error:
            self._ended = None, error
            self._finish()
            return self._end()

        if self._options.explicit_cancellation:
            self.cancellation = DurableFuture(self.scheduler, "cancellation", leaf=(CANCEL_SIGNAL,))
        context = self.scheduler.handler_context = context_for(self, recorded)
        self._native = self._host.scopes()
        self.bodies.watch()
        self._root = self.scheduler.spawn(
            self.handler.function(context, *arguments),
            "",
            None,
            contextvars.copy_context(),
            self._root_ended,
        )
        await self._drive()
        # What a handler entered by hand and never left has failed the attempt already.
        self._host.leave(self._native)
        if self.bodies.starved:
            await self._drive_with_bodies()
        if self._cancellation is not None and self._fatal is None:
            raise self._cancellation

        if self._torn_down:
            await anyio.lowlevel.checkpoint_if_cancelled()
        return self._end()

    async def _drive_with_bodies(self) -> None:
        """Go on, with a group of host tasks; many an attempt never needs one."""
        async with self._host.open_group() as group:
            self._native = self._host.scopes()
            self.bodies.open(group)
            await self._drive()
            self._host.leave(self._native)
            group.cancel_scope.cancel()

    async def _drive(self) -> None:
        """Run until the attempt has ended, or the first run body needs a group of host tasks."""
        scheduler = self.scheduler
        while True:
            try:
                pause = scheduler.run(BUDGET)
                if pause is Pause.HOST_TRAP:
                    await self._serve_host()
                elif pause is Pause.BUDGET:
                    if self.bodies.disturbed() and not scheduler.closed:
                        await self._disturbed()
                    elif not scheduler.closed:
                        await anyio.lowlevel.checkpoint()
                elif scheduler.closed:
                    return
                elif self._ended is not None and not self.ledger.intents:
                    if self.bodies.disturbed():
                        await self._disturbed()
                    else:
                        self._finish()
                    return
                elif not self._deliver_next():
                    await self._quiesce()
                    if self.bodies.starved:
                        return
            except self._host.cancelled_type as error:
                self._interrupted(error)

    def _deliver_next(self) -> bool:
        """Deliver one notification; False if there is none (S4)."""
        try:
            notification = self._cursor.next_notification()
            if notification is None:
                inbox = self._inbox
                if inbox is None:
                    return False

                notification = inbox.popleft()
                if not inbox:
                    self._inbox = None
            self.ledger.deliver(notification)
        except Mismatch as mismatch:
            self._diverged(mismatch)
        return True

    async def _quiesce(self) -> None:
        """Nothing is left to deliver: start what waits for that, write, and wait for more."""
        bodies = self.bodies
        if bodies.requests() > bodies.requested:  # as ``disturbed``, which would be one more call
            await self._disturbed()
            return

        last = self.scheduler.last
        if last is not None and not self._may_leave(last):
            return

        if self.scheduler.parked and self._inside_hidden():
            return

        bodies.start_pending()
        self._journal.flush(self._await_tree, executing=bodies.executing)
        if self.scheduler.closed:
            if bodies.disturbed():  # by an inline one
                await self._take_back()
            return

        if self._inbox or bodies.starved:
            return

        if self._input_closed and not self.bodies.executing:
            self._suspended = self._await_tree()
            self.scheduler.close()
            return

        if (backoff := self.bodies.long_backoff()) is not None:
            self._retry_after, body = backoff
            self._command_index = body.command_index
            assert body.error is not None
            self._fail(body.error)
            return

        self.bodies.rest()
        self._wakeup = parking = self._host.parking()
        self._idle = True
        try:
            await parking.wait()
        finally:
            self._idle = False
            self._wakeup = None

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.wake()

    async def _serve_host(self) -> None:
        """Hand the traps of the last task to the host until it yields to the scheduler again."""
        scheduler = self.scheduler
        task = scheduler.last
        assert task is not None
        while True:
            trap = scheduler.host_trap
            if self.bodies.disturbed() and not scheduler.closed:
                await self._disturbed()
            harmless = self._host.is_harmless(trap)
            if scheduler.closed:
                if scheduler.swallows(task):
                    scheduler.abandon(task)
                    return
            elif harmless:
                scheduler.count_turn(task)
            else:
                self._refuse(task)
            if harmless and self._error is None:
                await self._pass_on(trap, task)
            else:
                self._aborting = True
                # A nursery of trio's is left when its tasks have ended, and they are not in the
                # scope that is opened here.
                self._host.cancel_tasks(self._native)
                with self._host.new_scope() as scope:
                    scope.cancel()
                    await self._pass_on(trap, task)
            if not scheduler.step(task):
                return

    async def _pass_on(self, trap: object, task: DurableTask) -> None:
        try:
            task.to_send = await host(trap)
        except BaseException as error:  # the host's answer, handed on
            if isinstance(error, self._host.cancelled_type):
                self._interrupted(error)
            task.to_throw = error

    # -- what ends it

    def _root_ended(self, _: DurableTask, value: Any, error: BaseException | None) -> None:
        self._ended = value, error

    def _cancel(self) -> None:
        if self._root is None or self._ended is not None:
            return

        if self.cancellation is None:
            self._cancelled = True
            self._root.root_scope._request_cancel()
        elif not self.cancellation.done:
            self.cancellation._end(FutureStatus.FAILED, CancelledError)

    def _fail(self, error: BaseException) -> None:
        if not self._opened:
            self._error = self._error or error
            return

        if self._fatal is None and is_fatal(error, self._host.cancelled_type):
            # For the host, also where the attempt has failed already and is being unwound.
            self._fatal = error
        if self._error is None and not self.scheduler.closed:
            self._error = error
            self.scheduler.close()

    def _forgotten(self, task: DurableTask, futures: list[DurableFuture[Any]]) -> None:
        if not self._cursor.replaying:
            _log.warning(
                "%s/%s (%s): nobody has awaited %s of %s, and it is cancelled now that this has ended. "
                "Put `await` in front of it, or say that it is meant: .detach() lets it go on, "
                ".cancel() ends it, and ctx.send is not waited for.",
                self.start.service,
                self.start.handler,
                self.start.invocation_id,
                ", ".join(repr(future.name) for future in futures),
                repr(task.path) if task.path else "the handler",
            )

    def _diverged(self, mismatch: Mismatch) -> BaseException:
        running = self.scheduler.running
        if running is not None:
            branch, site = running.path, call_site()
        else:
            command = mismatch.now or mismatch.recorded
            branch = branch_of(command.name) if command is not None else ""
            site = self._waiting_line(branch)
        self._command_index = mismatch.index
        if mismatch.ended:
            self._mismatch_code = JOURNAL_GOES_ON
        text = report(mismatch, branch=branch, site=site)
        self._fail(NonDeterminismError(text, branch=branch, site=site))
        return self._host.cancelled()

    def _entry_line(self, name: str) -> str:
        return self._waiting_line(branch_of(name))

    def _waiting_line(self, branch: str) -> str:
        """Where the task of this branch waits; failing that the one that ran last."""
        tasks = self.scheduler.tasks
        own = (task for task in tasks if task.path == branch)
        task = next(own, None) or self.scheduler.last or next(iter(tasks), None)
        return where(task.coroutine) if task is not None else "<the handler has ended>"

    def _finish(self) -> None:
        """The handler has ended: journal its output, unless it is to be retried."""
        assert self._ended is not None
        value, error = self._ended
        outcome: Value | Failure | Retry
        try:
            if error is not None:
                outcome = outcome_of_error(
                    error,
                    cancelled=self._cancelled,
                    mapping=self._options.as_terminal_error,
                )
            elif self._cancelled:
                outcome = Failure(409, "cancelled")
            else:
                outcome = Value(self.handler.encode_output(value))
        except Exception as problem:  # a serde's or the mapping's
            outcome = Retry(problem)

        if isinstance(outcome, Retry):
            if not is_usage_error(outcome.error):
                wrong = mistake(outcome.error, self._host.name)
                outcome = outcome if wrong is None else Retry(wrong)
            self._error, self._retry_after = outcome.error, outcome.retry_after
            self.scheduler.close()
            return

        try:
            # Where payloads are not compared, callers have been told what was recorded.
            outcome = self.ledger.issue(Output(outcome)).result
            if self._cursor.replaying:
                raise self._cursor.left_over(ended=True)
        except (Mismatch, self._host.cancelled_type) as problem:
            if isinstance(problem, Mismatch):
                self._diverged(problem)
            return

        self._journal.flush(self._await_tree, executing=False)
        self._completed = AttemptCompleted(outcome)
        self.scheduler.close()

    def _end(self) -> AttemptEnd:
        if self._fatal is not None:
            raise self._fatal

        if self._completed is not None:
            return self._completed

        if self._error is not None:
            error = self._error
            diverged = isinstance(error, NonDeterminismError)
            return AttemptFailed(
                Failure(self._mismatch_code, str(error)) if diverged else retry_failure(error),
                error,
                self._retry_after,
                self._command_index,
            )

        if self._suspended is not None:
            return AttemptSuspended(self._suspended)

        swallowed = UsageError(
            f"one of the `contexts` of {self.handler!r} swallowed the cancellation that ended this "
            "attempt. Let it propagate, and use no timeout there: the runtime has its own."
        )
        return AttemptFailed(retry_failure(swallowed), swallowed)

    # -- what is foreign

    def _may_leave(self, task: DurableTask) -> bool:
        if self._host.scopes() == self._native or self.scheduler.closed:
            return True

        self._fail(_foreign_deadline(task))
        return False

    def _inside_hidden(self) -> bool:
        """Whether a task that parked is inside of a timeout that the host's scopes do not show."""
        parked, self.scheduler.parked = self.scheduler.parked, {}
        for task in parked:
            if is_inside(task.coroutine, self._host.hidden):
                self._fail(_foreign_deadline(task))
                return True

        return False

    async def _disturbed(self) -> None:
        """A handler has cancelled the host task that all of its branches share.

        Whoever does so from outside does it while the driver waits, which is told of it there.
        """
        suspects = [*self.scheduler.parked]
        last = self._root if self._ended is not None else self.scheduler.last
        if last is not None and last not in suspects:
            suspects.append(last)
        if not self._host.is_cancelled(self._native):
            self._fail(_foreign_cancellation(suspects))
        await self._take_back()

    async def _take_back(self) -> None:
        """The handler's own cancellation of the host task ends here; one from outside goes on."""
        try:
            await self._host.take_requests(self.bodies.requested)
        except self._host.cancelled_type as error:
            if self._host.is_cancelled(self._native):
                self._torn_down = True
            elif self.bodies.disturbed():
                self._cancellation = error
        self.scheduler.close()

    def _refuse(self, task: DurableTask) -> None:
        """The task waits for something of the host's."""
        if self._host.is_cancelled(self._native):
            self._torn_down = True
            self.scheduler.close()
        elif anyio.current_effective_deadline() == -math.inf:
            self._fail(_foreign_deadline(task))
        else:
            self._fail(_foreign_await(task))

    def _interrupted(self, error: BaseException) -> None:
        """The host has thrown its cancelled exception into the driver: find out for whom."""
        if self._aborting:
            return

        culprit = self._inside_native()
        if culprit is not None:
            self._fail(_foreign_deadline(culprit))
        else:
            self._cancellation = error
            self.scheduler.close()

    def _inside_native(self) -> DurableTask | None:
        """The durable task inside of a native timeout or scope, unless the attempt is cancelled."""
        if self._host.is_cancelled(self._native):
            return None

        for task in self.scheduler.tasks:
            if native_context_managers(task.coroutine):
                return task

        # A scope that was entered by hand is on no stack.
        return None if self._host.scopes() == self._native else self.scheduler.last

    def _await_tree(self) -> AwaitTree:
        waiting: list[DurableFuture[Any]] = [
            task.waiting_on for task in self.scheduler.tasks if task.waiting_on is not None
        ]
        deadlines = self._root.root_scope._deadlines() if self._root is not None else []
        return awaited([*waiting, *self.scheduler.held, *deadlines], self.ledger.intents)


def _no_value(_: object) -> None:
    return None


def _foreign_await(task: DurableTask) -> ForeignAwaitError:
    return ForeignAwaitError(
        f"{where(task.coroutine)}: something that is not durable was awaited in a handler. No "
        "journal records it, so a replay would see another order of events. Do it inside "
        "`await ctx.run(...)`; for waiting use durable_trio's sleep, Event, open_nursery or a "
        "channel."
    )


def _foreign_deadline(task: DurableTask) -> ForeignDeadlineError | ForeignAwaitError:
    managers = native_context_managers(task.coroutine)
    names = [_native_name(manager) for manager in managers] or ["a native cancel scope"]
    known = [_DURABLE_NAMES[key] for key in _DURABLE_NAMES if any(key in name for name in names)]
    nursery = any("ursery" in name or "TaskGroup" in name for name in names)
    kind = ForeignAwaitError if nursery else ForeignDeadlineError
    what = "this task has ended" if task.state is TaskState.ENDED else "this durable wait is"
    return kind(
        f"{where(task.coroutine)}: {what} inside {', '.join(names)}. The host's "
        "scopes and timeouts depend on the wall clock and on no journal. Use "
        f"{' or '.join(known) or 'the durable scope of the same name'} instead, or move the "
        "block into `await ctx.run(...)`."
    )


def _foreign_cancellation(tasks: Iterable[DurableTask]) -> UsageError:
    places = [where(task.coroutine) for task in tasks]
    return UsageError(
        f"{', '.join(places) or 'in a branch that has ended'}: by then this handler had called "
        "`asyncio.current_task().cancel()`, or the like. All of its branches run in that one task of "
        "the host's. Use durable_trio's CancelScope.cancel(), or the cancel() of what start_soon() "
        "returned; to end the handler raise TerminalError."
    )


def _native_name(manager: object) -> str:
    generator = getattr(manager, "gen", None)
    if generator is not None:
        name = getattr(generator, "__qualname__", "a native context manager")
        return f"{name}()"

    kind = type(manager)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
