"""Parallel calls: ask several services at once and put their answers together.

The callees run side by side, each exactly once, even if this handler or one of them
crashes meanwhile. Branches may share what they build without any lock: at most one of
them runs at a time, and a replay repeats the order.
"""

from tempfile import TemporaryDirectory

import attrs
import trio

from durable_trio import Context, Service, gather, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

users = Service("Users")
orders = Service("Orders")
dashboard = Service("Dashboard")
services = [users, orders, dashboard]


@attrs.define
class Page:
    profile: str = ""
    orders: list[str] = attrs.field(factory=list[str])
    latest_is: str = ""


@users.handler
async def profile_of(ctx: Context, user: str) -> str:
    return await ctx.run(lambda: f"{user}, customer since 2019", name=f"read {user}")


@orders.handler
async def orders_of(ctx: Context, user: str) -> list[str]:
    return await ctx.run(lambda: ["A-17", "A-42"], name=f"orders of {user}")


@orders.handler
async def status_of(ctx: Context, order: str) -> str:
    return await ctx.run(lambda: "on its way", name=f"track {order}")


@dashboard.handler
async def page(ctx: Context, user: str) -> Page:
    """In the nursery style: one branch calls twice, beside the other."""
    page = Page()

    async def fill_profile() -> None:
        page.profile = await ctx.call(profile_of, user)

    async def fill_orders() -> None:
        page.orders = await ctx.call(orders_of, user)
        page.latest_is = await ctx.call(status_of, page.orders[-1])

    async with open_nursery() as nursery:
        nursery.start_soon(fill_profile)
        nursery.start_soon(fill_orders)
    return page


@dashboard.handler
async def header(ctx: Context, user: str) -> str:
    """In the futures style: ``gather`` waits for both, and knows the type of each."""
    profile, found = await gather(ctx.call(profile_of, user), ctx.call(orders_of, user))
    return f"{profile} ({len(found)} orders)"


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/dashboard.journal")) as runtime:
            print(await runtime.call(dashboard.page, "ada"))
            print(await runtime.call(header, "ada"))


if __name__ == "__main__":
    trio.run(main)
