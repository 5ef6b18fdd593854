"""How a plain callback gets onto the event loop, from its own thread or from another one.

Owns the order of callbacks and what happens when the loop is gone; the host's own call
comes from ``_host``.

 1. Callbacks run on the loop, one after the other, in the order they were handed over.
 2. A loop that has ended is an answer, not an error: nobody is left to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from ._host import current_host

CallSoon: TypeAlias = Callable[[Callable[[], object]], bool]
"""Have a callback called at a later turn of the loop; False if the loop has ended. Thread-safe."""


def current_call_soon() -> CallSoon:
    """The way onto the event loop that runs the caller."""
    host_call_soon = current_host().call_soon()

    def call_soon(callback: Callable[[], object]) -> bool:
        try:
            host_call_soon(callback)
        except RuntimeError:
            # trio.RunFinishedError, or asyncio's "event loop is closed".
            return False
        return True

    return call_soon


def call_all(call_soon: CallSoon, callbacks: Iterable[Callable[[], object]]) -> None:
    """Call them in order. One that raises is the host's to report and does not stop the rest."""
    rest = iter(callbacks)
    for callback in rest:
        try:
            callback()
        except BaseException:
            call_soon(partial(call_all, call_soon, tuple(rest)))
            raise
