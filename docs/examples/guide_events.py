"""For the guide: waiting for somebody outside, delayed sends, and calls that are made once."""

from tempfile import TemporaryDirectory

import anyio
import trio

from durable_trio import Context, ObjectContext, Service, VirtualObject, move_on_after
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

expenses = Service("Expenses")
inbox = VirtualObject("Inbox")
services = [expenses, inbox]


@inbox.handler
async def put(ctx: ObjectContext, ticket: str) -> None:
    ctx.set("ticket", ticket)


@inbox.handler
async def decide(ctx: ObjectContext, decision: bool) -> None:
    ticket = await ctx.get("ticket", str)
    if ticket is not None:
        ctx.resolve_awakeable(ticket, decision)


@expenses.handler
async def approve(ctx: Context, cents: int) -> str:
    ticket, decision = ctx.awakeable(bool)
    await ctx.call(put, ticket, key="boss")
    with move_on_after(24 * 3600):
        return "approved" if await decision else "refused"
    return "nobody decided"


@expenses.handler
async def remind(ctx: Context, text: str) -> None:
    ctx.log.info("reminder: %s", text)


@expenses.handler
async def submit(ctx: Context, cents: int) -> str:
    reminder = ctx.send(remind, f"{cents} cents", delay=3 * 24 * 3600)  # it outlives this handler
    answer = await ctx.call(approve, cents, idempotency_key=f"claim-{cents}")
    reminder.cancel()
    return answer


@expenses.handler
async def listen(ctx: Context) -> str:
    return await ctx.signal("name", str)  # resolved from outside, by invocation id and name


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/expenses.journal")) as runtime:
            claim = await runtime.send(submit, 1200)
            await anyio.sleep(0.1)
            await runtime.call(decide, True, key="boss")
            print(await runtime.attach(claim.invocation_id, str))
            listener = await runtime.send(listen)
            await runtime.resolve_signal(listener.invocation_id, "name", "Ada")
            print(await runtime.attach(listener.invocation_id, str))


if __name__ == "__main__":
    trio.run(main)
