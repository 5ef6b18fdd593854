"""Only type-checked: what decorators accept, and that a handler keeps its function's types.

Every line that must be an error carries an ignore comment, and an ignore comment without
an error is an error itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_type

from durable_trio._handler import AnyHandler, Handler
from durable_trio._retry import InvocationRetryPolicy
from durable_trio._services import Service, VirtualObject, Workflow
from durable_trio.serde import bytes_serde, json_serde

if TYPE_CHECKING:
    from durable_trio._context import (
        Context,
        ObjectContext,
        ObjectSharedContext,
        WorkflowContext,
        WorkflowSharedContext,
    )

reports = Service("Reports", abort_timeout=timedelta(minutes=1), ingress_private=True)
counter = VirtualObject("Counter", lazy_state=True, serde=json_serde)
order = Workflow("Order", retry_policy=InvocationRetryPolicy(max_attempts=3))


@reports.handler
async def build(_ctx: Context, count: int) -> str:
    return str(count)


@reports.handler(name="rebuild", inactivity_timeout=0.5)
async def build_again(_ctx: Context, names: list[str], /) -> dict[str, int]:
    return dict.fromkeys(names, 0)


@reports.handler()
async def ping(_ctx: Context) -> None: ...


@counter.handler
async def add(ctx: ObjectContext, amount: int = 1) -> int:
    ctx.set("count", amount)
    return amount


@counter.shared
async def get(_ctx: ObjectSharedContext) -> int:
    return 0


@counter.handler(input_serde=bytes_serde, output_serde=bytes_serde)
async def any_context(_ctx: Context, value: bytes) -> bytes:
    return value


@order.main(workflow_retention=60)
async def process(_ctx: WorkflowContext, items: list[str]) -> int:
    return len(items)


@order.shared
async def state(_ctx: WorkflowSharedContext) -> str:
    return ""


async def a_handler_is_called_as_the_function_it_was(
    context: Context, object_context: ObjectContext, workflow_context: WorkflowContext
) -> None:
    assert_type(await build(context, 3), str)
    assert_type(await build(context, count=3), str)
    assert_type(await build_again(context, ["a"]), dict[str, int])
    assert_type(await ping(context), None)
    assert_type(await add(object_context), int)
    assert_type(await add(object_context, amount=4), int)
    assert_type(await get(object_context), int)
    assert_type(await any_context(object_context, b""), bytes)
    assert_type(await process(workflow_context, ["a"]), int)
    assert_type(await state(workflow_context), str)

    await build(context)  # type: ignore[call-arg]
    await build(context, "3")  # type: ignore[arg-type]
    await ping(context, 3)  # type: ignore[call-arg]
    await add(context, 3)  # type: ignore[arg-type]


async def an_attribute_is_some_handler(context: Context) -> None:
    assert_type(reports.build, AnyHandler)
    assert_type(reports.handlers["build"], AnyHandler)
    assert_type(await reports.build(context, 3), Any)


def a_handler_may_be_annotated() -> None:
    some: Handler[Context, [int], str] = build
    same: AnyHandler = some
    other: Handler[Context, [str], str] = build  # type: ignore[assignment]
    assert same is other


class Greeter:
    async def greet(self, _ctx: Context, name: str) -> str:
        return name


async def a_bound_method_is_a_handler(context: Context) -> None:
    greet = reports.handler(Greeter().greet, name="greet")
    assert_type(await greet(context, "you"), str)


# -- what is refused


@reports.handler  # type: ignore[arg-type]
async def wants_state(_ctx: ObjectContext) -> None: ...


@counter.shared  # type: ignore[arg-type]
async def wants_to_write(_ctx: ObjectContext) -> None: ...


@counter.handler  # type: ignore[arg-type]
async def wants_promises(_ctx: WorkflowContext) -> None: ...


@order.shared  # type: ignore[arg-type]
async def wants_to_be_main(_ctx: WorkflowContext) -> None: ...


@reports.handler  # type: ignore[arg-type]
def blocking(_ctx: Context) -> None: ...


Service("S", lazy_state=True)  # type: ignore[call-arg]
Service("S", abort_timeout="1m")  # type: ignore[arg-type]
reports.handler(abort_timout=1)  # type: ignore[call-overload]
counter.handler(on_journal_mismatch="ignore")  # type: ignore[call-overload]
InvocationRetryPolicy(on_max_attempts="stop")  # type: ignore[arg-type]
