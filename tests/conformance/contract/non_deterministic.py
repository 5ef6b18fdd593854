"""``NonDeterministic``: what a handler must not do, on purpose.

Every attempt of one key goes another way than the one before, so that a replay does not
match its journal and has to be found out before the counter is reached.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import durable_trio as dt

from . import counter

non_deterministic = dt.VirtualObject("NonDeterministic")

attempts: Final = Counter[str]()
"""How many attempts each key has seen in this process."""


def goes_left(ctx: dt.ObjectContext) -> bool:
    attempts[ctx.key] += 1
    return attempts[ctx.key] % 2 == 1


async def sleep_and_count(ctx: dt.ObjectContext) -> None:
    await dt.sleep(0.1)
    ctx.send(counter.add, 1, key=ctx.key)


@non_deterministic.handler(name="setDifferentKey")
async def set_different_key(ctx: dt.ObjectContext) -> None:
    ctx.set("a" if goes_left(ctx) else "b", "my-state")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="backgroundInvokeWithDifferentTargets")
async def background_invoke_with_different_targets(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        ctx.send(counter.get, key="abc")
    else:
        ctx.send(counter.reset, key="abc")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="callDifferentMethod")
async def call_different_method(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        await ctx.call(counter.get, key="abc")
    else:
        await ctx.call(counter.reset, key="abc")
    await sleep_and_count(ctx)


@non_deterministic.handler(name="eitherSleepOrCall")
async def either_sleep_or_call(ctx: dt.ObjectContext) -> None:
    if goes_left(ctx):
        await dt.sleep(0.1)
    else:
        await ctx.call(counter.get, key="abc")
    await sleep_and_count(ctx)
