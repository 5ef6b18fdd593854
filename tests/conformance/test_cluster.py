"""A cluster of three servers: attempts come from each of them, and one is killed meanwhile."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from tests.restate.cluster import RestateCluster
from tests.restate.server import EndpointProcess

from .conftest import SERVICES, SOON, WAYS
from .test_interpreters import Generator

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = (
    'SELECT service_name AS layer, service_key AS "key", value_utf8 AS value FROM state '
    "WHERE key = 'counter' ORDER BY service_name, service_key"
)
UNFINISHED = "SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed'"


def test_programs_while_a_node_is_killed(tmp_path: Path) -> None:
    """Every increment counts once, whichever node an attempt has come from."""
    generator = Generator(seed=3)
    with (
        RestateCluster(tmp_path, SOON | dict(WAYS["v6-suspending"])) as cluster,
        EndpointProcess(SERVICES, tmp_path, "trio") as process,
    ):
        kept, killed, _ = cluster.nodes
        kept.register(process.uri)
        sent: list[str] = []

        def send(count: int) -> None:
            for _ in range(count):
                key = str(len(sent) % 6)
                path = f"ObjectInterpreterL0/{key}/interpret"
                sent.append(kept.send(path, generator.program(0, key)))

        send(15)
        killed.stop(signal.SIGKILL)
        send(15)
        killed.start()
        send(10)
        assert {200} == {kept.attach(each).status_code for each in sent}

        expected: list[dict[str, Any]] = [
            {"layer": f"ObjectInterpreterL{layer}", "key": key, "value": str(count)}
            for (layer, key), count in sorted(generator.expected.items())
        ]
        kept.until(COUNTERS, expected)
        kept.until(UNFINISHED, [{"n": 0}])
