"""The deterministic scheduler: which durable task runs next.

Owns the ready queue, the running task and the numbering of tasks, futures and ends. It
is pure: no clock, no host loop, no I/O. The attempt feeds it with notifications and
steps it; everything that it needs from the host is handed in.

 1. At most one task runs: it holds the baton until it yields (S1).
 2. The ready queue is FIFO; what is put into it, and when, depends on nothing but the
    journal (S3, S6).
 3. ``run`` returns only at quiescence, at a trap for the host, or when its budget of
    steps is used up; the last does not change what runs next.
 4. After ``close`` tasks are only unwound: parked ones are cancelled, nothing is
    caught by scopes, and a task that still wants to wait is abandoned (C7).
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import attrs

from ._cancel import CancelScope, attach
from ._exceptions import BusyWaitError, UsageError
from ._future import FutureStatus
from ._source import where
from ._task import DurableTask, TaskState, current
from ._traps import Trap

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Coroutine, Generator

    from ._future import DurableFuture

_log = logging.getLogger("durable_trio")

BUSY_TURNS: Final = 50_000
"""Turns in a row without any progress after which a loop counts as a busy wait."""

SWALLOWED: Final = 200
"""Cancelled exceptions in a row after which a task counts as swallowing its cancellation."""


class Pause(enum.Enum):
    """Why ``run`` returned."""

    QUIESCENT = enum.auto()
    HOST_TRAP = enum.auto()
    BUDGET = enum.auto()


@attrs.define(eq=False)
class Scheduler:
    """See the module's docstring. ``fail`` ends the attempt with an error."""

    cancelled: Callable[[], BaseException]
    cancelled_type: type[BaseException]
    now: Callable[[], float]
    start_timer: Callable[[float, str], tuple[DurableFuture[None], float]]
    fail: Callable[[BaseException], None]
    leave: Callable[[DurableTask], bool]
    """Asked when a task gives the baton to another one, or ends. False: the attempt has just been
    failed, and this task has to unwind before any other (it holds something native)."""
    forgotten: Callable[[DurableTask, list[DurableFuture[Any]]], None]
    """Told of the operations that end with their task and that nobody ever waited for."""

    watch: bool = False
    """Whether ``parked`` is kept."""
    parked: dict[DurableTask, None] = attrs.field(factory=dict["DurableTask", None])
    """The tasks that parked since somebody last looked at them all."""
    ready: list[DurableTask] = attrs.field(factory=list["DurableTask"])
    """The tasks that became ready, in that order. Two lists: a deque is never small."""
    tasks: dict[DurableTask, None] = attrs.field(factory=dict[DurableTask, None])
    held: dict[DurableFuture[Any], None] = attrs.field(factory=dict["DurableFuture[Any]", None])
    """Futures that the end of a task waits for (``on_cancel="wait"``)."""
    running: DurableTask | None = None
    closed: bool = False
    host_trap: object = None
    handler_context: Any = None
    """What ``current_context`` gives out."""
    last: DurableTask | None = None
    _next: list[DurableTask] = attrs.field(factory=list["DurableTask"])
    """Those that became ready before them, the first one last."""
    _sequence: int = 0
    _ends: int = 0
    _turns: int = 0

    # -- numbering and progress

    def next_sequence(self) -> int:
        """Number a task or future, in the order of creation."""
        self._sequence += 1
        return self._sequence

    def next_end(self) -> int:
        """Number the end of a future; an end is progress."""
        self._turns = 0
        self._ends += 1
        return self._ends

    def progress(self) -> None:
        """Something happened that a polling loop may have been waiting for."""
        self._turns = 0

    # -- tasks

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, Any],
        path: str,
        parent: CancelScope | None,
        context: contextvars.Context,
        on_end: Callable[[DurableTask, Any, BaseException | None], None],
    ) -> DurableTask:
        """Start a task at the end of the ready queue."""
        scope = CancelScope()
        task = DurableTask(
            scheduler=self,
            coroutine=coroutine,
            path=path,
            sequence=self.next_sequence(),
            context=context,
            scope=scope,
            root_scope=scope,
            on_end=on_end,
        )
        attach(scope, task, parent)
        context.run(current.set, task)
        self.tasks[task] = None
        self.ready.append(task)
        self._turns = 0
        return task

    def is_cancelled(self, task: DurableTask) -> bool:
        """Whether a durable wait has to raise now: the task is cancelled or torn down (C2, C7)."""
        return self.closed or task.scope._effective

    def swallows(self, task: DurableTask) -> bool:
        """Count one more cancelled exception for the task; True when they are too many."""
        task.cancellations += 1
        return task.cancellations > SWALLOWED

    def refuse(self, task: DurableTask) -> Generator[Trap, Any, NoReturn]:
        """Raise the host's cancelled exception; give the task up once it has swallowed too many."""
        if self.swallows(task):
            yield Trap.ABANDON
        raise self.cancelled()

    # -- running

    def run(self, budget: int) -> Pause:
        """Step ready tasks in order until there is none, one traps to the host, or ``budget`` ends."""
        following = self._next
        while following or self.ready:
            if not budget:
                return Pause.BUDGET

            budget -= 1
            if not following:
                self.ready, self._next = following, self.ready
                following = self._next
                following.reverse()
            task = following.pop()
            last = self.last
            if last is not None and last is not task and not self.leave(last):
                following.append(task)
                if last.state is TaskState.READY:
                    (following if last in following else self.ready).remove(last)
                    following.append(last)
                task = following.pop()
            if self.step(task):
                return Pause.HOST_TRAP

        return Pause.QUIESCENT

    def step(self, task: DurableTask) -> bool:
        """Resume one task until it yields.

        True: it yielded ``host_trap``, and has to be resumed with the host's answer before
        any other task.
        """
        value, exc = task.to_send, task.to_throw
        task.to_send = task.to_throw = None
        task.state = TaskState.RUNNING
        self.running = self.last = task
        try:
            if exc is None:
                trap = task.context.run(task.coroutine.send, value)
            else:
                trap = task.context.run(task.coroutine.throw, exc)
        except StopIteration as stop:
            self._end(task, stop.value, None)
            return False
        except BaseException as error:  # whatever it is, it is the task's outcome
            if is_fatal(error, self.cancelled_type):
                self.fail(error)
            self._end(task, None, error)
            return False
        finally:
            self.running = None

        if trap is Trap.PARK:
            task.state = TaskState.PARKED
            if self.watch:
                self.parked[task] = None
        elif trap is Trap.TURN:
            task.state = TaskState.READY
            self.ready.append(task)
            self.count_turn(task)
        elif trap is Trap.ABANDON:
            self.abandon(task)
        else:
            self.host_trap = trap
            return True

        return False

    def count_turn(self, task: DurableTask) -> None:
        """A task polls. Fails the attempt once polling has led nowhere for long (S10)."""
        self._turns += 1
        if self._turns > BUSY_TURNS and not self.closed:
            self.fail(
                BusyWaitError(
                    f"{where(task.coroutine)}: this loop polls with checkpoint() and nothing has "
                    f"changed for {BUSY_TURNS} turns. Results arrive only while every task waits: "
                    "await the future, an Event or a channel instead of polling."
                )
            )

    # -- the end

    def close(self) -> None:
        """Unwind: cancel every parked task. The caller runs the scheduler until it is quiescent."""
        self.closed = True
        for task in list(self.tasks):
            if task.state is TaskState.PARKED and task.interruptible:
                task.state = TaskState.READY
                task.abort = None
                task.to_throw = self.cancelled()
                self.ready.append(task)
        for future in list(self.held):
            # A task that has ended and waits for a callee ends now, or its parent is never left.
            future._end(FutureStatus.CANCELLED, None)

    def _end(self, task: DurableTask, value: Any, error: BaseException | None) -> None:
        task.state = TaskState.ENDED
        self._turns = 0
        del self.tasks[task]
        if self.watch:
            self.parked.pop(task, None)
        self.last = None
        if self.closed or not self.leave(task):
            task.on_end(task, value, error)
            return

        if error is None and task.scope is not task.root_scope:
            self.fail(
                UsageError(
                    f"{task.path or 'the handler'} has ended inside of a CancelScope or nursery that "
                    "was never left: an async generator that yields inside of one was not closed. "
                    "Iterate it inside of `async with contextlib.aclosing(...)`."
                )
            )
            task.on_end(task, value, error)
            return

        if error is None and task.root_scope._pending and not task.root_scope._effective:
            forgotten = [future for future in task.root_scope._pending if future._forgotten]
            if forgotten:
                self.forgotten(task, forgotten)
        held = task.root_scope._end()
        waiting = len(held)
        if not waiting:
            task.on_end(task, value, error)
            return

        def settled() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                for future in held:
                    del self.held[future]
                task.on_end(task, value, error)

        for future in held:
            self.held[future] = None
            future._subscribe(task, settled)

    def abandon(self, task: DurableTask) -> None:
        """Give up a task that cannot be unwound; the attempt fails if it has not ended yet."""
        if not self.closed:
            self.fail(
                BusyWaitError(
                    f"{where(task.coroutine)}: this task catches the cancelled exception over and "
                    "over and goes on waiting. Let it propagate; put cleanup that has to journal "
                    "into `with CancelScope(shield=True):`."
                )
            )
        self.running = task
        try:
            task.context.run(task.coroutine.close)
        except Exception as error:  # it ignored GeneratorExit, or broke on it
            _log.warning("a task of %s could not be unwound: %r", task.path or "the handler", error)
        finally:
            self.running = None
        self._end(task, None, self.cancelled())


def is_fatal(error: BaseException, cancelled_type: type[BaseException]) -> bool:
    """Whether an error is for the host: KeyboardInterrupt, SystemExit, not a cancellation."""
    if isinstance(error, Exception):
        return False

    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return any(is_fatal(inner, cancelled_type) for inner in group.exceptions)

    return not isinstance(error, cancelled_type)
