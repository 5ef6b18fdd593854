"""Concurrent writes to different objects: each key has a queue of its own.

Deposits into different accounts run side by side. Those into the same account come one
after the other, in the order of the calls, and each of them exactly once: no lock, no
transaction, no lost update, whatever crashes in between.
"""

from tempfile import TemporaryDirectory

import attrs
import trio

from durable_trio import Context, ObjectContext, Service, VirtualObject, gather, open_nursery
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

accounts = VirtualObject("Accounts")
payroll = Service("Payroll")
services = [accounts, payroll]


@attrs.frozen
class Payment:
    account: str
    amount: int


@accounts.handler
async def deposit(ctx: ObjectContext, amount: int) -> int:
    """The new balance."""
    balance = await ctx.get("balance", int, default=0) + amount
    ctx.set("balance", balance)
    return balance


@payroll.handler
async def pay(ctx: Context, payments: list[Payment]) -> dict[str, int]:
    """In the nursery style: how much each account has in the end."""
    balances: dict[str, int] = {}

    async def pay_one(payment: Payment) -> None:
        balances[payment.account] = await ctx.call(deposit, payment.amount, key=payment.account)

    async with open_nursery() as nursery:
        for payment in payments:
            nursery.start_soon(pay_one, payment)
    return dict(sorted(balances.items()))


@payroll.handler
async def pay_everybody(ctx: Context, amount: int) -> list[int]:
    """In the futures style."""
    names = ["ada", "bob", "cleo"]
    return list(await gather(*(ctx.call(deposit, amount, key=name) for name in names)))


async def main() -> None:
    payments = [Payment("ada", 100), Payment("bob", 70), Payment("ada", 5)]
    with TemporaryDirectory() as folder:
        async with LocalRuntime(services, FileJournal(f"{folder}/payroll.journal")) as runtime:
            print(await runtime.call(pay, payments))
            print(await runtime.call(pay_everybody, 1))


if __name__ == "__main__":
    trio.run(main)
