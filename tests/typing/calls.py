"""Only type-checked: a call knows its handler's input and output.

Every line that must be an error carries an ignore comment, and an ignore comment without
an error is an error itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_type

from durable_trio._peer import CallFuture, SendHandle
from durable_trio._services import Service, VirtualObject
from durable_trio._target import CallTarget, RemoteHandler, remote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio._context import Context, ObjectContext
    from durable_trio._handler import AnyHandler
    from durable_trio.abc import Serde

reports = Service("Reports")
counter = VirtualObject("Counter")


@reports.handler
async def build(_ctx: Context, count: int) -> str:
    return str(count)


@reports.handler
async def ping(_ctx: Context) -> None: ...


@reports.handler
async def merge(_ctx: Context, parts: Sequence[str | None]) -> list[str]:
    return [part for part in parts if part]


@reports.handler
async def maybe(_ctx: Context, value: int | None) -> int | None:
    return value


@reports.handler
async def sort(_ctx: Context, order: Literal["up", "down"]) -> str:
    return order


@reports.handler
async def weigh(_ctx: Context, weights: dict[str, float]) -> float:
    return sum(weights.values())


@counter.handler
async def add(_ctx: ObjectContext, amount: int = 1) -> int:
    return amount


async def a_call_has_the_handlers_types(ctx: Context) -> None:
    assert_type(ctx.call(build, 3), CallFuture[str])
    assert_type(await ctx.call(build, 3), str)
    assert_type(await ctx.call(ping), None)
    assert_type(await ctx.call(merge, ["a", None]), list[str])
    assert_type(await ctx.call(maybe, None), int | None)
    assert_type(await ctx.call(add, key="k"), int)
    assert_type(await ctx.call(add, 4, key="k"), int)
    assert_type(await ctx.call(build, True, idempotency_key="once"), str)
    assert_type(await ctx.call(sort, "up"), str)
    assert_type(await ctx.call(weigh, {"a": 1}), float)
    assert_type(ctx.send(sort, "down"), SendHandle)
    assert_type(ctx.send(build, 3, delay=60), SendHandle)
    assert_type(ctx.send(ping), SendHandle)


async def a_call_refuses_what_the_handler_does_not_take(ctx: Context) -> None:
    await ctx.call(build)  # type: ignore[arg-type]
    await ctx.call(build, "3")  # type: ignore[arg-type]
    await ctx.call(sort, "sideways")  # type: ignore[arg-type]
    await ctx.call(weigh, {"a": "1"})  # type: ignore[dict-item]
    await ctx.call(ping, 3)  # type: ignore[arg-type]
    await ctx.call(add, "4", key="k")  # type: ignore[arg-type]
    await ctx.call(maybe)  # type: ignore[arg-type]
    ctx.send(build, "3")  # type: ignore[arg-type]
    ctx.send(ping, 3)  # type: ignore[arg-type]
    number: int = await ctx.call(build, 3)  # type: ignore[arg-type]
    assert number


async def a_remote_handler_has_the_types_it_was_given(ctx: Context, serde: Serde[str]) -> None:
    assert_type(remote("S", "h", input=int, output=str), RemoteHandler[[int], str])
    assert_type(remote("S", "h", input=None, output=str), RemoteHandler[[], str])
    assert_type(remote("S", "h", input=int, output=None), RemoteHandler[[int], None])
    assert_type(remote("S", "h", input=None, output=None), RemoteHandler[[], None])
    assert_type(remote("S", "h", output=str), RemoteHandler[..., str])
    assert_type(remote("S", "h"), RemoteHandler[..., Any])
    assert_type(remote("S", "h", input=serde, output=serde), RemoteHandler[[str], str])

    assert_type(await ctx.call(remote("S", "h", input=int, output=list[str]), 3), list[str])
    assert_type(await ctx.call(remote("S", "h", input=None, output=str)), str)
    assert_type(await ctx.call(remote("S", "h", output=str), 3), str)
    assert_type(await ctx.call(remote("S", "h"), 3, key="k"), Any)
    assert_type(await ctx.call(remote("S", "h")), Any)

    typed, empty = remote("S", "h", input=int, output=str), remote("S", "h", input=None, output=str)
    await ctx.call(typed, "3")  # type: ignore[arg-type]
    await ctx.call(typed)  # type: ignore[arg-type]
    await ctx.call(empty, 3)  # type: ignore[arg-type]


async def a_function_may_take_any_target(
    ctx: Context, target: CallTarget[[int], str], handler: AnyHandler
) -> None:
    assert_type(await ctx.call(target, 3), str)
    assert_type(await ctx.call(handler, 3), Any)
    assert_type(await ctx.call(handler), Any)
    assert_type(await ctx.call(reports.build, 3), Any)


async def a_handler_is_a_target(ctx: Context, handler: AnyHandler) -> None:
    await a_function_may_take_any_target(ctx, build, handler)
    await a_function_may_take_any_target(ctx, remote("S", "h", input=int, output=str), handler)
    await a_function_may_take_any_target(ctx, ping, handler)  # type: ignore[arg-type]
