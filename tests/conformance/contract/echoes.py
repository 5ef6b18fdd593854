"""``TestUtilsService``: echoes, counted runs, and messages to other invocations."""

from __future__ import annotations

import attrs

import durable_trio as dt

test_utils_service = dt.Service("TestUtilsService")


@attrs.frozen
class SignalValue:
    """A value for a named signal of an invocation."""

    invocationId: str
    signalName: str
    value: str


@attrs.frozen
class SignalRejection:
    """An error for a named signal of an invocation."""

    invocationId: str
    signalName: str
    reason: str


@test_utils_service.handler
async def echo(_ctx: dt.Context, text: str) -> str:
    return text


@test_utils_service.handler(name="uppercaseEcho")
async def uppercase_echo(_ctx: dt.Context, text: str) -> str:
    return text.upper()


@test_utils_service.handler(name="echoHeaders")
async def echo_headers(ctx: dt.Context) -> dict[str, str]:
    return {name.lower(): value for name, value in ctx.request.headers.items()}


@test_utils_service.handler(name="rawEcho", accept="*/*")
async def raw_echo(_ctx: dt.Context, body: bytes) -> bytes:
    return body


@test_utils_service.handler(name="countExecutedSideEffects")
async def count_executed_side_effects(ctx: dt.Context, number: int) -> int:
    executed = 0

    async def count() -> None:
        nonlocal executed
        executed += 1

    for _ in range(number):
        await ctx.run(count)
    return executed


@test_utils_service.handler(name="cancelInvocation")
async def cancel_invocation(ctx: dt.Context, invocation_id: str) -> None:
    ctx.invocation(invocation_id).cancel()


@test_utils_service.handler(name="resolveSignal")
async def resolve_signal(ctx: dt.Context, signal: SignalValue) -> None:
    ctx.invocation(signal.invocationId).signal(signal.signalName, signal.value)


@test_utils_service.handler(name="rejectSignal")
async def reject_signal(ctx: dt.Context, signal: SignalRejection) -> None:
    ctx.invocation(signal.invocationId).reject_signal(signal.signalName, signal.reason)
