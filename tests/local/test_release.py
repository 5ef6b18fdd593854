"""What user code is given is durable: a crash cannot take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durable_trio import Context, Service
from durable_trio.abc import AppendEntries, Completion
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore

from .virtual_time import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from durable_trio.abc import Write

pytestmark = pytest.mark.anyio


class HeldStore(MemoryStore):
    """From the first result of a step on, it commits nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Sequence[Write], Callable[[], object] | None]] = []
        self._holds = True

    def write(
        self,
        writes: Sequence[Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        if self._holds and (self.held or any(map(_has_result, writes))):
            self.held.append((writes, on_commit))
        else:
            super().write(writes, on_commit, urgent=urgent)

    def let_go(self) -> None:
        """Commit what was held back."""
        self._holds = False
        for writes, on_commit in self.held:
            self.write(writes, on_commit)


def _has_result(write: Write) -> bool:
    return isinstance(write, AppendEntries) and any(
        isinstance(entry, Completion) for entry in write.entries
    )


async def test_a_step_s_result_is_released_only_after_its_commit() -> None:
    """Neither the handler nor anything that it does next may depend on what can still be lost."""
    service = Service("Svc")
    done: list[str] = []

    @service.handler
    async def handler(ctx: Context) -> None:
        await ctx.run(done.append, "first", on_thread=False)
        done.append("released")
        await ctx.run(done.append, "second", on_thread=False)

    store = HeldStore()
    clock = VirtualClock(store)
    async with LocalRuntime([service], store, clock=clock) as runtime:
        receipt = await runtime.send(handler)
        await clock.settle()
        before = list(done)
        store.let_go()
        await runtime.attach(receipt.invocation_id)

    assert before == ["first"]
    assert done == ["first", "released", "second"]
