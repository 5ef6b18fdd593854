"""What ``explore`` leaves out, on programs drawn at random: nothing that anybody could see."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import Context, ObjectContext, Service, VirtualObject, open_nursery
from durable_trio.testing import ExploreReport, VirtualRuntime, _reduction, explore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.anyio

desk = Service("Desk")
till = VirtualObject("Till")
services = [desk, till]

world: list[str] = []
"""What steps change outside."""


@till.handler
async def add(ctx: ObjectContext, name: str) -> str:
    said = f"{await ctx.get('said', str, default='')}{name}"
    ctx.set("said", said)
    return said


@desk.handler
async def work(ctx: Context, plan: tuple[str, list[list[str]]]) -> list[str]:
    """Branches that share a list, which no journal shows."""
    name, branches = plan
    shared: list[str] = []

    async def branch(number: int, operations: list[str]) -> None:
        for operation in operations:
            label = f"{name}{number}"
            if operation == "step":
                await ctx.run(world.append, label, name="step", on_thread=False)
                shared.append(label)
            else:
                shared.append(await ctx.call(add, label, key=operation))

    async with open_nursery() as nursery:
        for number, operations in enumerate(branches):
            nursery.start_soon(branch, number, operations)
    return shared


def drawn(number: int) -> list[list[list[str]]]:
    """Two invocations with a few operations: few enough for every order of their events."""
    chance = random.Random(number)
    while True:
        sizes = chance.choice([[1], [2], [1, 1]]), chance.choice([[1], [1, 1]])
        program = [
            [[chance.choice(["step", "x", "y"]) for _ in range(n)] for n in s] for s in sizes
        ]
        names = [name for branches in program for branch in branches for name in branch]
        if len(names) > 1 and sum(1 if name == "step" else 3 for name in names) <= 4:
            return program


def scenario(invocations: Sequence[list[list[str]]], seen: set[Any]) -> Callable[..., Any]:
    """Everybody at once. What came of it is put into ``seen``: results, journals, the world."""

    async def play(rt: VirtualRuntime) -> None:
        world.clear()
        results: dict[str, list[str]] = {}

        async def ask(name: str, branches: list[list[str]]) -> None:
            results[name] = await rt.call(work, (name, branches))

        async with anyio.create_task_group() as tasks:
            for name, branches in zip("ab", invocations, strict=True):
                tasks.start_soon(ask, name, branches)
        tables = rt.store.committed
        journals = {(each.id, tables.journal(each.id)) for each in tables.invocations()}
        seen.update([(str(sorted(results.items())), tuple(world)), *journals])

    return play


@pytest.mark.parametrize("number", range(2))
async def test_random_programs_show_the_same_with_and_without_reduction(
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    anyio_backend: str,
) -> None:
    """Every outcome, every order of the world outside, every journal; in no more schedules."""

    def never(*_: object) -> bool:
        return False

    invocations = drawn(2 * number + (anyio_backend == "trio"))
    reports: list[ExploreReport] = []
    found: list[set[Any]] = []
    for reduced in (True, False):
        if not reduced:
            monkeypatch.setattr(_reduction, "commute", never)
        seen: set[Any] = set()
        reports.append(await explore(services, scenario(invocations, seen), limit=20_000))
        found.append(seen)

    assert all(report.exhaustive for report in reports)
    assert found[0] == found[1]
    assert reports[0].schedules <= reports[1].schedules
    record_property("schedules", (invocations, reports[0].schedules, reports[1].schedules))
