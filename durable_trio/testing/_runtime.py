"""A runtime for tests: in memory, with time that passes by itself.

Owns how the parts of a test are put together, and failures on request. Serving is
``LocalRuntime``'s, lives are ``_lives``'s, time ``_clock``'s, turns ``_stage``'s, storage
``_memory``'s.

 1. It is a ``LocalRuntime`` in everything: what passes here is not about another runtime.
 2. Every attempt, and every execution of a run, passes through here, so that each can be
    counted, wait for its turn, and fail on request.
 3. The test outlives the process: what it asks is asked again in the next life.
"""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, final

import attrs

from durable_trio._exceptions import TerminalError, UsageError
from durable_trio._options import ServiceOptions
from durable_trio.local import LocalRuntime
from durable_trio.local._ids import Ids

from ._clock import VirtualClock, timeline_of
from ._driver import drive
from ._fakes import fake
from ._impasse import Impasse
from ._lives import Lives
from ._memory import MemoryStore
from ._outside import Outside, request_number
from ._setbacks import Setbacks
from ._stage import EventKind

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from types import TracebackType

    from durable_trio._attempt import Attempt
    from durable_trio._duration import Duration
    from durable_trio._invocation import AttemptFailed
    from durable_trio._records import InvocationRecord
    from durable_trio._retry import InvocationRetryPolicy
    from durable_trio._run import RunInfo
    from durable_trio._services import ServiceDefinition
    from durable_trio.abc import Entry, Timer
    from durable_trio.local._client import Client
    from durable_trio.local._control import Control
    from durable_trio.local._live import LiveInvocation

    from ._effects import Effects
    from ._stage import Stage

_UNLOAD_AFTER: Final = 1.0
_MANY: Final = 10_000


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
        stage: Stage | None = None,
        effects: Effects | None = None,
    ) -> None:
        self.store: MemoryStore = store
        """What it keeps everything in. Enter another runtime on it to go on after this one."""
        self.clock: VirtualClock = clock
        """Its time. ``await runtime.clock.advance(60)`` lets a minute pass."""
        self.executions: dict[str, int] = {}
        """How often runs of each name were executed, failures in their place included."""
        self._failures: dict[str, _Failures] = {}
        self._timeline = timeline_of(clock)
        self._setbacks = Setbacks(clock.now, lambda: self._timeline.asked)
        self._impasse = Impasse(store, self._setbacks, self._timeline)
        self._stage = stage
        self._effects = effects
        self._seed = seed
        self._executing = 0
        self._attempted: dict[LiveInvocation, Attempt | None] = {}
        self._lives = Lives(store, self._next_life, self._patience)
        self._outside = Outside(
            self._lives, store.committed.invocation, self._turn_of_request, self._setbacks.cause
        )
        super().__init__(
            services,
            store,
            clock=clock,
            defaults=attrs.evolve(
                defaults,
                contexts=(self._attempt, *(defaults.contexts or ())),
                run_contexts=(self._execution, *(defaults.run_contexts or ())),
            ),
            unload_after=unload_after,
            seed=seed,
        )

    # -- lives

    def _assemble(self) -> None:
        super()._assemble()
        if self._seed is not None:
            self._engine.ids = Ids(self._seed, outside=request_number)
        if self._stage is not None:
            self._lifecycle.dispatcher.mail.keep_back = self._stage.keep_back
        self._lifecycle.dispatcher.endings.on_failure = self._attempt_failed
        self._impasse.attend(self._engine)
        self._attempted.clear()
        client, control = self._outside.attend(self.client, self.control)
        self.client: Client = client
        self.control: Control = control

    def _next_life(self) -> Any:
        if self._lives.number:
            self._assemble()
        return self._lifecycle

    def _patience(self) -> float:
        """How long to wait for run bodies at the end: not at all for those that wait for time."""
        return self._grace if self._executing > self._timeline.sleeping_bodies else 0.0

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("a runtime is entered once: make a new one on the same store")

        self._entered = True
        self.store.on_queue = self._timeline.look_again
        await self._lives.open(self._drive)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if self._stage is not None:
            self._stage.end()
        await self._lives.close(exc_type, exc, traceback)

    async def crash(self) -> None:
        """Kill the process here, as if by ``kill -9``, and start it again on what was durable.

        Returns when the next one has recovered. The test itself lives on: its ``call`` and
        ``attach`` that wait are answered by the next life, and nothing is started twice.
        """
        self._lives.crash()
        await self._lives.alive()

    async def _drive(self) -> None:
        def pending() -> bool:
            return self.store.pending

        def executing() -> int:
            return self._executing

        if self._stage is None:
            wanted: Callable[[], bool] = lambda: len(self._engine.observers) > 0  # noqa: E731

            def tell(at_the_end: bool) -> bool:
                return self._impasse.tell(at_the_end=at_the_end)

            await drive(
                self._timeline, pending=pending, executing=executing, wanted=wanted, tell=tell
            )
        else:
            await self._stage.drive(
                self._timeline,
                pending=pending,
                executing=executing,
                backing_off=self._backing_off,
                timers=self._timers,
            )

    def _backing_off(self) -> bool:
        return any(
            live.attempt is not None and live.attempt.bodies.backing_off
            for live in self._engine.lives.values()
        )

    def _timers(self) -> Sequence[Timer]:
        return self.store.committed.timers(due_by=math.inf, limit=_MANY)

    # -- what a test arranges

    def fake(
        self, service: ServiceDefinition, /, **handlers: Callable[[Any], Any] | Callable[[], Any]
    ) -> None:
        """Serve a stand-in for a service from now on: ``rt.fake(bank, pay=lambda cents: "paid")``.

        As ``testing.fake``, which is for what has to be there from the beginning. The service
        need not be served here. Attempts that run already go on with the handler they have.
        """
        self._registry.replace(fake(service, **handlers))

    def fail(self, run: str, error: Exception | type[Exception], *, times: int | None = 1) -> None:
        """Have the next ``times`` executions of the runs of this name raise ``error`` instead.

        None: all of them. The step itself is not executed then; what the error means is the
        run's business (retried, or final if it is a ``TerminalError``). It replaces what was
        asked for before under this name; ``times=0`` only takes that back.
        """
        if times is not None and times < 0:
            raise UsageError(f"times must be 0 or more, or None for always, got {times!r}")

        self._failures[run] = _Failures(error, times)

    # -- what a test looks at

    async def journal(self, invocation_id: str) -> Sequence[Entry]:
        """The journal of an invocation, as far as it is durable; empty if it is unknown."""
        return self.store.committed.journal(invocation_id)

    # -- what passes through here

    async def _turn_of_request(self, what: str) -> None:
        if self._stage is not None:
            await self._stage.turn(EventKind.REQUEST, self._stage.chronicle.labelled(what))

    @asynccontextmanager
    async def _attempt(self) -> AsyncGenerator[None]:
        # No await since it was made: it is the one that has not been here.
        live = next(
            live
            for live in self._engine.lives.values()
            if live.attempt is not None and self._attempted.get(live) is not live.attempt
        )
        attempt = self._attempted[live] = live.attempt
        assert attempt is not None
        self._impasse.begins(live.id)
        if self._stage is not None:
            # The one way into an attempt; nobody but this runtime has it.
            deliver = partial(self._stage.deliver, live.id, attempt.deliver)
            attempt.deliver = deliver  # type: ignore[method-assign]
            await self._stage.turn(EventKind.START, "starts", live.id)
        if self._effects is not None:
            self._effects.attempt(live.id)
        yield
        self._impasse.suspends(live.id, attempt.suspended)

    def _attempt_failed(
        self, record: InvocationRecord, end: AttemptFailed, policy: InvocationRetryPolicy
    ) -> None:
        if self._setbacks.attempt_failed(record, end, policy).endless:
            self._lives.fail(self._impasse.endless(record.id))

    @asynccontextmanager
    async def _execution(self, run: RunInfo) -> AsyncGenerator[None]:
        stage, name, number, invocation_id = self._stage, run.name, run.number, run.invocation_id
        if stage is not None:
            await stage.turn(EventKind.STEP, f"step {name}", invocation_id, number)
        try:
            self._inject(name)
            self._executing += 1
            try:
                yield
            finally:
                self._executing -= 1
                self._timeline.look_again()
        except Exception as error:
            self._run_failed(run, error)
            if stage is not None:
                await stage.turn(EventKind.RESULT, f"step {name} fails", invocation_id, number)
            raise
        self._setbacks.run_ended(invocation_id, number)
        if self._effects is not None:
            self._effects.executed(invocation_id, number)
        if stage is not None:
            await stage.turn(EventKind.RESULT, f"result of step {name}", invocation_id, number)

    def _run_failed(self, run: RunInfo, error: Exception) -> None:
        if isinstance(error, TerminalError):
            self._setbacks.run_ended(run.invocation_id, run.number)
            return

        live = self._engine.lives.get(run.invocation_id)
        if live is None or live.attempt is None:  # nobody tries it again
            return

        policy = live.attempt.bodies.policy
        if self._setbacks.run_failed(run.invocation_id, run.number, error, policy).endless:
            self._lives.fail(self._impasse.endless(run.invocation_id))

    def _inject(self, name: str) -> None:
        self.executions[name] = self.executions.get(name, 0) + 1
        failures = self._failures.get(name)
        if failures is not None and failures.left != 0:
            if failures.left is not None:
                failures.left -= 1
            # The same error again must not carry the traces of all tries before.
            raise failures.error.with_traceback(None)


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
    It also stands still while a run body executes, unless that sleeps on ``runtime.clock``.

    Who waits for a result that cannot come is told so at once, with the error that is to blame
    as the cause: ``InvocationPausedError`` where a callee is paused for a failure, and
    ``AssertionError`` where a step or a handler has failed 1,000 times in a row, or where
    nothing is left to happen: that only if no other task of the test could act.

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


def lives_of(runtime: VirtualRuntime) -> Lives:
    """What is behind its crashes."""
    return runtime._lives  # its own module
