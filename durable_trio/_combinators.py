"""Waiting for several durable futures: first, all, in order of completion.

Owns the combinators. Those over futures return futures themselves, so they nest; those
over functions (``race``, ``amap``) open a nursery.

 1. Whoever comes first in the journal is first, also among futures that have ended
    before they are combined: arrival decides, never the order of the arguments.
 2. Combining journals nothing and cancels nothing: the losers go on until their scope
    or task ends. ``race`` alone cancels its losers, and joins them.
"""

from __future__ import annotations

import inspect
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ._exceptions import UsageError
from ._future import DurableFuture, FutureStatus
from ._journal._entries import AwaitKind
from ._nursery import TaskHandle, branch_name, open_nursery
from ._task import running_task
from ._wait import check_cancelled, wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Self

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")


def _derived(
    operation: str, kind: AwaitKind, futures: tuple[DurableFuture[Any], ...]
) -> DurableFuture[Any]:
    task = running_task(operation)
    for future in futures:
        given: object = future
        if not isinstance(given, DurableFuture):
            if inspect.iscoroutine(given):
                given.close()
            raise UsageError(
                f"{operation} takes durable futures: what ctx's operations and "
                f"nursery.start_soon() return, got {type(given).__name__}. To combine async "
                "functions use race(), amap() or a nursery."
            )

    derived: DurableFuture[Any] = DurableFuture(task.scheduler, operation)
    derived.derive_from(kind, futures)
    return derived


def _arrived(futures: tuple[DurableFuture[Any], ...]) -> list[tuple[int, DurableFuture[Any]]]:
    """Index and future in the order in which they ended; those pending last, in argument order."""
    return sorted(
        enumerate(futures),
        key=lambda item: (not item[1].done, item[1].ended_at if item[1].done else item[0]),
    )


def wait_first(*futures: DurableFuture[T]) -> DurableFuture[tuple[int, DurableFuture[T]]]:
    """The first of ``futures`` to end, however it does: its index and the future itself.

    Never raises their errors; ask the future. ``UsageError`` without any future.
    """
    if not futures:
        raise UsageError("wait_first() of no futures would wait for ever; give it at least one")

    derived = _derived("wait_first", AwaitKind.FIRST_COMPLETED, futures)
    for index, future in _arrived(futures):
        future.subscribe(derived, _First(derived, index, future, futures))
    return derived


class _First:
    """Ends a ``wait_first`` and takes the other subscriptions back."""

    __slots__ = ("derived", "future", "futures", "index")

    def __init__(
        self,
        derived: DurableFuture[Any],
        index: int,
        future: DurableFuture[Any],
        futures: tuple[DurableFuture[Any], ...],
    ) -> None:
        self.derived, self.index, self.future, self.futures = derived, index, future, futures

    def __call__(self) -> None:
        if not self.derived.done:
            self.derived.end(FutureStatus.FINISHED, (self.index, self.future))
            for other in self.futures:
                other.unsubscribe(self.derived)


@overload
def gather(f1: DurableFuture[T1], /) -> DurableFuture[tuple[T1]]: ...
@overload
def gather(f1: DurableFuture[T1], f2: DurableFuture[T2], /) -> DurableFuture[tuple[T1, T2]]: ...
@overload
def gather(
    f1: DurableFuture[T1], f2: DurableFuture[T2], f3: DurableFuture[T3], /
) -> DurableFuture[tuple[T1, T2, T3]]: ...
@overload
def gather(
    f1: DurableFuture[T1], f2: DurableFuture[T2], f3: DurableFuture[T3], f4: DurableFuture[T4], /
) -> DurableFuture[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(
    f1: DurableFuture[T1],
    f2: DurableFuture[T2],
    f3: DurableFuture[T3],
    f4: DurableFuture[T4],
    f5: DurableFuture[T5],
    /,
) -> DurableFuture[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def gather(*futures: DurableFuture[T]) -> DurableFuture[tuple[T, ...]]: ...
def gather(*futures: DurableFuture[Any]) -> DurableFuture[Any]:
    """The values of all, in argument order; the first failure as soon as it arrives."""
    derived = _derived("gather", AwaitKind.ALL_SUCCEEDED_OR_FIRST_FAILED, futures)
    _Gather(derived, futures, fails_fast=True)
    return derived


def wait_all(*futures: DurableFuture[Any]) -> DurableFuture[tuple[DurableFuture[Any], ...]]:
    """All futures once every one has ended, in argument order. Never raises their errors."""
    derived = _derived("wait_all", AwaitKind.ALL_COMPLETED, futures)
    _Gather(derived, futures, fails_fast=False)
    return derived


class _Gather:
    """Counts the ends of futures."""

    __slots__ = ("derived", "fails_fast", "futures", "left")

    def __init__(
        self,
        derived: DurableFuture[Any],
        futures: tuple[DurableFuture[Any], ...],
        *,
        fails_fast: bool,
    ) -> None:
        self.derived, self.futures, self.fails_fast = derived, futures, fails_fast
        self.left = len(futures)
        if not futures:
            derived.end(FutureStatus.FINISHED, ())
        for index, future in _arrived(futures):
            # One future may be given twice: the key has to tell the places apart.
            future.subscribe((derived, index), partial(self.told, future))

    def told(self, future: DurableFuture[Any]) -> None:
        """One of the futures has ended."""
        if self.derived.done:
            return

        self.left -= 1
        if self.fails_fast and not future.succeeded:
            self.derived.end(FutureStatus.FAILED, failure_maker(future))
            for index, other in enumerate(self.futures):
                other.unsubscribe((self.derived, index))
        elif not self.left:
            values = (
                tuple(future.return_value for future in self.futures)
                if self.fails_fast
                else self.futures
            )
            self.derived.end(FutureStatus.FINISHED, values)


def failure_maker(future: DurableFuture[Any]) -> Callable[[], BaseException]:
    """What makes the error that an ended future raises."""

    def make() -> BaseException:
        try:
            error = future.exception
        except Exception as raised:  # the error of a cancelled future
            return raised
        assert error is not None
        return error

    return make


def first_success(*futures: DurableFuture[T]) -> DurableFuture[T]:
    """The value of the first to succeed; if all fail, the error of the last one to fail.

    ``UsageError`` without any future.
    """
    if not futures:
        raise UsageError("first_success() of no futures would wait for ever; give it at least one")

    derived = _derived("first_success", AwaitKind.FIRST_SUCCEEDED_OR_ALL_FAILED, futures)
    left = len(futures)

    def told(future: DurableFuture[Any]) -> None:
        nonlocal left
        if derived.done:
            return

        left -= 1
        if future.succeeded:
            derived.end(FutureStatus.FINISHED, future.return_value)
        elif not left:
            derived.end(FutureStatus.FAILED, failure_maker(future))

    for index, future in _arrived(futures):
        future.subscribe((derived, index), partial(told, future))
    return derived


class as_completed(Generic[T]):  # noqa: N801  # named as in anyio and asyncio
    """Iterate over futures in the order in which they end: ``async for f in as_completed(*fs):``.

    Yields each future once, ended; never raises their errors.
    """

    __slots__ = ("_ended", "_left", "_waiting")

    def __init__(self, *futures: DurableFuture[T]) -> None:
        running_task("as_completed")
        self._ended: deque[DurableFuture[T]] = deque()
        self._left = len(futures)
        self._waiting: Any = None
        for index, future in _arrived(futures):
            future.subscribe((self, index), partial(self._told, future))

    def _told(self, future: DurableFuture[T]) -> None:
        self._ended.append(future)
        if self._waiting is not None:
            self._waiting.wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DurableFuture[T]:
        if not self._left:
            raise StopAsyncIteration

        task = running_task("as_completed")
        await check_cancelled(task)
        while not self._ended:
            self._waiting = task
            try:
                await wait(task)
            finally:
                self._waiting = None
        self._left -= 1
        return self._ended.popleft()


async def race(*async_fns: Callable[[], Awaitable[T]]) -> T:
    """Run async functions concurrently; the first to finish wins, the others are cancelled.

    Returns or raises what the winner did, after the losers have cleaned up. An error of a
    loser's cleanup is raised in an ``ExceptionGroup``. ``UsageError`` without any function.
    """
    if not async_fns:
        raise UsageError("race() of no functions would wait for ever; give it at least one")

    winners: list[tuple[bool, Any]] = []

    async def run(async_fn: Callable[[], Awaitable[T]]) -> None:
        try:
            value = await async_fn()
        except Exception as error:
            if winners:
                raise

            winners.append((False, error))
        else:
            if not winners:
                winners.append((True, value))
        nursery.cancel_scope.cancel()

    async with open_nursery() as nursery:
        for async_fn in async_fns:
            nursery.start_soon(run, async_fn, name=branch_name(async_fn))
    won, value = winners[0]
    if won:
        result: T = value
        return result

    raise value


async def amap(
    async_fn: Callable[[T1], Awaitable[T2]], items: Iterable[T1], *, limit: int | None = None
) -> list[T2]:
    """Apply ``async_fn`` to every item, at most ``limit`` at a time; results in input order.

    Each item is a branch of its own, started in input order as places become free. The
    first failure cancels the rest and is raised in an ``ExceptionGroup``.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"amap needs room for at least one item at a time, got limit={limit!r}")

    handles: list[TaskHandle[T2]] = []
    iterator = iter(items)
    name = branch_name(async_fn)

    async with open_nursery() as nursery:

        def start_next() -> bool:
            for item in iterator:
                handles.append(nursery.start_soon(one, item, name=name))
                return True
            return False

        async def one(item: T1) -> T2:
            result = await async_fn(item)
            if limit is not None:
                start_next()
            return result

        started = 0
        while (limit is None or started < limit) and start_next():
            started += 1
    return [handle.return_value for handle in handles]
