"""For the guide: waiting for somebody, with awakeables, promises and signals."""

from queue import SimpleQueue
from tempfile import TemporaryDirectory

import trio

from durable_trio import (
    NOT_READY,
    Context,
    Service,
    TerminalError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    move_on_after,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

desk = Service("Desk")
holiday = Workflow("Holiday")
chat = Service("Chat")
services = [desk, holiday, chat]

post: SimpleQueue[str] = SimpleQueue()  # stands for the mail


def ask(question: str, reply_to: str) -> None:
    post.put(reply_to)


@desk.handler
async def approved(ctx: Context, question: str) -> bool:
    reply_to, reply = ctx.awakeable(bool)
    await ctx.run(ask, question, reply_to)
    with move_on_after(3 * 24 * 3600):
        return bool(await reply)
    return False


@desk.handler
async def reply(ctx: Context, reply_to: str) -> None:
    ctx.resolve_awakeable(reply_to, value=True)


@holiday.main
async def request(ctx: WorkflowContext, days: int) -> str:
    decided_by = await ctx.promise("decision", str)
    return f"{days} days, by {decided_by}"


@holiday.shared
async def decide(ctx: WorkflowSharedContext, name: str) -> None:
    await ctx.promise("decision", str).resolve(name)


@holiday.shared
async def is_decided(ctx: WorkflowSharedContext) -> bool:
    return await ctx.promise("decision", str).peek() is not NOT_READY


@chat.handler
async def transcript(ctx: Context) -> list[str]:
    lines: list[str] = []
    while (line := await ctx.signal("line", str)) != "bye":
        lines.append(line)
    return lines


@chat.handler
async def say(ctx: Context, invocation: str) -> None:
    for line in ("hello", "bye"):
        ctx.invocation(invocation).signal("line", line)


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/desk.journal")) as runtime:
            started = await runtime.send(approved, "May we?")
            reply_to = await trio.to_thread.run_sync(post.get)
            await runtime.resolve_awakeable(reply_to, value=True)
            print(await runtime.attach(started.invocation_id, bool))

            await runtime.call(decide, "Grace", key="Ada")  # before the main handler has begun
            print(await runtime.call(request, 5, key="Ada"))
            try:
                await runtime.call(decide, "Alan", key="Ada")
            except TerminalError as error:
                print(error.code, error)

            talk = await runtime.send(transcript)
            await runtime.call(say, talk.invocation_id)
            print(await runtime.attach(talk.invocation_id, list[str]))


if __name__ == "__main__":
    trio.run(main)
