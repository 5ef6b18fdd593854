"""``BlockAndWaitWorkflow``: waits for a durable promise that another handler resolves."""

from __future__ import annotations

import durable_trio as dt

block_and_wait = dt.Workflow("BlockAndWaitWorkflow")


@block_and_wait.main
async def run(ctx: dt.WorkflowContext, text: str) -> str:
    ctx.set("my-state", text)
    promise = ctx.promise("durable-promise", str)
    value = await promise
    if await promise.peek() is dt.NOT_READY:
        raise dt.TerminalError("the promise was awaited and is not completed")

    return value


@block_and_wait.shared
async def unblock(ctx: dt.WorkflowSharedContext, value: str) -> None:
    await ctx.promise("durable-promise", str).resolve(value)


@block_and_wait.shared(name="getState")
async def get_state(ctx: dt.WorkflowSharedContext) -> str | None:
    return await ctx.get("my-state", str)
