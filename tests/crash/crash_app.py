"""A handler that uses everything, and a process that runs it and can be killed anywhere.

Run as ``python crash_app.py JOURNAL EFFECTS BACKEND [KILL_AT]``: prints the result as JSON. With
``KILL_AT`` it kills itself with SIGKILL when that many transactions have been queued (an odd
number: before the transaction is committed; an even one: right after it).
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from durable_trio import (
    CancelScope,
    Context,
    ObjectContext,
    Service,
    TerminalError,
    VirtualObject,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    amap,
    gather,
    move_on_after,
    open_nursery,
    race,
    sleep,
)
from durable_trio.abc import Write
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

effects = ""

ledger = VirtualObject("Ledger")
approval = Workflow("Approval")
job = Service("Job")
worker = Service("Worker")


def effect(step: str) -> None:
    """Leave a line outside of the journal: this body was executed."""
    log = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{step}\n".encode())
    os.close(log)


async def step(name: str, value: int) -> int:
    """A body with an effect."""
    effect(name)
    await anyio.lowlevel.checkpoint()
    return value


async def stuck(name: str) -> int:
    """A body that never ends by itself."""
    effect(name)
    await anyio.sleep_forever()
    return 0


@ledger.handler
async def add(ctx: ObjectContext, label: str) -> int:
    """Note a label; answers how many there are."""
    labels = await ctx.get("labels", list[str], default=[])
    ctx.set("labels", [*labels, label])
    return len(labels) + 1


@approval.main
async def approve(ctx: WorkflowContext, question: str) -> str:
    """Wait for somebody's decision."""
    ctx.set("question", question)
    return await ctx.promise("decision", str)


@approval.shared
async def decide(ctx: WorkflowSharedContext, decision: str) -> None:
    """Decide."""
    await ctx.promise("decision", str).resolve(decision)


@worker.handler
async def square(ctx: Context, number: int) -> int:
    """A callee with a step of its own."""
    return await ctx.run(step, f"{ctx.request.id}/square", number * number, name="square")


@worker.handler
async def hang(ctx: Context, label: str) -> None:
    """A callee that only ends by being cancelled; it cleans up durably."""
    try:
        await sleep(3600)
    finally:
        with CancelScope(shield=True):
            await ctx.run(step, f"{ctx.request.id}/cleanup", 1, name="cleanup")
            ctx.send(add, f"cleaned {label}", key="log")


@job.handler
async def main(ctx: Context, size: int) -> dict[str, Any]:
    """Nurseries, races, timeouts, calls, state, promises, sends."""
    me = ctx.request.id

    async def branch(number: int) -> int:
        first = await ctx.run(step, f"{me}/branch{number}/a", number, name="a")
        second = await ctx.run(step, f"{me}/branch{number}/b", first * 10, name="b")
        await ctx.call(add, f"branch {number}", key="log")
        return second

    branches = await amap(branch, range(size), limit=2)

    decisions: list[str] = []
    async with open_nursery() as nursery:
        waiting = nursery.start_soon(ask, ctx)
        nursery.start_soon(answer, ctx)
        decisions.append(await waiting)

    async def quick() -> str:
        await ctx.run(step, me + "/quick", 0, name="quick")
        return "won"

    async def slow() -> str:
        await ctx.run(stuck, f"{me}/slow", name="slow")
        return "lost"

    winner = await race(slow, quick)

    with move_on_after(0.05) as scope:
        await ctx.call(hang, "by timeout")

    refused = ""
    try:
        await ctx.run(refuse, f"{me}/refuse", name="refuse")
    except TerminalError as error:
        refused = error.message

    squares = await gather(*(ctx.call(square, number) for number in range(3)))
    ctx.send(add, "sent", key="log", delay=0.02)
    ctx.send(add, "sent", key="log")
    return {
        "branches": branches,
        "decisions": decisions,
        "winner": winner,
        "timed out": scope.cancelled_caught,
        "refused": refused,
        "squares": list(squares),
    }


async def refuse(name: str) -> None:
    """A body that fails for good."""
    effect(name)
    raise TerminalError("no", 403)


async def ask(ctx: Context) -> str:
    """Start the workflow and wait for it."""
    return await ctx.call(approve, "may we?", key=ctx.request.id)


async def answer(ctx: Context) -> None:
    """Decide, from another branch."""
    await ctx.call(decide, "yes", key=ctx.request.id)


class Doomed:
    """Kills the process at a chosen transaction."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.queued = 0

    def arm(self, store: FileJournal) -> None:
        """Watch a store's writes."""
        write = store.write

        def doomed(
            writes: Sequence[Write],
            on_commit: Callable[[], object] | None = None,
            *,
            urgent: bool = True,
        ) -> None:
            self.queued += 1
            now = self.queued == (self.kill_at + 1) // 2
            if now and self.kill_at % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if now:

                def committed() -> None:
                    os.kill(os.getpid(), signal.SIGKILL)

                write(writes, committed, urgent=True)
            else:
                write(writes, on_commit, urgent=urgent)

        store.write = doomed  # type: ignore[method-assign]


async def run(journal: str, kill_at: int) -> None:
    """Run the job to its end, whatever was done of it before."""
    store = FileJournal(journal, synchronous="off")
    Doomed(kill_at).arm(store)
    async with LocalRuntime([ledger, approval, job, worker], store, unload_after=0.5) as runtime:
        result = await runtime.call(main, 4, idempotency_key="the job")
        with anyio.fail_after(20):
            while True:
                labels = (await runtime.get_state("Ledger", "log", list[str])).get("labels", [])
                if len(labels) >= 7:
                    break
                await anyio.sleep(0.01)
    print(json.dumps({"result": result, "labels": sorted(labels)}))


if __name__ == "__main__":
    effects = sys.argv[2]
    anyio.run(run, sys.argv[1], int(sys.argv[4]) if len(sys.argv) > 4 else 0, backend=sys.argv[3])
