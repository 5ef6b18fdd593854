"""The embedded runtime: handlers served in this process, over a ``JournalStore``.

async with LocalRuntime([reports, users], FileJournal("app.journal")) as runtime:
    report = await runtime.call(reports.aggregate, "user-42")
"""

from ._clock import SystemClock as SystemClock
from ._runtime import LocalRuntime as LocalRuntime
