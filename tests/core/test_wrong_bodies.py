"""Run bodies that are wrong: the attempt fails at once, whatever the body ran in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from durable_trio import SerializationError
from durable_trio.abc import AttemptFailed

from .world import World, service_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from durable_trio import Context


@attrs.frozen
class Point:
    x: int


async def in_task() -> Any:
    return Point(1)


def plainly() -> Any:
    return Point(1)


@pytest.mark.parametrize("on_thread", [True, False])
@pytest.mark.parametrize("function", [in_task, plainly])
def test_a_result_that_cannot_be_encoded(
    backend: str, function: Callable[..., object], on_thread: bool
) -> None:
    """It fails the attempt by itself; nothing else has to happen first."""

    async def handler(ctx: Context) -> None:
        await ctx.run(function, on_thread=on_thread)

    end = World(service_handler(handler)).play(backend)

    assert isinstance(end, AttemptFailed)
    assert isinstance(end.error, SerializationError)
