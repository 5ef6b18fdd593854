"""Nurseries: child tasks that end before their block does.

Owns starting, joining and the errors of children. Cancellation is the scope's, order
the scheduler's.

 1. The block is left when every child has ended. Cancellation does not wake the parent
    there: it wakes the children, and the last of them wakes the parent.
 2. A child's error, or the body's, cancels the rest; errors leave as one
    ``ExceptionGroup`` in the order in which they happened, the same on replay (C1).
 3. A child that ends with the host's cancelled exception was cancelled; that is no error.
 4. Only the task that opened it leaves it, in its turn; else nobody waits, and that is told at once.
"""

from __future__ import annotations

import contextvars
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from ._cancel import CancelScope
from ._exceptions import UsageError
from ._future import DurableFuture, FutureStatus
from ._task import DurableTask, running_task
from ._traps import park

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType
    from typing import Self

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
PosArgs = TypeVarTuple("PosArgs")


class TaskHandle(DurableFuture[T_co]):
    """A child task, as ``start_soon`` returns it; named and shaped as ``anyio.TaskHandle``."""

    __slots__ = ("_task",)

    _task: DurableTask

    def cancel(self) -> None:
        """Cancel the child: every durable wait in it raises from now on. It may still clean up."""
        self._check_belongs_to(running_task("TaskHandle.cancel"))
        if not self.done:
            self._task.root_scope._request_cancel()

    def detach(self) -> None:
        """A child cannot outlive its nursery. Raises ``UsageError``."""
        raise UsageError(
            f"the child task {self.name!r} cannot be detached: a nursery waits for all of its "
            "children. Use ctx.send() to start work that outlives this handler."
        )

    @property
    def status(self) -> FutureStatus:
        """PENDING, CANCELLING (cancelled, cleaning up), FINISHED, FAILED or CANCELLED."""
        status = super().status
        if status is FutureStatus.PENDING and self._task.root_scope.cancel_called:
            return FutureStatus.CANCELLING

        return status


class Nursery:
    """An open nursery. Made by ``open_nursery``; the durable ``trio.Nursery``."""

    __slots__ = ("_alive", "_closed", "_errors", "_joining", "_owner", "cancel_scope")

    def __init__(self) -> None:
        self.cancel_scope: CancelScope = CancelScope()
        """Spans the body and all children."""
        self._alive = 0
        self._errors: list[BaseException] = []
        self._owner: DurableTask | None = None
        self._joining = False
        self._closed = False

    def start_soon(
        self,
        async_fn: Callable[[*PosArgs], Awaitable[T]],
        *args: *PosArgs,
        name: str | None = None,
    ) -> TaskHandle[T]:
        """Start ``async_fn(*args)`` as a durable child task, at the end of the ready queue.

        The child's branch is called ``name[k]``, by default after the function, and its
        journal entries carry the path of branches above them. Returns its handle.
        """
        task = running_task("Nursery.start_soon")
        owner = self._owner
        if owner is None or self._closed:
            raise UsageError(
                "this nursery is not open. Start children inside its `async with` block, or "
                "while another child of it is still running."
            )

        if owner.scheduler is not task.scheduler:
            raise UsageError("this nursery belongs to another invocation; open one here")

        if task.scheduler.closed:
            raise task.scheduler.cancelled()

        coroutine = _coroutine(async_fn, args)
        path = owner.child_path(name or branch_name(async_fn))
        handle: TaskHandle[T] = TaskHandle(task.scheduler, path)
        self._alive += 1

        child = handle._task = task.scheduler.spawn(
            coroutine, path, self.cancel_scope, contextvars.copy_context(), self._child_ended
        )
        child.handle = handle
        return handle

    async def __aenter__(self) -> Self:
        self._owner = running_task("open_nursery")
        self.cancel_scope.__enter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        owner = self._owner
        assert owner is not None
        scheduler = owner.scheduler
        closing = isinstance(exc, GeneratorExit)
        elsewhere = scheduler.running is not owner
        if (scheduler.closed and (closing or elsewhere)) or (closing and scheduler.running is None):
            # The owner was given up: it must not wait, and its children unwind by themselves.
            self._closed = True
            return False

        if not scheduler.closed and (elsewhere or owner.scope is not self.cancel_scope):
            # The children's end would wake the owner, who waits for something else, or for nothing.
            self._closed = True
            raise UsageError(
                "a nursery has to be left by the task that opened it, and after everything that was "
                "entered in it. An async generator that yields inside of a nursery is iterated and "
                "closed by one task, inside of `async with contextlib.aclosing(...)`."
            )

        if exc is not None:
            if not closing and not isinstance(exc, scheduler.cancelled_type):
                self._errors.append(exc)
            self.cancel_scope._request_cancel()
        while self._alive:
            self._joining = True
            await park()
        self._closed = True

        raised: BaseException | None = exc
        if self._errors and not scheduler.closed:
            raised = BaseExceptionGroup("errors in a durable nursery", self._errors)
        elif exc is None and scheduler.is_cancelled(owner):
            owner.cancellations += 1
            raised = scheduler.cancelled()
        remaining = self.cancel_scope._close(raised)
        # The group refers to this nursery through its tracebacks: break the cycle.
        self._errors = []
        if remaining is None:
            return True

        if remaining is exc:
            return False

        raise remaining from None

    def _child_ended(self, task: DurableTask, value: Any, error: BaseException | None) -> None:
        owner, handle = self._owner, task.handle
        assert owner is not None
        assert handle is not None
        self._alive -= 1
        if error is None:
            handle._end(FutureStatus.FINISHED, value)
        elif isinstance(error, owner.scheduler.cancelled_type):
            handle._end(FutureStatus.CANCELLED, None)
        else:
            handle._end(FutureStatus.FAILED, error)
            self._errors.append(error)
            if not owner.scheduler.closed:
                self.cancel_scope._request_cancel()
        if not self._alive and self._joining:
            self._joining = False
            owner.wake()


def open_nursery() -> Nursery:
    """A nursery for durable child tasks: ``async with open_nursery() as nursery:``.

    Raises an ``ExceptionGroup`` of the errors of body and children, in the order in which
    they happened. Journals nothing itself.
    """
    return Nursery()


def branch_name(async_fn: object) -> str:
    """What a branch that runs ``async_fn`` is called by default."""
    inner = getattr(async_fn, "func", async_fn)
    name: str = getattr(inner, "__name__", type(inner).__name__)
    return name.strip("<>")


def _coroutine(async_fn: Callable[..., Any], args: tuple[Any, ...]) -> Coroutine[Any, Any, Any]:
    code = getattr(async_fn, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:
        coroutine: Coroutine[Any, Any, Any] = async_fn(*args)
        return coroutine

    given: object = async_fn
    if not callable(given):
        if inspect.iscoroutine(given):
            given.close()
        raise UsageError(
            "start_soon takes an async function and its arguments, got "
            f"{type(given).__name__}: write `start_soon(fn, x)` instead of `start_soon(fn(x))`."
        )

    # Whatever else it is may do something when it is called: that is the child's, too.
    return _call(async_fn, args)


async def _call(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    awaitable = function(*args)
    if inspect.isawaitable(awaitable):
        return await awaitable

    raise UsageError(
        f"start_soon needs an async function, got {branch_name(function)!r}, which returned "
        f"{type(awaitable).__name__}. Declare it `async def`, or run it with ctx.run()."
    )
