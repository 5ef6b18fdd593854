"""For the page on testing: a bug that shows when a process dies at the wrong moment."""

import anyio

from durable_trio import Context, Service, current_run
from durable_trio.testing import VirtualRuntime, crash_everywhere

accounts = Service("Accounts")

mails: dict[str, str] = {}  # what the mail service has sent


def post(mail: str, key: str) -> None:
    mails[key] = mail


def create_account(name: str) -> str:
    return name.lower()


@accounts.handler
async def sign_up(ctx: Context, name: str) -> str:
    post(f"Welcome, {name}", key=f"mail {len(mails)}")  # the bug: this is no step
    return await ctx.run(create_account, name)


@accounts.handler
async def sign_up_once(ctx: Context, name: str) -> str:
    def welcome() -> None:
        post(f"Welcome, {name}", key=current_run().idempotency_key)

    await ctx.run(welcome)
    return await ctx.run(create_account, name)


async def ada_signs_up(rt: VirtualRuntime) -> list[str]:
    mails.clear()
    await rt.call(sign_up, "Ada")
    return list(mails.values())


async def ada_signs_up_once(rt: VirtualRuntime) -> list[str]:
    mails.clear()
    await rt.call(sign_up_once, "Ada")
    return list(mails.values())


async def test_signing_up() -> None:
    await crash_everywhere([accounts], ada_signs_up_once)


async def main() -> None:
    try:
        await crash_everywhere([accounts], ada_signs_up)
    except AssertionError as failure:
        print(failure)
    print(await crash_everywhere([accounts], ada_signs_up_once))


if __name__ == "__main__":
    anyio.run(main, backend="trio")
