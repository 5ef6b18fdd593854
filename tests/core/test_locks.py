"""Locks, semaphores, limiters and conditions, held against what trio documents."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    CancelScope,
    CapacityLimiter,
    Condition,
    Event,
    Lock,
    Semaphore,
    UsageError,
    WouldBlock,
    checkpoint,
    open_nursery,
    sleep,
    sleep_forever,
)

from .world import service_handler, value

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context, TaskHandle

MAKERS: list[Callable[[], Any]] = [
    Lock,
    lambda: Semaphore(1),
    lambda: CapacityLimiter(1),
    Condition,
]


@pytest.mark.parametrize("make", MAKERS)
def test_one_task_at_a_time_in_the_order_of_asking(backend: str, make: Callable[[], Any]) -> None:
    """Whoever waits longest is next; nobody overtakes."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        guard = make()

        async def child(name: str) -> None:
            async with guard:
                order.append(f"{name} in")
                await sleep(1)
                order.append(f"{name} out")

        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(child, name)
        return order

    assert value(service_handler(handler), backend) == [
        "a in",
        "a out",
        "b in",
        "b out",
        "c in",
        "c out",
    ]


@pytest.mark.parametrize("make", MAKERS)
def test_a_free_guard_keeps_the_baton(backend: str, make: Callable[[], Any]) -> None:
    """What need not wait lets nobody else run."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        guard = make()

        async def child() -> None:
            order.append("child")

        async with open_nursery() as nursery:
            nursery.start_soon(child)
            async with guard:
                order.append("parent")
        return order

    assert value(service_handler(handler), backend) == ["parent", "child"]


@pytest.mark.parametrize("make", MAKERS)
def test_a_release_hands_over_and_nobody_barges_in(backend: str, make: Callable[[], Any]) -> None:
    """The releaser that asks again at once waits behind those who waited."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        guard = make()

        async def child() -> None:
            async with guard:
                order.append("child")

        async with open_nursery() as nursery:
            async with guard:
                nursery.start_soon(child)
                await checkpoint()
            async with guard:
                order.append("parent again")
        return order

    assert value(service_handler(handler), backend) == ["child", "parent again"]


@pytest.mark.parametrize("make", MAKERS)
def test_a_cancelled_waiter_leaves_the_queue(backend: str, make: Callable[[], Any]) -> None:
    """The one behind it is served."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        guard = make()

        async def child(name: str) -> None:
            async with guard:
                order.append(name)

        async with open_nursery() as nursery, guard:
            first = nursery.start_soon(child, "first")
            nursery.start_soon(child, "second")
            await checkpoint()
            first.cancel()
            await checkpoint()
            order.append(first.status.name)
        return order

    assert value(service_handler(handler), backend) == ["CANCELLED", "second"]


@pytest.mark.parametrize("make", MAKERS)
def test_what_was_handed_over_is_not_taken_back(backend: str, make: Callable[[], Any]) -> None:
    """A cancellation that comes after the release meets the new owner at its next wait."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        guard = make()

        async def child(name: str) -> None:
            async with guard:
                order.append(name)
                await checkpoint()
                order.append("not reached" if name == "first" else "done")

        async with open_nursery() as nursery:
            async with guard:
                first = nursery.start_soon(child, "first")
                nursery.start_soon(child, "second")
                await checkpoint()
            first.cancel()
        return order

    assert value(service_handler(handler), backend) == ["first", "second", "done"]


@pytest.mark.parametrize("make", MAKERS)
def test_asking_in_a_cancelled_scope_raises(backend: str, make: Callable[[], Any]) -> None:
    """Even if the guard is free."""

    async def handler(ctx: Context) -> list[bool]:
        guard = make()
        with CancelScope() as scope:
            scope.cancel()
            async with guard:
                raise AssertionError("not reached")
        return [scope.cancelled_caught]

    assert value(service_handler(handler), backend) == [True]


# -- events


def test_an_event_wakes_all_waiters_in_order(backend: str) -> None:
    """They run in the order in which they began to wait; late comers do not wait."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[Any] = []
        event = Event()

        async def child(name: str) -> None:
            await event.wait()
            order.append(name)

        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(child, name)
            await checkpoint()
            order.append(event.statistics().tasks_waiting)
            event.set()
            event.set()
            order.append(event.is_set())
        await event.wait()
        return order

    assert value(service_handler(handler), backend) == [3, True, "a", "b", "c"]


def test_a_cancelled_waiter_of_an_event_is_forgotten(backend: str) -> None:
    """It is no longer among the statistics."""

    async def handler(ctx: Context) -> list[Any]:
        event = Event()
        found: list[Any] = []
        async with open_nursery() as nursery:
            handle = nursery.start_soon(event.wait)
            await checkpoint()
            handle.cancel()
            found.append(event.statistics().tasks_waiting)
        return [*found, event.is_set()]

    assert value(service_handler(handler), backend) == [0, False]


# -- locks


def test_a_lock_is_not_reentrant(backend: str) -> None:
    """Taking it twice would be a deadlock: it is an error."""

    async def handler(ctx: Context) -> bool:
        lock = Lock()
        async with lock:
            with pytest.raises(UsageError, match="not reentrant"):
                await lock.acquire()
            with pytest.raises(UsageError, match="not reentrant"):
                lock.acquire_nowait()
        return lock.locked()

    assert value(service_handler(handler), backend) is False


def test_only_the_owner_releases_a_lock(backend: str) -> None:
    """Another task's release is an error, as is one without an owner."""

    async def handler(ctx: Context) -> None:
        lock = Lock()
        with pytest.raises(UsageError, match="only the task that acquired"):
            lock.release()

        async def child() -> None:
            with pytest.raises(UsageError, match="only the task that acquired"):
                lock.release()

        async with lock, open_nursery() as nursery:
            nursery.start_soon(child)

    assert value(service_handler(handler), backend) is None


def test_taking_a_lock_without_waiting(backend: str) -> None:
    """``acquire_nowait`` raises ``WouldBlock`` while another task holds it."""

    async def handler(ctx: Context) -> list[bool]:
        lock = Lock()

        async def child() -> None:
            with pytest.raises(WouldBlock):
                lock.acquire_nowait()

        lock.acquire_nowait()
        locked = lock.locked()
        async with open_nursery() as nursery:
            nursery.start_soon(child)
        lock.release()
        return [locked, lock.locked()]

    assert value(service_handler(handler), backend) == [True, False]


# -- semaphores


def test_a_semaphore_lets_so_many_in(backend: str) -> None:
    """Two of three tasks at once."""

    async def handler(ctx: Context) -> list[int]:
        inside = [0, 0]
        semaphore = Semaphore(2)

        async def child() -> None:
            async with semaphore:
                inside[0] += 1
                inside[1] = max(inside)
                await sleep(1)
                inside[0] -= 1

        async with open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(child)
        return [inside[1], semaphore.value]

    assert value(service_handler(handler), backend) == [2, 2]


def test_a_semaphore_without_a_maximum_grows(backend: str) -> None:
    """It may be released more often than acquired, unless ``max_value`` says otherwise."""

    async def handler(ctx: Context) -> list[Any]:
        free, bounded = Semaphore(0), Semaphore(1, max_value=1)
        free.release()
        free.acquire_nowait()
        with pytest.raises(WouldBlock):
            free.acquire_nowait()
        with pytest.raises(ValueError, match="released more often than acquired"):
            bounded.release()
        return [free.value, bounded.value, free.max_value, bounded.max_value]

    assert value(service_handler(handler), backend) == [0, 1, None, 1]


def test_a_semaphore_s_numbers_are_checked() -> None:
    """As trio checks them."""
    with pytest.raises(ValueError, match="0 or more"):
        Semaphore(-1)
    with pytest.raises(ValueError, match="below initial_value"):
        Semaphore(2, max_value=1)


# -- limiters


def test_a_limiter_counts_borrowers(backend: str) -> None:
    """A task borrows once; other objects may borrow on their own."""

    async def handler(ctx: Context) -> list[Any]:
        limiter = CapacityLimiter(2)
        async with limiter:
            with pytest.raises(UsageError, match="already holds a token"):
                await limiter.acquire()
            await limiter.acquire_on_behalf_of("another")
            full = [limiter.borrowed_tokens, limiter.available_tokens]
            limiter.release_on_behalf_of("another")
        with pytest.raises(UsageError, match="holds no token"):
            limiter.release()
        return [*full, limiter.total_tokens, limiter.available_tokens]

    assert value(service_handler(handler), backend) == [2, 0, 2, 2]


def test_a_limiter_s_total_can_change(backend: str) -> None:
    """Raising it wakes waiters; lowering it below what is borrowed waits for releases."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[Any] = []
        limiter = CapacityLimiter(1)

        async def child(name: str) -> None:
            async with limiter:
                order.append(name)
                await sleep(1)

        async with open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(child, name)
            await checkpoint()
            limiter.total_tokens = 3
            await checkpoint()
            order.append("raised")
            limiter.total_tokens = 1
            order.append(limiter.available_tokens)
        return order

    assert value(service_handler(handler), backend) == ["a", "b", "c", "raised", -2, "d"]


@pytest.mark.parametrize("total", [0, -1, 1.5])
def test_a_limiter_s_total_is_checked(total: float) -> None:
    """A whole number from 1 on, or infinity."""
    with pytest.raises(ValueError, match="whole number"):
        CapacityLimiter(total)


def test_a_limiter_may_be_unlimited(backend: str) -> None:
    """``math.inf`` is a total."""

    async def handler(ctx: Context) -> bool:
        limiter = CapacityLimiter(math.inf)
        async with limiter:
            return limiter.available_tokens == math.inf
        raise AssertionError

    assert value(service_handler(handler), backend) is True


# -- conditions


def test_a_condition_hands_on_notifications_in_order(backend: str) -> None:
    """``notify`` wakes the longest waiter, ``notify_all`` the rest; each gets the lock first."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        condition = Condition()

        async def child(name: str) -> None:
            async with condition:
                await condition.wait()
                assert condition.locked()
                order.append(name)

        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(child, name)
            await checkpoint()
            async with condition:
                condition.notify()
                order.append("notified")
            await sleep(1)
            async with condition:
                condition.notify_all()
                condition.notify(5)
        return [*order, str(condition.locked())]

    assert value(service_handler(handler), backend) == ["notified", "a", "b", "c", "False"]


def test_a_condition_takes_a_lock_of_yours(backend: str) -> None:
    """Several conditions may share one lock."""

    async def handler(ctx: Context) -> list[bool]:
        lock = Lock()
        condition = Condition(lock)
        await condition.acquire()
        taken = lock.locked()
        condition.release()
        return [taken, lock.locked()]

    assert value(service_handler(handler), backend) == [True, False]


def test_waiting_without_the_lock_is_an_error(backend: str) -> None:
    """As in trio."""

    async def handler(ctx: Context) -> None:
        with pytest.raises(UsageError):
            await Condition().wait()

    assert value(service_handler(handler), backend) is None


def test_notifying_without_the_lock_is_an_error(backend: str) -> None:
    """As in trio."""

    async def handler(ctx: Context) -> None:
        for notify in (Condition().notify, Condition().notify_all):
            with pytest.raises(UsageError, match="holds the lock"):
                notify()

    assert value(service_handler(handler), backend) is None


def test_a_cancelled_waiter_of_a_condition_takes_the_lock_back(backend: str) -> None:
    """Also when it is cancelled, the block around the wait holds the lock."""

    async def handler(ctx: Context) -> list[Any]:
        order: list[Any] = []
        condition = Condition()

        async def child() -> None:
            async with condition:
                try:
                    await condition.wait()
                finally:
                    order.append(condition.locked())

        handles: list[TaskHandle[None]] = []
        async with open_nursery() as nursery:
            handles.append(nursery.start_soon(child))
            await checkpoint()
            handles[0].cancel()
        async with condition:
            condition.notify()
        return [*order, handles[0].status.name]

    assert value(service_handler(handler), backend) == [True, "CANCELLED"]


def test_a_notified_waiter_that_is_cancelled_keeps_its_notification(backend: str) -> None:
    """What was handed over is its own: it goes on, and learns of the cancellation later."""

    async def handler(ctx: Context) -> list[str]:
        order: list[str] = []
        condition = Condition()

        async def child(name: str) -> None:
            async with condition:
                await condition.wait()
                order.append(name)
                await checkpoint()
                order.append("not reached")

        async with open_nursery() as nursery:
            first = nursery.start_soon(child, "first")
            second = nursery.start_soon(child, "second")
            await checkpoint()
            async with condition:
                condition.notify()
                first.cancel()
            await sleep(1)
            order.append(second.status.name)
            second.cancel()
        return order

    assert value(service_handler(handler), backend) == ["first", "PENDING"]


def test_primitives_may_be_made_anywhere(backend: str) -> None:
    """They belong to no invocation until they are used: a module may hold them."""
    made = [Event(), Lock(), Semaphore(1), CapacityLimiter(1), Condition()]

    async def handler(ctx: Context) -> int:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep_forever)
            nursery.cancel_scope.cancel()
        return len(made)

    assert value(service_handler(handler), backend) == 5
