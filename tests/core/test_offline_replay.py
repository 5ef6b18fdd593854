"""Random programs: every prefix of a journal replays cleanly with the code that wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_trio.abc import AttemptCompleted, JournalHeader
from durable_trio.testing import RecordedJournal, ReplayOutcome, replay

from .interpreter import Stage
from .laws import Played
from .programs import programs, schedules

if TYPE_CHECKING:
    from .programs import Program


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    programs,
    schedules,
    st.lists(st.integers(1, 200), max_size=3),
    st.sampled_from(["trio", "asyncio"]),
)
def test_prefixes_replay_cleanly(
    program: Program, schedule: list[int], cuts: list[int], backend: str
) -> None:
    """The whole one to its end; the portable form loses nothing of it."""
    played = Played(program, schedule=schedule).play("trio")
    if not isinstance(played.end, AttemptCompleted):
        return

    entries = played.entries
    for cut in [len(entries), *(cut % len(entries) or 1 for cut in cuts)]:
        stage = Stage(program)
        stage.world = played.world
        target = stage.handler
        header = JournalHeader(
            "inv_1",
            target.service_name,
            target.handler_name,
            "k",
            raw_id=b"0123456789abcdef",
            random_seed=7,
        )
        record = RecordedJournal(header, entries[:cut])
        result = anyio.run(
            replay, RecordedJournal.parse(record.dump()), [target.service], backend=backend
        )

        assert result.clean, str(result)
        assert (cut == len(entries)) == (result.outcome is ReplayOutcome.COMPLETED)
        assert stage.bodies == 0
