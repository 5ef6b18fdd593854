"""A store whose reads are answered late, so that a test decides what happens meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import anyio

from durable_trio.testing import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from durable_trio import abc

T = TypeVar("T")


class _Gate:
    """One kind of read that is held back."""

    def __init__(self, calls: float) -> None:
        self.calls = calls
        self.reached = anyio.Event()
        self.opened = anyio.Event()
        self.waiting = 0
        self.most = 0
        """How many waited at the same time."""


class SlowStore(MemoryStore):
    """Reads are as of their call; their answers wait behind a gate that is named like them."""

    def __init__(self) -> None:
        super().__init__()
        self._gates: dict[str, _Gate] = {}

    def hold(self, read: str, calls: float = math.inf) -> None:
        """Hold back the answers of the next ``calls`` reads of a kind."""
        self._gates[read] = _Gate(calls)

    async def held(self, read: str) -> None:
        """Wait until an answer is being held back."""
        await self._gates[read].reached.wait()

    def let_go(self, read: str) -> int:
        """Give the answers out, and hold back no more. Returns how many there were at most."""
        gate = self._gates.pop(read)
        gate.opened.set()
        return gate.most

    async def _slowly(self, read: str, answer: Awaitable[T]) -> T:
        gate = self._gates.get(read)
        if gate is not None:
            gate.calls -= 1
        value = await answer
        if gate is not None and gate.calls >= 0:
            gate.waiting += 1
            gate.most = max(gate.most, gate.waiting)
            gate.reached.set()
            try:
                await gate.opened.wait()
            finally:
                gate.waiting -= 1
        return value

    async def invocation(self, invocation_id: str) -> abc.InvocationRecord | None:
        return await self._slowly("invocation", super().invocation(invocation_id))

    async def find(
        self, service: str, key: str | None, handler: str, idempotency_key: str | None
    ) -> abc.InvocationRecord | None:
        return await self._slowly("find", super().find(service, key, handler, idempotency_key))

    async def queued(self, service: str, key: str) -> abc.InvocationRecord | None:
        return await self._slowly("queued", super().queued(service, key))

    async def timers(self, *, due_by: float, limit: int) -> Sequence[abc.Timer]:
        return await self._slowly("timers", super().timers(due_by=due_by, limit=limit))
