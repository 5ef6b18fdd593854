"""The line that shows what takes long."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from durable_trio._cli import _progress
from durable_trio._cli._progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    """A standard error that is a terminal, and tells when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.written.set()


def replace_stderr(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in place of standard error; whatever takes any time takes long.

    No fixture: between a fixture and its test pytest sets standard error again.
    """
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


@pytest.mark.parametrize(
    ("so_far", "line"), [(None, "reading (0 s)"), (lambda: "3 of 5", "reading, 3 of 5 (0 s)")]
)
def test_what_takes_long_is_shown(
    monkeypatch: pytest.MonkeyPatch, so_far: Callable[[], str] | None, line: str
) -> None:
    """With the time and how far it is; the line is gone afterwards."""
    terminal = replace_stderr(monkeypatch)
    with progress("reading", so_far):
        assert terminal.written.wait(30)
        assert line in terminal.getvalue()

    assert terminal.getvalue().endswith("\r\x1b[K")


def test_the_line_is_renewed_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With how far it is by then."""
    terminal = replace_stderr(monkeypatch)
    monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
    shown = iter(["1 of 5", "2 of 5"])
    second = threading.Event()

    def so_far() -> str:
        text = next(shown, None)
        if text is None:
            second.set()
        return text or "5 of 5"

    with progress("reading", so_far):
        assert second.wait(30)

    assert "\r\x1b[Kreading, 1 of 5 (0 s)\r\x1b[Kreading, 2 of 5 (0 s)" in terminal.getvalue()


def test_a_dumb_terminal_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot erase."""
    terminal = replace_stderr(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with progress("reading"):
        assert terminal.written.wait(30)

    assert "reading...\n" == terminal.getvalue()


def test_what_is_quick_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing flickers."""
    terminal = replace_stderr(monkeypatch)
    monkeypatch.setattr(_progress, "_PATIENCE", 30.0)
    with progress("reading"):
        pass

    assert "" == terminal.getvalue()


def test_a_pipe_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who looks at a terminal wants to see it."""
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)
    with progress("reading"):
        pass

    assert "" == stderr.getvalue()
