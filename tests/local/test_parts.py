"""Ids, locks, observers and the system's clock."""

from __future__ import annotations

import time

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import example, given
from hypothesis import strategies as st

from durable_trio import StoreWriteError, UsageError
from durable_trio._invocation import awakeable_id
from durable_trio.abc import Value
from durable_trio.local import SystemClock
from durable_trio.local._calling import awakeable_signal
from durable_trio.local._ids import Ids, to_raw, to_text
from durable_trio.local._locks import Locks
from durable_trio.local._observers import Observers
from durable_trio.local._texts import check_texts


@given(st.binary(min_size=16, max_size=16))
def test_an_id_is_text_and_bytes(raw_id: bytes) -> None:
    """Both ways, and its awakeables lead back to it."""
    text = to_text(raw_id)

    assert to_raw(text) == raw_id
    assert len(text) == 27
    assert awakeable_signal(awakeable_id(raw_id, 17)) == (text, 17)


@given(st.text() | st.text(max_size=21).map(lambda text: f"inv_1{text}"))
@example(to_text(bytes(16)) + "=")
@example(to_text(bytes(16)) + "\n")
@example(to_text(bytes(16))[:-1] + "B")
@example("inv_1" + "+" * 22)
def test_what_is_no_id_is_refused(text: str) -> None:
    """Also if it would decode, but is not how the id is written."""
    with pytest.raises(UsageError, match="no invocation id"):
        to_raw(text)


def test_ids_differ() -> None:
    """They are random, also for the same place in the same caller."""
    ids = Ids()

    assert len({ids.new() for _ in range(1000)}) == 1000
    assert ids.new("caller", 1) != ids.new("caller", 1)


def test_texts_are_checked() -> None:
    """A lone surrogate is no text."""
    check_texts("", "a", None, "ä", "\U0001f600")
    with pytest.raises(UsageError, match="no valid Unicode"):
        check_texts("fine", "\ud800")


@pytest.mark.anyio
async def test_a_lock_is_handed_over_in_order() -> None:
    """One holder at a time; a name that nobody holds is forgotten."""
    locks, order, inside = Locks(), list[int](), 0

    async def hold(number: int) -> None:
        nonlocal inside
        async with locks.hold("name"):
            inside += 1
            assert inside == 1
            order.append(number)
            await checkpoint()
            inside -= 1

    async with locks.hold("name"), locks.hold("another"):
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(hold, number)
                for _ in range(3):
                    await checkpoint()
            group.cancel_scope.cancel()
        assert order == []
    async with locks.hold("name"):
        assert len(locks) == 1
    assert len(locks) == 0


@pytest.mark.anyio
async def test_a_lock_is_shared_until_somebody_wants_to_hold_it() -> None:
    """Any number share it; who comes after somebody who wants it alone waits for them."""
    locks, inside, seen = Locks(), set[str](), list[set[str]]()

    async def share(name: str) -> None:
        async with locks.share("name"):
            inside.add(name)
            await checkpoint()
            seen.append(set(inside))
            inside.remove(name)

    async def hold(name: str) -> None:
        async with locks.hold("name"):
            inside.add(name)
            await checkpoint()
            seen.append(set(inside))
            inside.remove(name)

    async with anyio.create_task_group() as group, locks.hold("name"):
        for work, name in ((share, "a"), (share, "b"), (hold, "c"), (share, "d")):
            group.start_soon(work, name)
            for _ in range(3):
                await checkpoint()

    together = {"a", "b"}
    assert [sorted(each) for each in seen[2:]] == [["c"], ["d"]]
    assert seen[0] == together or seen[1] == together
    assert len(locks) == 0


@pytest.mark.anyio
async def test_those_behind_who_gives_up_share_at_once() -> None:
    """Who wanted to hold it kept them off; nobody does when they have gone."""
    locks, shared = Locks(), anyio.Event()

    async def hold(scope: anyio.CancelScope) -> None:
        with scope:
            async with locks.hold("name"):
                raise AssertionError("it was shared all the time")

    async def share() -> None:
        async with locks.share("name"):
            shared.set()

    async with anyio.create_task_group() as group, locks.share("name"):
        scope = anyio.CancelScope()
        group.start_soon(hold, scope)
        for _ in range(3):
            await checkpoint()
        group.start_soon(share)
        for _ in range(3):
            await checkpoint()
        assert not shared.is_set()
        scope.cancel()
        await shared.wait()


@pytest.mark.anyio
async def test_a_lock_is_not_lost_with_who_gives_up() -> None:
    """Neither while waiting, nor as the lock is handed over."""
    locks = Locks()
    reached: list[str] = []

    async def hold(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with locks.hold("name"):
                reached.append(name)

    async with anyio.create_task_group() as group:
        waiting, handed, last = (anyio.CancelScope() for _ in range(3))
        async with locks.hold("name"):
            for name, scope in (("waiting", waiting), ("handed", handed), ("last", last)):
                group.start_soon(hold, name, scope)
                for _ in range(3):
                    await checkpoint()
            waiting.cancel()
            await checkpoint()
        # It is handed to the second one, which is cancelled before it runs.
        handed.cancel()

    assert reached[-1] == "last"
    assert "waiting" not in reached
    assert len(locks) == 0


@pytest.mark.anyio
async def test_observers_are_answered_once() -> None:
    """With the result or with the error, and those who left not at all."""
    observers = Observers()
    first, second, left = (observers.observe("a") for _ in range(3))
    failed = observers.observe("b")
    observers.leave(left)
    observers.resolve("a", Value(b"1"))
    observers.fail(StoreWriteError("full"))

    assert await first.wait() == await second.wait() == Value(b"1")
    assert not left.done.is_set()
    assert "a" not in observers
    observers.leave(first)
    with pytest.raises(StoreWriteError, match="full"):
        await failed.wait()


@pytest.mark.anyio
async def test_the_system_clock_waits_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a length of time: it looks again, and a clock that is set is noticed."""
    clock = SystemClock()
    now = 1000.0
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        nonlocal now
        naps.append(seconds)
        # Somebody sets the clock back once, and forward later on.
        now += {0: -100.0, 1: seconds, 2: 10_000.0}[len(naps) - 1]

    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(anyio, "sleep", nap)
    await clock.sleep_until(1020.0)

    assert naps == [15.0, 15.0, 15.0]
    assert clock.now() >= 1020.0
    await clock.sleep_until(0.0)
    assert len(naps) == 3
