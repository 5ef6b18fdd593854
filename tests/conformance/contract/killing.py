"""``KillTestRunner`` and ``KillTestSingleton``: a tree of calls that only a kill can end."""

from __future__ import annotations

import durable_trio as dt

from .awakeable_holder import hold

kill_test_runner = dt.VirtualObject("KillTestRunner")
kill_test_singleton = dt.VirtualObject("KillTestSingleton")


@kill_test_runner.handler(name="startCallTree")
async def start_call_tree(ctx: dt.ObjectContext) -> None:
    await ctx.call(recursive_call, key=ctx.key)


@kill_test_singleton.handler(name="recursiveCall")
async def recursive_call(ctx: dt.ObjectContext) -> None:
    awakeable_id, released = ctx.awakeable(bytes)
    ctx.send(hold, awakeable_id, key=ctx.key)
    await released
    # Its own key is taken by this very invocation: a deadlock, on purpose.
    await ctx.call(recursive_call, key=ctx.key)


@kill_test_singleton.handler(name="isUnlocked")
async def is_unlocked(_ctx: dt.ObjectContext) -> None: ...
