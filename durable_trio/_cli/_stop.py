"""Signals: the first one asks for a graceful end, the second one ends at once.

Owns SIGINT and SIGTERM while a server runs.

 1. Handlers run between two bytecodes of the main thread, so that a second signal works
    even if user code never gives the event loop its turn.
 2. Ending at once is safe: whatever was released to anybody is in the journal.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from durable_trio._loop import current_call_soon

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """A context manager, entered on the event loop's thread.

    ``notice`` is said at the first one, ``at_once`` is called before the process ends at the
    second one.
    """

    def __init__(self, notice: str | None, *, at_once: Callable[[], object] = lambda: None) -> None:
        self.received = anyio.Event()
        self._notice = notice
        self._at_once = at_once
        self._call_soon = current_call_soon()
        self._first: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for each in _SIGNALS:
            self._previous[each] = signal.signal(each, self._handle)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        for each, previous in self._previous.items():
            signal.signal(each, previous)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._first is None:
            self._first = number
            if self._notice is not None:
                _say(self._notice)
            self._call_soon(self.received.set)
        else:
            self._at_once()
            _say("stopped at once; everything goes on at the next start")
            os._exit(128 + number)


def leave_threads(code: int = 0) -> None:
    """Exit, if threads are left that the end of the process would wait for.

    A step's work in a thread cannot be aborted, only abandoned; it may take hours. The
    journal is closed, and the step runs again at the next start.
    """
    main = threading.main_thread()
    if any(not each.daemon and each is not main for each in threading.enumerate()):
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(message: str) -> None:
    # A stream may be in the middle of a write, and is not reentrant.
    with suppress(OSError):
        os.write(2, f"durable-trio: {message}\n".encode())
