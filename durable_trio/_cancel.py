"""Cancel scopes and deadlines, with trio's semantics and a journal underneath.

Owns the scope tree and what a cancellation does to the tasks and futures below a scope.
How a pending operation ends (an aborted run body, a cancel signal to a callee) is the
operation's, see ``DurableFuture``.

 1. Cancellation is level-triggered: while a task's innermost scope is ``effective``,
    every durable wait in it raises the host's cancelled exception.
 2. ``effective`` is ``cancel_called``, or the parent's ``effective`` unless shielded. It
    is kept up to date, never searched for.
 3. A cancellation first interrupts the parked tasks below the scope, in the order of
    their creation, then ends the pending futures below it, in the order of theirs.
 4. A deadline is a journaled timer. The scope is cancelled where its completion is
    delivered, so that replay cancels it at the same place. A timer whose scope is left
    early wakes nobody.
 5. A scope that is left hands its pending futures to its parent: they end with the task. If it
    was cancelled they end with it, those too that were started after that.
 6. During teardown a scope catches nothing.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from ._duration import seconds as in_seconds
from ._exceptions import TooSlowError, UsageError
from ._task import running_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from ._duration import Duration
    from ._future import DurableFuture
    from ._scheduler import Scheduler
    from ._task import DurableTask

_OUT_OF_ORDER: Final = (
    "cancel scopes have to be left in the reverse order of entering them, by the task that entered "
    "them. An async generator that yields inside of one is iterated and closed by one task, inside "
    "of `async with contextlib.aclosing(...)`."
)


class CancelScope:
    """A region of a handler that can be cancelled as a whole; the durable ``trio.CancelScope``.

    ``deadline`` is in seconds since the epoch, as ``ctx.now()`` counts them; a finite one
    is journaled as a timer when the scope is entered (or when it is assigned later).
    ``relative_deadline`` is in seconds from entering it; the earlier of the two counts.
    ``shield=True`` keeps cancellation from outside out, for cleanup that must journal.
    """

    __slots__ = (
        "_children",
        "_deadline",
        "_effective",
        "_entered",
        "_parent",
        "_pending",
        "_relative_deadline",
        "_shield",
        "_task",
        "_timer",
        "cancel_called",
        "cancelled_caught",
    )

    def __init__(
        self,
        *,
        deadline: float = math.inf,
        relative_deadline: float = math.inf,
        shield: bool = False,
    ) -> None:
        if math.isnan(relative_deadline) or relative_deadline < 0:
            raise ValueError(
                f"a timeout is a number of seconds from 0 on, got {relative_deadline!r}"
            )

        self.cancel_called: bool = False
        """Whether ``cancel`` was called or the deadline has passed."""
        self.cancelled_caught: bool = False
        """Whether the scope has ended a cancellation of its own."""
        self._deadline = _checked_deadline(deadline)
        self._relative_deadline = relative_deadline
        self._shield = shield
        self._parent: CancelScope | None = None
        self._task: DurableTask | None = None
        self._children: dict[CancelScope, None] | None = None
        self._pending: dict[DurableFuture[Any], None] | None = None
        self._timer: DurableFuture[None] | None = None
        self._effective: bool = False
        # Read at every durable wait, so a plain attribute; only this module writes it.
        self._entered = False

    # -- the user's side

    @property
    def deadline(self) -> float:
        """When the scope is cancelled, in seconds since the epoch; the recorded time on replay."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = _checked_deadline(deadline)
        if self._task is not None:
            self._check_caller("CancelScope.deadline")
            self._drop_timer()
            self._start_timer()

    @property
    def shield(self) -> bool:
        """Whether cancellation from outside is kept out."""
        return self._shield

    @shield.setter
    def shield(self, shield: bool) -> None:
        self._shield = shield
        if self._task is not None:
            recalculate(self, self._task.scheduler)

    def cancel(self) -> None:
        """Cancel everything in the scope. Idempotent; effective at once, delivered in order."""
        if self._task is not None:
            self._check_caller("CancelScope.cancel")
        self._request_cancel()

    def _check_caller(self, operation: str) -> None:
        """Raise unless a task of the invocation that has entered it is calling."""
        assert self._task is not None
        if running_task(operation).scheduler is not self._task.scheduler:
            raise UsageError(
                f"{operation} was called by another invocation than the one that entered the scope. "
                "Use ctx.invocation(<id>).cancel(), or a signal that its own handler awaits."
            )

    def _request_cancel(self) -> None:
        """As ``cancel``, from the scheduler's side: no task has to be running."""
        if not self.cancel_called:
            self.cancel_called = True
            if self._task is not None:
                recalculate(self, self._task.scheduler)

    def __enter__(self) -> Self:
        task = running_task("CancelScope")
        if self._entered:
            raise UsageError(
                "a CancelScope can be entered once; make a new one for every `with` block"
            )

        self._entered = True
        attach(self, task, task.scope)
        task.scope = self
        try:
            if self._relative_deadline < math.inf:
                now = task.scheduler.now()
                self._deadline = min(self._deadline, now + self._relative_deadline)
            self._start_timer()
        except BaseException:
            self._detach()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        task = self._task
        if task is not None and not task.scheduler.closed:
            # An async generator that is collected as garbage is closed by the host, at any time.
            leaving = running_task("leaving a CancelScope")
            if leaving is not task:
                raise UsageError(_OUT_OF_ORDER)

        remaining = self._close(exc)
        if remaining is exc:
            return False

        if remaining is None:
            return True

        raise remaining from None

    # -- the scheduler's side

    def _close(self, exc: BaseException | None) -> BaseException | None:
        """Leave the scope; returns what is left of ``exc`` once its own cancellation is taken out."""
        task = self._task
        if task is None or task.scope is not self:
            if task is not None and task.scheduler.closed:
                return exc

            raise UsageError(_OUT_OF_ORDER)

        scheduler = task.scheduler
        own = self.cancel_called and not (
            not self._shield and self._parent is not None and self._parent._effective
        )
        self._detach()
        if exc is None or not own or scheduler.closed:
            return exc

        if isinstance(exc, scheduler.cancelled_type):
            self.cancelled_caught = True
            # It has arrived where it was meant to: the task has not swallowed anything.
            task.cancellations = 0
            return None

        is_group = isinstance(exc, BaseExceptionGroup)
        if is_group:
            group = cast("BaseExceptionGroup[BaseException]", exc)
            matched, rest = group.split(scheduler.cancelled_type)
            if matched is not None:
                self.cancelled_caught = True
                return rest

        return exc

    def _end(self) -> list[DurableFuture[Any]]:
        """The task whose root scope this is has ended (C5). Returns the futures it has to wait for."""
        parent, self._parent = self._parent, None
        if parent is not None and parent._children is not None:
            parent._children.pop(self, None)
        if not self._children and not self._pending:
            return []

        scopes: list[CancelScope] = [self]
        if self._children:
            # The task broke off in a scope or nursery that a generator of its own still holds.
            self._request_cancel()
            for scope in scopes:
                scopes.extend(scope._children or ())
        pending = [future for scope in scopes for future in scope._pending or ()]
        for future in sorted(pending, key=_OF_FUTURE):
            future._drop()
        return [future for future in pending if not future.done]

    def _adopt(self, future: DurableFuture[Any]) -> None:
        """A pending future belongs to this scope from now on."""
        if self._pending is None:
            self._pending = {}
        self._pending[future] = None

    def _disown(self, future: DurableFuture[Any]) -> None:
        """The future has ended, or belongs to another scope."""
        if self._pending is not None:
            self._pending.pop(future, None)

    def _deadlines(self) -> list[DurableFuture[Any]]:
        """The timers of this scope and of those in it that may still cancel something."""
        timers: list[DurableFuture[Any]] = []
        stack: list[CancelScope] = [self]
        while stack:
            scope = stack.pop()
            if scope._timer is not None and not scope._timer.done:
                timers.append(scope._timer)
            if scope._children:
                stack.extend(scope._children)
        return timers

    def _detach(self) -> None:
        task, parent = self._task, self._parent
        assert task is not None
        assert parent is not None
        assert parent._children is not None
        self._drop_timer()
        self._task = None
        task.scope = parent
        del parent._children[self]
        if self._pending:
            inherited, self._pending = self._pending, None
            for future in inherited:
                future._move_to(parent)
            # In a scope that is cancelled only what was started since is still pending.
            if self._effective or parent._effective:
                for future in inherited:
                    future._drop()

    def _start_timer(self) -> None:
        if self._deadline < math.inf:
            assert self._task is not None
            start_timer = self._task.scheduler.start_timer
            self._timer, self._deadline = start_timer(self._deadline, "deadline")
            # It was made by the running task, which may be another one that moved the deadline.
            self._timer._move_to(self)
            self._timer._subscribe(self, self._timer_ended)

    def _timer_ended(self) -> None:
        if self._timer is not None and self._timer.succeeded:
            self._request_cancel()

    def _drop_timer(self) -> None:
        if self._timer is not None:
            timer, self._timer = self._timer, None
            timer._unsubscribe(self)
            timer._drop()


def attach(scope: CancelScope, task: DurableTask, parent: CancelScope | None) -> None:
    """Hang a scope into the tree below ``parent``, as entered by ``task``."""
    scope._task, scope._parent = task, parent
    scope._entered = True
    scope._effective = scope.cancel_called
    if parent is not None:
        if parent._children is None:
            parent._children = {}
        parent._children[scope] = None
        scope._effective = scope.cancel_called or (parent._effective and not scope._shield)


def recalculate(scope: CancelScope, scheduler: Scheduler) -> None:
    """Bring ``effective`` up to date below ``scope`` and carry out what became cancelled."""
    cancelled: list[CancelScope] = []
    stack = [scope]
    while stack:
        current = stack.pop()
        parent = current._parent
        effective = current.cancel_called or (
            parent is not None and parent._effective and not current._shield
        )
        if effective is current._effective:
            continue

        current._effective = effective
        if effective:
            cancelled.append(current)
        if current._children:
            stack.extend(current._children)

    tasks = [scope._task for scope in cancelled if scope._task is not None]
    parked = [task for scope, task in zip(cancelled, tasks, strict=True) if task.scope is scope]
    for task in sorted(parked, key=_OF_TASK):
        task.interrupt()

    futures = [future for scope in cancelled if scope._pending for future in scope._pending]
    for future in sorted(futures, key=_OF_FUTURE):
        future._drop()

    scheduler.progress()


_OF_TASK: Final[Callable[[DurableTask], int]] = attrgetter("sequence")
_OF_FUTURE: Final[Callable[[DurableFuture[Any]], int]] = attrgetter("_sequence")


def _checked_deadline(deadline: float) -> float:
    if math.isnan(deadline):
        raise ValueError("a deadline is a time in seconds since the epoch, got nan")

    return deadline


# -- timeouts, named as in trio


def move_on_after(seconds: Duration, *, shield: bool = False) -> CancelScope:
    """A scope that is cancelled ``seconds`` after it was entered; what is in it is given up.

    ``with move_on_after(5) as scope:``; afterwards ``scope.cancelled_caught`` tells whether it
    was. The deadline is a journaled timer: a crash does not start it anew, and a replay
    cancels at the same place. ``seconds`` may be a ``timedelta``; ``ValueError`` for a negative
    time. ``shield`` as for ``CancelScope``.
    """
    return CancelScope(relative_deadline=in_seconds(seconds), shield=shield)


def move_on_at(deadline: float, *, shield: bool = False) -> CancelScope:
    """A scope that is cancelled at ``deadline``, in seconds since the epoch, as ``ctx.now()`` has it.

    Otherwise as ``move_on_after``.
    """
    return CancelScope(deadline=deadline, shield=shield)


@contextmanager
def _fail(scope: CancelScope) -> Generator[CancelScope]:
    with scope:
        yield scope
    if scope.cancelled_caught:
        raise TooSlowError(
            "the deadline passed before the work in `fail_after` or `fail_at` was done"
        )


def fail_at(deadline: float, *, shield: bool = False) -> AbstractContextManager[CancelScope]:
    """Like ``move_on_at``, and raises ``TooSlowError`` when the deadline cut something short."""
    return _fail(move_on_at(deadline, shield=shield))


def fail_after(seconds: Duration, *, shield: bool = False) -> AbstractContextManager[CancelScope]:
    """Like ``move_on_after``, and raises ``TooSlowError`` when the time was not enough.

    A ``TooSlowError`` that leaves the handler ends the invocation with 408.
    """
    return _fail(move_on_after(seconds, shield=shield))
