"""Random programs on the whole runtime: one or two crashes anywhere, and nothing is left at the end.

The programs are those of ``tests/core``, where every point of a journal is crashed at; here the
store, the timers, the callees and their journals take part.
"""

from __future__ import annotations

import os
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st

from durable_trio import Context, Service, TerminalError, WorkflowSharedContext, sleep_forever
from durable_trio.abc import Input, InvocationRecord, InvocationStatus, TimerKind
from durable_trio.testing import crash_everywhere
from tests.core.interpreter import Stage
from tests.core.laws import waits_in_a_shield
from tests.core.programs import programs

if TYPE_CHECKING:
    from durable_trio.abc import Clock
    from durable_trio.testing import VirtualRuntime
    from tests.core.programs import Program

PROGRAMS = int(os.environ.get("DURABLE_TRIO_PROGRAMS", "600")) // 2
"""How many there are on each host."""

UNFINISHED = frozenset(InvocationStatus) - {InvocationStatus.COMPLETED}

peer = Service("Peer")


@peer.handler
async def handle(ctx: Context, wish: str) -> str:
    if wish.startswith("fail"):
        raise TerminalError("the callee failed", 444)

    if wish.startswith("never"):
        await sleep_forever()
    return wish


@attrs.define
class Outside:
    """A runtime as the world of a program: bodies take their time."""

    runtime: VirtualRuntime

    @property
    def clock(self) -> Clock:
        return self.runtime.clock

    async def gate(self, label: str) -> None:
        await self.runtime.clock.sleep(zlib.crc32(label.encode()) % 4)


class Client:
    """Starts a program, gives it all that it may wait for, and cancels it if that is not enough."""

    def __init__(self, program: Program) -> None:
        self.stage = Stage(program)

        @self.stage.workflow.shared
        async def resolve(ctx: WorkflowSharedContext, name: str) -> None:
            await ctx.promise(name, str).resolve("resolved")

        self.resolve = resolve

    async def play(self, runtime: VirtualRuntime) -> None:
        stage = self.stage
        stage.world = Outside(runtime)
        stage.other = (await runtime.send(handle, "ok")).invocation_id
        program = (await runtime.send(stage.handler, key="k")).invocation_id
        await runtime.clock.advance(200)
        for round_ in range(8):
            if (await runtime.invocation(program)).status is InvocationStatus.COMPLETED:
                break

            await self._supply(runtime, program)
            if round_ == 2:
                await runtime.cancel(program)
            if round_ > 4:
                await self._end_callees(runtime)
            await runtime.clock.advance(200)
        await self._check(runtime, program)

    async def _supply(self, runtime: VirtualRuntime, program: str) -> None:
        for awakeable in list(self.stage.awakeables):
            await runtime.resolve_awakeable(awakeable, "resolved", str)
        for name in "ab":
            await runtime.resolve_signal(program, name, "signalled", str)
            await runtime.send(self.resolve, name, key="k")

    async def _end_callees(self, runtime: VirtualRuntime) -> None:
        for record in runtime.store.committed.invocations(service="Peer", status=UNFINISHED):
            await runtime.cancel(record.id)
        await runtime.clock.advance(10)

    async def _check(self, runtime: VirtualRuntime, program: str) -> None:
        store = runtime.store.committed
        if (await runtime.invocation(program)).status is InvocationStatus.BACKING_OFF:
            # It raises an error that is to be retried, over and over.
            await runtime.kill(program)
            await runtime.clock.advance(10)
        else:
            counts = self.stage.cleanups
            assert set(counts.values()) <= {1}, counts
            assert len({number for number, _ in counts}) * 3 == len(counts), counts
            for record in store.invocations(service="Peer", status=UNFINISHED):
                self._check_abandoned(runtime, record)
        await self._end_callees(runtime)
        assert store.invocations(status=UNFINISHED) == ()
        assert {timer.kind for timer in store.timers(due_by=1e12, limit=999)} == {TimerKind.EXPIRE}
        for record in store.invocations():
            assert store.waiters(record.id) == ()

    def _check_abandoned(self, runtime: VirtualRuntime, record: InvocationRecord) -> None:
        asked = runtime.store.committed.journal(record.id)[0]
        assert isinstance(asked, Input)
        _, on_cancel, number = asked.content.decode().strip('"').split()
        assert on_cancel == "abandon" or int(number) in self.stage.detached, f"an orphan: {asked}"


@pytest.mark.timeout(0 if "DURABLE_TRIO_PROGRAMS" in os.environ else 300)
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_programs_survive_crashes_and_leave_nothing_behind(backend: str) -> None:
    """Every program ends, steps are done as often as they have to be, and the store is at rest."""

    @seed(time.time_ns() if "DURABLE_TRIO_PROGRAMS" in os.environ else 0)
    @settings(
        max_examples=PROGRAMS,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(
        programs,
        st.lists(st.sampled_from(["before", "after"]), min_size=1, max_size=2),
        st.integers(1, 60),
        st.integers(1, 20),
    )
    def survives(program: Program, kinds: list[str], first: int, second: int) -> None:
        assume(not waits_in_a_shield(program, shielded=False))
        client = Client(program)
        points = ", ".join(map("{} {}".format, kinds, (first, second)))
        anyio.run(
            partial(
                crash_everywhere,
                [client.stage.workflow, peer],
                client.play,
                check=lambda _: None,
                only=points,
            ),
            backend=backend,
        )

    survives()
