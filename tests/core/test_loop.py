"""Getting a callback onto the event loop, from its own thread or from another one."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import anyio

from durable_trio._loop import call_all, current_call_soon

if TYPE_CHECKING:
    from durable_trio._loop import CallSoon


def test_callbacks_run_in_order_from_any_thread(backend: str) -> None:
    """One after the other, in the order they were handed over."""
    order: list[int] = []

    async def main() -> None:
        call_soon = current_call_soon()
        done = anyio.Event()

        def work() -> None:
            for index in range(5):
                assert call_soon(partial(order.append, index))
            call_soon(done.set)

        thread = threading.Thread(target=work)
        thread.start()
        await done.wait()
        thread.join()

    anyio.run(main, backend=backend)

    assert [0, 1, 2, 3, 4] == order


def test_a_loop_that_has_ended_takes_no_callbacks(backend: str) -> None:
    """It is an answer, not an error."""
    kept: list[CallSoon] = []

    async def main() -> None:
        kept.append(current_call_soon())

    anyio.run(main, backend=backend)

    assert kept[0](lambda: None) is False


def test_a_callback_that_raises_does_not_stop_the_rest() -> None:
    """The rest is called at a later turn; the error is the host's to report."""
    later: list[object] = []
    order: list[str] = []

    def call_soon(callback: object) -> bool:
        later.append(callback)
        return True

    def fail() -> None:
        raise ValueError

    try:
        call_all(call_soon, [lambda: order.append("a"), fail, lambda: order.append("b")])
    except ValueError:
        order.append("raised")
    rest = later[0]
    assert callable(rest)
    rest()

    assert ["a", "raised", "b"] == order
