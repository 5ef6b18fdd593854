"""``durable-trio serve --workers N``: what another process adds. Requests a second, and what each costs.

The real command serves the real handlers; recorded attempts are sent to it over HTTP/2 as a Restate server
sends them (frames.py), over four connections a worker, so that the server's own work is
not in the figures. Two workloads: a no-op, and a replay of 100 recorded runs. One, two and four workers,
each set in processes of its own, in alternating rounds.

Load and endpoint share the machine. ``busy cores`` is the processor time that the endpoint got for
each second of the wall: where it reaches what the load leaves of the machine, more workers can add nothing,
and throughput there says how many cores there are. What tells whether workers scale is the
processor time of a request: as long as it stays the same, throughput grows with the cores.

Not measured: a Restate server in front, more cores than this machine has.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from frames import Client
from processes import Process, free_port
from recorded import sequential, start_of
from rounds import Figure, alternate, ratio

from durable_trio.abc import Input

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio.abc import Entry

_SERVICES: Final = f"{Path(__file__).parent / 'endpoints' / 'ours.py'}:BENCH"
WORKERS: Final = (1, 2, 4)
_CONNECTIONS: Final = 4
"""To each worker: the ones of a server with ``--max-streams 100`` and 400 invocations in flight."""

_STREAMS: Final = 10
"""Requests at once on each connection."""


@attrs.frozen
class Workload:
    """A recorded attempt that is sent ``count`` times a round."""

    name: str
    handler: str
    journal: tuple[Entry, ...]
    count: int


WORKLOADS: Final = (
    Workload("no-op", "noop", (Input(b""),), 4_000),
    Workload("replay of 100 runs", "sequential", tuple(sequential(100)), 800),
)


@attrs.define(eq=False)
class Served:
    """The command with so many workers; keeps what each round used."""

    workers: int
    process: Process
    spent: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])
    busy: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])

    def rate(self, workload: Workload) -> float:
        """Requests a second, from all connections together."""
        connections = _CONNECTIONS * self.workers
        share = workload.count // connections
        clients = [
            Client(
                self.process.port,
                f"/invoke/Bench/{workload.handler}",
                start_of(list(workload.journal)),
                half_closed=True,
            )
            for _ in range(connections)
        ]
        with ThreadPoolExecutor(connections) as pool:
            # One request each first: until the workers have taken the connections.
            list(pool.map(partial(Client.run, count=1, concurrency=1), clients))
            before, start = self.process.cpu(), time.perf_counter()
            list(pool.map(partial(Client.run, count=share, concurrency=_STREAMS), clients))
            wall = time.perf_counter() - start
        spent = self.process.cpu() - before
        for client in clients:
            client.close()
        count = share * connections
        self.spent.setdefault(workload.name, []).append(spent / count * 1e3)
        self.busy.setdefault(workload.name, []).append(spent / wall)
        return count / wall


def _command(backend: str, workers: int, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "durable_trio", "serve", _SERVICES),
        *("--port", str(port), "--backend", backend, "--workers", str(workers)),
        *("--log-level", "warning"),
    ]


def measure(rounds: int) -> list[Figure]:
    """All figures, on both backends."""
    figures: list[Figure] = [Figure("cores of this machine", "", (float(os.cpu_count() or 1),))]
    for backend in ("trio", "asyncio"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            served: dict[int, Served] = {}
            for workers in WORKERS:
                port = free_port()
                process = Process(_command(backend, workers, port), port, folder / f"{port}.log")
                served[workers] = Served(workers, stack.enter_context(process))
            for workload in WORKLOADS:
                figures += _figures(backend, workload, served, rounds)
    return figures


def _figures(
    backend: str, workload: Workload, served: dict[int, Served], rounds: int
) -> list[Figure]:
    names = {workers: f"{workload.name}: {backend}, {workers} workers" for workers in served}
    measures: dict[str, Callable[[], float]] = {
        names[workers]: partial(each.rate, workload) for workers, each in served.items()
    }
    rates = alternate(measures, "/s", rounds)
    one = rates[names[1]]
    figures = list(rates.values())
    for workers, each in served.items():
        name = names[workers]
        if workers > 1:
            figures.append(ratio(f"{name} / 1 worker", rates[name], one))
        figures.append(
            Figure(f"{name}: processor time a request", "ms", tuple(each.spent[workload.name][1:]))
        )
        figures.append(Figure(f"{name}: busy cores", "", tuple(each.busy[workload.name][1:])))
    return figures
