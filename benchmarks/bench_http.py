"""The HTTP server alone: milliseconds of its processor time a request, beside Hypercorn's.

HTTP/2 in clear text, one connection, 50 requests at a time, each with a body of 150 bytes; the client
(frames.py) is the same for all and costs a tenth of it. A fixed answer shows the server alone; an
attempt is a handler that does nothing, with its journal, over the same server. Every server is a
process of its own; they are measured in alternating rounds.

Not measured: latency, TLS, large bodies, many connections, HTTP/1.1.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frames import Client
from processes import Process, free_port
from recorded import start_of
from rounds import Figure, alternate, ratio

from durable_trio.abc import Input

if TYPE_CHECKING:
    from collections.abc import Callable

_SCRIPT: Final = Path(__file__).parent / "endpoints" / "server.py"
COUNT: Final = 2_000
CONCURRENCY: Final = 50
BODY: Final = bytes(150)


def _start(stack: ExitStack, folder: Path, server: str, backend: str, answer: str) -> Process:
    port = free_port()
    environment = {
        "PORT": str(port),
        "SERVER": server,
        "DURABLE_TRIO_BACKEND": backend,
        "ANSWER": answer,
    }
    log = folder / f"{server}-{backend}-{answer}.log"
    return stack.enter_context(Process([sys.executable, str(_SCRIPT)], port, log, environment))


def _one(process: Process, answer: str) -> float:
    """Milliseconds a request."""
    body = BODY if answer == "fixed" else start_of([Input(b"")])
    client = Client(process.port, "/invoke/Bench/noop", body, half_closed=answer == "attempt")
    before = process.cpu()
    client.run(COUNT, CONCURRENCY)
    spent = process.cpu() - before
    client.close()
    return spent / COUNT * 1000


def measure(rounds: int) -> list[Figure]:
    """The figures of this file, ours beside Hypercorn's."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as directory:
        for answer in ("fixed", "attempt"):
            with ExitStack() as stack:
                measures: dict[str, Callable[[], float]] = {}
                for backend in ("trio", "asyncio"):
                    for server in ("ours", "hypercorn"):
                        process = _start(stack, Path(directory), server, backend, answer)
                        measures[f"{answer}, {server}, {backend}"] = partial(_one, process, answer)
                found = alternate(measures, "ms a request", rounds)
            figures.extend(found.values())
            figures.extend(
                ratio(
                    f"{answer}, hypercorn / ours, {backend}",
                    found[f"{answer}, hypercorn, {backend}"],
                    found[f"{answer}, ours, {backend}"],
                )
                for backend in ("trio", "asyncio")
            )
    return figures
