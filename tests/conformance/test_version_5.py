"""The oldest protocol, on a real server, at the tests that use most of it.

They are those of the other modules, imported: each finds the deployment of this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.restate.server import EndpointProcess, RestateServer

from .conftest import SOON, WAYS, Configuration, Deployment
from .test_calls import test_executed_side_effects as test_executed_side_effects
from .test_calls import test_many_calls_in_order as test_many_calls_in_order
from .test_cancellation import test_a_cancelled_tree as test_a_cancelled_tree
from .test_commands import (
    test_a_race_is_decided_once as test_a_race_is_decided_once,
)
from .test_commands import (
    test_the_example_of_the_contract as test_the_example_of_the_contract,
)
from .test_events import test_a_signal_is_rejected as test_a_signal_is_rejected
from .test_events import (
    test_a_workflow_waits_for_its_promise as test_a_workflow_waits_for_its_promise,
)
from .test_failures import test_a_run_gives_up as test_a_run_gives_up
from .test_failures import (
    test_another_way_than_the_journal as test_another_way_than_the_journal,
)
from .test_interpreters import test_random_programs as test_random_programs
from .test_state import test_a_map_has_an_entry_per_key as test_a_map_has_an_entry_per_key

if TYPE_CHECKING:
    from collections.abc import Iterator

OLDEST = Path(__file__).with_name("oldest.py")

CONFIGURATIONS = [
    Configuration("v6", http_11=False, backend="trio"),
    Configuration("v7-suspending", http_11=False, backend="asyncio"),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(each, id=f"v5-{each}", marks=pytest.mark.xdist_group(f"v5-{each}"))
        for each in CONFIGURATIONS
    ],
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A server, and an endpoint that speaks nothing newer."""
    configuration: Configuration = request.param
    folder = tmp_path_factory.mktemp("v5")
    with (
        RestateServer(folder, SOON | dict(WAYS[configuration.way])) as server,
        EndpointProcess(OLDEST, folder, configuration.backend) as process,
    ):
        server.register(process.uri)
        yield Deployment(configuration, server, process)


def test_it_is_the_oldest(restate: RestateServer) -> None:
    """Every invocation is of version 5, whatever the server would speak."""
    assert restate.call("TestUtilsService/echo", "x") == "x"
    versions = restate.query(
        "SELECT DISTINCT pinned_service_protocol_version AS version FROM sys_invocation "
        "WHERE pinned_service_protocol_version IS NOT NULL"
    )

    assert versions == [{"version": 5}]
