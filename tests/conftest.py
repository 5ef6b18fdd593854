"""No test has a deadline, and what the tests say at the end beside their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# A busy machine is no failure: what hangs is found by pytest-timeout.
settings.register_profile("without deadlines", parent=settings(), deadline=None)
settings.load_profile("without deadlines")


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
