"""Durable futures: the result of an operation, a child task or a combinator.

Owns the state of a future and who is told when it ends. What ends it is the
attempt's (a notification), the nursery's (a child) or a combinator's.

 1. A future changes only while its observers are parked: ``status`` is deterministic.
 2. Observers are told in the order in which they began to wait; ``ended_at`` numbers
    the ends of all futures of an attempt, so that ties are broken by arrival.
 3. A pending operation belongs to the scope it was created in and ends with it, or
    with its task (C4, C5), unless it was detached.
 4. A cancelled future ends at once, but for an operation that has to be waited for
    (``on_cancel="wait"``): that one is CANCELLING until its completion comes, and
    its waiters are not interrupted meanwhile.

| status     | await                        | next                         |
| ---------- | ---------------------------- | ---------------------------- |
| PENDING    | parks                        | any of the others            |
| CANCELLING | parks                        | CANCELLED                    |
| FINISHED   | the value                    |                              |
| FAILED     | raises                       |                              |
| CANCELLED  | raises FutureCancelledError  |                              |
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ._exceptions import FutureCancelledError, FutureNotDoneError, UsageError
from ._journal._entries import AwaitKind, AwaitTree
from ._task import DurableTask, current, running_task
from ._traps import Trap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator

    from ._cancel import CancelScope
    from ._scheduler import Scheduler

T_co = TypeVar("T_co", covariant=True)

_DEEPEST: Final = 100
"""Levels of combinators. A Restate server takes an await tree of 1000."""


class FutureStatus(enum.Enum):
    """The status of a future; the names are those of ``anyio.TaskHandle.Status``."""

    PENDING = enum.auto()
    """Has not ended."""
    FINISHED = enum.auto()
    """Ended with a value."""
    CANCELLING = enum.auto()
    """Was cancelled and has not ended: a child that cleans up, a callee that is waited for."""
    CANCELLED = enum.auto()
    """Ended by being cancelled."""
    FAILED = enum.auto()
    """Ended with an error."""


class DurableFuture(Generic[T_co]):
    """A result that is on its way. Made by operations, nurseries and combinators, never by you.

    Await it any number of times, from any durable task of the handler; every combinator
    takes it. On replay it ends at the same place of the journal, with the same result.
    """

    __slots__ = (
        "_cancel_operation",
        "_decode",
        "_depth",
        "_ended_at",
        "_first",
        "_inputs",
        "_kind",
        "_leaf",
        "_open",
        "_scheduler",
        "_scope",
        "_sequence",
        "_status",
        "_value",
        "_waiters",
        "_waits_when_cancelled",
        "_wanted",
        "name",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        name: str,
        *,
        scope: CancelScope | None = None,
        waits_when_cancelled: bool = False,
        leaf: int | tuple[int | str] | None = None,
    ) -> None:
        self._scheduler: Scheduler = scheduler
        self.name: str = name
        """What it is called in messages."""
        self._sequence: int = scheduler.next_sequence()
        self._ended_at: int = -1
        self._leaf: int | tuple[int | str] | None = leaf
        self._waits_when_cancelled: bool = waits_when_cancelled
        self._cancel_operation: Callable[[], None] | None = None
        self._decode: Callable[[Any], Any] | None = None
        self._scope = scope
        self._status = FutureStatus.PENDING
        self._open = True
        self._value: Any = None
        self._first: DurableTask | None = None
        """The task that has waited for longest. Nearly always it is the only one."""
        self._waiters: dict[object, Callable[[], object]] | None = None
        """Those that came after it."""
        self._wanted = False
        """Whether anybody ever waited for it."""
        self._inputs: Collection[DurableFuture[Any]] = ()
        self._depth: int
        self._kind: AwaitKind | None = None
        if scope is not None:
            scope._adopt(self)

    # -- the user's side

    def __await__(self) -> Generator[Any, Any, T_co]:
        task = current.get(None)
        if not isinstance(task, DurableTask) or task.scheduler.running is not task:
            task = running_task(f"await {self.name or 'future'}")
        scheduler = task.scheduler
        if scheduler.is_cancelled(task):
            yield from scheduler.refuse(task)
        if self._scheduler is not scheduler:
            self._check_belongs_to(task)
        if self._open:
            yield from self._park(task)
        return self._outcome()

    async def wait(self) -> None:
        """Return when the future has ended, however it did. Never raises its error."""
        await _Wait(self)

    @property
    def status(self) -> FutureStatus:
        """Where it stands; the same on replay."""
        return self._status

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._open

    @property
    def succeeded(self) -> bool:
        """Whether it has ended with a value."""
        return self._status is FutureStatus.FINISHED

    @property
    def return_value(self) -> T_co:
        """The value. Raises the failure, ``FutureCancelledError`` or ``FutureNotDoneError``."""
        if self._open:
            raise FutureNotDoneError(f"{self.name!r} is still pending; await it first")

        return self._outcome()

    @property
    def exception(self) -> BaseException | None:
        """The failure, or None after a success. Raises as ``return_value`` where there is neither."""
        if self._status is FutureStatus.FAILED:
            return self._error()

        _ = self.return_value
        return None

    def cancel(self) -> None:
        """End the operation: abort the run's body, signal the callee, stop awaiting the rest.

        Awaiting it raises ``FutureCancelledError`` from then on. No effect once it has
        ended. It is what happens to every pending future of a cancelled scope.
        """
        self._check_belongs_to(running_task("DurableFuture.cancel"))
        self._drop()

    def _drop(self) -> None:
        """As ``cancel``, from the scheduler's side: no task has to be running."""
        if self._status is not FutureStatus.PENDING:
            return

        operation, self._cancel_operation = self._cancel_operation, None
        if self._waits_when_cancelled:
            self._status = FutureStatus.CANCELLING
        else:
            self._end(FutureStatus.CANCELLED, None)
        if operation is not None:
            operation()

    def detach(self) -> None:
        """Let the operation outlive its scope and task, and end with the invocation at the latest.

        The callee of a detached call goes on even then.
        """
        self._check_belongs_to(running_task("DurableFuture.detach"))
        self._move_to(None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._status.name}>"

    # -- the scheduler's side

    def _end(self, status: FutureStatus, value: Any) -> None:
        """End it, once; later ends are ignored, at the same place live and on replay."""
        if not self._open:
            return

        if self._status is FutureStatus.CANCELLING:
            status, value = FutureStatus.CANCELLED, None
        self._status, self._value, self._open = status, value, False
        self._ended_at = self._scheduler.next_end()
        self._cancel_operation = None
        scope, self._scope = self._scope, None
        if scope is not None:
            scope._disown(self)
        first, self._first = self._first, None
        waiters, self._waiters = self._waiters, None
        if first is not None:
            first.wake()
        if waiters:
            for tell in waiters.values():
                tell()

    def _on_cancel(self, operation: Callable[[], None]) -> None:
        """What its cancellation does beside ending it."""
        self._cancel_operation = operation

    def _check_belongs_to(self, task: DurableTask) -> None:
        """Raise ``UsageError`` if it is another invocation's, ended or not."""
        if self._scheduler is not task.scheduler:
            raise UsageError(
                f"the future {self.name!r} belongs to another invocation. Pass its result, "
                "not the future, or use an awakeable to wait across invocations."
            )

    def _subscribe(self, key: object, tell: Callable[[], object]) -> None:
        """Call ``tell`` when the future ends, at once if it has."""
        self._wanted = True
        if not self._open:
            tell()
        elif self._waiters is None:
            self._waiters = {key: tell}
        else:
            self._waiters[key] = tell

    def _unsubscribe(self, key: object) -> None:
        """Take a subscription back."""
        if key is self._first:
            self._first = None
        elif self._waiters is not None:
            self._waiters.pop(key, None)

    def _abandoned_by(self, task: DurableTask) -> bool:
        """Give up waiting, because the task is cancelled; False if it has to wait all the same."""
        if self._holds():
            return False

        self._unsubscribe(task)
        return True

    @property
    def _forgotten(self) -> bool:
        """Whether it has an effect that ends with it, and nobody ever waited for it."""
        return self._cancel_operation is not None and not self._wanted

    def _move_to(self, scope: CancelScope | None) -> None:
        """Make it end with another scope, or with none."""
        if not self._open:
            return

        if self._scope is not None:
            self._scope._disown(self)
        self._scope = scope
        if scope is not None:
            scope._adopt(self)

    def _derive_from(self, kind: AwaitKind, inputs: Collection[DurableFuture[Any]]) -> None:
        """Say what a combinator's future waits for; ``inputs`` may be a view that changes."""
        self._kind, self._inputs = kind, inputs

    def _nest(self) -> None:
        """Count its level, of a combinator's future that may be combined again.

        ``UsageError`` if there are too many: they are told, encoded and ended one in the other.
        """
        depth = 1 + max([each._depth for each in self._inputs if each._kind], default=0)
        if depth > _DEEPEST:
            raise UsageError(
                f"{self.name}() of futures that are combined {_DEEPEST} levels deep: give the "
                "futures themselves to one combinator, or await one after the other"
            )

        self._depth = depth

    def _holds(self) -> bool:
        """Whether a cancelled waiter has to stay: for a callee that is, or is about to be, ending."""
        if self._kind is not None:
            return any(future._holds() for future in self._inputs)

        if not self._waits_when_cancelled or not self._open:
            return False

        # Tasks are interrupted before the futures of their scope are cancelled.
        scope = self._scope
        return self._status is FutureStatus.CANCELLING or (scope is not None and scope._effective)

    def _await_tree(self) -> AwaitTree | None:
        """The notifications it still waits for; None: none at all."""
        if not self._open:
            return None

        if self._kind is None:
            if self._leaf is None:
                return None

            if isinstance(self._leaf, int):
                return AwaitTree(AwaitKind.FIRST_COMPLETED, completions=(self._leaf,))

            return AwaitTree(AwaitKind.FIRST_COMPLETED, signals=self._leaf)

        return combine(self._kind, [future._await_tree() for future in self._inputs])

    def _park(self, task: DurableTask) -> Generator[Trap, Any, None]:
        """Wait for the end; interruptible unless ``holds``."""
        self._wanted = True
        if self._first is None and not self._waiters:
            self._first = task
        else:
            self._subscribe(task, task.wake)
        task.waiting_on = self
        try:
            yield Trap.PARK
        finally:
            task.waiting_on = None
        if task.refused:
            task.refused = False
            if task.scheduler.is_cancelled(task):
                yield from task.scheduler.refuse(task)
        task.cancellations = 0

    def _outcome(self) -> T_co:
        status = self._status
        if status is FutureStatus.FINISHED:
            value: T_co = self._value
            return value

        if status is FutureStatus.FAILED:
            raise self._error()

        raise FutureCancelledError(
            f"{self.name!r} was cancelled: by its own cancel(), or because the scope or task it "
            "was started in ended. Await it inside that scope, or detach() it."
        )

    def _error(self) -> BaseException:
        value = self._value
        return value if isinstance(value, BaseException) else value()


class _Wait:
    """Awaits the end of a future without its outcome."""

    __slots__ = ("future",)

    def __init__(self, future: DurableFuture[Any]) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, Any, None]:
        task = running_task("DurableFuture.wait")
        if task.scheduler.is_cancelled(task):
            yield from task.scheduler.refuse(task)
        self.future._check_belongs_to(task)
        if not self.future.done:
            yield from self.future._park(task)


def combine(kind: AwaitKind, trees: list[AwaitTree | None]) -> AwaitTree | None:
    """One node above several; single leaves are folded into it, empty trees left out."""
    completions: list[int] = []
    signals: list[int | str] = []
    nested: list[AwaitTree] = []
    for tree in trees:
        if tree is None:
            continue

        if not tree.nested and len(tree.completions) + len(tree.signals) == 1:
            completions.extend(tree.completions)
            signals.extend(tree.signals)
        else:
            nested.append(tree)
    if not (completions or signals or nested):
        return None

    return AwaitTree(kind, tuple(completions), tuple(signals), tuple(nested))
