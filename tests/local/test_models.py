"""Types of the user's own, wherever a value passes through a journal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import GenericAlias
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from durable_trio import Context, InvalidInputError, ObjectContext, Service, VirtualObject
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Colour(Enum):
    RED = "red"


@attrs.frozen
class Attrs:
    colour: Colour
    when: datetime
    sizes: list[int | None]


@dataclass(frozen=True)
class Data:
    colour: Colour
    when: datetime
    sizes: list[int | None]


class Named(NamedTuple):
    colour: Colour
    when: datetime
    sizes: list[int | None]


class Typed(TypedDict):
    colour: Colour
    when: datetime
    sizes: list[int | None]


class Pydantic(pydantic.BaseModel):
    colour: Colour
    when: datetime
    sizes: list[int | None]


class Struct(msgspec.Struct):
    colour: Colour
    when: datetime
    sizes: list[int | None]


@pytest.mark.parametrize("model", [Attrs, Data, Named, Typed, Pydantic, Struct])
async def test_a_model_passes_through_everything(
    store: JournalStore, clock: VirtualClock, model: Any
) -> None:
    """Inputs, outputs, steps, state and signals, in a list, read again in a later attempt."""
    service, objects = Service("Models"), VirtualObject("Kept")
    seen: list[object] = []

    many: Any = GenericAlias(list, (model,))

    async def step(value: Any) -> Any:
        return [value]

    async def keep(ctx: ObjectContext, values: Any) -> Any:
        ctx.set("values", values, many)
        await ctx.timer(1)
        kept: list[Any] = await ctx.get("values", many, default=[])
        return kept[0]

    async def work(ctx: Context, values: Any) -> Any:
        stepped = await ctx.run(step, values[0])
        called = await ctx.call(keeping, stepped, key="k")
        signalled: list[Any] = await ctx.signal("more", many)
        await ctx.timer(1)
        seen.extend([*values, *stepped, called, *signalled])
        return [called, *signalled]

    step.__annotations__["return"] = many
    keep.__annotations__ |= {"values": many, "return": model}
    work.__annotations__ |= {"values": many, "return": many}
    keeping, working = objects.handler(keep), service.handler(work)
    value = model(colour=Colour.RED, when=WHEN, sizes=[1, None])
    async with LocalRuntime([service, objects], store, clock=clock, unload_after=0) as runtime:
        receipt = await runtime.send(working, [value])
        await runtime.resolve_signal(receipt.invocation_id, "more", [value], many)

        assert await runtime.attach(receipt.invocation_id, many) == [value, value]
        assert seen == [value] * 4
        with pytest.raises(InvalidInputError, match=r"at \$\[0\](\.sizes|\[2\])\[1\]"):
            await runtime.invoke(
                "Models",
                "work",
                b'[{"colour": "red", "when": "2026-01-02T03:04:05Z", "sizes": [1, "x"]}]'
                if model is not Named
                else b'[["red", "2026-01-02T03:04:05Z", [1, "x"]]]',
            )
