"""Every pattern, crashed everywhere and in every order of events."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from durable_trio import InvocationPausedError, TerminalError
from durable_trio.testing import VirtualRuntime, crash_everywhere, explore

from .cases import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from durable_trio.testing import VirtualClock

BACKENDS = ["trio", "asyncio"]

OTHERS: dict[str, list[Any]] = {
    "basic_race.fastest": ["package from lisbon", "package from amsterdam"],
    "basic_race.fastest_mirror": [
        "lisbon: package from lisbon",
        "amsterdam: package from amsterdam",
    ],
    "race_with_timeout.translated": ["hello", "HELLO"],
    "race_with_timeout.translated_or_error": ["too slow", "HELLO"],
    "race_with_timeout.translated_or_timer": ["the timer won", "HELLO"],
    "racing_strategies.results": ["semantic: kettle"],
    "racing_strategies.any_results": [["kettle"]],
}
"""What the patterns that race give as well, in other orders."""

RIGHT = [each for each in CASES if str(each) != "foreign_task.wrong"]


class Virtual:
    """Bodies that take their time take virtual time."""

    clock: VirtualClock

    async def sleep(self, seconds: float) -> None:
        """As ``anyio.sleep``."""
        await self.clock.sleep(seconds)


@pytest.fixture
def scenario_of(
    load: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Case], Callable[[VirtualRuntime], Awaitable[Any]]]:
    """Makes a scenario of a case: it asks, and returns the value or the error."""
    virtual = Virtual()
    monkeypatch.setattr(anyio, "sleep", virtual.sleep)

    def scenario_of(asked: Case) -> Callable[[VirtualRuntime], Awaitable[Any]]:
        module = load(asked.example)
        handler = next(
            handler
            for service in module.services
            for handler in service.handlers.values()
            if handler.function.__name__ == asked.handler
        )
        argument = () if asked.argument is None else (asked.argument(module),)

        async def scenario(rt: VirtualRuntime) -> Any:
            virtual.clock = rt.clock
            try:
                return await rt.call(handler, *argument)
            except TerminalError as error:
                return error.message

        return scenario

    return scenario_of


def is_expected(asked: Case, module: Any, outcome: Any) -> bool:
    """Whether a case may give this."""
    expected = asked.expected(module)
    if isinstance(expected, re.Pattern):
        return bool(re.search(cast("re.Pattern[str]", expected), str(outcome)))

    return outcome == expected or outcome in OTHERS.get(str(asked), [])


@pytest.mark.parametrize(
    ("asked", "backend"), [(case, BACKENDS[n % 2]) for n, case in enumerate(RIGHT)], ids=str
)
def test_crashed_everywhere(asked: Case, backend: str, load: Any, scenario_of: Any) -> None:
    """It gives what it gives without a crash, and executes nothing that was recorded."""
    module, scenario = load(asked.example), scenario_of(asked)
    outcomes: list[Any] = []

    async def main() -> None:
        async def noting(rt: VirtualRuntime) -> Any:
            outcomes.append(await scenario(rt))
            return outcomes[-1]

        report = await crash_everywhere(module.services, noting, double=3)
        assert report.crashes == 2 * report.commits >= 6

    anyio.run(main, backend=backend)

    assert is_expected(asked, module, outcomes[0])


@pytest.mark.parametrize(
    ("asked", "backend"), [(case, BACKENDS[n % 2 - 1]) for n, case in enumerate(RIGHT)], ids=str
)
def test_in_every_order(asked: Case, backend: str, load: Any, scenario_of: Any) -> None:
    """It gives what the example says, or, where it races, what another winner gives."""
    module, scenario = load(asked.example), scenario_of(asked)

    def check(outcome: Any) -> None:
        assert is_expected(asked, module, outcome), outcome

    async def main() -> None:
        await explore(module.services, scenario, check=check, limit=30)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_mistake_is_told_at_once(backend: str, load: Any, scenario_of: Any) -> None:
    """A foreign await pauses the invocation; whoever waits is told, and so is the test."""
    asked = next(case for case in CASES if str(case) == "foreign_task.wrong")
    services, scenario = load(asked.example).services, scenario_of(asked)

    async def main() -> None:
        with pytest.raises(InvocationPausedError, match="ForeignAwaitError"):
            await crash_everywhere(services, scenario)
        with pytest.raises(AssertionError, match="ForeignAwaitError"):
            await explore(services, scenario)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_main_job(backend: str, load: Any, tmp_path: Path) -> None:
    """Its report is the same wherever it dies, and in whatever order files are done."""
    report = load("directory_report")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.txt").write_text("one\ntwo\n")
    (tree / "b.txt").write_text("three\n")
    order = report.Order(report.spell(tree), report.spell(tmp_path / "journal"), limit=2)

    async def scenario(rt: VirtualRuntime) -> Any:
        return await rt.call(report.build, order, key=order.directory)

    def check(outcome: Any) -> None:
        assert (outcome.files, outcome.lines, outcome.not_counted) == (2, 3, 0)

    async def main() -> None:
        await crash_everywhere(report.services, scenario, double=5)
        await explore(report.services, scenario, check=check, limit=10)

    anyio.run(main, backend=backend)
