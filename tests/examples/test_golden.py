"""Journals of the examples, recorded once: code and journal of different days still agree.

To record them anew, set ``GOLDEN=write`` and look at the difference.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import TerminalError
from durable_trio.testing import GoldenJournals, ReplayOutcome, explore, replay_all

from .cases import CASES, Case

if TYPE_CHECKING:
    from types import ModuleType

    from durable_trio.testing import VirtualRuntime

GOLDEN = Path(__file__).parent / "golden"
RIGHT = [asked for asked in CASES if str(asked) != "foreign_task.wrong"]
ORDERS = 4
"""How many orders of events are recorded of each case."""
EXAMPLES = sorted({asked.example for asked in RIGHT})


async def record(example: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Play every case of an example in a few orders; its bodies sleep in virtual time."""
    golden = GoldenJournals(GOLDEN / example, update=True)
    handlers = {
        handler.function.__name__: handler
        for service in module.services
        for handler in service.handlers.values()
    }
    for asked in RIGHT:
        if asked.example == example:
            argument = () if asked.argument is None else (asked.argument(module),)

            async def scenario(
                rt: VirtualRuntime, asked: Case = asked, given: Any = argument
            ) -> None:
                monkeypatch.setattr(anyio, "sleep", rt.clock.sleep)
                with suppress(TerminalError):
                    await rt.call(handlers[asked.handler], *given)

            await explore(module.services, golden.keeping(scenario), limit=ORDERS)
    await golden.check(module.services)


@pytest.mark.parametrize("example", EXAMPLES)
def test_recorded_journals_still_replay(
    example: str, backend: Any, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To their ends, with the code of today, on both loops."""
    module = load(example)
    if os.environ.get("GOLDEN") == "write":
        anyio.run(record, example, module, monkeypatch)
    results = anyio.run(replay_all, GOLDEN / example, module.services, backend=backend)

    assert {ReplayOutcome.COMPLETED} == {result.outcome for result in results}, "\n".join(
        str(result) for result in results
    )
