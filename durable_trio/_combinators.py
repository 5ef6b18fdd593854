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
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from ._exceptions import UsageError
from ._future import DurableFuture, FutureStatus
from ._journal._entries import AwaitKind
from ._nursery import TaskHandle, branch_name, open_nursery
from ._promise import DurablePromise
from ._task import running_task
from ._wait import check_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import Self

    from ._task import DurableTask

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")


def _check(operation: str, futures: Iterable[object]) -> DurableTask:
    """Refuse what cannot be combined here; returns the calling task."""
    task = running_task(operation)
    for future in futures:
        if not isinstance(future, DurableFuture):
            _close_coroutines(futures)
            is_promise = isinstance(cast("Any", future), DurablePromise)
            remedy = (
                "Its future is promise.get()."
                if is_promise
                else "To combine async functions use race(), amap() or a nursery."
            )
            raise UsageError(
                f"{operation} takes durable futures: what ctx's operations and "
                f"nursery.start_soon() return, got {type(future).__name__}. {remedy}"
            )

        cast("Any", future)._check_belongs_to(task)
    return task


def _check_functions(operation: str, wanted: str, functions: Sequence[object], remedy: str) -> None:
    """Refuse what cannot be called, a coroutine above all."""
    for function in functions:
        if not callable(function):
            _close_coroutines(functions)
            raise UsageError(
                f"{operation} takes {wanted}, got {type(function).__name__}. {remedy} Give arguments "
                "with functools.partial."
            )


def _close_coroutines(arguments: Iterable[object]) -> None:
    """Whoever has refused them says what is wrong; that they were never awaited is not it."""
    for argument in arguments:
        if inspect.iscoroutine(argument):
            argument.close()


class _Place:
    """An input of a combination, told about once. One future may have several places."""

    __slots__ = ("_derived", "_index", "_told", "future")

    def __init__(
        self,
        derived: DurableFuture[Any],
        told: Callable[[int, DurableFuture[Any]], None],
        index: int,
        future: DurableFuture[Any],
    ) -> None:
        self.future = future
        self._derived = derived
        self._told = told
        self._index = index

    def __call__(self) -> None:
        if not self._derived.done:
            self._told(self._index, self.future)


class _Combination:
    """A derived future and its inputs."""

    __slots__ = ("_futures", "_places", "derived")

    def __init__(
        self, operation: str, kind: AwaitKind, futures: tuple[DurableFuture[Any], ...]
    ) -> None:
        task = _check(operation, futures)
        self._futures = futures
        self._places: list[_Place] = []
        self.derived: DurableFuture[Any] = DurableFuture(task.scheduler, operation)
        self.derived._derive_from(kind, futures)
        self.derived._nest()

    def watch(self, told: Callable[[int, DurableFuture[Any]], None]) -> None:
        """Call ``told`` for every future that ends, past ends first, until the derived one has."""
        for index, future in _arrived(self._futures):
            if self.derived.done:
                return

            place = _Place(self.derived, told, index, future)
            self._places.append(place)
            future._subscribe(place, place)

    def end(self, status: FutureStatus, value: Any) -> None:
        """End the derived future; the inputs tell it no more."""
        self.derived._end(status, value)
        places, self._places = self._places, []
        for place in places:
            place.future._unsubscribe(place)


def _arrived(futures: tuple[DurableFuture[Any], ...]) -> list[tuple[int, DurableFuture[Any]]]:
    """Index and future in the order in which they ended; those pending last, in argument order."""
    return sorted(
        enumerate(futures),
        key=lambda item: (not item[1].done, item[1]._ended_at if item[1].done else item[0]),
    )


def wait_first(*futures: DurableFuture[T]) -> DurableFuture[tuple[int, DurableFuture[T]]]:
    """The first of ``futures`` to end, however it does: its index and the future itself.

    Never raises their errors; ask the future. The others go on. First is who is first in
    the journal, also among those that have ended already. ``UsageError`` without any future.
    """
    if not futures:
        raise UsageError("wait_first() of no futures would wait for ever; give it at least one")

    combination = _Combination("wait_first", AwaitKind.FIRST_COMPLETED, futures)

    def told(index: int, future: DurableFuture[Any]) -> None:
        combination.end(FutureStatus.FINISHED, (index, future))

    combination.watch(told)
    return combination.derived


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
    """The values of all, in argument order; the first failure as soon as it arrives.

    The others are not cancelled: they go on until their scope or task ends. A future that
    was cancelled counts as a failure, ``FutureCancelledError``.
    """
    combination = _Combination("gather", AwaitKind.ALL_SUCCEEDED_OR_FIRST_FAILED, futures)
    left = len(futures)

    def told(_: int, future: DurableFuture[Any]) -> None:
        nonlocal left
        left -= 1
        if not future.succeeded:
            combination.end(FutureStatus.FAILED, failure_maker(future))
        elif not left:
            combination.end(FutureStatus.FINISHED, tuple(each.return_value for each in futures))

    if not futures:
        combination.end(FutureStatus.FINISHED, ())
    combination.watch(told)
    return combination.derived


def wait_all(*futures: DurableFuture[Any]) -> DurableFuture[tuple[DurableFuture[Any], ...]]:
    """All futures once every one has ended, in argument order. Never raises their errors.

    Ask each for ``succeeded``, ``return_value`` or ``exception``.
    """
    combination = _Combination("wait_all", AwaitKind.ALL_COMPLETED, futures)
    left = len(futures)

    def told(_index: int, _future: DurableFuture[Any]) -> None:
        nonlocal left
        left -= 1
        if not left:
            combination.end(FutureStatus.FINISHED, futures)

    if not futures:
        combination.end(FutureStatus.FINISHED, ())
    combination.watch(told)
    return combination.derived


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

    combination = _Combination("first_success", AwaitKind.FIRST_SUCCEEDED_OR_ALL_FAILED, futures)
    left = len(futures)

    def told(_: int, future: DurableFuture[Any]) -> None:
        nonlocal left
        left -= 1
        if future.succeeded:
            combination.end(FutureStatus.FINISHED, future.return_value)
        elif not left:
            combination.end(FutureStatus.FAILED, failure_maker(future))

    combination.watch(told)
    return combination.derived


class as_completed(Generic[T]):  # noqa: N801  # named as in anyio and asyncio
    """Iterate over futures in the order in which they end: ``async for f in as_completed(*fs):``.

    Yields each future once, ended; never raises their errors. One task at a time may wait
    for the next one.
    """

    __slots__ = ("_ended", "_next", "_pending")

    def __init__(self, *futures: DurableFuture[T]) -> None:
        _check("as_completed", futures)
        unique = tuple(dict.fromkeys(futures))
        self._ended: deque[DurableFuture[T]] = deque()
        self._pending = dict.fromkeys(unique)
        self._next: DurableFuture[None] | None = None
        for _, future in _arrived(unique):
            future._subscribe(self, partial(self._told, future))

    def _told(self, future: DurableFuture[T]) -> None:
        del self._pending[future]
        self._ended.append(future)
        if self._next is not None:
            self._next._end(FutureStatus.FINISHED, None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DurableFuture[T]:
        task = running_task("as_completed")
        if self._next is not None:
            raise UsageError(
                "another task waits for the next future of this as_completed() already. Give "
                "each task one of its own, or hand the futures on through a channel."
            )

        if not self._ended and not self._pending:
            raise StopAsyncIteration

        await check_cancelled(task)
        if not self._ended:
            self._next = DurableFuture(task.scheduler, "as_completed")
            self._next._derive_from(AwaitKind.FIRST_COMPLETED, self._pending.keys())
            try:
                await self._next
            finally:
                self._next = None
        return self._ended.popleft()


async def race(*async_fns: Callable[[], Awaitable[T]]) -> T:
    """Run async functions concurrently; the first to finish wins, the others are cancelled.

    Returns or raises what the winner did, after the losers have cleaned up. An error of a
    loser's cleanup is raised in an ``ExceptionGroup``. ``UsageError`` without any function.
    """
    if not async_fns:
        raise UsageError("race() of no functions would wait for ever; give it at least one")

    _check_functions(
        "race",
        "async functions without arguments",
        async_fns,
        "Write `race(fn, ...)` instead of `race(fn(), ...)`; of futures the first is wait_first() or "
        "first_success().",
    )
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
    _check_functions(
        "amap",
        "an async function and the items to call it with",
        (async_fn,),
        "Write `amap(fn, items)`.",
    )
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
            if limit is not None and not nursery.cancel_scope.cancel_called:
                start_next()
            return result

        started = 0
        while (limit is None or started < limit) and start_next():
            started += 1
    return [handle.return_value for handle in handles]
