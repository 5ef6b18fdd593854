"""A client that asks again outlives its server: nothing runs twice, and the result comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import Context, InvocationPausedError, RequestError, RetryPolicy, Service
from durable_trio.client import IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.testing import MemoryStore
from durable_trio_file import FileJournal
from tests.restate.server import free_port

if TYPE_CHECKING:
    from pathlib import Path

SOON = RetryPolicy(initial_interval=0.001, max_interval=0.01)


class Slow:
    """A service whose second step ends when the test says so."""

    def __init__(self) -> None:
        self.service = Service("Slow")
        self.open = anyio.Event()
        self.reached = anyio.Event()
        self.charged = 0

        @self.service.handler
        async def buy(ctx: Context, item: str) -> str:
            await ctx.run(self._charge, name="charge")
            await ctx.run(self._deliver, name="deliver")
            return f"{item} bought"

        self.buy = buy

    async def _charge(self) -> None:
        self.charged += 1

    async def _deliver(self) -> None:
        self.reached.set()
        await self.open.wait()


def test_a_call_goes_on_with_the_next_server(backend: str, tmp_path: Path) -> None:
    """It was answered 503, then nobody listened, then it found its invocation by its key."""

    async def main() -> None:
        slow, port, results = Slow(), free_port(), list[str]()

        async def ask() -> None:
            async with IngressClient(f"http://127.0.0.1:{port}", retry=SOON) as ingress:
                results.append(await ingress.call(slow.buy, "tea", idempotency_key="17"))
            done.set()

        done = anyio.Event()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for life in (1, 2):
                    async with (
                        LocalRuntime(
                            [slow.service], FileJournal(tmp_path / "journal"), shutdown_grace=0
                        ) as runtime,
                        HttpIngress(runtime, port=port),
                    ):
                        if life == 1:
                            group.start_soon(ask)
                            await slow.reached.wait()
                        else:
                            slow.open.set()
                            await done.wait()
        assert (["tea bought"], 1) == (results, slow.charged)

    anyio.run(main, backend=backend)


def test_who_waits_for_a_paused_invocation_is_told(backend: str) -> None:
    """Once, with its id, also if it would ask again: nothing changes until it is resumed."""
    wrong = Service("Wrong")

    @wrong.handler
    async def nap(ctx: Context) -> None:
        await anyio.sleep(60)

    async def main() -> None:
        async with (
            LocalRuntime([wrong], MemoryStore()) as runtime,
            HttpIngress(runtime, port=0) as server,
            IngressClient(server.url, retry=SOON) as ingress,
        ):
            with pytest.raises(InvocationPausedError, match="ForeignAwaitError") as called:
                await ingress.call(nap, idempotency_key="1")
            with pytest.raises(InvocationPausedError) as attached:
                await ingress.attach(called.value.invocation_id)
        assert called.value.invocation_id == attached.value.invocation_id

    anyio.run(main, backend=backend)


def test_without_an_idempotency_key_it_is_not_asked_again(backend: str) -> None:
    """Whoever asked is told that there is no answer, and the id in the message if there was one."""

    async def main() -> None:
        slow = Slow()
        problems: list[RequestError] = []

        async def ask(url: str) -> None:
            async with IngressClient(url, retry=SOON) as ingress:
                with pytest.raises(RequestError, match="attach to inv_1") as caught:
                    await ingress.call(slow.buy, "tea")
                problems.append(caught.value)

        with anyio.fail_after(60):
            async with (
                anyio.create_task_group() as group,
                LocalRuntime([slow.service], MemoryStore(), shutdown_grace=0) as runtime,
                HttpIngress(runtime, port=0) as server,
            ):
                group.start_soon(ask, server.url)
                await slow.reached.wait()
        assert 1 == len(problems)

    anyio.run(main, backend=backend)
