"""No test has a deadline, Ctrl-C reaches all of them, and what they say at the end beside their results."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# A busy machine is no failure: what hangs is found by pytest-timeout.
settings.register_profile("without deadlines", parent=settings(), deadline=None)
settings.load_profile("without deadlines")

# A shell's background job ignores SIGINT, and so would every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many random programs were played, and how fast."""
    parts = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "random programs"
    ]
    if parts:
        programs, plays, seconds = (sum(column) for column in zip(*parts, strict=True))
        terminalreporter.write_line(
            f"random programs: {programs} in {plays} plays, "
            f"{programs / seconds:.0f} programs ({plays / seconds:.0f} plays) a processor second"
        )
