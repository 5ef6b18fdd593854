"""A soak: random programs by the hundred on a real Restate server, while both sides are killed.

``python benchmarks/soak.py [--minutes 5] [--at-once 500] [--backend trio] [--http-11]``. The
programs are those of the conformance services (state, calls, timers, awakeables, runs that fail,
delayed sends, calls that nobody awaits); the endpoint is killed every quarter of a minute, the
server every one and a half, and it goes on until they were 20 and 3 times. In the end every counter
has to be exact, no program may have failed, and nothing may be unfinished. Prints a line every ten
seconds: what is done, what is open, and the resident memory of the endpoint.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import httpx

from tests.conformance.test_interpreters import Generator
from tests.restate.server import EndpointProcess, RestateServer, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICES = Path(__file__).parents[1] / "tests" / "conformance" / "services.py"
KEYS = 100
KILL_ENDPOINT, KILL_SERVER, REPORT = 15.0, 90.0, 10.0
ENDPOINT_KILLS, SERVER_KILLS = 20, 3
"""At least so many."""
POLL = 0.5
"""Seconds between queries, which scan all invocations: more often, they are the load."""

SETTINGS = {
    "RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": "20ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_INTERVAL": "500ms",
    "RESTATE_DEFAULT_RETRY_POLICY__MAX_ATTEMPTS": "unlimited",
}
DONE = "SELECT count(*) AS n FROM sys_invocation WHERE status = 'completed'"
OPEN = (
    "SELECT count(*) AS n FROM sys_invocation "
    "WHERE status <> 'completed' AND target_service_name = 'ObjectInterpreterL0'"
)
UNFINISHED = (
    "SELECT target_service_name, target_handler_name, status, count(*) AS n FROM sys_invocation "
    "WHERE status <> 'completed' GROUP BY target_service_name, target_handler_name, status"
)
FAILED = (
    "SELECT id, completion_failure FROM sys_invocation "
    "WHERE completion_result = 'failure' AND target_service_name = 'ObjectInterpreterL0'"
)
COUNTERS = (
    "SELECT service_name, service_key, value_utf8 FROM state "
    "WHERE key = 'counter' AND service_name LIKE 'ObjectInterpreter%'"
)


@attrs.define(eq=False)
class Soak:
    """A server, an endpoint, and what was asked of them."""

    server: RestateServer
    process: EndpointProcess
    at_once: int
    generator: Generator
    chance: random.Random
    sent: int = 0
    endpoint_kills: int = 0
    server_kills: int = 0
    begun: float = attrs.field(factory=time.monotonic)
    _pool: ThreadPoolExecutor = attrs.field(factory=lambda: ThreadPoolExecutor(16))

    def run(self, seconds: float) -> None:
        """Keep so many programs open for so long at least, and kill what is to be killed."""
        due: dict[Callable[[], None], float] = {
            self.kill_endpoint: KILL_ENDPOINT,
            self.kill_server: KILL_SERVER,
            self.report: REPORT,
        }
        left = {action: self.begun + period for action, period in due.items()}
        while (
            time.monotonic() < self.begun + seconds
            or self.endpoint_kills < ENDPOINT_KILLS
            or self.server_kills < SERVER_KILLS
        ):
            self.send(self.at_once - self.count(OPEN))
            for action, period in due.items():
                if time.monotonic() >= left[action]:
                    action()
                    left[action] = time.monotonic() + period
            time.sleep(POLL)

    def send(self, count: int) -> None:
        """Start programs, each under a key of its own, until the server has them."""
        work: list[tuple[int, str, Any]] = []
        for _ in range(count):
            key = str(self.chance.randrange(KEYS))
            work.append((self.sent, key, self.generator.program(0, key)))
            self.sent += 1
        list(self._pool.map(self._send, work))

    def _send(self, work: tuple[int, str, Any]) -> None:
        number, key, program = work
        path = f"ObjectInterpreterL0/{key}/interpret"
        self.server.send(path, program, idempotency_key=f"program {number}")

    def count(self, sql: str) -> int:
        """The number that a query gives."""
        number: int = self.query(sql)[0]["n"]
        return number

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query, once the server can be asked: not at once after its start."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.server.query(sql)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def kill_endpoint(self) -> None:
        """SIGKILL, and start it again."""
        self.process.stop(signal.SIGKILL)
        self.process.start()
        self.endpoint_kills += 1

    def kill_server(self) -> None:
        """SIGKILL, and start it again."""
        self.server.stop(signal.SIGKILL)
        self.server.start()
        self.server_kills += 1

    def report(self) -> None:
        """Print where it stands."""
        elapsed = time.monotonic() - self.begun
        done = self.count(DONE)
        print(
            f"{elapsed:5.0f} s: {self.sent} programs sent, {self.count(OPEN)} open, "
            f"{done} invocations done ({done / elapsed:.0f}/s), endpoint {self.memory():.0f} MiB, "
            f"killed: endpoint {self.endpoint_kills}, server {self.server_kills}",
            flush=True,
        )

    def memory(self) -> float:
        """The resident memory of the endpoint, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("utf-8")
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def check(self) -> None:
        """Every increment counted once, no program has failed, and nothing is left."""
        eventually(lambda: self.query(UNFINISHED), list[dict[str, Any]](), patience=300)
        failed = self.query(FAILED)
        assert not failed, f"failed: {failed}"
        counters = {
            (int(row["service_name"][-1]), row["service_key"]): int(row["value_utf8"])
            for row in self.query(COUNTERS)
        }
        wrong = {
            place: (expected, counters.get(place))
            for place, expected in self.generator.expected.items()
            if counters.get(place) != expected
        }
        assert not wrong, f"expected and found: {wrong}"
        assert counters.keys() == self.generator.expected.keys()
        print(
            f"{sum(counters.values())} increments on {len(counters)} objects: each counted once; "
            "nothing is left unfinished"
        )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--at-once", type=int, default=500)
    parser.add_argument("--backend", choices=["trio", "asyncio"], default="trio")
    parser.add_argument("--http-11", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        RestateServer(Path(folder), SETTINGS) as server,
        EndpointProcess(SERVICES, Path(folder), asked.backend) as process,
    ):
        server.ingress.timeout = httpx.Timeout(60, pool=None)
        server.register(process.uri, http_11=asked.http_11)
        generator, chance = Generator(asked.seed), random.Random(asked.seed)
        soak = Soak(server, process, asked.at_once, generator, chance)
        soak.run(asked.minutes * 60)
        soak.report()
        soak.check()
        soak.report()


if __name__ == "__main__":
    main()
