"""``ObjectInterpreterL0`` to ``L2`` and their helper: programs that increment, in every way.

However an increment travels, it adds exactly one to the counter of its object in the end.
"""

from __future__ import annotations

import enum
import random
from typing import Any, Final, TypeAlias

import anyio
import attrs

import durable_trio as dt

Command: TypeAlias = dict[str, Any]
"""An object with a ``kind``, and the fields that this kind has."""

REJECTED: Final = object()
"""What a promise is expected to come to that is to fail."""

SOON: Final = dt.RetryPolicy(initial_interval=0.01, factor=1)
"""Of what fails at random: that it goes on failing must not take long."""

helper = dt.Service("ServiceInterpreterHelper")


@attrs.frozen
class Program:
    """Commands, to be executed one after the other."""

    commands: list[Command]


@attrs.frozen
class ObjectId:
    """An object interpreter: its layer and key."""

    layer: int
    key: str

    def interpreter(self) -> dt.RemoteHandler[[Program], None]:
        return dt.remote(f"ObjectInterpreterL{self.layer}", "interpret", input=Program, output=None)

    def increment(self, ctx: dt.Context) -> None:
        ctx.send(
            self.interpreter(),
            Program([{"kind": Kind.INCREMENT_STATE_COUNTER.value}]),
            key=self.key,
        )


# -- the helper


@attrs.frozen
class Later:
    """Text, and after how many milliseconds it is wanted."""

    sleep: int
    parameter: str


@attrs.frozen
class Dance:
    """Whom to increment, and the awakeable that waits for the id of another one."""

    interpreter: ObjectId
    txPromiseId: str


@helper.handler
async def ping(_ctx: dt.Context) -> None: ...


@helper.handler
async def echo(_ctx: dt.Context, text: str) -> str:
    return text


@helper.handler(name="echoLater")
async def echo_later(_ctx: dt.Context, later: Later) -> str:
    await dt.sleep(later.sleep / 1000)
    return later.parameter


@helper.handler(name="terminalFailure")
async def terminal_failure(_ctx: dt.Context) -> str:
    raise dt.TerminalError("bye")


@helper.handler(name="incrementIndirectly")
async def increment_indirectly(ctx: dt.Context, target: ObjectId) -> None:
    target.increment(ctx)


@helper.handler(name="resolveAwakeable")
async def resolve_awakeable(ctx: dt.Context, awakeable_id: str) -> None:
    ctx.resolve_awakeable(awakeable_id, "ok")


@helper.handler(name="rejectAwakeable")
async def reject_awakeable(ctx: dt.Context, awakeable_id: str) -> None:
    ctx.reject_awakeable(awakeable_id, "error")


@helper.handler(name="incrementViaAwakeableDance")
async def increment_via_awakeable_dance(ctx: dt.Context, dance: Dance) -> None:
    own_id, answered = ctx.awakeable(bytes)
    ctx.resolve_awakeable(dance.txPromiseId, own_id)
    await answered
    dance.interpreter.increment(ctx)


# -- the interpreter


class Kind(enum.IntEnum):
    """The kinds of commands."""

    SET_STATE = 1
    GET_STATE = 2
    CLEAR_STATE = 3
    INCREMENT_STATE_COUNTER = 4
    INCREMENT_STATE_COUNTER_INDIRECTLY = 5
    SLEEP = 6
    CALL_SERVICE = 7
    CALL_SLOW_SERVICE = 8
    INCREMENT_VIA_DELAYED_CALL = 9
    SIDE_EFFECT = 10
    THROWING_SIDE_EFFECT = 11
    SLOW_SIDE_EFFECT = 12
    RECOVER_TERMINAL_CALL = 13
    RECOVER_TERMINAL_MAYBE_UN_AWAITED = 14
    AWAIT_PROMISE = 15
    RESOLVE_AWAKEABLE = 16
    REJECT_AWAKEABLE = 17
    INCREMENT_STATE_COUNTER_VIA_AWAKEABLE = 18
    CALL_NEXT_LAYER_OBJECT = 19


@attrs.define(eq=False)
class Interpreter:
    """One program at work on one object: its promises, and what each is expected to come to."""

    ctx: dt.ObjectContext
    own: ObjectId
    promises: dict[int, tuple[dt.DurableFuture[Any], object]] = attrs.field(factory=dict[int, Any])

    async def execute(self, index: int, command: Command) -> None:
        ctx = self.ctx
        hello = f"hello-{index}"
        match command["kind"]:
            case Kind.SET_STATE:
                ctx.set(f"key-{command['key']}", f"value-{command['key']}")
            case Kind.GET_STATE:
                await ctx.get(f"key-{command['key']}", str)
            case Kind.CLEAR_STATE:
                ctx.clear(f"key-{command['key']}")
            case Kind.INCREMENT_STATE_COUNTER:
                ctx.set("counter", await ctx.get("counter", int, 0) + 1)
            case Kind.INCREMENT_STATE_COUNTER_INDIRECTLY:
                ctx.send(increment_indirectly, self.own)
            case Kind.SLEEP:
                await dt.sleep(command["duration"] / 1000)
            case Kind.CALL_SERVICE:
                self.expect(index, ctx.call(echo, hello), hello)
            case Kind.CALL_SLOW_SERVICE:
                self.expect(index, ctx.call(echo_later, Later(command["sleep"], hello)), hello)
            case Kind.INCREMENT_VIA_DELAYED_CALL:
                ctx.send(increment_indirectly, self.own, delay=command["duration"] / 1000)
            case Kind.SIDE_EFFECT:
                check(await ctx.run(say, hello), hello)
            case Kind.THROWING_SIDE_EFFECT:
                await ctx.run(fail_at_times, retry=SOON)
            case Kind.SLOW_SIDE_EFFECT:
                await ctx.run(anyio.sleep, 0.001)
            case Kind.RECOVER_TERMINAL_CALL:
                await check_rejected(ctx.call(terminal_failure))
            case Kind.RECOVER_TERMINAL_MAYBE_UN_AWAITED:
                self.expect(index, ctx.call(terminal_failure), REJECTED)
            case Kind.AWAIT_PROMISE:
                await self.await_promise(command["index"])
            case Kind.RESOLVE_AWAKEABLE:
                awakeable_id, resolved = ctx.awakeable(str)
                self.expect(index, resolved, "ok")
                ctx.send(resolve_awakeable, awakeable_id)
            case Kind.REJECT_AWAKEABLE:
                awakeable_id, rejected = ctx.awakeable(str)
                self.expect(index, rejected, REJECTED)
                ctx.send(reject_awakeable, awakeable_id)
            case Kind.INCREMENT_STATE_COUNTER_VIA_AWAKEABLE:
                awakeable_id, answered = ctx.awakeable(str)
                ctx.send(increment_via_awakeable_dance, Dance(self.own, awakeable_id))
                ctx.resolve_awakeable(await answered, "ok")
            case Kind.CALL_NEXT_LAYER_OBJECT:
                below = ObjectId(self.own.layer + 1, str(command["key"]))
                program = Program(command["program"]["commands"])
                self.expect(index, ctx.call(below.interpreter(), program, key=below.key), None)
            case kind:
                raise dt.TerminalError(f"there is no command of kind {kind}")

    def expect(self, index: int, future: dt.DurableFuture[Any], expected: object) -> None:
        # Nobody may ever await it, and it is to go on all the same.
        future.detach()
        self.promises[index] = future, expected

    async def await_promise(self, index: int) -> None:
        promise = self.promises.pop(index, None)
        if promise is None:
            return

        future, expected = promise
        if expected is REJECTED:
            await check_rejected(future)
        else:
            check(await future, expected)


async def say(text: str) -> str:
    return text


async def fail_at_times() -> None:
    if random.random() < 0.5:
        raise RuntimeError("this time it fails")


async def check_rejected(future: dt.DurableFuture[Any]) -> None:
    try:
        value = await future
    except dt.TerminalError:
        return
    raise dt.TerminalError(f"expected a failure, got {value!r}")


def check(value: object, expected: object) -> None:
    if value != expected:
        raise dt.TerminalError(f"expected {expected!r}, got {value!r}")


def object_interpreter(layer: int) -> dt.VirtualObject:
    interpreter = dt.VirtualObject(f"ObjectInterpreterL{layer}")

    @interpreter.handler(name="interpret")
    async def interpret(ctx: dt.ObjectContext, program: Program) -> None:
        work = Interpreter(ctx, ObjectId(layer, ctx.key))
        for index, command in enumerate(program.commands):
            await work.execute(index, command)

    @interpreter.shared(name="counter")
    async def counter(ctx: dt.ObjectSharedContext) -> int:
        return await ctx.get("counter", int, 0)

    _ = interpret, counter
    return interpreter


object_interpreters: Final = [object_interpreter(layer) for layer in range(3)]
