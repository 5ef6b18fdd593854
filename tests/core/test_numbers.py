"""The numbers of a journal: completion ids, and signal indexes of awakeables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from durable_trio import open_nursery, remote, sleep
from durable_trio._invocation import parse_awakeable_id
from durable_trio.abc import CompleteAwakeable

from .world import play, workflow_handler

if TYPE_CHECKING:
    from durable_trio import WorkflowContext


def test_completion_ids_are_given_in_program_order(backend: str) -> None:
    """From 1; two for a call (its id, its result), one for what has one answer, none for the rest."""

    async def nothing() -> None:
        """A step."""

    async def handler(ctx: WorkflowContext) -> None:
        ctx.set("a", 1)
        ctx.get("b")
        ctx.keys()
        ctx.run(nothing)
        ctx.timer(1)
        ctx.call(remote("S", "h"))
        ctx.send(remote("S", "h"))
        ctx.resolve_awakeable(ctx.awakeable().id)
        ctx.promise("p").get()
        ctx.promise("p").peek()
        ctx.promise("p").resolve(None)
        ctx.invocation("inv_1").attach()
        ctx.invocation("inv_1").output()
        ctx.invocation("inv_1").signal("x")
        ctx.clear_all()
        await sleep(1)

    _, world = play(workflow_handler(handler), backend, start={"partial_state": True})

    numbers: list[tuple[str, list[int]]] = []
    for command in world.commands:
        fields: dict[str, Any] = attrs.asdict(command, recurse=False)
        ids = [
            fields[name] for name in ("invocation_id_completion", "completion_id") if name in fields
        ]
        numbers.append((type(command).__name__, ids))
    assert [
        ("SetState", []),
        ("GetState", [1]),
        ("GetStateKeys", [2]),
        ("Run", [3]),
        ("Sleep", [4]),
        ("Call", [5, 6]),
        ("OneWayCall", [7]),
        ("CompleteAwakeable", []),
        ("GetPromise", [8]),
        ("PeekPromise", [9]),
        ("CompletePromise", [10]),
        ("Attach", [11]),
        ("GetOutput", [12]),
        ("SendSignal", []),
        ("ClearAllState", []),
        ("Sleep", [13]),
    ] == numbers[:16]


def test_awakeables_are_numbered_from_17(backend: str) -> None:
    """In program order over all branches; the numbers below are the protocol's own."""

    async def branch(ctx: WorkflowContext) -> None:
        ctx.resolve_awakeable(ctx.awakeable().id)

    async def handler(ctx: WorkflowContext) -> None:
        await branch(ctx)
        async with open_nursery() as nursery:
            nursery.start_soon(branch, ctx)
            nursery.start_soon(branch, ctx)

    _, world = play(workflow_handler(handler), backend)

    ids = [each.awakeable_id for each in world.commands if isinstance(each, CompleteAwakeable)]
    assert [17, 18, 19] == [parse_awakeable_id(each)[1] for each in ids]
