"""A durable task: one branch of a handler.

Owns the coroutine, its path, its place in the scope tree and its parking state. Who
runs when is the scheduler's, what a task waits for the future's or primitive's.

 1. A task runs only when the scheduler steps it; ``scheduler.running`` names it then.
 2. A parked task is woken exactly once per park: by ``wake``, ``interrupt`` or at the
    attempt's end. Whoever comes first decides what the wait yields (as in trio).
 3. ``interrupt`` asks the future, or the wait's ``abort``, first; it may refuse, and then the
    task stays parked. A wait without either (a nursery's exit) is never interrupted.
 4. ``sequence`` numbers tasks in the order of their creation, which is also the order
    in which a cancellation wakes them.
"""

from __future__ import annotations

import contextvars
import enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from ._exceptions import NotDurableTaskError, UsageError
from ._failures import spelled_out
from ._run import RunInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ._cancel import CancelScope
    from ._future import DurableFuture
    from ._scheduler import Scheduler


class TaskState(enum.Enum):
    """Where a task stands with the scheduler."""

    READY = enum.auto()
    RUNNING = enum.auto()
    PARKED = enum.auto()
    ENDED = enum.auto()


@attrs.define(eq=False)
class DurableTask:
    """See the module's docstring."""

    scheduler: Scheduler
    coroutine: Coroutine[Any, Any, Any]
    path: str
    sequence: int
    context: contextvars.Context
    scope: CancelScope
    """The innermost scope the task is in now."""
    root_scope: CancelScope
    """The scope that spans the whole task; cancelling the task cancels it."""
    on_end: Callable[[DurableTask, Any, BaseException | None], None]

    state: TaskState = TaskState.READY
    abort: Callable[[], bool] | None = None
    """Undoes the current wait for anything but a future; False refuses. None: it cannot be
    interrupted."""
    handle: DurableFuture[Any] | None = None
    """What a nursery gave out for it."""
    waiting_on: DurableFuture[Any] | None = None
    refused: bool = False
    """Whether what it waits on has refused an interruption: it is to be felt after the wait."""
    to_send: Any = None
    to_throw: BaseException | None = None
    cancellations: int = 0
    """Cancelled exceptions raised in a row, without a wait that succeeded in between."""
    _child_names: dict[str, int] | None = None

    def wake(self, value: Any = None) -> None:
        """Make a parked task ready; its wait yields ``value``. Otherwise do nothing."""
        if self.state is TaskState.PARKED:
            self.state = TaskState.READY
            self.to_send = value
            self.abort = None
            self.scheduler.ready.append(self)

    def interrupt(self) -> None:
        """Make a parked task ready; its wait raises the host's cancelled exception."""
        if self.state is not TaskState.PARKED:
            return

        if self._give_up_waiting():
            self.state = TaskState.READY
            self.to_throw = self.scheduler.cancelled()
            self.abort = None
            self.cancellations += 1
            self.scheduler.ready.append(self)
        elif self.waiting_on is not None:
            self.refused = True

    @property
    def interruptible(self) -> bool:
        """Whether the current wait can be given up at all."""
        return self.waiting_on is not None or self.abort is not None

    def _give_up_waiting(self) -> bool:
        future = self.waiting_on
        if future is not None:
            return future._abandoned_by(self)

        return self.abort is not None and self.abort()

    def child_path(self, name: str) -> str:
        """The path of the next child of this name: ``parent[0]/name[3]``."""
        if self._child_names is None:
            self._child_names = {}

        number = self._child_names.get(name, 0)
        self._child_names[name] = number + 1
        return f"{self.path}/{name}[{number}]" if self.path else f"{name}[{number}]"

    def entry_name(self, name: str) -> str:
        """The name of an entry that this task journals (J5)."""
        if self.path:
            name = f"{self.path}/{name}" if name else self.path
        return name if name.isascii() else spelled_out(name)


current: Final[contextvars.ContextVar[DurableTask | RunInfo]] = contextvars.ContextVar(
    "durable_trio.current"
)
"""The task that runs; inside the body of a run, what that is."""


def running_task(operation: str) -> DurableTask:
    """The durable task that is calling; ``operation`` names the caller in the error.

    Raises ``NotDurableTaskError`` outside of a durable task: in a run body, in a task
    or thread of the host's, or where no attempt runs at all.
    """
    task = current.get(None)
    if isinstance(task, DurableTask) and task.scheduler.running is task:
        return task

    if isinstance(task, RunInfo):
        raise NotDurableTaskError(
            f"{operation} was called inside the body of run {task.name!r}. A body is an "
            "ordinary side effect: journal nothing in it. Return its result and call "
            f"{operation} in the handler, after awaiting the run."
        )

    if task is not None:
        raise NotDurableTaskError(
            f"{operation} was called from a host task or thread that is not part of the "
            "handler (trio.open_nursery, asyncio.create_task, a callback ...). Start it with "
            "durable_trio's open_nursery().start_soon(), or do its work in ctx.run()."
        )

    raise NotDurableTaskError(
        f"{operation} was called where no handler runs. It works inside a handler that a "
        "runtime, an endpoint or the testing kit is running."
    )


def current_run() -> RunInfo:
    """What the body that is running may know about itself, its idempotency key above all.

    Works in the body of ``ctx.run``, in what it calls, in its worker thread, and in the
    tasks that it starts. ``UsageError`` elsewhere.
    """
    run = current.get(None)
    if isinstance(run, RunInfo):
        return run

    raise UsageError(
        "current_run() was called where no body of a run is executed. Call it in the function "
        "that ctx.run() is given; in the handler use ctx.request."
    )
