"""Many at once: streams on one connection, invocations that wait, programs while all is killed."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio.abc import Input
from tests.restate.server import EndpointProcess, RestateServer
from tests.serve.served import Http2Client, read, start_of

from .conftest import SERVICES, SOON, WAYS
from .programs import INTERPRET, await_one, resolve, start
from .test_interpreters import Generator

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Deployment

MEDIA = ("content-type", "application/vnd.restate.invocation.v6")
STREAMS = 128
AT_ONCE = 120


def test_streams_on_one_connection(backend: str, tmp_path: Path) -> None:
    """All of them wait, open in both directions; each is suspended when its request ends."""

    async def main(port: int) -> None:
        client = await Http2Client.over(await anyio.connect_tcp("127.0.0.1", port))
        body = start_of(Input(b'{"sleep": 3600000, "parameter": "x"}'))
        path = "/invoke/ServiceInterpreterHelper/echoLater"
        streams = [
            await client.request("POST", path, [MEDIA], body=body, end=False)
            for _ in range(STREAMS)
        ]
        for stream in streams:
            await client.until_body(stream, 1)
        assert not client.ended

        for stream in streams:
            await client.write(stream, b"", end=True)
        await client.until_ended(*streams)
        kinds = {tuple(type(said).__name__ for said in read(client.bodies[s])) for s in streams}
        assert kinds == {("Sleep", "AwaitTree")}
        await client.stream.aclose()

    with EndpointProcess(SERVICES, tmp_path, backend) as process:
        anyio.run(main, process.port, backend=backend)


def test_invocations_at_once(deployment: Deployment) -> None:
    """All of them run at the same time, and each gets its own answer."""
    restate = deployment.server
    keys = [f"at once {index}" for index in range(AT_ONCE)]
    with ThreadPoolExecutor(16) as pool:
        waiting = await_one("createAwakeable", awakeableKey="a")

        def begin(key: str) -> str:
            return start(restate, key, waiting)

        def end(key: str) -> None:
            resolve(restate, key, "a", key)

        running = list(pool.map(begin, keys))
        restate.until(
            "SELECT count(*) AS n FROM state WHERE key = 'awk-a' AND service_key LIKE 'at once %'",
            [{"n": AT_ONCE}],
        )
        if not deployment.configuration.replays:
            [status] = restate.query(
                f"SELECT count(*) AS n FROM sys_invocation WHERE target_service_name = '{INTERPRET}' "
                "AND target_service_key LIKE 'at once %' AND status = 'running'"
            )
            assert status["n"] == AT_ONCE
        list(pool.map(end, keys))

        assert [each.json() for each in pool.map(restate.attach, running)] == keys


@pytest.mark.parametrize(
    ("backend", "way", "http_11"),
    [("trio", "v6", True), ("asyncio", "v7-suspending", False), ("asyncio", "v7", False)],
)
def test_programs_while_everything_is_killed(
    backend: str, way: str, tmp_path: Path, *, http_11: bool
) -> None:
    """Whatever is suspended, retried or killed meanwhile: every increment counts once."""
    generator = Generator(seed=11)
    with (
        RestateServer(tmp_path, SOON | dict(WAYS[way])) as server,
        EndpointProcess(SERVICES, tmp_path, backend) as process,
    ):
        server.register(process.uri, http_11=http_11)
        sent: list[str] = []

        def send(count: int) -> None:
            for _ in range(count):
                key = str(len(sent) % 6)
                path = f"ObjectInterpreterL0/{key}/interpret"
                sent.append(server.send(path, generator.program(0, key)))

        send(12)
        for victim in (process, server, process):
            victim.stop(signal.SIGKILL)
            victim.start()
            send(12)
        assert {200} == {server.attach(each).status_code for each in sent}

        expected: list[dict[str, Any]] = [
            {"layer": f"ObjectInterpreterL{layer}", "key": key, "value": str(count)}
            for (layer, key), count in sorted(generator.expected.items())
        ]
        server.until(
            'SELECT service_name AS layer, service_key AS "key", value_utf8 AS value FROM state '
            "WHERE key = 'counter' ORDER BY service_name, service_key",
            expected,
        )
        server.until(
            "SELECT count(*) AS n FROM sys_invocation WHERE status <> 'completed'", [{"n": 0}]
        )
