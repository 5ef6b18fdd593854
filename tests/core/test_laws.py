"""Random programs under random schedules: what every replay and every structure has to obey."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .laws import check
from .programs import programs, schedules

if TYPE_CHECKING:
    from .programs import Program

EXAMPLES = int(os.environ.get("DURABLE_TRIO_PROGRAMS", "300"))
"""How many programs are played; ten thousands are worth it after a change of the core."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="DURABLE_TRIO_PROGRAMS" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
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
def test_every_program_obeys_the_laws(
    program: Program,
    schedule: list[int],
    second_schedule: list[int],
    cuts: list[int],
    backend: str,
    partial_state: bool,
    suspending: bool,
) -> None:
    """Replays end the same, prefixes are prefixes, nothing is done twice or left behind."""
    check(
        program,
        schedule,
        second_schedule,
        cuts,
        backend,
        partial_state=partial_state,
        suspending=suspending,
    )
