"""Endpoints of a Restate server: milliseconds of the endpoint's processor time a request.

A real restate-server drives ours, on both backends, and the official SDKs, each in a process
of its own, in alternating rounds. The replays need no server: the recorded journal is sent as
the server sends it, over HTTP/2 (see recorded.py), to the same endpoint processes.

The requests of a race include those of its three callees, on the same endpoint. Parked
invocations are measured as resident memory, in a fresh process, after as many were parked
before, so that pools and caches are warm.

Needs Linux, npm for the server (see tests/restate/server.py), and the peers, which may be in an
environment of their own (see peers.py): whoever is not there is left out and named.

Not measured: latency and throughput (server, load and endpoint share the machine), payloads of
any size, TLS, request identity, more than one process an endpoint.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from dots import Dots
from load import requests
from peers import NODE_MODULES, NPM_INSTALL, PIP_INSTALL, node_with, python_with
from processes import Process, free_port, processor_time
from recorded import Peer, fan_out, sequential, start_of
from rounds import Figure, alternate, ratio

from tests.restate.server import RestateServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_HERE: Final = Path(__file__).resolve().parent
PARKED: Final = 250


@attrs.frozen
class Workload:
    """Requests of one kind. ``ours``: another handler does it in our own way."""

    name: str
    handler: str
    body: bytes | None
    count: int
    concurrency: int
    ours: str | None = None


WORKLOADS: Final = (
    Workload("no-op, 50 concurrent", "noop", None, 400, 50),
    Workload(
        "10 sequential runs, 50 concurrent", "sequential", b"10", 100, 50, "sequential_inline"
    ),
    Workload("fan-out of 100 runs, 10 concurrent", "fan_out", b"100", 20, 10, "fan_out_inline"),
    Workload("race of 3 calls and a timer, 20 concurrent", "race", None, 60, 20),
    Workload("fan-out of 1,000 runs", "fan_out", b"1000", 2, 1),
)

REPLAYS: Final = (
    Workload("replay of 1,000 sequential runs", "sequential", b"1000", 10, 1),
    Workload("replay of one fan-out of 1,000 runs", "fan_out", b"1000", 10, 1),
)


@attrs.frozen
class Contender:
    """An endpoint to be measured: how to start it under a service name on a port."""

    name: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = attrs.field(factory=dict[str, str])
    ours: bool = False

    def process(self, service: str, folder: Path) -> Process:
        """One that was not started yet."""
        port = free_port()
        return Process(
            (*self.command, service, str(port), *self.arguments),
            port,
            folder / f"{service}.log",
            self.environment,
        )


def contenders() -> Iterator[Contender]:
    """Ours, and those of the peers that are installed; the others are named."""
    python = (sys.executable, str(_HERE / "endpoints" / "ours.py"))
    for backend in ("trio", "asyncio"):
        yield Contender(f"ours, {backend}", python, ("own", backend), ours=True)
        if importlib.util.find_spec("hypercorn") is None:
            print(f"  left out: ours, {backend}, Hypercorn: pip install hypercorn")
        else:
            arguments = ("hypercorn", backend)
            yield Contender(f"ours, {backend}, Hypercorn", python, arguments, ours=True)
    if importlib.util.find_spec("granian") is None:
        print("  left out: ours, asyncio, Granian: pip install granian")
    else:
        yield Contender("ours, asyncio, Granian", python, ("granian", "asyncio"), ours=True)
    peer = str(_HERE / "endpoints" / "restate_sdk.py")
    for server in ("hypercorn", "granian"):
        name = f"restate-sdk, {server.capitalize()}"
        interpreter = python_with("restate", server)
        if interpreter is None:
            print(f"  left out: {name}: {PIP_INSTALL}")
        else:
            yield Contender(name, (interpreter, peer), (server,))
    node = node_with("@restatedev/restate-sdk")
    if node is None:
        print(f"  left out: the TypeScript SDK: {NPM_INSTALL}")
    else:
        yield Contender(
            "TypeScript SDK, node",
            (node, str(_HERE / "endpoints" / "restate_sdk.cjs")),
            environment={"NODE_PATH": str(NODE_MODULES)},
        )


def _served(
    server: RestateServer, process: Process, service: str, workload: Workload, handler: str
) -> float:
    return _spent(server, process.cpu, service, workload, handler)


def _spent(
    server: RestateServer,
    clock: Callable[[], float],
    service: str,
    workload: Workload,
    handler: str,
) -> float:
    before = clock()
    requests(
        _ingress(server),
        f"{service}/{handler}",
        workload.body,
        count=workload.count,
        concurrency=workload.concurrency,
    )
    return (clock() - before) / workload.count * 1e3


def _replayed(process: Process, service: str, workload: Workload, body: bytes) -> float:
    # A connection of its own each time: servers close those that are silent while others run.
    peer = Peer(process.port)
    before = process.cpu()
    for _ in range(workload.count):
        peer.attempt(f"{service}/{workload.handler}", body)
    spent = process.cpu() - before
    peer.close()
    return spent / workload.count * 1e3


def _parked(server: RestateServer, contender: Contender, service: str, folder: Path) -> float:
    with contender.process(service, folder) as process:
        server.register(f"http://127.0.0.1:{process.port}")
        path = f"{service}/park/send"
        port = _ingress(server)
        park: Callable[[], object] = partial(
            requests, port, path, None, count=PARKED, concurrency=10
        )
        # The first ones warm the process up: what they leave behind is not an invocation's.
        park()
        _until_parked(server, service, PARKED)
        before = process.resident()
        park()
        _until_parked(server, service, 2 * PARKED)
        grown = (process.resident() - before) / PARKED / 1024
        _kill_all(server, service)
    return grown


def _until_parked(server: RestateServer, service: str, count: int) -> None:
    # A sleep is in the journal once the endpoint has sent it.
    server.until(
        "SELECT count(*) AS n FROM sys_journal j JOIN sys_invocation i ON i.id = j.id WHERE "
        f"i.target_service_name = '{service}' AND j.entry_type = 'Command: Sleep'",
        [{"n": count}],
    )


def _kill_all(server: RestateServer, service: str) -> None:
    # Or the server goes on calling an endpoint that is gone, while the next one is measured.
    sql = f"SELECT id FROM sys_invocation WHERE target_service_name = '{service}'"
    for row in server.query(sql):
        server.admin.patch(f"/invocations/{row['id']}/kill").raise_for_status()


def _ingress(server: RestateServer) -> int:
    port = server.ingress.base_url.port
    assert port is not None
    return port


def measure(rounds: int) -> list[Figure]:
    """All figures of all that is installed."""
    found = list(contenders())
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {
            "RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "10m",
            "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": "100000",
        }
        server = stack.enter_context(RestateServer(folder, settings))
        running: list[tuple[Contender, Process, str]] = []
        for number, contender in enumerate(found):
            service = f"Bench{number}"
            process = stack.enter_context(contender.process(service, folder))
            server.register(f"http://127.0.0.1:{process.port}")
            running.append((contender, process, service))

        for workload in WORKLOADS:
            measures: dict[str, Callable[[], float]] = {}
            for contender, process, service in running:
                serve = partial(_served, server, process, service, workload)
                measures[contender.name] = partial(serve, workload.handler)
                if contender.ours and workload.ours is not None:
                    measures[f"{contender.name}, inline bodies"] = partial(serve, workload.ours)
            # The server's own share, which is the same whoever is served.
            _, _, service = running[0]
            clock = partial(processor_time, server.pid)
            measures["restate-server itself"] = partial(
                _spent, server, clock, service, workload, workload.handler
            )
            figures += _named(workload.name, alternate(measures, "ms", rounds))

        for workload, journal in zip(REPLAYS, (sequential, fan_out), strict=True):
            body = start_of(journal(int(workload.body or b"0")))
            figures += _named(
                workload.name,
                alternate(
                    {
                        contender.name: partial(_replayed, process, service, workload, body)
                        for contender, process, service in running
                    },
                    "ms",
                    rounds,
                ),
            )

        memory: dict[str, list[float]] = {contender.name: [] for contender in found}
        for number in range(min(rounds, 2)):
            for index, contender in enumerate(found):
                service = f"Parked{index}Round{number}"
                memory[contender.name].append(_parked(server, contender, service, folder))
        figures += _named(
            "parked on a stream",
            {name: Figure(name, "KiB", tuple(values)) for name, values in memory.items()},
        )
    return figures


def _named(workload: str, found: dict[str, Figure]) -> list[Figure]:
    """The figures of one workload, and how much more each peer takes than ours do."""
    figures = {
        name: Figure(f"{workload}: {name}", figure.unit, figure.values)
        for name, figure in found.items()
    }
    peers = [name for name in figures if not name.startswith(("ours", "restate-server"))]
    return [
        *figures.values(),
        *(
            ratio(
                f"{workload}: {peer} / ours, {backend}", figures[peer], figures[f"ours, {backend}"]
            )
            for peer in peers
            for backend in ("trio", "asyncio")
        ),
    ]


def picture(figures: Sequence[Figure]) -> str:
    """What each takes beside ours on trio, in SVG."""
    medians = {figure.name: figure.median for figure in figures}
    contenders = (
        *("ours, trio", "ours, asyncio", "restate-sdk, Hypercorn"),
        *("restate-sdk, Granian", "TypeScript SDK, node"),
    )
    labels = [*(workload.name for workload in (*WORKLOADS, *REPLAYS)), "parked on a stream"]
    rows: list[tuple[str, tuple[float | None, ...]]] = []
    for label in labels:
        base = medians[f"{label}: ours, trio"]
        values = [medians.get(f"{label}: {name}") for name in contenders]
        rows.append((label, tuple(value and value / base for value in values)))
    return Dots(
        title="Processor time of a request (memory of a parked invocation), beside ours on trio",
        x="times ours on trio; to the left is better",
        contenders=contenders,
        rows=tuple(rows),
    ).svg()
