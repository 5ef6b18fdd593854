"""``Failing``: errors for good, errors that are retried, and runs that give up."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

import durable_trio as dt

failing = dt.VirtualObject("Failing")

attempts: Final = Counter[str]()
"""What the attempts of this process have counted, whichever key they were for."""

AT_ONCE: Final = dt.RetryPolicy(initial_interval=0.01, factor=1)


@attrs.frozen
class Failure:
    """The error that a handler is to fail with."""

    errorMessage: str
    metadata: dict[str, str] | None = None

    def error(self) -> dt.TerminalError:
        return dt.TerminalError(self.errorMessage, metadata=self.metadata)


@failing.handler(name="terminallyFailingCall")
async def terminally_failing_call(_ctx: dt.ObjectContext, failure: Failure) -> None:
    raise failure.error()


@failing.handler(name="callTerminallyFailingCall")
async def call_terminally_failing_call(ctx: dt.ObjectContext, failure: Failure) -> str:
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
async def terminally_failing_side_effect(ctx: dt.ObjectContext, failure: Failure) -> None:
    async def fail() -> None:
        raise failure.error()

    await ctx.run(fail)


@failing.handler(name="sideEffectSucceedsAfterGivenAttempts")
async def side_effect_succeeds_after_given_attempts(ctx: dt.ObjectContext, minimum: int) -> int:
    async def succeed_in_the_end() -> int:
        attempts["success"] += 1
        if attempts["success"] < minimum:
            raise RuntimeError(f"attempt {attempts['success']} fails")

        count, attempts["success"] = attempts["success"], 0
        return count

    return await ctx.run(succeed_in_the_end, retry=AT_ONCE)


@failing.handler(name="sideEffectFailsAfterGivenAttempts")
async def side_effect_fails_after_given_attempts(ctx: dt.ObjectContext, maximum: int) -> int:
    async def fail() -> None:
        attempts["failure"] += 1
        raise RuntimeError(f"attempt {attempts['failure']} fails")

    try:
        await ctx.run(fail, retry=attrs.evolve(AT_ONCE, max_attempts=maximum))
    except dt.TerminalError:
        return attempts["failure"]
    raise RuntimeError("the run succeeded")
