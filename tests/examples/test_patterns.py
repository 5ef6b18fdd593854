"""Every pattern, straight through and killed at every transaction, over every store and loop."""

from __future__ import annotations

import itertools
import re
import runpy
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from durable_trio import InvocationPausedError, ServiceOptions, StoreWriteError, TerminalError
from durable_trio.local import LocalRuntime

from .cases import CASES, Case

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import ModuleType

    from durable_trio import RunInfo

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
README = EXAMPLES / "README.md"


PRINTED = {
    "parallel_runs": r"{'amsterdam': 41.5, 'new york': 42.3, 'tokyo': 39.6}\n\[41.5, 47.0, 6600.0\]\n",
    "parallel_calls": r"Page\(profile='ada, customer since 2019', .*\)\nada, .* \(2 orders\)\n",
    "basic_race": r"package from berlin\nberlin: package from berlin\n",
    "race_with_timeout": r"HELLO\nhello\ntoo slow\nthe timer won\n",
    "fallback": r"Middlemarch\nSilas Marner \(cached\)\n",
    "wait_for_all": r"\[4, 19, 22\]\n\[\]\nfailed: .*no station in atlantis.*\n",
    "wait_combinator": r"2 thumbnails made\n{'cat.png': 'made', 'notes.txt': .*, 'dog.png': 'made'}\n",
    "fan_out_fan_in": r"2800\n2800\n",
    "partial_failures": r"\['Rain again', 'Trains on time'\]\n2 of 3 papers\n",
    "map_reduce": r"\[\('the', 5\), \('rain', 3\), \('and', 1\)\]\n",
    "concurrent_object_writes": r"{'ada': 105, 'bob': 70}\n\[106, 71, 1\]\n",
    "racing_strategies": r"fuzzy: teapot, teacup\n\['teapot', 'teacup'\]\n",
    "concurrent_steps": r"(Trip\(sky='clear over Lisbon', rate=0.92, hotels=.*\)\n){2}",
    "foreign_task": r"Letters/wrong .* is paused: ForeignAwaitError: .*\n\['A', 'B', 'C'\]\n",
    "concurrency_inside_run": r"{'/': 4120, '/about': 980, '/blog': 15200}\n",
}


class Life:
    """One life of a process: what it executed and what it returned."""

    def __init__(self, module: ModuleType, asked: Case) -> None:
        self.module, self.case = module, asked
        self.executed: Counter[str] = Counter()
        self.result: Any = None

    async def live(self, store: Any) -> None:
        """Call the handler, or go on with the call of an earlier life. Dies with the store."""
        defaults = ServiceOptions(run_contexts=[self._executing], journal_retention=3600)
        async with LocalRuntime(self.module.services, store, defaults=defaults) as runtime:
            argument = () if self.case.argument is None else (self.case.argument(self.module),)
            handlers = [
                handler
                for service in self.module.services
                for handler in service.handlers.values()
                if handler.function.__name__ == self.case.handler
            ]
            try:
                self.result = await runtime.call(handlers[0], *argument, idempotency_key="once")
            except (TerminalError, InvocationPausedError) as error:
                self.result = error

    @asynccontextmanager
    async def _executing(self, run: RunInfo) -> AsyncGenerator[None]:
        self.executed[run.name] += 1
        yield


def check(life: Life) -> None:
    """It gave what the case expects."""
    expected = life.case.expected(life.module)
    if isinstance(expected, re.Pattern):
        assert isinstance(life.result, TerminalError | InvocationPausedError)
        assert re.search(cast("re.Pattern[str]", expected), str(life.result))
    else:
        assert expected == life.result


each_case = pytest.mark.parametrize("asked", CASES, ids=str)


@each_case
def test_straight_through(asked: Case, backend: str, new_disk: Any, load: Any) -> None:
    """The handler gives what the example says, and each run is told apart by its name."""
    disk = new_disk()
    life = Life(load(asked.example), asked)

    anyio.run(life.live, disk.open(None), backend=backend)

    check(life)
    names = disk.runs()
    assert sorted(set(names)) == sorted(names)


@each_case
def test_killed_at_every_transaction(asked: Case, backend: str, new_disk: Any, load: Any) -> None:
    """Wherever it is killed, the next life ends as if nothing had happened, and repeats nothing.

    Every other time the next life is one of the other event loop.
    """
    module = load(asked.example)
    other = {"trio": "asyncio", "asyncio": "trio"}[backend]
    carried_over: set[str] = set()
    crash_at, disk = 0, new_disk()
    for crash_at in itertools.count(1):
        disk = new_disk()
        first = Life(module, asked)
        try:
            anyio.run(first.live, disk.open(crash_at), backend=backend)
        except StoreWriteError:
            pass
        else:
            check(first)
            break

        done = disk.completed_runs()
        second = Life(module, asked)
        anyio.run(second.live, disk.open(None), backend=other if crash_at % 2 else backend)
        check(second)
        assert not done & set(second.executed)
        carried_over |= done
    assert crash_at > 2
    assert bool(carried_over) == bool(disk.completed_runs())


@pytest.mark.parametrize(("example", "printed"), PRINTED.items(), ids=PRINTED)
def test_the_script(example: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run as a script, it prints what its handlers gave."""
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")

    assert re.fullmatch(printed, capsys.readouterr().out)


def test_the_list_of_examples() -> None:
    """Every example is tested here, and has its line in the list of examples."""
    shown_on_pages = {
        path.stem
        for name in ("readme", "first_day", "guide_*", "scaling_*", "serde_*", "serving")
        for path in EXAMPLES.glob(f"{name}.py")
    }
    examples = {path.stem for path in EXAMPLES.glob("*.py")} - shown_on_pages
    listed = re.findall(
        r"^\| \[(\w+)\.py\]\((\w+)\.py\) \|", README.read_text("utf-8"), re.MULTILINE
    )

    assert sorted(examples) == sorted(name for name, _ in listed)
    assert examples - {"directory_report"} == {case.example for case in CASES} == set(PRINTED)
    assert all(text == target for text, target in listed)
