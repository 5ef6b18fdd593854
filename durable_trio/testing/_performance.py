"""One run of a program in a test, from an empty store until it has come to rest.

Owns playing a scenario on a fresh runtime whose turns are given, and what came of it: the
outcome, the results of all invocations, the state of all keys. What is disturbed meanwhile,
and what has to hold, is decided by who asks for the run.

 1. Nothing is left to happen when a run is over: what was sent has been done as well.
 2. A program that waits for nothing that can come is not waited for: it is stuck, and says
    what everybody waits for.
 3. Code that does something else than its journal says ends the run at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import anyio
import attrs

from durable_trio._exceptions import TerminalError
from durable_trio._journal._entries import Failure, Value
from durable_trio._records import InvocationStatus, PutInvocation

from ._clock import VirtualClock, timeline_of
from ._effects import Effects
from ._impasse import Stuck
from ._memory import MemoryStore
from ._runtime import VirtualRuntime, lives_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from durable_trio._options import ServiceOptions
    from durable_trio._records import Write
    from durable_trio._services import ServiceDefinition

    from ._chronicle import Chronicle
    from ._stage import Stage

T = TypeVar("T")

Scenario: TypeAlias = "Callable[[VirtualRuntime], Awaitable[T]]"
"""What a test does with a runtime: it calls handlers, and returns whatever is to be compared."""

MISMATCH: Final = 570
_DECADE: Final = 10 * 365 * 86_400.0


@attrs.frozen
class Raised:
    """A scenario ended with a ``TerminalError``."""

    code: int
    message: str
    metadata: Mapping[str, str]
    error: TerminalError = attrs.field(eq=False)

    def __str__(self) -> str:
        return f"TerminalError {self.code}: {self.message}"


@attrs.frozen
class Play(Generic[T]):
    """A program: what is served, and what is asked of it."""

    services: Sequence[ServiceDefinition]
    scenario: Scenario[T]
    defaults: ServiceOptions
    unload_after: float


@attrs.define(eq=False)
class Performance(Generic[T]):
    """One run of a play. ``stage`` gives the turns, ``chronicle`` is what it knows."""

    play: Play[T]
    stage: Stage
    chronicle: Chronicle
    store: MemoryStore = attrs.field(factory=MemoryStore)
    clock: VirtualClock = attrs.field(factory=VirtualClock)
    outcome: T | Raised | None = None
    effects: Effects = attrs.field(init=False)
    runtime: VirtualRuntime = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        play = self.play
        self.effects = Effects(self.chronicle)
        self.runtime = VirtualRuntime(
            play.services,
            self.store,
            self.clock,
            _kept(play.defaults),
            play.unload_after,
            seed=0,
            stage=self.stage,
            effects=self.effects,
        )

    async def run(self) -> None:
        """Play it. Raises what the scenario raises, unless that is a ``TerminalError``."""
        async with self.runtime as runtime:
            with anyio.CancelScope() as scope:
                self._on_rest(scope.cancel)
                try:
                    self.outcome = await self.play.scenario(runtime)
                except TerminalError as error:
                    self.outcome = Raised(error.code, error.message, dict(error.metadata), error)
            if scope.cancelled_caught:
                raise Stuck(f"nothing is left to happen, and\n{self._waiting()}")

            finished = anyio.Event()
            self._on_rest(finished.set)
            await finished.wait()

    def _on_rest(self, then: Callable[[], object]) -> None:
        self.stage.on_rest = then
        timeline_of(self.clock).look_again()

    def committed(self, writes: Sequence[Write]) -> None:
        """A transaction was committed."""
        self.chronicle.note(writes)
        for write in writes:
            if isinstance(write, PutInvocation):
                failure = write.record.last_failure
                if failure is not None and failure.code == MISMATCH:
                    label = self.chronicle.label(write.record.id)
                    lives_of(self.runtime).fail(AssertionError(f"{label}: {failure.message}"))

    # -- what came of it

    @property
    def results(self) -> dict[str, Value | Failure | None]:
        """What every invocation ended with; None: it has not ended."""
        return {id_: known.record.result for id_, known in self.chronicle.known.items()}

    @property
    def states(self) -> dict[tuple[str, str], Mapping[str, bytes]]:
        """The state of every object and workflow key that has any."""
        states = {key: self.store.committed.state(*key) for key in self.chronicle.keys}
        return {key: state for key, state in states.items() if state}

    def difference(self, other: Performance[Any]) -> str | None:
        """How ``other`` came out otherwise than this one, in words; None: it did not."""
        if self.outcome != other.outcome:
            return _differ("the outcome", self.outcome, other.outcome)

        for id_ in self.results | other.results:
            mine, its = self.results.get(id_, "not there"), other.results.get(id_, "not there")
            if mine != its:
                chronicle = self.chronicle if id_ in self.results else other.chronicle
                return _differ(f"the result of {chronicle.label(id_)}", mine, its)

        for key in self.states | other.states:
            before, now = self.states.get(key, {}), other.states.get(key, {})
            if before != now:
                return _differ(f"the state of {'/'.join(key)}", dict(before), dict(now))

        return None

    def _waiting(self) -> str:
        lines: list[str] = []
        for known in self.chronicle.known.values():
            record = known.record
            if record.status is InvocationStatus.COMPLETED:
                continue

            waits = ", ".join(known.waits_for()) or "something of its own: a lock, an event"
            failure = record.last_failure
            failed = f" (it failed with {failure.message})" if failure is not None else ""
            lines.append(f"  {known.label} is {record.status.value}{failed}, waits for {waits}")
        return "\n".join(lines) or "  the test itself waits for something"


def _kept(defaults: ServiceOptions) -> ServiceOptions:
    """Nothing is forgotten while the program runs, unless somebody says so."""
    journal, result = defaults.journal_retention, defaults.idempotency_retention
    return attrs.evolve(
        defaults,
        journal_retention=_DECADE if journal is None else journal,
        idempotency_retention=_DECADE if result is None else result,
    )


def _differ(what: str, mine: object, its: object) -> str:
    return f"{what} differs\n  undisturbed: {_shown(mine)}\n  here:        {_shown(its)}"


def _shown(value: object) -> str:
    if isinstance(value, Value):
        return value.content.decode(errors="replace") or "(empty)"

    if isinstance(value, Failure):
        return f"failure {value.code}: {value.message}"

    return str(value) if isinstance(value, Raised) else repr(value)
