"""The examples of the guide and of the README: on both loops, and killed at every transaction."""

from __future__ import annotations

import importlib.util
import itertools
import re
import runpy
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from durable_trio import IdempotentTarget, StoreWriteError, TerminalError
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore, VirtualRuntime, crash_everywhere, explore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import ModuleType

    from durable_trio.abc import Write

    Play: TypeAlias = Callable[[LocalRuntime, ModuleType], Awaitable[Any]]

NO_ROOMS = "no rooms on the moon"
LATE = "the deadline passed before the work in `fail_after` or `fail_at` was done"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

PRINTED = {
    "readme": r"\['Hello Ada!', 'Hello Grace!'\]\n",
    "guide_services": r"\[Item\(name='tea', count=2\), Item.*\]\norder A-17: 1800 paid\n",
    "guide_steps": r"1200\n1500.0\n6\n402 visa has a limit\n",
    "guide_concurrency": r"\[Article\(.*\)\]\n3\n(.*\n){4}not printed: nothing to draw\n",
    "guide_sync": r"30\n\['first', 'second'\]\n",
    "guide_cancellation": r"biscuits\nno cake\nTrue\n409 cancelled\nhalf a cake\n",
    "guide_saga": r"\['train', 'hotel'\]\nno rooms on the moon - \['hotel', 'train'\]\n",
    "guide_calls": r"9000\n9000\nsent: ada, come back\nsent: ada, come back\n",
    "guide_clients": r"(tea: 350 of 350\n){2}350\nfailed: 404 no coffee today\n409\n",
    "guide_lambda": r"200\n",
    "guide_secrets": r"Ada is well\. \nFalse\n",
    "guide_events": r"True\n5 days, by Grace\n409 the promise .*\n\['hello'\]\n",
    "guide_errors": r"{'emma': '1815', .*'500 ConnectionError: .*'}\n404 no such book: emmma\n",
    "guide_changes": r"570 the code does not do what its journal says it did\n(.*\n)*",
    "guide_golden": r"replays cleanly to its end\n",
    "guide_running": r"all quiet\n",
    "guide_testing": r"3 passed\n",
    "guide_testing_runtime": r"5 passed, in no time\n",
    "guide_testing_crashes": r"the program does not survive (.*\n)*6 transactions: .*\n",
    "guide_testing_orders": r"there is an order of events in (.*\n)*16 schedules \(all .*\n",
}


async def readme(runtime: LocalRuntime, example: ModuleType) -> Any:
    return await runtime.call(example.greet, ["Ada"], idempotency_key="1")


async def services(runtime: LocalRuntime, example: ModuleType) -> Any:
    tea = example.Item("tea", 2)
    counts = [await runtime.call(example.add, tea, key="ada", idempotency_key=n) for n in "12"]
    started = await runtime.send(example.order, "ada", key="17")
    await runtime.call(example.decide, True, key="17", idempotency_key="1")
    told = await runtime.attach(started.invocation_id, str)
    left = await runtime.call(example.items, key="ada", idempotency_key="2")
    return counts, told, await runtime.call(example.quoted, key="17"), left


async def steps(runtime: LocalRuntime, example: ModuleType) -> Any:
    receipt = await runtime.call(example.pay, 1200, idempotency_key="1")
    with pytest.raises(TerminalError, match="visa has a limit"):
        await runtime.call(example.pay, 200_000, idempotency_key="2")
    dollars = await runtime.call(example.in_dollar, 1200, idempotency_key="1")
    numbers = await runtime.call(example.lottery, 6, idempotency_key="1")
    return receipt.cents, dollars, len(numbers)


async def concurrency(runtime: LocalRuntime, example: ModuleType) -> Any:
    topics = ["rain", "snow", "sun"]
    issue = await runtime.call(example.issue, topics, idempotency_key="1")
    assert issue == await runtime.call(example.thick_issue, topics, idempotency_key="1")
    assert "rain" in await runtime.call(example.soonest, "rain", idempotency_key="1")
    two = await runtime.call(example.first_two, ["nothing", *topics], idempotency_key="1")
    return [
        [article.picture for article in issue],
        await runtime.call(example.together, "rain", idempotency_key="1"),
        len(two),
        await runtime.call(example.or_default, "nothing", idempotency_key="1"),
        await runtime.call(example.all_or_reason, ["rain", "nothing"], idempotency_key="1"),
    ]


async def sync(runtime: LocalRuntime, example: ModuleType) -> Any:
    copied = await runtime.call(example.copy, 5, idempotency_key="1")
    return copied, await runtime.call(example.readers, idempotency_key="1")


async def cancellation(runtime: LocalRuntime, example: ModuleType) -> Any:
    cake = await runtime.call(example.cake, 0.01, idempotency_key="1")
    error = await runtime.call(example.cake_or_error, 0.01, idempotency_key="1")
    shops = await runtime.call(example.buy_flour, 12, idempotency_key="1")
    return cake, error, sum(map(example.ask, shops)) >= 12


async def saga(runtime: LocalRuntime, example: ModuleType) -> Any:
    told: list[str] = []
    for number, stops in enumerate((["train", "hotel"], ["rocket", "moon hotel"])):
        try:
            await runtime.call(example.trip, stops, idempotency_key=f"{number}")
            told.append("booked")
        except TerminalError as error:
            told.append(error.message)
    return sorted(example.bookings.values()), told


async def calls(runtime: LocalRuntime, example: ModuleType) -> Any:
    left = await runtime.call(example.buy, "ada", idempotency_key="1")
    reminded = await runtime.call(example.remind, "ada", idempotency_key="1")
    again = await runtime.call(example.reminded, "ada", idempotency_key="1")
    mail = IdempotentTarget("Mail", "write", "reminder ada")
    return left, reminded, again, await runtime.attach(mail, str)


async def events(runtime: LocalRuntime, example: ModuleType) -> Any:
    await runtime.call(example.decide, "Grace", key="Ada", idempotency_key="1")
    request = await runtime.send(example.request, 5, key="Ada")
    decided = await runtime.call(example.is_decided, key="Ada")
    talk = await runtime.send(example.transcript, idempotency_key="1")
    await runtime.call(example.say, talk.invocation_id, idempotency_key="1")
    heard = await runtime.attach(talk.invocation_id, list[str])
    return await runtime.attach(request.invocation_id, str), decided, heard


async def clients(runtime: LocalRuntime, example: ModuleType) -> Any:
    return await example.buy(runtime, "17"), await example.give_up(runtime, runtime)


async def function(runtime: LocalRuntime, example: ModuleType) -> Any:
    return await runtime.call(example.make, "cat", idempotency_key="1")


async def secrets(runtime: LocalRuntime, example: ModuleType) -> Any:
    return await runtime.call(example.visit, "Ada", idempotency_key="1")


async def errors(runtime: LocalRuntime, example: ModuleType) -> Any:
    return await runtime.call(example.years, ["emma", "emmma"], idempotency_key="1")


PLAYS: list[tuple[str, Play, Any]] = [
    ("readme", readme, ["Hello Ada!"]),
    ("guide_services", services, ([1, 2], "order 17: 1800 paid", 1800, [])),
    ("guide_steps", steps, (1200, 1500.0, 6)),
    (
        "guide_concurrency",
        concurrency,
        [
            ["a picture of rain", "a picture of snow", "a picture of sun"],
            "on rain, a picture of rain",
            2,
            "no picture",
            "not printed: nothing to draw",
        ],
    ),
    ("guide_sync", sync, (30, ["first", "second"])),
    ("guide_cancellation", cancellation, ("biscuits", "no cake", True)),
    ("guide_saga", saga, (["hotel", "train"], ["booked", NO_ROOMS])),
    ("guide_calls", calls, (9000, *["sent: ada, come back"] * 3)),
    ("guide_events", events, ("5 days, by Grace", True, ["hello"])),
    ("guide_clients", clients, ("tea: 350 of 350", 409)),
    ("guide_lambda", function, "a small cat"),
    ("guide_secrets", secrets, "Ada is well. "),
    ("guide_errors", errors, {"emma": "1815", "emmma": "404 no such book: emmma"}),
]


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """An example, imported anew."""
    spec = importlib.util.spec_from_file_location(request.param, EXAMPLES / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


each_play = pytest.mark.parametrize(
    ("example", "play", "expected"), PLAYS, indirect=["example"], ids=[name for name, *_ in PLAYS]
)
each_loop = pytest.mark.parametrize("backend", ["trio", "asyncio"])


async def life(store: MemoryStore, example: ModuleType, play: Play) -> Any:
    """One process: it opens the store and plays."""
    served = getattr(example, "services", None) or [example.greeter]
    async with LocalRuntime(served, store) as runtime:
        return await play(runtime, example)


@each_loop
@each_play
def test_it_gives_what_the_guide_says(
    example: ModuleType, play: Play, expected: Any, backend: Any
) -> None:
    """In memory, straight through."""
    assert expected == anyio.run(life, MemoryStore(), example, play, backend=backend)


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
@each_loop
@each_play
def test_it_gives_the_same_wherever_it_is_killed(
    example: ModuleType, play: Play, expected: Any, backend: Any, moment: str
) -> None:
    """The next life is one of the other loop, every other time."""
    loops = itertools.cycle(["trio", "asyncio"])
    for crash_at in itertools.count(1):
        for leftover in ("bookings", "refused"):
            getattr(example, leftover, []).clear()
        store = MemoryStore()
        setattr(store, moment, dying_at(crash_at))
        try:
            result = anyio.run(life, store, example, play, backend=backend)
        except StoreWriteError:
            setattr(store, moment, None)
            assert expected == anyio.run(life, store, example, play, backend=next(loops))
        else:
            assert expected == result
            assert crash_at > 2
            return


async def disturbed(scenario: Any, services: Any, check: Any, *, compares: bool) -> None:
    """Once with crashes, once in many orders."""
    await crash_everywhere(services, scenario, check=None if compares else check, double=3)
    await explore(services, scenario, check=check, limit=20)


OTHERS: dict[str, list[Any]] = {
    "guide_cancellation": [
        (cake, error, True) for cake in ("a cake", "biscuits") for error in ("no cake", "a cake")
    ],
    "guide_saga": [
        (["hotel", "train"], ["booked", LATE]),
        ([], [LATE, LATE]),
        ([], [LATE, NO_ROOMS]),
    ],
    "readme": [[]],
}
"""What the examples give in other orders: with deadlines that pass, or do not."""


@each_loop
@each_play
def test_crashed_everywhere_and_in_many_orders(
    example: ModuleType,
    play: Play,
    expected: Any,
    backend: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With virtual time it gives what the guide says; in other orders what it may give."""

    async def scenario(rt: VirtualRuntime) -> Any:
        monkeypatch.setattr(anyio, "sleep", rt.clock.sleep)
        for leftover in ("bookings", "refused"):
            getattr(example, leftover, []).clear()
        outcomes.append(await play(rt, example))
        return outcomes[-1]

    def check(outcome: Any) -> None:
        assert outcome in [expected, *OTHERS.get(example.__name__, [])]

    outcomes: list[Any] = []
    served = getattr(example, "services", None) or [example.greeter]
    compares = example.__name__ != "guide_secrets"  # no two runs write the same bytes
    main = partial(disturbed, compares=compares)
    anyio.run(main, scenario, served, check, backend=backend)
    assert outcomes[0] == expected


def dying_at(last: int) -> Callable[[Sequence[Write]], None]:
    """A hook that raises the ``last``-th time it is called."""
    left = last

    def hook(_: Sequence[Write]) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise StoreWriteError("killed")

    return hook


@pytest.mark.parametrize(("example", "printed"), PRINTED.items(), ids=PRINTED)
def test_it_runs_as_a_script(
    example: str,
    printed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And prints what it should; a second time too."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")

        assert re.fullmatch(printed, capsys.readouterr().out)


def test_the_report_of_a_divergence_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The page of changed code has what the example prints, but for the folder it is in."""
    runpy.run_path(str(EXAMPLES / "guide_changes.py"), run_name="__main__")
    printed = capsys.readouterr().out.replace(f"{EXAMPLES}/", "")
    page = (EXAMPLES.parent / "guide" / "changes.md").read_text("utf-8")

    assert page.partition("```text\n")[2].partition("```")[0] in printed


@each_loop
def test_handlers_are_served_to_a_server(backend: Any) -> None:
    """The endpoint comes up, and goes when it is told to."""
    example = runpy.run_path(str(EXAMPLES / "guide_restate.py"))

    anyio.run(example["main"], "127.0.0.1:0", anyio.lowlevel.checkpoint, backend=backend)


def test_every_example_of_the_guide_is_tested() -> None:
    """A file that nobody runs is not shown."""
    files = {path.stem for path in EXAMPLES.glob("guide_*.py")}

    assert set(PRINTED) == files - {"guide_restate"} | {"readme"}
    assert {name for name, *_ in PLAYS} >= files - {
        "guide_changes",
        "guide_golden",
        "guide_restate",
        "guide_running",
        "guide_testing",
        "guide_testing_crashes",
        "guide_testing_orders",
        "guide_testing_runtime",
    }
