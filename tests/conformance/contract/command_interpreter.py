"""``VirtualObjectCommandInterpreter``: programs that wait for awakeables, timers, runs, signals."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio.lowlevel
import attrs

import durable_trio as dt

from .commands import (
    AwaitAwakeableOrTimeout,
    AwaitMany,
    AwaitOne,
    CreateAwakeable,
    CreateSignal,
    GetEnvVariable,
    Program,
    RejectAwakeable,
    ResolveAwakeable,
    RunReturns,
    RunThrows,
    Sleep,
)

if TYPE_CHECKING:
    from .commands import Awaitable, Command

command_interpreter = dt.VirtualObject("VirtualObjectCommandInterpreter")


@attrs.frozen
class NamedValue:
    """A value for the awakeable of a name."""

    awakeableKey: str
    value: str


@attrs.frozen
class NamedReason:
    """An error for the awakeable of a name."""

    awakeableKey: str
    reason: str


@command_interpreter.handler(name="interpretCommands")
async def interpret_commands(ctx: dt.ObjectContext, program: Program) -> str:
    result = ""
    for command in program.commands:
        # What a command has started ends with it: a signal that comes later is for the next
        # command that asks for it, not for one that a timer has won.
        with dt.CancelScope() as losers:
            result = await execute(ctx, command)
            losers.cancel()
        results = await ctx.get("results", list[str], [])
        ctx.set("results", [*results, result])
    return result


@command_interpreter.shared(name="resolveAwakeable")
async def resolve_awakeable(ctx: dt.ObjectSharedContext, request: NamedValue) -> None:
    ctx.resolve_awakeable(await id_of(ctx, request.awakeableKey), request.value)


@command_interpreter.shared(name="rejectAwakeable")
async def reject_awakeable(ctx: dt.ObjectSharedContext, request: NamedReason) -> None:
    ctx.reject_awakeable(await id_of(ctx, request.awakeableKey), request.reason)


@command_interpreter.shared(name="hasAwakeable")
async def has_awakeable(ctx: dt.ObjectSharedContext, name: str) -> bool:
    return bool(await ctx.get(f"awk-{name}", str))


@command_interpreter.shared(name="getResults")
async def get_results(ctx: dt.ObjectSharedContext) -> list[str]:
    results: list[str] = await ctx.get("results", list[str], [])
    return results


async def id_of(ctx: dt.ObjectSharedContext, name: str) -> str:
    awakeable_id = await ctx.get(f"awk-{name}", str)
    if not awakeable_id:
        raise dt.TerminalError(f"there is no awakeable {name!r}")

    return awakeable_id


async def execute(ctx: dt.ObjectContext, command: Command) -> str:
    match command:
        case AwaitOne():
            return text_of(await start(ctx, command.command))
        case AwaitMany():
            return await wait(command.type, [start(ctx, each) for each in command.commands])
        case AwaitAwakeableOrTimeout():
            answer = awakeable(ctx, command.awakeableKey)
            with dt.move_on_after(command.timeoutMillis / 1000):
                return await answer
            raise dt.TerminalError("await-timeout")
        case ResolveAwakeable():
            ctx.resolve_awakeable(await id_of(ctx, command.awakeableKey), command.value)
            return ""
        case RejectAwakeable():
            ctx.reject_awakeable(await id_of(ctx, command.awakeableKey), command.reason)
            return ""
        case GetEnvVariable():
            return await ctx.run(os.environ.get, command.envName, "", name="environment")


def start(ctx: dt.ObjectContext, awaitable: Awaitable) -> dt.DurableFuture[Any]:
    match awaitable:
        case CreateAwakeable():
            return awakeable(ctx, awaitable.awakeableKey)
        case Sleep():
            return ctx.timer(awaitable.timeoutMillis / 1000)
        case RunReturns():
            return ctx.run(return_later, awaitable.value)
        case RunThrows():
            return ctx.run(fail, awaitable.reason)
        case CreateSignal():
            return ctx.signal(awaitable.signalName, str)


def awakeable(ctx: dt.ObjectContext, name: str) -> dt.DurableFuture[str]:
    awakeable_id, future = ctx.awakeable(str)
    ctx.set(f"awk-{name}", awakeable_id)
    return future


async def return_later(value: str) -> str:
    await anyio.lowlevel.checkpoint()
    return value


async def fail(reason: str) -> str:
    raise dt.TerminalError(reason)


async def wait(how: str, futures: list[dt.DurableFuture[Any]]) -> str:
    match how:
        case "awaitAny" | "awaitFirstCompleted":
            _, first = await dt.wait_first(*futures)
            return text_of(first.return_value)
        case "awaitAnySuccessful" | "awaitFirstSucceededOrAllFailed":
            return text_of(await dt.first_success(*futures))
        case "awaitAllSucceededOrFirstFailed":
            return "|".join(map(text_of, await dt.gather(*futures)))
        case _:
            return "|".join(map(outcome_of, await dt.wait_all(*futures)))


def text_of(value: str | None) -> str:
    """What an awaitable gives: only a timer gives nothing."""
    return "sleep" if value is None else value


def outcome_of(future: dt.DurableFuture[Any]) -> str:
    if future.succeeded:
        return f"ok:{text_of(future.return_value)}"

    return f"err:{future.exception}"
