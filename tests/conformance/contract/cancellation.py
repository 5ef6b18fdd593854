"""``CancelTestRunner`` and ``CancelTestBlockingService``: a call that only a cancellation ends."""

from __future__ import annotations

from typing import Final, Literal

import durable_trio as dt

from .awakeable_holder import hold

CANCELLED: Final = 409
FOR_EVER: Final = 1024 * 24 * 3600.0

Operation = Literal["CALL", "SLEEP", "AWAKEABLE"]
"""What is blocked in."""

cancel_test_runner = dt.VirtualObject("CancelTestRunner")
cancel_test_blocking_service = dt.VirtualObject("CancelTestBlockingService")


@cancel_test_runner.handler(name="startTest", explicit_cancellation=True)
async def start_test(ctx: dt.ObjectContext, operation: Operation) -> None:
    blocked = ctx.call(block, operation, key=ctx.key)
    try:
        _, first = await dt.wait_first(blocked, ctx.cancellation())
        await first
    except dt.TerminalError as error:
        if error.code != CANCELLED:
            raise
        # The call is cancelled where it is still pending: with this handler, which ends here.
        ctx.set("state", True)


@cancel_test_runner.handler(name="verifyTest")
async def verify_test(ctx: dt.ObjectContext) -> bool:
    return await ctx.get("state", bool, False)


@cancel_test_blocking_service.handler
async def block(ctx: dt.ObjectContext, operation: Operation) -> None:
    awakeable_id, released = ctx.awakeable(bytes)
    await ctx.call(hold, awakeable_id, key=ctx.key)
    await released
    match operation:
        case "CALL":
            # Its own key is taken by this very invocation: a deadlock, on purpose.
            await ctx.call(block, operation, key=ctx.key)
        case "SLEEP":
            await dt.sleep(FOR_EVER)
        case "AWAKEABLE":
            await ctx.awakeable().future


@cancel_test_blocking_service.handler(name="isUnlocked")
async def is_unlocked(_ctx: dt.ObjectContext) -> None: ...
