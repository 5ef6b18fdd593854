"""The timer queue: all timers fire, once, in time, however few are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from durable_trio.abc import DeleteTimer, PutTimer, Timer, TimerKind
from durable_trio.local._timers import TimerQueue
from durable_trio.testing import MemoryStore

from .slow_store import SlowStore
from .virtual_time import START, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.abc import JournalStore

WINDOW = 3


class World:
    """A queue whose timers are kept in a store, as the runtime keeps them."""

    def __init__(self, store: JournalStore) -> None:
        self.store = store
        self.clock = VirtualClock(store)
        self.clock.stopped = True
        self.queue = TimerQueue(store, self.clock, window=WINDOW)
        self.fired: list[tuple[int, float]] = []
        self.at_once = True
        """Whether a timer that fires is removed at once, or only when it has been dealt with."""

    def put(self, number: int, delay: float) -> None:
        timer = Timer(self.clock.time + delay, "invocation", TimerKind.SLEEP, number)
        self.store.write([PutTimer(timer)])
        self.queue.add(timer)

    def drop(self, number: int) -> None:
        self.store.write([DeleteTimer("invocation", TimerKind.SLEEP, number)])
        self.queue.remove("invocation", TimerKind.SLEEP, number)

    def fire(self, timers: Sequence[Timer]) -> None:
        for timer in timers:
            self.fired.append((timer.completion_id, self.clock.elapsed))
            if self.at_once:
                self.drop(timer.completion_id)


PUT = st.tuples(st.just("put"), st.integers(0, 9), st.integers(0, 4).map(float))
DROP = st.tuples(st.just("drop"), st.integers(0, 9), st.just(0.0))
PASS = st.tuples(st.just("pass"), st.just(0), st.integers(0, 3).map(float))
SETTLE = st.tuples(st.just("settle"), st.just(0), st.just(0.0))
PUT_MANY = [("put", number, 1.0 + number / 8) for number in range(2 * WINDOW + 2)]
SCRIPT = st.lists(PUT | DROP | PASS | SETTLE, max_size=40)


async def play(script: list[tuple[str, int, float]]) -> None:
    """Play a script against the queue and, beside it, against a plain table of due times."""
    expected: dict[int, float] = {}
    async with MemoryStore() as store, anyio.create_task_group() as group:
        world = World(store)
        group.start_soon(world.queue.run, world.fire)
        for action, number, delay in script:
            if action == "put":
                world.put(number, delay)
                expected[number] = world.clock.elapsed + delay
            elif action == "drop":
                world.drop(number)
                expected.pop(number, None)
            else:
                if action == "pass":
                    world.clock.time += delay
                await world.clock.settle()
                due = sorted(key for key, at in expected.items() if at <= world.clock.elapsed)

                assert sorted(key for key, _ in world.fired) == due
                assert len(world.queue) <= 2 * WINDOW + 1
                for key in due:
                    del expected[key]
                world.fired.clear()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@example([("settle", 0, 0.0), *PUT_MANY, ("put", 0, 5.0), ("pass", 0, 2.0), ("pass", 0, 4.0)])
@given(script=SCRIPT)
def test_every_timer_fires_once_when_it_is_due(
    backend: str, script: list[tuple[str, int, float]]
) -> None:
    """Whatever is added, replaced and removed meanwhile."""
    anyio.run(play, script, backend=backend)


@pytest.mark.anyio
async def test_timers_fire_at_their_time(store: JournalStore) -> None:
    """The earliest first, and an earlier one that comes later is not overslept."""
    world = World(store)
    world.clock.stopped = False
    async with store, anyio.create_task_group() as group:
        group.start_soon(world.queue.run, world.fire)
        for number, delay in ((1, 50.0), (2, 30.0), (3, 40.0), (4, 20.0), (5, 10.0)):
            world.put(number, delay)
        while len(world.fired) < 5:
            await world.clock.settle()
        group.cancel_scope.cancel()

    assert world.fired == [(5, 10), (4, 20), (2, 30), (3, 40), (1, 50)]


@pytest.mark.anyio
async def test_what_has_fired_is_not_read_again(store: JournalStore) -> None:
    """Not before it has been dealt with, even if there is nothing else to read."""
    async with store, anyio.create_task_group() as group:
        world = World(store)
        world.at_once = False
        group.start_soon(world.queue.run, world.fire)
        for number in range(2 * WINDOW):
            world.put(number, 0.0)
        await world.clock.settle()
        assert sorted(world.fired) == [(number, 0.0) for number in range(2 * WINDOW)]

        world.put(0, 5.0)
        await world.clock.advance(5)
        assert world.fired[2 * WINDOW :] == [(0, 5.0)]
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_timers_of_an_earlier_process_are_found(store: JournalStore) -> None:
    """Those that are due, and those that are not."""
    async with store, anyio.create_task_group() as group:
        for number in range(10):
            store.write([PutTimer(Timer(START + number - 5, "i", TimerKind.SLEEP, number))])
        world = World(store)
        group.start_soon(world.queue.run, world.fire)
        await world.clock.settle()
        assert sorted(number for number, _ in world.fired) == [0, 1, 2, 3, 4, 5]

        await world.clock.advance(10)
        assert len(world.fired) == 10
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_timer_that_changes_while_it_is_read(anyio_backend: str) -> None:
    """What was queued later holds: removed, put off, brought forward."""
    del anyio_backend
    store = SlowStore()
    world = World(store)
    async with store, anyio.create_task_group() as group:
        for number in range(4):
            store.write([PutTimer(Timer(START + 5, "invocation", TimerKind.SLEEP, number))])
        store.hold("timers")
        group.start_soon(world.queue.run, world.fire)
        await store.held("timers")
        world.drop(0)
        world.put(1, 9.0)
        world.put(2, 1.0)
        store.let_go("timers")
        for _ in range(10):
            await world.clock.advance(1)
        group.cancel_scope.cancel()

    assert world.fired == [(2, 1), (3, 5), (1, 9)]
