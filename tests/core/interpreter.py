"""What the random programs mean: an interpreter that is an ordinary handler.

Owns the trace of an attempt and the counts by which the laws judge it. A trace line is
written by the task that runs, at a place that every replay has to pass in the same order.
"""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, cast

from durable_trio import (
    CancelScope,
    CapacityLimiter,
    Condition,
    Event,
    Lock,
    Nursery,
    Semaphore,
    TerminalError,
    Workflow,
    amap,
    as_completed,
    checkpoint,
    fail_after,
    first_success,
    gather,
    open_memory_channel,
    open_nursery,
    race,
    remote,
    wait_all,
    wait_first,
)
from durable_trio._task import running_task

from . import programs as p

if TYPE_CHECKING:
    from durable_trio import CallFuture, DurableFuture, TaskHandle, WorkflowContext
    from durable_trio.abc import Clock

    from .programs import Operation, Program

_around: ContextVar[Nursery | None] = ContextVar("around", default=None)
"""The nursery that a task is in: its own innermost one, or the one it is a child of."""

PEER = remote("Peer", "handle", input=str, output=str)


class Outside(Protocol):
    """What a program needs of the world around it."""

    @property
    def clock(self) -> Clock: ...

    async def gate(self, label: str, /) -> None:
        """Wait in a run body until it may go on."""


class Stage:
    """A program, and what is seen of its attempts."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.workflow = Workflow("W")
        self.handler = self.workflow.main(name="main")(self._handle)
        self.world: Outside
        self.other = "inv_2"
        """The id of an invocation that there is beside this one."""
        self.ctx: WorkflowContext
        self.effects: Counter[str] = Counter()
        """How often each run's body was begun, by the name of the run."""
        self.bodies = 0
        """Run bodies that are at work now."""
        self._begin()

    def _begin(self) -> None:
        self.trace: list[tuple[object, ...]] = []
        self.ended = False
        """Whether the handler has come to its end by itself."""
        self.entered = 0
        """Interpreters that have begun."""
        self.left = 0
        """Interpreters that have been left, however it was."""
        self.detached: set[int] = set()
        """Numbers of the operations that were detached."""
        self.awakeables: list[str] = []
        """The ids of those that were made."""
        self.cleanups: Counter[tuple[int, str]] = Counter()
        self._number = 0
        self._events = {"a": Event(), "b": Event()}
        self._conditions = {"a": Condition(), "b": Condition()}
        self._guards = {"lock": Lock(), "semaphore": Semaphore(2), "limiter": CapacityLimiter(1)}
        self._channels = {"a": open_memory_channel(0), "b": open_memory_channel(1)}

    async def _handle(self, ctx: WorkflowContext) -> str:
        self._begin()
        self.ctx = ctx
        try:
            return str(await self.execute(self.program))
        finally:
            self.ended = not running_task("the end").scheduler.closed

    def log(self, *line: object) -> None:
        """Write a line of the trace; what is done while an attempt is torn down is no part of it."""
        task = running_task("the trace")
        if not task.scheduler.closed:
            self.trace.append((task.path, *line))

    def number(self) -> int:
        """A number that tells one execution of a node from any other one."""
        self._number += 1
        return self._number

    # -- meaning

    async def execute(self, program: Program) -> object:
        """Do what the program says, and say so in the trace."""
        self.entered += 1
        try:
            result = await self._execute(program)
        except Exception as error:
            self.log(type(program).__name__, "raised", _describe(error))
            raise
        else:
            self.log(type(program).__name__, result)
            return result
        finally:
            self.left += 1

    async def _execute(self, program: Program) -> object:
        match program:
            case p.Run() | p.Call() | p.Timer() | p.Awakeable() | p.Named():
                return await self._operation(program)
            case p.State():
                return await self._state(program)
            case p.Promise():
                return await self._promise(program)
            case p.Peer():
                return await self._peer(program)
            case p.Signal():
                return await self._signal(program)
            case p.Combine():
                return await self._combine(program)
            case p.Hot():
                return await self._hot(program)
            case p.Chance():
                chance = (self.ctx.random.random(), str(self.ctx.uuid4()))
                return (await self.ctx.now(), *chance)
            case p.Checkpoint():
                return await checkpoint()  # type: ignore[func-returns-value]
            case p.Raise(kind):
                raise TerminalError("raised", 418) if kind == "terminal" else ValueError("raised")
            case p.Seq(steps):
                return [await self.execute(step) for step in steps]
            case p.Race(racers):
                return await race(*(lambda racer=racer: self.execute(racer) for racer in racers))
            case p.Amap(body, items, limit):
                return await amap(lambda _: self.execute(body), range(items), limit=limit)
            case p.Guarded(by, body):
                guard: Any = self._guards[by]
                async with guard:
                    self.log("inside", by)
                    return await self.execute(body)
            case _:
                return await self._block(program)
        raise AssertionError("a guard swallowed an exception")

    async def _block(self, program: Program) -> object:  # type: ignore[return]  # a nursery may swallow its own cancellation
        match program:
            case p.Nursery(children, body, cancel):
                handles: list[TaskHandle[object]] = []
                outer = _around.get()
                try:
                    async with open_nursery() as nursery:
                        _around.set(nursery)
                        handles += [nursery.start_soon(self.execute, child) for child in children]
                        await self.execute(body)
                        if cancel:
                            nursery.cancel_scope.cancel()
                finally:
                    _around.set(outer)
                return [handle.status.name for handle in handles]
            case p.Spawn(body):
                around = _around.get()
                if around is None:
                    return await self.execute(body)
                return around.start_soon(self.execute, body, name="spawned").status.name
            case p.Child(body, before, cancel):
                async with open_nursery() as nursery:
                    handle = nursery.start_soon(self.execute, body, name="child")
                    await self.execute(before)
                    if cancel:
                        handle.cancel()
                        self.log("cancelled a child", handle.status.name)
                    return await handle
            case p.Scope():
                return await self._scope(program)
            case p.FailAfter(body, seconds):
                with fail_after(seconds):
                    return await self.execute(body)
            case p.Try(body, swallow):
                try:
                    return await self.execute(body)
                except Exception as error:
                    return f"caught {_describe(error)}"
                except BaseException:
                    if not swallow:
                        raise
                    return "swallowed a cancellation"
            case p.Cleanup(body, cleanup):
                number = self.number()
                self.cleanups[number, "entered"] += 1
                try:
                    return await self.execute(body)
                finally:
                    self.cleanups[number, "began"] += 1
                    with CancelScope(shield=True):
                        try:
                            await self.execute(cleanup)
                        except Exception as error:
                            self.log("cleanup failed", _describe(error))
                        self.cleanups[number, "ended"] += 1
            case _:
                raise AssertionError(program)

    async def _scope(self, program: p.Scope) -> object:
        scope = CancelScope(shield=program.shield)
        if program.deadline is not None:
            scope = CancelScope(relative_deadline=program.deadline, shield=program.shield)
        if program.cancel == "before":
            scope.cancel()
        result: object = None
        with scope:
            if program.new_deadline is not None:
                scope.deadline = self.world.clock.now() + program.new_deadline
            if program.cancel == "inside":
                scope.cancel()
            result = await self.execute(program.body)
            if program.cancel == "unshield":
                scope.shield = not scope.shield
                await checkpoint()
        return result, scope.cancel_called, scope.cancelled_caught

    # -- operations

    def _operation(self, operation: Operation) -> DurableFuture[Any]:
        number = self.number()
        match operation:
            case p.Run("inline"):
                return self.ctx.run(self._inline, name=f"run{number}", on_thread=False)
            case p.Run(outcome):
                name = f"run{number}"
                return self.ctx.run(self._body, name, outcome, name=name)
            case p.Call(outcome, on_cancel):
                return self._call(number, outcome, on_cancel)
            case p.Timer(seconds):
                return self.ctx.timer(seconds, name=f"timer{number}")
            case p.Awakeable():
                awakeable = self.ctx.awakeable(str)
                self.awakeables.append(awakeable.id)
                return awakeable.future
            case p.Named(name):
                return self.ctx.signal(name, str)

    def _call(self, number: int, outcome: str, on_cancel: p.OnCancel) -> CallFuture[str]:
        return self.ctx.call(
            PEER, f"{outcome} {on_cancel} {number}", on_cancel=on_cancel, name=f"{outcome}{number}"
        )

    def _inline(self) -> str:
        return "inline"

    async def _body(self, name: str, outcome: str) -> str:
        self.effects[name] += 1
        self.bodies += 1
        try:
            await self.world.gate(name)
        finally:
            self.bodies -= 1
        if outcome == "fail":
            raise TerminalError(f"{name} failed", 499)

        if outcome == "flaky" and self.effects[name] < 2:
            raise ValueError("once more")

        return f"did {name}"

    async def _state(self, program: p.State) -> object:
        match program.do:
            case "get":
                return await self.ctx.get(program.key, str)
            case "keys":
                return await self.ctx.keys()
            case "set":
                return self.ctx.set(program.key, f"set {self.number()}")  # type: ignore[func-returns-value]
            case "clear":
                return self.ctx.clear(program.key)  # type: ignore[func-returns-value]
            case "clear_all":
                return self.ctx.clear_all()  # type: ignore[func-returns-value]

    async def _promise(self, program: p.Promise) -> object:
        promise = self.ctx.promise(program.key, str)
        match program.do:
            case "get":
                return await promise
            case "peek":
                return str(await promise.peek())
            case "resolve":
                return await promise.resolve("resolved")  # type: ignore[func-returns-value]
            case "reject":
                return await promise.reject("rejected")  # type: ignore[func-returns-value]

    async def _peer(self, program: p.Peer) -> object:
        number = self.number()
        match program.do:
            case "send":
                return await self.ctx.send(PEER, "sent", name=f"send{number}").invocation_id()
            case "send and cancel":
                return self.ctx.send(PEER, "sent", delay=5, name=f"send{number}").cancel()  # type: ignore[func-returns-value]
            case "attach":
                return await self.ctx.invocation(self.other).attach(str)
            case "output":
                return str(await self.ctx.invocation(self.other).output(str))
            case "resolve" if self.awakeables:
                return self.ctx.resolve_awakeable(self.awakeables[-1], "by itself", str)  # type: ignore[func-returns-value]
            case "reject" if self.awakeables:
                return self.ctx.reject_awakeable(self.awakeables[0], "by itself")  # type: ignore[func-returns-value]
            case "resolve" | "reject":
                return "no awakeable"
            case "signal":
                return self.ctx.invocation(self.other).signal("a", "hello", type=str)  # type: ignore[func-returns-value]
            case "call id":
                call = self._call(number, "ok", "request")
                return await call.invocation_id()

    # -- primitives

    async def _signal(self, program: p.Signal) -> object:
        condition, (sender, receiver) = (
            self._conditions[program.name],
            self._channels[program.name],
        )
        match program.do:
            case "set":
                return self._events[program.name].set()  # type: ignore[func-returns-value]
            case "wait":
                return await self._events[program.name].wait()  # type: ignore[func-returns-value]
            case "notify":
                async with condition:
                    return condition.notify()  # type: ignore[func-returns-value]
            case "await notification":
                async with condition:
                    return await condition.wait()  # type: ignore[func-returns-value]
            case "send":
                return await sender.send(f"sent {self.number()}")  # type: ignore[func-returns-value]
            case "receive":
                return await receiver.receive()
            case "close":
                return sender.close()  # type: ignore[func-returns-value]
            case _:
                raise AssertionError(f"no such operation: {program}")
        raise AssertionError("a condition swallowed an exception")

    # -- several at once

    async def _combine(self, program: p.Combine) -> object:  # type: ignore[return]  # likewise
        async with open_nursery() as nursery:
            futures: list[DurableFuture[Any]] = [
                self._operation(operation) for operation in program.operations
            ]
            if program.child is not None:
                futures.append(nursery.start_soon(self.execute, program.child))
            if program.twice:
                futures.append(futures[0])
            return await self._combined(program.how, futures)

    async def _combined(self, how: str, futures: list[DurableFuture[Any]]) -> object:
        match how:
            case "gather":
                return await gather(*futures)
            case "wait_all":
                return [future.status.name for future in await wait_all(*futures)]
            case "wait_first":
                index, future = await wait_first(*futures)
                return index, future.status.name
            case "first_success":
                return await first_success(*futures)
            case "as_completed":
                return [
                    (futures.index(future), future.status.name)
                    async for future in as_completed(*futures)
                ]
            case "as_completed once":
                async for future in as_completed(*futures):
                    return futures.index(future), future.status.name
                raise AssertionError("nothing has ended")
            case "select":
                order: list[tuple[str, str]] = []
                left = list(dict.fromkeys(futures))
                while left:
                    index, future = await wait_first(*left)
                    del left[index]
                    order.append((future.name, future.status.name))
                return order
            case _:
                half = len(futures) // 2
                both = wait_all(gather(*futures[:half]), wait_first(*futures[half:]))
                return [future.status.name for future in await both]

    async def _hot(self, program: p.Hot) -> object:
        left = self._operation(program.left)
        if program.what == "cancel":
            left.cancel()
        if program.what == "detach":
            left.detach()
            self.detached.add(self._number)
        result = await self.execute(program.awaited)
        if program.what == "wait":
            await left.wait()
        if program.what == "await":
            result = await left
        return result, left.status.name


def _describe(error: BaseException) -> object:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [_describe(inner) for inner in group.exceptions]

    return f"{type(error).__name__}: {error}"
