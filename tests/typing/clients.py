"""Only type-checked: from outside, too, a call knows its handler, and one code takes any ingress.

Every line that must be an error carries an ignore comment, and an ignore comment without
an error is an error itself.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

from durable_trio import NotReady, SendReceipt, Service, VirtualObject, remote

if TYPE_CHECKING:
    from durable_trio import Context, ObjectContext
    from durable_trio.abc import Admin, Ingress
    from durable_trio.client import AdminClient, IngressClient
    from durable_trio.local import LocalRuntime

reports = Service("Reports")
counter = VirtualObject("Counter")


@reports.handler
async def build(_ctx: Context, count: int) -> str:
    return str(count)


@reports.handler
async def ping(_ctx: Context) -> None: ...


@counter.handler
async def add(_ctx: ObjectContext, amount: int = 1) -> int:
    return amount


async def every_ingress_has_the_handlers_types(
    runtime: LocalRuntime, client: IngressClient, ingress: Ingress
) -> None:
    for each in (runtime, client, ingress):
        assert_type(await each.call(build, 3), str)
        assert_type(await each.call(ping), None)
        assert_type(await each.call(add, key="k"), int)
        assert_type(await each.call(add, 4, key="k"), int)
        assert_type(await each.call(remote("S", "h", input=int, output=list[str]), 3), list[str])
        assert_type(await each.send(build, 3, delay=60), SendReceipt)
        assert_type(await each.send(ping), SendReceipt)
        assert_type(await each.attach("inv_1", int), int)
        assert_type(await each.attach("inv_1"), Any)
        assert_type(await each.output("inv_1", int), int | NotReady)


async def a_call_refuses_what_the_handler_does_not_take(client: IngressClient) -> None:
    await client.call(build)  # type: ignore[arg-type]
    await client.call(build, "3")  # type: ignore[arg-type]
    await client.call(ping, 3)  # type: ignore[arg-type]
    await client.send(build, "3")  # type: ignore[arg-type]
    await client.send(ping, 3)  # type: ignore[arg-type]
    number: int = await client.call(build, 3, timeout=5)  # type: ignore[arg-type]
    assert number


def runtime_and_clients_are_of_one_kind(
    runtime: LocalRuntime, client: IngressClient, admin_client: AdminClient
) -> tuple[list[Ingress], list[Admin]]:
    return [runtime, client], [runtime, admin_client]
