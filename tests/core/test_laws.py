"""Random programs under random schedules: what every replay and every structure has to obey.

``DURABLE_TRIO_PROGRAMS`` says how many programs are played, and then they are others each time:
ten thousands are worth it after a change of the core.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from .laws import Played, check
from .programs import programs, schedules

if TYPE_CHECKING:
    from collections.abc import Callable

    from .programs import Program

PROGRAMS = os.environ.get("DURABLE_TRIO_PROGRAMS")
PARTS = 6
"""So many tests share the programs, for as many processors."""


@pytest.mark.timeout(0 if PROGRAMS else 300)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_program_obeys_the_laws(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    """Replays end the same, prefixes are prefixes, nothing is done twice or left behind."""
    count = 0

    @seed(part if PROGRAMS is None else time.time_ns())
    @settings(
        max_examples=int(PROGRAMS or 3000) // PARTS,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        programs,
        schedules,
        schedules,
        st.lists(st.integers(0, 200), max_size=3),
        st.sampled_from(["trio", "asyncio"]),
        st.booleans(),
        st.booleans(),
    )
    def obeys(
        program: Program,
        schedule: list[int],
        second_schedule: list[int],
        cuts: list[int],
        backend: str,
        partial_state: bool,
        suspending: bool,
    ) -> None:
        nonlocal count
        count += 1
        check(
            program,
            schedule,
            second_schedule,
            cuts,
            backend,
            partial_state=partial_state,
            suspending=suspending,
        )

    before, began = Played.count, time.process_time()
    obeys()
    record_property("random programs", (count, Played.count - before, time.process_time() - began))
