"""``replay``, ``check`` and ``export --unfinished``: what a deployment would break."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from click.testing import CliRunner, Result

from durable_trio import Context, Service
from durable_trio._cli._app import app
from durable_trio._cli._replay import fields
from durable_trio.local import LocalRuntime
from durable_trio.testing import Replay, ReplayOutcome
from durable_trio_file import FileJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICES = """
from durable_trio import Context, Service

done = []
parcels = Service("Parcels")

def pack(order: str) -> str:
    done.append(order)
    raise SystemExit("a step was executed")

@parcels.handler
async def ship(ctx: Context, order: str) -> str:
    {0}
    parcel = await ctx.run(pack, order)
    return f"{{parcel}}, {{await ctx.signal('address', str)}}"
"""

parcels = Service("Parcels")


def pack(order: str) -> str:
    return f"{order} packed"


@parcels.handler
async def ship(ctx: Context, order: str) -> str:
    parcel = await ctx.run(pack, order)
    return f"{parcel}, {await ctx.signal('address', str)}"


class Shop:
    """A journal file with two parcels on their way and one that arrived, and its code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "app.journal"
        self.waiting: list[str] = []
        self.arrived = ""
        anyio.run(self._ship)
        self.deploy()

    async def _ship(self) -> None:
        async with LocalRuntime([parcels], FileJournal(self.journal)) as runtime:
            sent = [await runtime.send(ship, order) for order in ("A", "B", "C")]
            *waiting, last = [each.invocation_id for each in sent]
            await runtime.resolve_signal(last, "address", "Baker Street")
            await runtime.attach(last)
            # Once the steps are done they wait, which commits.
            await runtime.drain()
        self.waiting, self.arrived = waiting, last

    def deploy(self, first_line: str = "pass") -> None:
        """Today's code."""
        (self.folder / "shop.py").write_text(SERVICES.format(first_line))

    def run(self, *arguments: object) -> Result:
        """The result of a command; its last argument is the services' if it needs them."""
        return CliRunner().invoke(app, [*map(str, arguments)])

    @property
    def services(self) -> str:
        """What the commands take."""
        return f"{self.folder / 'shop.py'}:parcels"


CHANGED = 'await ctx.run(len, order, name="weigh")'


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(recorded: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop with the code that its journals are of; the command imports it into this process."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    recorded.deploy()
    yield recorded
    sys.modules.pop("shop", None)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_an_invocation_replays_from_the_journal_file(shop: Shop, backend: str) -> None:
    """In flight up to where it waits, completed to its end; the beginning of an id is enough."""
    waiting = shop.run(
        "replay", shop.waiting[0], shop.services, "--journal", shop.journal, "--backend", backend
    )
    ended = shop.run("replay", shop.arrived[:20], shop.services, "--journal", shop.journal)

    assert (0, 0) == (waiting.exit_code, ended.exit_code), waiting.output + ended.output
    assert "replays cleanly up to where it waits at entry 3 of 3" in waiting.stdout
    assert "waits for signal address, at " in waiting.stdout
    assert "shop.py:15" in waiting.stdout
    assert "replays cleanly to its end (5 entries)" in ended.stdout


def test_changed_code_gives_the_diff(shop: Shop) -> None:
    """And exit code 1."""
    shop.deploy(CHANGED)
    result = shop.run("replay", shop.waiting[0], shop.services, "--journal", shop.journal)

    assert 1 == result.exit_code
    assert "diverges at entry 2 of 3" in result.stdout
    assert "- Run('pack', completion_id=1)  (recorded)" in result.stdout
    assert "+ Run('weigh', completion_id=1)  (the code now)" in result.stdout
    assert "shop.py:13" in result.stdout
    assert "" == result.stderr


def test_an_export_replays(shop: Shop, tmp_path: Path) -> None:
    """Without the file it came from."""
    path = tmp_path / "one.jsonl"
    shop.run("export", shop.waiting[1], "--journal", shop.journal, "-o", path)
    result = shop.run("replay", path, shop.services)

    assert 0 == result.exit_code, result.output
    assert f"{path} replays cleanly" in result.stdout


def test_it_stops_in_the_debugger(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the entry as `show` numbers it; who leaves there gets exit code 1 and no traceback."""
    stops: list[str] = []

    def debugger() -> None:
        import bdb
        import sys

        stops.append(sys._getframe(1).f_locals["recorded"].name)
        if len(stops) > 1:
            raise bdb.BdbQuit

    monkeypatch.setattr("sys.breakpointhook", debugger)
    command = ["replay", shop.waiting[0], shop.services, "--journal", shop.journal, "--at", 2]
    stopped, left = shop.run(*command), shop.run(*command)

    assert ["pack", "pack"] == stops
    assert (0, 1) == (stopped.exit_code, left.exit_code)
    assert "left in the debugger" in left.stderr


def test_an_entry_that_is_not_reached_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code diverged before."""
    monkeypatch.setattr("sys.breakpointhook", lambda: pytest.fail("stopped"))
    shop.deploy(CHANGED)
    result = shop.run("replay", shop.arrived, shop.services, "--journal", shop.journal, "--at", 5)

    assert 1 == result.exit_code
    assert "the code never came to entry 5" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["replay", "nowhere.jsonl"], 2, "say where it is: --journal FILE or --admin URL"),
        (["replay", "inv_1zz", "--journal", "{journal}"], 3, "no invocation in"),
        (["replay", "x", "--journal", "{journal}", "--admin", "http://x"], 2, "expected one of"),
        (["replay", "{waiting}", "--journal", "{journal}", "--at", "9"], 2, "no entry 9"),
        (["replay", "{export}", "--journal", "{journal}"], 2, "leave out --journal"),
        (["replay", "{export}", "--admin", "http://x"], 2, "leave out --admin"),
        (["replay", "{journal}"], 2, "is a journal file, of many invocations"),
        (["replay", "{text}"], 11, "as `durable-trio export` writes them"),
        (["replay", "{empty}"], 2, "Is a directory"),
        (["check"], 2, "expected a DIR"),
        (["check", "{journal}"], 2, "is a journal file, of many invocations"),
        (["check", "nowhere"], 2, "there is no nowhere"),
        (["check", "{empty}"], 2, "there is no journal in"),
    ],
)
def test_a_wrong_use_is_told(
    arguments: list[str], code: int, message: str, shop: Shop, tmp_path: Path
) -> None:
    """In one line."""
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "text").write_text("no JSON")
    (tmp_path / "export").write_text("{}")
    names = {"journal": shop.journal, "waiting": shop.waiting[0], "empty": folder}
    names |= {"text": tmp_path / "text", "export": tmp_path / "export"}
    given = [argument.format(**names) for argument in arguments]
    places = len(given) if given[0] == "check" else 2
    result = shop.run(*given[:places], shop.services, *given[places:])

    assert code == result.exit_code, result.output
    assert message in result.stderr
    assert 1 == len(result.stderr.splitlines())


@pytest.mark.parametrize("command", ["replay", "check"])
def test_swapped_arguments_are_told(shop: Shop, command: str) -> None:
    """As what they are, whatever the journal is."""
    for journal in (shop.waiting[0], "some.jsonl"):
        result = shop.run(command, shop.services, journal, "--journal", shop.journal)

        assert 2 == result.exit_code
        assert f"found {shop.services} before {journal}: swap them" in result.stderr


@pytest.mark.parametrize("command", ["replay", "check"])
def test_services_that_are_none_are_told_first(shop: Shop, command: str) -> None:
    """Before a journal is looked for."""
    result = shop.run(command, "nowhere", "shop.py")

    assert 2 == result.exit_code
    assert "expected MODULE:SERVICES" in result.stderr


def test_a_replay_as_json(shop: Shop) -> None:
    """Clean or not, one object, whose names are those of `Replay`."""
    command = ["replay", shop.waiting[0], shop.services, "--journal", shop.journal, "--json"]
    clean = shop.run(*command)
    shop.deploy(CHANGED)
    broken = shop.run(*command)

    assert (0, 1) == (clean.exit_code, broken.exit_code)
    site = f"{shop.folder / 'shop.py'}:15"
    assert {
        "journal": shop.waiting[0],
        "clean": True,
        "outcome": "waiting",
        "entries": 3,
        "reached": 3,
        "next_steps": [{"what": "waits for signal address", "branch": "", "site": site}],
    } == json.loads(clean.stdout)
    found = json.loads(broken.stdout)
    assert (False, "diverged", 2) == (found["clean"], found["outcome"], found["reached"])
    assert "NonDeterminismError" == found["error"]["type"]
    assert found["error"]["site"].endswith("shop.py:13")


def test_check_as_json(shop: Shop, tmp_path: Path) -> None:
    """A line for each journal, for a pipeline to read; the exit code is the same."""
    (tmp_path / "broken.jsonl").write_text("{}")
    result = shop.run("check", tmp_path, shop.services, "--journal", shop.journal, "--json")

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert 1 == result.exit_code
    assert {
        str(tmp_path / "broken.jsonl"): "impossible",
        shop.waiting[0]: "waiting",
        shop.waiting[1]: "waiting",
    } == {each["journal"]: each["outcome"] for each in found}


def test_nothing_in_flight_is_told(shop: Shop, tmp_path: Path) -> None:
    """It is not an error, and not taken for a clean replay of something."""

    async def make() -> None:
        async with LocalRuntime([parcels], FileJournal(tmp_path / "empty.journal")):
            pass

    anyio.run(make)
    result = shop.run("check", shop.services, "--journal", tmp_path / "empty.journal")

    assert (0, "nothing is in flight\n") == (result.exit_code, result.stdout)


def test_an_unknown_handler_is_told(shop: Shop) -> None:
    """With those that there are."""
    (shop.folder / "shop.py").write_text(SERVICES.format("pass").replace("def ship", "def send"))
    result = shop.run("replay", shop.arrived, shop.services, "--journal", shop.journal)

    assert 2 == result.exit_code
    assert "no handler 'ship'" in result.stderr


def test_everything_unfinished_is_exported(shop: Shop, tmp_path: Path) -> None:
    """A file each, for `check` to read."""
    folder = tmp_path / "in flight"
    result = shop.run("export", "--unfinished", "--journal", shop.journal, "-o", folder)

    assert 0 == result.exit_code, result.output
    assert f"2 journals in {folder}\n" == result.stdout
    assert {f"{name}.jsonl" for name in shop.waiting} == {path.name for path in folder.iterdir()}
    checked = shop.run("check", folder, shop.services)
    assert (0, "2 journals replay cleanly\n") == (checked.exit_code, checked.stdout)


@pytest.mark.parametrize(
    "arguments", [["--unfinished"], ["--unfinished", "-o", "."], [], ["inv_1", "--unfinished"]]
)
def test_an_export_of_nothing_is_told(arguments: list[str], shop: Shop) -> None:
    """Also of two things at once."""
    result = shop.run("export", *arguments)

    assert 2 == result.exit_code
    assert 1 == len(result.stderr.splitlines())


def test_a_file_in_the_place_of_the_directory_is_told(shop: Shop) -> None:
    """Nothing is written over it."""
    result = shop.run("export", "--unfinished", "--journal", shop.journal, "-o", shop.journal)

    assert 1 == result.exit_code
    assert (
        result.stderr
        == f"durable-trio: cannot make {shop.journal}: File exists. It is a file: name a directory.\n"
    )


def test_a_note_is_part_of_a_replay_as_json() -> None:
    """Also that of an outcome that is not clean."""
    result = Replay("j", ReplayOutcome.IMPOSSIBLE, 3, 1, note="Say --contexts.")

    assert "Say --contexts." == fields(result)["note"]
    assert "note" not in fields(Replay("j", ReplayOutcome.COMPLETED, 3, 3))


def test_check_tells_what_breaks_once(shop: Shop, tmp_path: Path) -> None:
    """Golden journals and what is in flight together; the same diff is shown once."""
    shop.run("export", shop.arrived, "--journal", shop.journal, "-o", tmp_path / "arrived.jsonl")
    everything = ["check", tmp_path, shop.services, "--journal", shop.journal]
    clean = shop.run(*everything)
    shop.deploy(CHANGED)
    broken = shop.run(*everything)

    assert (0, "3 journals replay cleanly\n") == (clean.exit_code, clean.stdout)
    assert 1 == broken.exit_code
    assert 1 == broken.stdout.count("- Run('pack', completion_id=1)")
    assert f"and so do {shop.waiting[1]}, {shop.waiting[0]}" in broken.stdout
    assert broken.stdout.endswith("\n3 of 3 journals break: 3 diverged\n")


def test_check_tells_everything_if_asked(shop: Shop) -> None:
    """Where each of them waits."""
    result = shop.run("check", shop.services, "--journal", shop.journal, "--verbose")

    assert 0 == result.exit_code, result.output
    assert 2 == result.stdout.count("waits for signal address")
