"""For the guide: handlers called from outside, in this process and over HTTP."""

from contextlib import AsyncExitStack

import trio

from durable_trio import (
    NOT_READY,
    Context,
    RefusedError,
    RequestTimeoutError,
    RetryPolicy,
    Service,
    TerminalError,
    UnavailableError,
    Workflow,
    WorkflowContext,
    WorkflowSharedContext,
    WorkflowTarget,
    remote,
)
from durable_trio.abc import Admin, Ingress
from durable_trio.client import IngressClient
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress
from durable_trio.testing import MemoryStore

prices = Service("Prices")
order = Workflow("Order")
services = [prices, order]


@prices.handler
async def quote(ctx: Context, item: str) -> int:
    if item != "tea":
        raise TerminalError(f"no {item} today", 404)
    return 350


@order.main
async def place(ctx: WorkflowContext, item: str) -> str:
    price = await ctx.call(quote, item)
    paid = await ctx.promise("paid", int)
    return f"{item}: {paid} of {price}"


@order.shared
async def pay(ctx: WorkflowSharedContext, cents: int) -> None:
    await ctx.promise("paid", int).resolve(cents)


async def buy(ingress: Ingress, number: str) -> str:
    price = await ingress.call(quote, "tea", idempotency_key=f"quote {number}")

    submitted = await ingress.send(place, "tea", key=number)
    assert submitted.invocation_id.startswith("inv_1")

    # Somebody else, later: all that is known is the number.
    target = WorkflowTarget("Order", number)
    assert await ingress.output(target, str) in {NOT_READY, f"tea: {price} of {price}"}
    await ingress.call(pay, price, key=number, idempotency_key="paid")
    return await ingress.attach(target, str)


async def quote_or_reason(ingress: IngressClient, item: str) -> str:
    ask = remote("Prices", "quote", input=str, output=int)  # whoever serves it, in any language
    try:
        return str(await ingress.call(ask, item, idempotency_key=item, timeout=5))
    except RefusedError as error:
        return f"cannot be asked for: {error.code} {error}"
    except TerminalError as error:
        return f"failed: {error.code} {error}"
    except RequestTimeoutError:
        return "goes on without us"
    except UnavailableError as error:
        return f"not now: {error.code}"


async def give_up(ingress: Ingress, admin: Admin) -> int:
    forgotten = await ingress.send(place, "tea", key="forgotten", delay=3600)
    await admin.cancel(forgotten.invocation_id)
    try:
        await ingress.attach(forgotten.invocation_id)
    except TerminalError as error:
        return error.code
    return 200


async def main() -> None:
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(LocalRuntime(services, MemoryStore()))
        print(await buy(runtime, "17"))

        server = await stack.enter_async_context(HttpIngress(runtime, port=0))
        async with IngressClient(server.url, retry=RetryPolicy(max_attempts=5)) as ingress:
            print(await buy(ingress, "18"))
            print(await quote_or_reason(ingress, "tea"))
            print(await quote_or_reason(ingress, "coffee"))
        print(await give_up(runtime, runtime))


if __name__ == "__main__":
    trio.run(main)
