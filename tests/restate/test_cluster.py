"""A cluster of servers before replicas of an endpoint: a node dies, a replica dies, work goes on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from .cluster import Balancer, RestateCluster
from .effects import Load
from .server import EndpointProcess, eventually, free_port
from .test_crashes import SCRIPT, SOON

if TYPE_CHECKING:
    from pathlib import Path


def test_a_node_and_a_replica_are_killed(tmp_path: Path) -> None:
    """All results and effects are right, with the journals of trio going on under asyncio."""
    effects = tmp_path / "effects"
    settings = {"EFFECTS": str(effects)}
    ports = (free_port(), free_port())
    with (
        RestateCluster(tmp_path, SOON) as cluster,
        EndpointProcess(SCRIPT, tmp_path, "trio", settings, ports[0]) as first,
        EndpointProcess(SCRIPT, tmp_path, "asyncio", settings, ports[1]),
        Balancer(ports) as balancer,
    ):
        dying, surviving, _ = cluster.nodes
        surviving.register(f"http://127.0.0.1:{balancer.port}")
        load = Load(surviving, effects)
        load.start(6)
        eventually(lambda: set(balancer.taken), set(ports))
        dying.stop(signal.SIGKILL)
        load.start(3)
        surviving.until_ready()
        first.stop(signal.SIGKILL)
        load.start(3)
        load.check()
