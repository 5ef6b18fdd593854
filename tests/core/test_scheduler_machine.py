"""The scheduler against a naive model of it, in random histories and without any event loop.

Tasks do what they are told, one order at a time. The model is a queue of who runs next and
what its wait gives it; what is compared is the log of what every task was given, and when.
"""

from __future__ import annotations

import contextvars
import types
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from durable_trio._cancel import CancelScope, attach
from durable_trio._future import DurableFuture, FutureStatus
from durable_trio._scheduler import Pause, Scheduler
from durable_trio._task import DurableTask, TaskState
from durable_trio._traps import Trap
from durable_trio._wait import check_cancelled, wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator


class Cancelled(BaseException):
    """Stands for the host's cancelled exception."""


@attrs.define(eq=False)
class Group:
    """A scope around several tasks and futures."""

    scope: CancelScope
    cancelled: bool = False


@attrs.define(eq=False)
class Promise:
    """A future, and who waits for it as the model sees it."""

    future: DurableFuture[int]
    group: Group
    waiters: list[Actor] = attrs.field(factory=list["Actor"])
    done: bool = False


@attrs.define(eq=False)
class Actor:
    """A task, its orders, and what the model knows of it."""

    number: int
    group: Group
    task: DurableTask
    orders: deque[Promise | str] = attrs.field(factory=deque["Promise | str"])
    copy: deque[Promise | str] = attrs.field(factory=deque["Promise | str"])
    """The same orders, for the model to take."""
    parked: bool = False
    ended: bool = False
    awaits: Promise | None = None
    cancelled: bool = False
    shielded: bool = False

    @property
    def effective(self) -> bool:
        """Whether it is cancelled, as the model says."""
        return self.cancelled or (self.group.cancelled and not self.shielded)


def traps(wait: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """A wait as the generator that it is, for an actor that must not be a coroutine.

    A machine is thrown away with actors that have not begun, and a coroutine would complain.
    """
    return cast("Generator[Any, Any, Any]", wait)


class SchedulerMachine(RuleBasedStateMachine):
    """See the module's docstring."""

    actors = Bundle("actors")
    promises = Bundle("promises")

    @initialize()
    def start(self) -> None:
        self.log: list[tuple[int, str]] = []
        self.expected: list[tuple[int, str]] = []
        self.queue: deque[tuple[Actor, str]] = deque()
        self.cast: list[Actor] = []
        self.made: list[Promise] = []
        self.scheduler = Scheduler(
            cancelled=Cancelled,
            cancelled_type=Cancelled,
            now=lambda: 0.0,
            start_timer=_no_timer,
            fail=_no_failure,
            leave=lambda _: True,
            forgotten=_nothing_forgotten,
        )
        holder = self._spawn(Group(CancelScope()), parent=None)
        self.groups = [Group(CancelScope()) for _ in range(2)]
        for group in self.groups:
            attach(group.scope, holder.task, holder.task.root_scope)

    # -- the real thing

    @types.coroutine
    def _act(self, number: int) -> Generator[Any, Any, None]:
        given = "begins"
        while True:
            self.log.append((number, given))
            actor = self.cast[number]
            order = actor.orders.popleft() if actor.orders else "park"
            try:
                if order == "end":
                    return

                if order == "fail":
                    raise ValueError(number)

                if order == "turn":
                    yield Trap.TURN
                    given = "a turn"
                elif isinstance(order, Promise):
                    if not order.future.done:
                        yield from order.future._park(actor.task)
                    given = order.future.status.name
                else:
                    if order == "check":
                        yield from traps(check_cancelled(actor.task))
                    given = yield from traps(wait(actor.task))
            except Cancelled:
                given = "cancelled"

    def _spawn(self, group: Group, parent: CancelScope | None) -> Actor:
        number = len(self.cast)

        def ended(_: DurableTask, __: object, error: BaseException | None) -> None:
            self.log.append((number, "ends" if error is None else type(error).__name__))

        coroutine: Any = self._act(number)
        task = self.scheduler.spawn(
            coroutine, f"task[{number}]", parent, contextvars.copy_context(), ended
        )
        actor = Actor(number, group, task)
        self.cast.append(actor)
        self.queue.append((actor, "begins"))
        return actor

    # -- what happens

    @rule(target=actors, which=st.integers(0, 1))
    def spawn(self, which: int) -> Actor:
        group = self.groups[which]
        return self._spawn(group, group.scope)

    @rule(target=promises, which=st.integers(0, 1))
    def promise(self, which: int) -> Promise:
        group = self.groups[which]
        made = Promise(DurableFuture(self.scheduler, "", scope=group.scope), group)
        self.made.append(made)
        return made

    @rule(actor=actors, order=st.sampled_from(["turn", "turn", "park", "check", "end", "fail"]))
    def order(self, actor: Actor, order: str) -> None:
        actor.orders.append(order)
        actor.copy.append(order)

    @rule(actor=actors, promise=promises)
    def order_to_await(self, actor: Actor, promise: Promise) -> None:
        actor.orders.append(promise)
        actor.copy.append(promise)

    @rule(actor=actors)
    def wake(self, actor: Actor) -> None:
        if actor.awaits is None:
            actor.task.wake("woken")
            if actor.parked:
                self._resume(actor, "woken")

    @rule(promise=promises)
    def fulfil(self, promise: Promise) -> None:
        promise.future._end(FutureStatus.FINISHED, 1)
        self._end_promise(promise, "FINISHED")

    @rule(actor=actors)
    def cancel(self, actor: Actor) -> None:
        actor.task.root_scope._request_cancel()
        before = actor.effective
        actor.cancelled = True
        if not before:
            self._interrupt([actor])

    @rule(which=st.integers(0, 1))
    def cancel_group(self, which: int) -> None:
        group = self.groups[which]
        before = {actor for actor in self.cast if actor.effective}
        group.scope._request_cancel()
        if not group.cancelled:
            group.cancelled = True
            self._interrupt(
                [actor for actor in self.cast if actor.effective and actor not in before]
            )
            for promise in self.made:
                if promise.group is group:
                    self._end_promise(promise, "CANCELLED")

    @rule(actor=actors, shield=st.booleans())
    def shield(self, actor: Actor, shield: bool) -> None:
        before = actor.effective
        actor.task.root_scope.shield = shield
        actor.shielded = shield
        if actor.effective and not before:
            self._interrupt([actor])

    @rule(budget=st.sampled_from([1, 2, 3, 1000]))
    def run(self, budget: int) -> None:
        pause = self.scheduler.run(budget)
        steps = 0
        while self.queue and steps < budget:
            steps += 1
            self._step(*self.queue.popleft())

        assert (pause is Pause.BUDGET) is (steps == budget and bool(self.queue))

    # -- the model

    def _resume(self, actor: Actor, given: str) -> None:
        if actor.awaits is not None:
            actor.awaits.waiters.remove(actor)
        actor.parked, actor.awaits = False, None
        self.queue.append((actor, given))

    def _interrupt(self, actors: list[Actor]) -> None:
        for actor in actors:
            if actor.parked:
                self._resume(actor, "cancelled")

    def _end_promise(self, promise: Promise, how: str) -> None:
        if not promise.done:
            promise.done = True
            for actor in list(promise.waiters):
                self._resume(actor, how)

    def _step(self, actor: Actor, given: str) -> None:
        while True:
            self.expected.append((actor.number, given))
            order = actor.copy.popleft() if actor.copy else "park"
            if order in {"end", "fail"}:
                actor.ended = True
                self.expected.append((actor.number, "ends" if order == "end" else "ValueError"))
                return

            if order == "turn":
                self.queue.append((actor, "a turn"))
                return

            if isinstance(order, Promise):
                if order.done:
                    given = order.future.status.name
                    continue

                actor.awaits = order
                order.waiters.append(actor)
            elif order == "check" and actor.effective:
                given = "cancelled"
                continue

            actor.parked = True
            return

    @invariant()
    def the_log_is_the_model_s(self) -> None:
        if hasattr(self, "log"):
            assert self.expected == self.log
            assert [actor.ended for actor in self.cast] == [
                actor.task.state is TaskState.ENDED for actor in self.cast
            ]


def _no_timer(deadline: float, name: str) -> tuple[DurableFuture[None], float]:
    raise AssertionError("no timers here")


def _nothing_forgotten(_task: DurableTask, futures: list[DurableFuture[Any]]) -> None:
    raise AssertionError(f"nobody here starts {futures}")


def _no_failure(error: BaseException) -> None:
    raise AssertionError("nothing fails here") from error


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(
    max_examples=200, stateful_step_count=60, deadline=None, derandomize=True, database=None
)
