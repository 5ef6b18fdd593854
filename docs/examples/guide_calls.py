"""For the guide: calls, sends, delays, idempotency keys, and handlers whose code is elsewhere."""

from datetime import timedelta
from tempfile import TemporaryDirectory

import trio

from durable_trio import (
    NOT_READY,
    Context,
    IdempotentTarget,
    ObjectContext,
    Service,
    VirtualObject,
    remote,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

accounts = VirtualObject("Accounts")
mail = Service("Mail")
shop = Service("Shop")
services = [accounts, mail, shop]


@accounts.handler
async def withdraw(ctx: ObjectContext, cents: int) -> int:
    left = await ctx.get("cents", int, default=10_000) - cents
    ctx.set("cents", left)
    return left


@mail.handler
async def write(ctx: Context, text: str) -> str:
    return f"sent: {text}"


@shop.handler
async def buy(ctx: Context, buyer: str) -> int:
    left = await ctx.call(withdraw, 1_000, key=buyer)
    ctx.send(write, f"{buyer}, thank you")
    ctx.send(write, f"{buyer}, how was it?", delay=timedelta(days=3))
    return left


anywhere = remote("Mail", "write", input=str, output=str)


@shop.handler
async def remind(ctx: Context, buyer: str) -> str:
    sent = ctx.send(anywhere, f"{buyer}, come back", idempotency_key=f"reminder {buyer}")
    mail_id = await sent.invocation_id()
    return await ctx.invocation(mail_id).attach(str)


@shop.handler
async def reminded(ctx: Context, buyer: str) -> str:
    earlier = ctx.invocation(IdempotentTarget("Mail", "write", f"reminder {buyer}"))
    text = await earlier.output(str)
    return "not yet" if text is NOT_READY else text


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/shop.journal")) as runtime:
            for _ in range(2):  # the second call gets the result of the first
                print(await runtime.call(buy, "ada", idempotency_key="order 17"))
            print(await runtime.call(remind, "ada"))
            print(await runtime.call(reminded, "ada"))


if __name__ == "__main__":
    trio.run(main)
