"""``durable-trio serve`` under a real Restate server: registration, and a restart that fails nothing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

import durable_trio as dt
from durable_trio_restate import endpoint
from tests.restate.server import RestateServer, free_port

from .command import command
from .served import served

FAILED = "SELECT id, event_json FROM sys_journal_events WHERE event_type = 'TransientError'"
_APP = Path(__file__).with_name("restate_app.py")


def test_a_restart(tmp_path: Path, backend: str) -> None:
    """Attempts at work end, those that sleep suspend, none fails, and no step runs twice."""
    shutil.copy(_APP, tmp_path / "app.py")
    port, log = free_port(), tmp_path / "endpoint.log"

    def start(server: RestateServer) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            process = subprocess.Popen(
                command(
                    *("app.py:services", "--port", port, "--backend", backend, "--workers", 2),
                    *("--register", str(server.admin.base_url).rstrip("/"), "--force"),
                ),
                cwd=tmp_path,
                stdout=output,
                stderr=output,
            )
        before = log.read_text().count("Registered http")
        deadline = time.monotonic() + 60
        while log.read_text().count("Registered http") == before:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)  # a spinning test takes the processor from its process
        return process

    names = [f"n{number}" for number in range(150)]
    with RestateServer(tmp_path) as server:
        process = start(server)
        try:
            sent = {name: server.send("Sleepy/work", name) for name in names}
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            troubles = server.query(
                "SELECT id, last_failure FROM sys_invocation WHERE last_failure IS NOT NULL"
            )
            # What is resumed when nobody listens any more has not begun.
            begun = [each for each in troubles if "h2 pool connection error" not in str(each)]
            assert begun == []
            process = start(server)
            for name in names:
                assert server.attach(sent[name]).json() == name
            assert server.call("Sleepy/echo", "well") == "well"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    assert sorted((tmp_path / "effects").read_text().split()) == sorted(names)
    assert "WARNING" not in log.read_text()
    assert "ERROR" not in log.read_text()


def test_what_is_at_work_when_patience_ends(tmp_path: Path, backend: str) -> None:
    """The server is refused, and not told to leave: then it would break what is in flight."""
    plant = dt.Service("Plant")

    async def main(server: RestateServer) -> None:
        began: list[anyio.Event] = []
        begun, go = anyio.Event(), anyio.Event()

        async def hard() -> None:
            began.append(begun)
            begun.set()
            await go.wait()

        @plant.handler
        async def work(ctx: dt.Context) -> None:
            await ctx.run(hard)

        @plant.handler
        async def echo(_ctx: dt.Context) -> None:
            pass

        async with served(endpoint([plant]), shutdown_timeout=6.0) as endpoint_server:
            await run_sync(server.register, f"http://127.0.0.1:{endpoint_server.port}")
            await run_sync(server.send, "Plant/work")
            await begun.wait()
            endpoint_server.stop.set()
            while not await run_sync(server.query, FAILED):
                await run_sync(server.send, "Plant/echo")
            go.set()
            await endpoint_server.stopped.wait()

        assert began == [begun]
        broken = f"{FAILED} AND event_json NOT LIKE '%error when calling%'"
        assert await run_sync(server.query, broken) == []

    # All of it on one connection.
    with RestateServer(tmp_path, {"RESTATE_DEFAULT_NUM_PARTITIONS": "1"}) as server:
        anyio.run(main, server, backend=backend)
