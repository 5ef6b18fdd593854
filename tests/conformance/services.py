"""The test services of Restate's conformance suite, as durable_trio code.

Started by ``python services.py`` with PORT, and optionally SERVICES, E2E_REQUEST_SIGNING and
DURABLE_TRIO_BACKEND (trio or asyncio). Names and payloads are the suite's.
"""

from __future__ import annotations

import os
import random
from collections import Counter as Counts
from typing import Any, Literal, NotRequired, TypedDict

import anyio
import anyio.lowlevel

import durable_trio as dt
from durable_trio.serde import bytes_serde
from durable_trio_restate import endpoint, serve

# -- Counter


class CounterUpdate(TypedDict):
    oldValue: int
    newValue: int


counter = dt.VirtualObject("Counter")


@counter.handler
async def add(ctx: dt.ObjectContext, value: int) -> CounterUpdate:
    old = await ctx.get("counter", int, 0)
    ctx.set("counter", old + value)
    return {"oldValue": old, "newValue": old + value}


@counter.handler(name="addThenFail")
async def add_then_fail(ctx: dt.ObjectContext, value: int) -> None:
    ctx.set("counter", await ctx.get("counter", int, 0) + value)
    raise dt.TerminalError(ctx.key)


@counter.shared(name="get")
async def get_count(ctx: dt.ObjectSharedContext) -> int:
    return await ctx.get("counter", int, 0)


@counter.handler
async def reset(ctx: dt.ObjectContext) -> None:
    ctx.clear("counter")


# -- ListObject


list_object = dt.VirtualObject("ListObject")


@list_object.handler
async def append(ctx: dt.ObjectContext, value: str) -> None:
    values = await ctx.get("list", list[str], [])
    ctx.set("list", [*values, value])


@list_object.handler(name="get")
async def get_list(ctx: dt.ObjectContext) -> list[str]:
    values: list[str] = await ctx.get("list", list[str], [])
    return values


@list_object.handler(name="clear")
async def clear_list(ctx: dt.ObjectContext) -> list[str]:
    values: list[str] = await ctx.get("list", list[str], [])
    ctx.clear("list")
    return values


# -- MapObject


class MapEntry(TypedDict):
    key: str
    value: str


map_object = dt.VirtualObject("MapObject")


@map_object.handler(name="set")
async def set_entry(ctx: dt.ObjectContext, entry: MapEntry) -> None:
    ctx.set(entry["key"], entry["value"])


@map_object.handler(name="get")
async def get_entry(ctx: dt.ObjectContext, key: str) -> str:
    return await ctx.get(key, str, "")


@map_object.handler(name="clearAll")
async def clear_entries(ctx: dt.ObjectContext) -> list[MapEntry]:
    keys = await ctx.keys()
    values = await dt.gather(*[ctx.get(key, str, "") for key in keys])
    ctx.clear_all()
    return [{"key": key, "value": value} for key, value in zip(keys, values, strict=True)]


# -- AwakeableHolder


holder = dt.VirtualObject("AwakeableHolder")


@holder.handler
async def hold(ctx: dt.ObjectContext, awakeable_id: str) -> None:
    ctx.set("id", awakeable_id)


@holder.handler(name="hasAwakeable")
async def has_held(ctx: dt.ObjectContext) -> bool:
    return await ctx.get("id", str) is not None


@holder.handler
async def unlock(ctx: dt.ObjectContext, payload: str) -> None:
    awakeable_id = await ctx.get("id", str)
    if awakeable_id is None:
        raise dt.TerminalError("no awakeable is held")

    ctx.resolve_awakeable(awakeable_id, payload)


# -- BlockAndWaitWorkflow


block_and_wait = dt.Workflow("BlockAndWaitWorkflow")


@block_and_wait.main(name="run")
async def block_and_wait_run(ctx: dt.WorkflowContext, value: str) -> str:
    ctx.set("my-state", value)
    promise = ctx.promise("durable-promise", str)
    result = await promise
    if await promise.peek() is dt.NOT_READY:
        raise dt.TerminalError("the promise is completed and not completed")

    return result


@block_and_wait.shared
async def unblock(ctx: dt.WorkflowSharedContext, value: str) -> None:
    await ctx.promise("durable-promise", str).resolve(value)


@block_and_wait.shared(name="getState")
async def get_state(ctx: dt.WorkflowSharedContext) -> str | None:
    return await ctx.get("my-state", str)


# -- CancelTestRunner and CancelTestBlockingService


Operation = Literal["CALL", "SLEEP", "AWAKEABLE"]
FOR_EVER = 1024 * 24 * 3600.0

cancel_runner = dt.VirtualObject("CancelTestRunner")
cancel_blocking = dt.VirtualObject("CancelTestBlockingService")


@cancel_runner.handler(name="startTest")
async def start_test(ctx: dt.ObjectContext, operation: Operation) -> None:
    try:
        await ctx.call(block, operation, key=ctx.key, on_cancel="wait")
    except dt.CancelledError:
        ctx.set("state", True)
    except anyio.get_cancelled_exc_class():
        # It is this invocation that was cancelled, which nothing can undo: it says so, and
        # goes on ending.
        with dt.CancelScope(shield=True):
            ctx.set("state", True)
        raise


@cancel_runner.handler(name="verifyTest")
async def verify_test(ctx: dt.ObjectContext) -> bool:
    return await ctx.get("state", bool, False)


@cancel_blocking.handler
async def block(ctx: dt.ObjectContext, operation: Operation) -> None:
    awakeable_id, released = ctx.awakeable()
    await ctx.call(hold, awakeable_id, key=ctx.key)
    await released
    if operation == "CALL":
        again = dt.remote("CancelTestBlockingService", "block", input=str, output=None)
        await ctx.call(again, operation, key=ctx.key)
    elif operation == "SLEEP":
        await dt.sleep(FOR_EVER)
    else:
        await ctx.awakeable().future


@cancel_blocking.handler(name="isUnlocked")
async def is_cancel_test_unlocked(_ctx: dt.ObjectContext) -> None: ...


# -- KillTestRunner and KillTestSingleton


kill_runner = dt.VirtualObject("KillTestRunner")
kill_singleton = dt.VirtualObject("KillTestSingleton")


@kill_runner.handler(name="startCallTree")
async def start_call_tree(ctx: dt.ObjectContext) -> None:
    await ctx.call(recursive_call, key=ctx.key)


@kill_singleton.handler(name="recursiveCall")
async def recursive_call(ctx: dt.ObjectContext) -> None:
    awakeable_id, released = ctx.awakeable()
    ctx.send(hold, awakeable_id, key=ctx.key)
    await released
    again = dt.remote("KillTestSingleton", "recursiveCall", input=None, output=None)
    await ctx.call(again, key=ctx.key)


@kill_singleton.handler(name="isUnlocked")
async def is_kill_test_unlocked(_ctx: dt.ObjectContext) -> None: ...


# -- Failing


class FailureRequest(TypedDict):
    errorMessage: str
    metadata: NotRequired[dict[str, str] | None]


failing = dt.VirtualObject("Failing")
attempts = Counts[str]()
"""What the attempts of this process have counted."""


@failing.handler(name="terminallyFailingCall")
async def terminally_failing_call(_ctx: dt.ObjectContext, failure: FailureRequest) -> None:
    raise error_of(failure)


@failing.handler(name="callTerminallyFailingCall")
async def call_terminally_failing_call(ctx: dt.ObjectContext, failure: FailureRequest) -> str:
    await ctx.call(terminally_failing_call, failure, key=str(ctx.uuid4()))
    raise RuntimeError("the call succeeded")


@failing.handler(name="failingCallWithEventualSuccess")
async def failing_call_with_eventual_success(_ctx: dt.ObjectContext) -> int:
    attempts["call"] += 1
    if attempts["call"] < 4:
        raise RuntimeError(f"attempt {attempts['call']} fails")

    attempts["call"] = 0
    return 4


@failing.handler(name="terminallyFailingSideEffect")
async def terminally_failing_side_effect(ctx: dt.ObjectContext, failure: FailureRequest) -> None:
    async def fail() -> None:
        raise error_of(failure)

    await ctx.run(fail)


@failing.handler(name="sideEffectSucceedsAfterGivenAttempts")
async def side_effect_succeeds(ctx: dt.ObjectContext, minimum: int) -> int:
    async def succeed_in_the_end() -> int:
        attempts["success"] += 1
        if attempts["success"] < minimum:
            raise RuntimeError(f"attempt {attempts['success']} fails")

        count, attempts["success"] = attempts["success"], 0
        return count

    return await ctx.run(succeed_in_the_end, retry=dt.RetryPolicy(initial_interval=0.01, factor=1))


@failing.handler(name="sideEffectFailsAfterGivenAttempts")
async def side_effect_fails(ctx: dt.ObjectContext, maximum: int) -> int:
    async def fail() -> None:
        attempts["failure"] += 1
        raise RuntimeError(f"attempt {attempts['failure']} fails")

    try:
        await ctx.run(
            fail, retry=dt.RetryPolicy(max_attempts=maximum, initial_interval=0.01, factor=1)
        )
    except dt.TerminalError:
        return attempts["failure"]
    raise RuntimeError("the run succeeded")


def error_of(failure: FailureRequest) -> dt.TerminalError:
    return dt.TerminalError(failure["errorMessage"], metadata=failure.get("metadata"))


# -- NonDeterministic


non_deterministic = dt.VirtualObject("NonDeterministic")
turns = Counts[str]()


def goes_left(ctx: dt.ObjectContext) -> bool:
    """On purpose what a handler must not do: another way on every attempt."""
    turns[ctx.key] += 1
    return turns[ctx.key] % 2 == 1


async def sleep_and_count(ctx: dt.ObjectContext) -> None:
    await dt.sleep(0.1)
    ctx.send(add, 1, key=ctx.key)


@non_deterministic.handler(name="setDifferentKey")
async def set_different_key(ctx: dt.ObjectContext) -> None:
    ctx.set("a" if goes_left(ctx) else "b", "my-state")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="backgroundInvokeWithDifferentTargets")
async def send_to_different_targets(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        ctx.send(get_count, key="abc")
    else:
        ctx.send(reset, key="abc")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="callDifferentMethod")
async def call_different_method(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        await ctx.call(get_count, key="abc")
    else:
        await ctx.call(reset, key="abc")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="eitherSleepOrCall")
async def either_sleep_or_call(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        await dt.sleep(0.1)
    else:
        await ctx.call(get_count, key="abc")
    await sleep_and_count(ctx)


# -- Proxy


class ProxyRequest(TypedDict):
    serviceName: str
    handlerName: str
    message: list[int]
    virtualObjectKey: NotRequired[str | None]
    delayMillis: NotRequired[int | None]
    idempotencyKey: NotRequired[str | None]
    scope: NotRequired[str | None]
    limitKey: NotRequired[str | None]


class ManyCallRequest(TypedDict):
    proxyRequest: ProxyRequest
    oneWayCall: bool
    awaitAtTheEnd: bool


proxy = dt.Service("Proxy")


def proxied_call(ctx: dt.Context, request: ProxyRequest) -> dt.CallFuture[bytes]:
    target = dt.remote(
        request["serviceName"], request["handlerName"], input=bytes_serde, output=bytes_serde
    )
    return ctx.call(
        target,
        bytes(request["message"]),
        key=request.get("virtualObjectKey"),
        idempotency_key=request.get("idempotencyKey"),
        scope=request.get("scope"),
        limit_key=request.get("limitKey"),
    )


def proxied_send(ctx: dt.Context, request: ProxyRequest) -> dt.SendHandle:
    target = dt.remote(
        request["serviceName"], request["handlerName"], input=bytes_serde, output=bytes_serde
    )
    return ctx.send(
        target,
        bytes(request["message"]),
        key=request.get("virtualObjectKey"),
        delay=(request.get("delayMillis") or 0) / 1000,
        idempotency_key=request.get("idempotencyKey"),
        scope=request.get("scope"),
        limit_key=request.get("limitKey"),
    )


@proxy.handler(name="call")
async def proxy_call(ctx: dt.Context, request: ProxyRequest) -> list[int]:
    return list(await proxied_call(ctx, request))


@proxy.handler(name="oneWayCall")
async def proxy_one_way_call(ctx: dt.Context, request: ProxyRequest) -> str:
    return await proxied_send(ctx, request).invocation_id()


@proxy.handler(name="manyCalls")
async def proxy_many_calls(ctx: dt.Context, requests: list[ManyCallRequest]) -> None:
    later: list[dt.CallFuture[bytes]] = []
    for request in requests:
        if request["oneWayCall"]:
            proxied_send(ctx, request["proxyRequest"])
        elif request["awaitAtTheEnd"]:
            later.append(proxied_call(ctx, request["proxyRequest"]))
        else:
            await proxied_call(ctx, request["proxyRequest"])
    await dt.gather(*later)


# -- TestUtilsService


class ResolveSignal(TypedDict):
    invocationId: str
    signalName: str
    value: str


class RejectSignal(TypedDict):
    invocationId: str
    signalName: str
    reason: str


test_utils = dt.Service("TestUtilsService")


@test_utils.handler
async def echo(_ctx: dt.Context, text: str) -> str:
    return text


@test_utils.handler(name="uppercaseEcho")
async def uppercase_echo(_ctx: dt.Context, text: str) -> str:
    return text.upper()


@test_utils.handler(name="echoHeaders")
async def echo_headers(ctx: dt.Context) -> dict[str, str]:
    return {name.lower(): value for name, value in ctx.request.headers.items()}


@test_utils.handler(name="rawEcho", accept="*/*")
async def raw_echo(_ctx: dt.Context, body: bytes) -> bytes:
    return body


@test_utils.handler(name="countExecutedSideEffects")
async def count_executed_side_effects(ctx: dt.Context, number: int) -> int:
    executed = 0

    async def count() -> None:
        nonlocal executed
        executed += 1

    for _ in range(number):
        await ctx.run(count)
    return executed


@test_utils.handler(name="cancelInvocation")
async def cancel_invocation(ctx: dt.Context, invocation_id: str) -> None:
    ctx.invocation(invocation_id).cancel()


@test_utils.handler(name="resolveSignal")
async def resolve_signal(ctx: dt.Context, request: ResolveSignal) -> None:
    ctx.invocation(request["invocationId"]).signal(request["signalName"], request["value"])


@test_utils.handler(name="rejectSignal")
async def reject_signal(ctx: dt.Context, request: RejectSignal) -> None:
    invocation = ctx.invocation(request["invocationId"])
    invocation.reject_signal(request["signalName"], request["reason"])


# -- VirtualObjectCommandInterpreter


class CreateAwakeable(TypedDict):
    type: Literal["createAwakeable"]
    awakeableKey: str


class SleepFor(TypedDict):
    type: Literal["sleep"]
    timeoutMillis: int


class RunReturns(TypedDict):
    type: Literal["runReturns"]
    value: str


class RunThrows(TypedDict):
    type: Literal["runThrowTerminalException"]
    reason: str


class CreateSignal(TypedDict):
    type: Literal["createSignal"]
    signalName: str


AwaitableCommand = CreateAwakeable | SleepFor | RunReturns | RunThrows | CreateSignal


class AwaitOne(TypedDict):
    type: Literal["awaitOne"]
    command: AwaitableCommand


class AwaitMany(TypedDict):
    type: Literal[
        "awaitAny",
        "awaitFirstCompleted",
        "awaitAnySuccessful",
        "awaitFirstSucceededOrAllFailed",
        "awaitAllSucceededOrFirstFailed",
        "awaitAllCompleted",
    ]
    commands: list[AwaitableCommand]


class AwaitAwakeableOrTimeout(TypedDict):
    type: Literal["awaitAwakeableOrTimeout"]
    awakeableKey: str
    timeoutMillis: int


class ResolveAwakeable(TypedDict):
    type: Literal["resolveAwakeable"]
    awakeableKey: str
    value: str


class RejectAwakeable(TypedDict):
    type: Literal["rejectAwakeable"]
    awakeableKey: str
    reason: str


class GetEnvVariable(TypedDict):
    type: Literal["getEnvVariable"]
    envName: str


class Interpretation(TypedDict):
    commands: list[
        AwaitOne
        | AwaitMany
        | AwaitAwakeableOrTimeout
        | ResolveAwakeable
        | RejectAwakeable
        | GetEnvVariable
    ]


class AwakeableValue(TypedDict):
    awakeableKey: str
    value: str


class AwakeableReason(TypedDict):
    awakeableKey: str
    reason: str


interpreter = dt.VirtualObject("VirtualObjectCommandInterpreter")


@interpreter.handler(name="interpretCommands")
async def interpret_commands(ctx: dt.ObjectContext, program: Interpretation) -> str:
    result = ""
    for command in program["commands"]:
        result = await interpret_command(ctx, command)
        results = await ctx.get("results", list[str], [])
        ctx.set("results", [*results, result])
    return result


@interpreter.shared(name="resolveAwakeable")
async def resolve_named(ctx: dt.ObjectSharedContext, request: AwakeableValue) -> None:
    ctx.resolve_awakeable(await awakeable_named(ctx, request["awakeableKey"]), request["value"])


@interpreter.shared(name="rejectAwakeable")
async def reject_named(ctx: dt.ObjectSharedContext, request: AwakeableReason) -> None:
    ctx.reject_awakeable(await awakeable_named(ctx, request["awakeableKey"]), request["reason"])


@interpreter.shared(name="hasAwakeable")
async def has_named(ctx: dt.ObjectSharedContext, key: str) -> bool:
    return bool(await ctx.get(f"awk-{key}", str))


@interpreter.shared(name="getResults")
async def get_results(ctx: dt.ObjectSharedContext) -> list[str]:
    results: list[str] = await ctx.get("results", list[str], [])
    return results


async def awakeable_named(ctx: dt.ObjectSharedContext, key: str) -> str:
    awakeable_id = await ctx.get(f"awk-{key}", str)
    if not awakeable_id:
        raise dt.TerminalError(f"there is no awakeable {key!r}")

    return awakeable_id


def start(ctx: dt.ObjectContext, command: AwaitableCommand) -> dt.DurableFuture[Any]:
    if command["type"] == "createAwakeable":
        awakeable_id, future = ctx.awakeable(str)
        ctx.set(f"awk-{command['awakeableKey']}", awakeable_id)
        return future

    if command["type"] == "sleep":
        return ctx.timer(command["timeoutMillis"] / 1000)

    if command["type"] == "runReturns":
        return ctx.run(return_later, command["value"])

    if command["type"] == "runThrowTerminalException":
        return ctx.run(fail_with, command["reason"])

    return ctx.signal(command["signalName"], str)


async def return_later(value: str) -> str:
    await anyio.lowlevel.checkpoint()
    return value


async def fail_with(reason: str) -> str:
    raise dt.TerminalError(reason)


def text_of(value: str | None) -> str:
    """What an awaitable gives: only a timer gives nothing."""
    return "sleep" if value is None else value


async def interpret_command(ctx: dt.ObjectContext, command: Any) -> str:
    match command["type"]:
        case "awaitOne":
            return text_of(await start(ctx, command["command"]))
        case "awaitAwakeableOrTimeout":
            future = start(
                ctx, {"type": "createAwakeable", "awakeableKey": command["awakeableKey"]}
            )
            with dt.move_on_after(command["timeoutMillis"] / 1000):
                return text_of(await future)
            raise dt.TerminalError("await-timeout")
        case "resolveAwakeable":
            named = await awakeable_named(ctx, command["awakeableKey"])
            ctx.resolve_awakeable(named, command["value"])
            return ""
        case "rejectAwakeable":
            named = await awakeable_named(ctx, command["awakeableKey"])
            ctx.reject_awakeable(named, command["reason"])
            return ""
        case "getEnvVariable":
            return await ctx.run(os.environ.get, command["envName"], "", name="environment")
        case kind:
            return await await_many(kind, [start(ctx, each) for each in command["commands"]])


async def await_many(kind: str, futures: list[dt.DurableFuture[Any]]) -> str:
    if kind in {"awaitAny", "awaitFirstCompleted"}:
        _, first = await dt.wait_first(*futures)
        return text_of(first.return_value)

    if kind in {"awaitAnySuccessful", "awaitFirstSucceededOrAllFailed"}:
        return text_of(await dt.first_success(*futures))

    if kind == "awaitAllSucceededOrFirstFailed":
        return "|".join(map(text_of, await dt.gather(*futures)))

    settled = await dt.wait_all(*futures)
    return "|".join(
        f"ok:{text_of(future.return_value)}" if future.succeeded else f"err:{future.exception}"
        for future in settled
    )


# -- ServiceInterpreterHelper


class InterpreterId(TypedDict):
    layer: int
    key: str


class EchoLater(TypedDict):
    sleep: int
    parameter: str


class AwakeableDance(TypedDict):
    interpreter: InterpreterId
    txPromiseId: str


class Program(TypedDict):
    commands: list[dict[str, Any]]


helper = dt.Service("ServiceInterpreterHelper")


def increment(ctx: dt.Context, identity: InterpreterId) -> None:
    target = layers[identity["layer"]].handlers["interpret"]
    ctx.send(target, {"commands": [{"kind": 4}]}, key=identity["key"])


@helper.handler
async def ping(_ctx: dt.Context) -> None: ...


@helper.handler(name="echo")
async def helper_echo(_ctx: dt.Context, text: str) -> str:
    return text


@helper.handler(name="echoLater")
async def echo_later(_ctx: dt.Context, request: EchoLater) -> str:
    await dt.sleep(request["sleep"] / 1000)
    return request["parameter"]


@helper.handler(name="terminalFailure")
async def terminal_failure(_ctx: dt.Context) -> str:
    raise dt.TerminalError("bye")


@helper.handler(name="incrementIndirectly")
async def increment_indirectly(ctx: dt.Context, identity: InterpreterId) -> None:
    increment(ctx, identity)


@helper.handler(name="resolveAwakeable")
async def resolve_with_ok(ctx: dt.Context, awakeable_id: str) -> None:
    ctx.resolve_awakeable(awakeable_id, "ok")


@helper.handler(name="rejectAwakeable")
async def reject_with_error(ctx: dt.Context, awakeable_id: str) -> None:
    ctx.reject_awakeable(awakeable_id, "error")


@helper.handler(name="incrementViaAwakeableDance")
async def increment_via_awakeable_dance(ctx: dt.Context, request: AwakeableDance) -> None:
    own_id, answered = ctx.awakeable()
    ctx.resolve_awakeable(request["txPromiseId"], own_id)
    await answered
    increment(ctx, request["interpreter"])


# -- ObjectInterpreterL0, L1, L2


REJECTED = object()


class ProgramRun:
    """One program on one object: its promises, and what is expected of them."""

    def __init__(self, ctx: dt.ObjectContext, layer: int) -> None:
        self.ctx = ctx
        self.layer = layer
        self.promises: dict[int, tuple[dt.DurableFuture[Any], object]] = {}

    async def execute(self, index: int, command: dict[str, Any]) -> None:
        ctx = self.ctx
        own: InterpreterId = {"layer": self.layer, "key": ctx.key}
        hello = f"hello-{index}"
        match command["kind"]:
            case 1:
                ctx.set(f"key-{command['key']}", f"value-{command['key']}")
            case 2:
                await ctx.get(f"key-{command['key']}", str)
            case 3:
                ctx.clear(f"key-{command['key']}")
            case 4:
                ctx.set("counter", await ctx.get("counter", int, 0) + 1)
            case 5:
                ctx.send(increment_indirectly, own)
            case 6:
                await dt.sleep(command["duration"] / 1000)
            case 7:
                self.promise(index, ctx.call(helper_echo, hello), hello)
            case 8:
                request: EchoLater = {"sleep": command["sleep"], "parameter": hello}
                self.promise(index, ctx.call(echo_later, request), hello)
            case 9:
                ctx.send(increment_indirectly, own, delay=command["duration"] / 1000)
            case 10:
                expect(await ctx.run(return_later, hello), hello)
            case 11:
                await ctx.run(fail_at_times)
            case 12:
                await ctx.run(anyio.sleep, 0.001, name="slow")
            case 13:
                await expect_failure(ctx.call(terminal_failure))
            case 14:
                self.promise(index, ctx.call(terminal_failure), REJECTED)
            case 15:
                await self.await_promise(command["index"])
            case 16:
                awakeable_id, resolved = ctx.awakeable(str)
                self.promise(index, resolved, "ok")
                ctx.send(resolve_with_ok, awakeable_id)
            case 17:
                awakeable_id, rejected = ctx.awakeable(str)
                self.promise(index, rejected, REJECTED)
                ctx.send(reject_with_error, awakeable_id)
            case 18:
                awakeable_id, answered = ctx.awakeable(str)
                dance: AwakeableDance = {"interpreter": own, "txPromiseId": awakeable_id}
                ctx.send(increment_via_awakeable_dance, dance)
                ctx.resolve_awakeable(await answered, "ok")
            case 19:
                target = layers[self.layer + 1].handlers["interpret"]
                call = ctx.call(target, command["program"], key=str(command["key"]))
                self.promise(index, call, None)
            case kind:
                raise dt.TerminalError(f"there is no command of kind {kind}")

    def promise(self, index: int, future: dt.DurableFuture[Any], expected: object) -> None:
        # Nobody may ever await it, and it is to go on all the same.
        future.detach()
        self.promises[index] = future, expected

    async def await_promise(self, index: int) -> None:
        promise = self.promises.pop(index, None)
        if promise is None:
            return

        future, expected = promise
        if expected is REJECTED:
            await expect_failure(future)
        else:
            try:
                value = await future
            except dt.TerminalError as error:
                raise dt.TerminalError(f"promise {index} was rejected: {error}") from error
            expect(value, expected)


async def fail_at_times() -> None:
    if random.random() < 0.5:
        raise RuntimeError("this time it fails")


async def expect_failure(future: dt.DurableFuture[Any]) -> None:
    try:
        value = await future
    except dt.TerminalError:
        return
    raise dt.TerminalError(f"expected a failure, got {value!r}")


def expect(value: object, expected: object) -> None:
    if value != expected:
        raise dt.TerminalError(f"expected {expected!r}, got {value!r}")


def object_interpreter(layer: int) -> dt.VirtualObject:
    """The interpreter of one layer."""
    layered = dt.VirtualObject(f"ObjectInterpreterL{layer}")

    @layered.handler(name="interpret")
    async def interpret(ctx: dt.ObjectContext, program: Program) -> None:
        run = ProgramRun(ctx, layer)
        for index, command in enumerate(program["commands"]):
            await run.execute(index, command)

    @layered.shared(name="counter")
    async def count(ctx: dt.ObjectSharedContext) -> int:
        return await ctx.get("counter", int, 0)

    _ = interpret, count
    return layered


layers = [object_interpreter(layer) for layer in range(3)]


# -- the process


SERVICES = [
    counter,
    list_object,
    map_object,
    holder,
    block_and_wait,
    cancel_runner,
    cancel_blocking,
    kill_runner,
    kill_singleton,
    failing,
    non_deterministic,
    proxy,
    test_utils,
    interpreter,
    helper,
    *layers,
]


def main() -> None:
    """Serve what the environment asks for."""
    wanted = [name for name in os.environ.get("SERVICES", "").split(",") if name]
    key = os.environ.get("E2E_REQUEST_SIGNING")
    app = endpoint(
        [service for service in SERVICES if not wanted or service.name in wanted],
        identity_keys=[key] if key else [],
    )
    bind = f"127.0.0.1:{os.environ['PORT']}"
    backend = os.environ.get("DURABLE_TRIO_BACKEND", "trio")
    anyio.run(lambda: serve(app, bind, shutdown_timeout=5), backend=backend)


if __name__ == "__main__":
    main()
