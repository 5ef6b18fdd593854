"""The key table against a plain model of queues."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from durable_trio.local._keys import IN_TRANSIT, KeyTable

KEY = ("Box", "k")
OTHER = ("Box", "other")


def test_a_free_key_is_taken() -> None:
    """By whoever comes first; other keys are other queues."""
    keys = KeyTable()

    assert keys.acquire(KEY, "a")
    assert not keys.acquire(KEY, "b")
    assert keys.acquire(OTHER, "b")
    assert (keys.holder(KEY), keys.holder(OTHER)) == ("a", "b")


def test_a_released_key_passes_on() -> None:
    """It is nobody's until the queue has been looked up, and free only when that is empty."""
    keys = KeyTable()
    keys.acquire(KEY, "a")
    keys.acquire(KEY, "b")

    assert keys.release(KEY)
    assert keys.holder(KEY) == IN_TRANSIT
    assert not keys.acquire(KEY, "c")
    assert keys.hand_over(KEY, "b", keys.arrivals(KEY))
    assert keys.holder(KEY) == "b"
    assert keys.release(KEY)
    assert keys.hand_over(KEY, None, keys.arrivals(KEY))
    assert keys.holder(KEY) is None
    assert len(keys) == 0


def test_nobody_is_forgotten_who_came_during_the_look_up() -> None:
    """A queue that was empty then may not be empty now."""
    keys = KeyTable()
    keys.acquire(KEY, "a")
    keys.acquire(KEY, "b")
    keys.release(KEY)
    arrivals = keys.arrivals(KEY)
    keys.acquire(KEY, "c")

    assert not keys.hand_over(KEY, None, arrivals)
    assert keys.holder(KEY) == IN_TRANSIT


def test_a_reservation_goes_before_the_queue() -> None:
    """In the order of asking; one that is withdrawn is skipped."""
    keys = KeyTable()
    assert keys.reserve(KEY) is None
    first, second, third = keys.reserve(KEY), keys.reserve(KEY), keys.reserve(KEY)
    assert first is not None
    assert second is not None
    assert third is not None
    keys.acquire(KEY, "b")
    keys.withdraw(KEY, first)

    assert not keys.release(KEY)
    assert (second.is_set(), third.is_set()) == (True, False)
    keys.withdraw(KEY, third)
    assert keys.release(KEY)
    assert not third.is_set()


def test_a_table_is_restored() -> None:
    """Keys that somebody waits for and nobody holds are in transit."""
    keys = KeyTable()

    assert keys.restore([(KEY, "a")], [KEY, OTHER]) == [OTHER]
    assert keys.holder(KEY) == "a"
    assert keys.holder(OTHER) == IN_TRANSIT
    assert keys.release(KEY)


@given(st.lists(st.sampled_from(["arrive", "complete", "look", "reserve"]), max_size=60))
def test_everybody_gets_the_key_in_order(events: list[str]) -> None:
    """Whatever happens in between, the key is never free while somebody waits for it."""
    keys = KeyTable()
    queue: deque[str] = deque()
    order: list[str] = []
    arrived = 0
    looking: int | None = None
    reserved = 0

    for event in [*events, *["complete", "look", "look"] * (len(events) + 1)]:
        holder = keys.holder(KEY)
        if event == "arrive":
            name = str(arrived)
            arrived += 1
            if keys.acquire(KEY, name):
                order.append(name)
            else:
                queue.append(name)
        elif event == "reserve" and reserved < 3:
            if keys.reserve(KEY) is None:
                assert holder is None
                if keys.release(KEY):
                    looking = keys.arrivals(KEY)
            else:
                reserved += 1
        elif event == "complete" and holder not in {None, IN_TRANSIT}:
            if keys.release(KEY):
                looking = keys.arrivals(KEY)
        elif event == "look" and holder == IN_TRANSIT:
            if looking is None:
                # It was a reservation's turn.
                reserved -= 1
                if keys.release(KEY):
                    looking = keys.arrivals(KEY)
                continue

            found = queue[0] if queue else None
            if keys.hand_over(KEY, found, looking):
                looking = None
                if found is not None:
                    order.append(queue.popleft())
            else:
                looking = keys.arrivals(KEY)
        assert not (queue and keys.holder(KEY) is None)

    assert order == [str(number) for number in range(arrived)]
    assert len(keys) == 0
