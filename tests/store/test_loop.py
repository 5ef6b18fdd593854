"""Callbacks from other threads onto the event loop."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio._loop import CallSoon, call_all, current_call_soon

if TYPE_CHECKING:
    from collections.abc import Callable

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


@BACKENDS
def test_callbacks_from_a_thread_run_on_the_loop_in_order(backend: str) -> None:
    """They are called later, by the loop's own thread."""

    async def main() -> None:
        called: list[tuple[int, int]] = []
        done = anyio.Event()
        call_soon = current_call_soon()

        def note(number: int) -> None:
            called.append((number, threading.get_ident()))

        def work() -> None:
            assert all(call_soon(partial(note, number)) for number in range(10))
            assert call_soon(done.set)

        thread = threading.Thread(target=work)
        thread.start()
        await done.wait()
        thread.join()
        assert called == [(number, threading.get_ident()) for number in range(10)]

    anyio.run(main, backend=backend)


@BACKENDS
def test_a_loop_that_has_ended_is_an_answer(backend: str) -> None:
    """Handing a callback to it returns False instead of raising."""

    async def main() -> CallSoon:
        return current_call_soon()

    call_soon = anyio.run(main, backend=backend)
    assert call_soon(lambda: None) is False


def test_a_callback_that_raises_does_not_stop_the_others() -> None:
    """The error goes to the host at once; the rest is called at the next turn."""
    called: list[str] = []
    turns: list[Callable[[], object]] = []

    def call_soon(callback: Callable[[], object]) -> bool:
        turns.append(callback)
        return True

    def fail() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        call_all(call_soon, [lambda: called.append("a"), fail, lambda: called.append("b")])
    assert called == ["a"]
    for turn in turns:
        turn()
    assert called == ["a", "b"]
