"""A line that shows what takes long.

Owns the line. It is shown on a terminal only, on stderr, and only after ``_PATIENCE``
seconds; it is gone when the work is done.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_PATIENCE: Final = 1.0
_INTERVAL: Final = 0.5
_CLEAR: Final = "\r\x1b[K"


@contextmanager
def progress(what: str, so_far: Callable[[], str] | None = None) -> Generator[None]:
    """Show ``what`` and for how long, while the block runs; ``so_far`` tells how far it is."""
    if not sys.stderr.isatty():
        yield
        return

    done = threading.Event()
    thread = threading.Thread(target=_show, args=(what, so_far, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(what: str, so_far: Callable[[], str] | None, done: threading.Event) -> None:
    began = time.monotonic()
    if done.wait(_PATIENCE):
        return

    # A dumb terminal cannot erase: it is told once.
    dumb = _is_dumb()
    while True:
        far = f", {so_far()}" if so_far is not None else ""
        line = f"{what}{far} ({time.monotonic() - began:.0f} s)"
        sys.stderr.write(f"{what}...\n" if dumb else f"{_CLEAR}{line}")
        sys.stderr.flush()
        if done.wait(None if dumb else _INTERVAL):
            break
    if not dumb:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


def _is_dumb() -> bool:
    import os

    return os.environ.get("TERM", "dumb") == "dumb"
