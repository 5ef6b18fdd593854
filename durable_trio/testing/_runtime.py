"""A runtime for tests: in memory, with time that passes by itself.

Owns how the parts of a test are put together, and failures on request. Serving is
``LocalRuntime``'s, time is ``_clock``'s, storage ``_memory``'s.

 1. It is a ``LocalRuntime`` in everything: what passes here is not about another runtime.
 2. Every execution of a run passes through here, so that time stands still meanwhile and
    a failure can take its place.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, final

import attrs

from durable_trio._exceptions import UsageError
from durable_trio._options import ServiceOptions
from durable_trio.local import LocalRuntime

from ._clock import VirtualClock
from ._fakes import fake
from ._memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from durable_trio._duration import Duration
    from durable_trio._services import ServiceDefinition
    from durable_trio.abc import Entry

_UNLOAD_AFTER: Final = 1.0


@attrs.define(eq=False)
class _Failures:
    """The failures that are to come in place of executions of one run."""

    error: Exception | type[Exception]
    left: int | None


@final
class VirtualRuntime(LocalRuntime):
    """A ``LocalRuntime`` on a ``MemoryStore`` whose time is virtual. Made by ``testing.runtime``."""

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        store: MemoryStore,
        clock: VirtualClock,
        defaults: ServiceOptions,
        unload_after: Duration,
        seed: int | None,
    ) -> None:
        contexts = (self._surround, *(defaults.run_contexts or ()))
        super().__init__(
            services,
            store,
            clock=clock,
            defaults=attrs.evolve(defaults, run_contexts=contexts),
            unload_after=unload_after,
            seed=seed,
        )
        self.store = store
        """What it keeps everything in. Enter another runtime on it to go on after this one."""
        self.clock = clock
        """Its time. ``await runtime.clock.advance(60)`` lets a minute pass."""
        self.executions: dict[str, int] = {}
        """How often runs of each name were executed, failures in their place included."""
        self._failures: dict[str, _Failures] = {}
        self._executing = 0

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.store.on_queue = self.clock.look_again
        self._engine.spawn(
            partial(
                self.clock.drive,
                pending=lambda: self.store.pending,
                executing=lambda: self._executing > 0,
                wanted=lambda: len(self._engine.observers) > 0,
            )
        )
        return self

    def fail(self, run: str, error: Exception | type[Exception], *, times: int | None = 1) -> None:
        """Have the next ``times`` executions of the runs of this name raise ``error`` instead.

        None: all of them. The step itself is not executed then; what the error means is the
        run's business (retried, or final if it is a ``TerminalError``). It replaces what was
        asked for before under this name; ``times=0`` only takes that back.
        """
        if times is not None and times < 0:
            raise UsageError(f"times must be 0 or more, or None for always, got {times!r}")

        self._failures[run] = _Failures(error, times)

    def fake(self, service: ServiceDefinition, /, **handlers: Callable[..., Any]) -> None:
        """Serve a stand-in for a service from now on: ``rt.fake(bank, pay=lambda cents: "paid")``.

        As ``testing.fake``, which is for what has to be there from the beginning. The service
        need not be served here. Attempts that run already go on with the handler they have.
        """
        self._registry.replace(fake(service, **handlers))

    async def journal(self, invocation_id: str) -> Sequence[Entry]:
        """The journal of an invocation, as far as it is durable; empty if it is unknown."""
        return await self.store.journal(invocation_id)

    @asynccontextmanager
    async def _surround(self, name: str) -> AsyncGenerator[None]:
        self.executions[name] = self.executions.get(name, 0) + 1
        failures = self._failures.get(name)
        if failures is not None and failures.left != 0:
            if failures.left is not None:
                failures.left -= 1
            raise failures.error

        self._executing += 1
        try:
            yield
        finally:
            self._executing -= 1
            self.clock.look_again()


def runtime(
    services: Iterable[ServiceDefinition],
    *,
    store: MemoryStore | None = None,
    clock: VirtualClock | None = None,
    defaults: ServiceOptions | None = None,
    unload_after: Duration = _UNLOAD_AFTER,
    seed: int | None = 0,
) -> VirtualRuntime:
    """A runtime for a test: ``async with testing.runtime([reports]) as runtime: ...``.

    Runs under trio and asyncio. While the test waits for a result (``call``, ``attach``) and
    nothing else is left to do, time jumps to the next timer, so that a day of timeouts
    passes in milliseconds; otherwise it stands still, until ``runtime.clock.advance``.
    It also stands still while a run body executes, whatever that waits for.

    Give the ``store`` and ``clock`` of an earlier runtime to go on where that one ended.
    ``defaults`` and ``unload_after`` are those of ``LocalRuntime``, and so is ``seed``: unless
    it is None, the ids, ``ctx.random`` and ``ctx.uuid4()`` are the same in every run.
    """
    return VirtualRuntime(
        services,
        store or MemoryStore(),
        clock or VirtualClock(),
        defaults or ServiceOptions(),
        unload_after,
        seed,
    )
