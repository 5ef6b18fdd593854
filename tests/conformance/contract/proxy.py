"""``Proxy``: calls any handler with raw bytes, which JSON carries as arrays of integers."""

from __future__ import annotations

import attrs

import durable_trio as dt
from durable_trio.serde import bytes_serde

proxy = dt.Service("Proxy")


def are_bytes(_request: Request, _field: object, message: list[int]) -> None:
    bytes(message)


@attrs.frozen
class Request:
    """What is to be called, and with what."""

    serviceName: str
    handlerName: str
    message: list[int] = attrs.field(validator=are_bytes)
    virtualObjectKey: str | None = None
    delayMillis: int | None = None
    idempotencyKey: str | None = None
    scope: str | None = None
    limitKey: str | None = None

    def call(self, ctx: dt.Context) -> dt.CallFuture[bytes]:
        return ctx.call(
            self._target(),
            bytes(self.message),
            key=self.virtualObjectKey,
            idempotency_key=self.idempotencyKey,
            scope=self.scope,
            limit_key=self.limitKey,
        )

    def send(self, ctx: dt.Context) -> dt.SendHandle:
        return ctx.send(
            self._target(),
            bytes(self.message),
            key=self.virtualObjectKey,
            delay=(self.delayMillis or 0) / 1000,
            idempotency_key=self.idempotencyKey,
            scope=self.scope,
            limit_key=self.limitKey,
        )

    def _target(self) -> dt.RemoteHandler[[bytes], bytes]:
        return dt.remote(self.serviceName, self.handlerName, input=bytes_serde, output=bytes_serde)


@attrs.frozen
class Step:
    """One request of many, and when it is awaited."""

    proxyRequest: Request
    oneWayCall: bool
    awaitAtTheEnd: bool


@proxy.handler(name="call")
async def call(ctx: dt.Context, request: Request) -> list[int]:
    return list(await request.call(ctx))


@proxy.handler(name="oneWayCall")
async def one_way_call(ctx: dt.Context, request: Request) -> str:
    return await request.send(ctx).invocation_id()


@proxy.handler(name="manyCalls")
async def many_calls(ctx: dt.Context, steps: list[Step]) -> None:
    at_the_end: list[dt.CallFuture[bytes]] = []
    for step in steps:
        if step.oneWayCall:
            step.proxyRequest.send(ctx)
        elif step.awaitAtTheEnd:
            at_the_end.append(step.proxyRequest.call(ctx))
        else:
            await step.proxyRequest.call(ctx)

    await dt.wait_all(*at_the_end)
    await dt.gather(*at_the_end)
