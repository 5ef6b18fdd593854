"""Every pattern through a real Restate server, unchanged, however server and endpoint talk."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import pytest

from durable_trio import TerminalError
from durable_trio.abc import Command, Completion, Input, InvocationId, SendSignal
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal, FileJournalReader
from durable_trio_restate import RestateReader
from tests.restate.server import EndpointProcess, RestateServer, eventually

from .cases import CASES, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from durable_trio import AnyHandler
    from durable_trio.abc import Entry

SCRIPT = Path(__file__).with_name("served.py")
SUSPENDING = {"RESTATE_WORKER__INVOKER__INACTIVITY_TIMEOUT": "0s"}
V7 = {"RESTATE_EXPERIMENTAL_ENABLE_PROTOCOL_V7": "true"}
SOON = {"RESTATE_DEFAULT_RETRY_POLICY__INITIAL_INTERVAL": "20ms"}


TIMES = ("wake_up_time", "invoke_time", "awakeable_id")
IDS = (*TIMES, "completion_id", "invocation_id_completion")
ONE_AFTER_THE_OTHER = {"fallback.title", "concurrency_inside_run.reachable"}
"""Cases in which nothing happens at the same time, so that journals agree entry by entry."""
_INVOKED = InvocationId("inv_1")


@attrs.frozen
class Way:
    """How server and endpoint talk, and the host of the endpoint."""

    name: str
    backend: str
    settings: dict[str, str] = attrs.field(factory=dict[str, str])
    http_11: bool = False


WAYS = [
    Way("streamed", "trio"),
    Way("suspending", "asyncio", SUSPENDING),
    Way("request/response", "trio", http_11=True),
    Way("v7", "asyncio", V7),
    Way("v7 suspending", "trio", V7 | SUSPENDING),
]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(way, id=way.name, marks=pytest.mark.xdist_group(way.name)) for way in WAYS
    ],
)
def restate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RestateServer]:
    """A server with the services of all examples."""
    way: Way = request.param
    folder = tmp_path_factory.mktemp("restate")
    examples = ",".join(dict.fromkeys(case.example for case in CASES))
    with (
        RestateServer(folder, SOON | way.settings) as server,
        EndpointProcess(SCRIPT, folder, way.backend, {"EXAMPLES": examples}) as process,
    ):
        server.register(process.uri, http_11=way.http_11)
        yield server


def handler_of(module: ModuleType, asked: Case) -> AnyHandler:
    """The handler that a case calls."""
    found = (
        handler
        for service in module.services
        for handler in service.handlers.values()
        if handler.function.__name__ == asked.handler
    )
    return cast("AnyHandler", next(found))


@pytest.mark.parametrize("asked", CASES, ids=str)
def test_on_restate(
    asked: Case, restate: RestateServer, load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """The handler gives what the example says, and leaves the journal that it leaves in a file."""
    forget_state(restate)
    module = load(asked.example)
    handler = handler_of(module, asked)
    argument = () if asked.argument is None else (asked.argument(module),)
    path = f"{handler.service_name}/{handler.name}"
    content = handler.encode_input(*argument)
    headers = {"content-type": handler.accept} if content else {}
    expected: Any = asked.expected(module)
    if asked.handler == "wrong":
        sent = restate.ingress.post(f"/{path}/send", content=content, headers=headers).json()
        eventually(lambda: fails_with(restate, sent["invocationId"], expected), True)
        restate.admin.patch(f"/invocations/{sent['invocationId']}/kill").raise_for_status()
        return

    response = restate.ingress.post(f"/{path}", content=content, headers=headers)
    if isinstance(expected, re.Pattern):
        assert response.status_code >= 400
        assert re.search(cast("re.Pattern[str]", expected), response.json()["message"])
    else:
        assert response.status_code == 200, response.text
        assert handler.decode_output(response.content) == expected
    kept = anyio.run(kept_by, restate, response.headers["x-restate-id"])
    file = anyio.run(filed, module, handler, argument, tmp_path)
    assert by_branch(kept) == by_branch(file)
    if str(asked) in ONE_AFTER_THE_OTHER:
        assert sequence(kept) == sequence(file)
    ours, theirs = results(file), results(kept)
    assert {name: ours[name] for name in ours.keys() & theirs.keys()} == {
        name: theirs[name] for name in ours.keys() & theirs.keys()
    }


async def kept_by(restate: RestateServer, invocation_id: str) -> Sequence[Entry]:
    """The journal that the server keeps of an invocation."""
    async with RestateReader(str(restate.admin.base_url)) as reader:
        read = await reader.journal(invocation_id)
    assert read is not None
    return read[1]


async def filed(
    module: ModuleType, handler: AnyHandler, argument: tuple[Any, ...], folder: Path
) -> Sequence[Entry]:
    """The journal that the same call leaves in the file."""
    path = folder / "journal.db"
    async with LocalRuntime(module.services, FileJournal(path)) as runtime:
        sent = await runtime.send(handler, *argument)
        with suppress(TerminalError):
            await runtime.attach(sent.invocation_id)
    with FileJournalReader(path) as reader:
        return reader.journal(sent.invocation_id)


def by_branch(journal: Sequence[Entry]) -> dict[str, list[Command]]:
    """What each branch did, in order, but for times.

    Of several branches another one may be first each time, and ids of completions may differ; and
    which callee has not ended when a race is decided, so that it is sent CANCEL: there time decides.
    """
    branches: dict[str, list[Command]] = {}
    for command in journal:
        if isinstance(command, Command) and not isinstance(command, SendSignal):
            branches.setdefault(command.name.rpartition("/")[0], []).append(command)
    varying = TIMES if len(branches) == 1 else IDS
    return {
        branch: [without(command, *varying) for command in commands]
        for branch, commands in branches.items()
    }


def without(command: Command, *fields: str) -> Command:
    """A command whose fields of these names say nothing, nor what only a server adds."""
    if isinstance(command, Input):
        fields = ("headers",)
    there = {field.name: field.default for field in attrs.fields(type(command))}
    blank = {
        name: None if there[name] is attrs.NOTHING else there[name]
        for name in fields
        if name in there
    }
    return attrs.evolve(command, **cast("Any", blank))


def sequence(journal: Sequence[Entry]) -> list[Entry]:
    """All entries in order, but for times and the ids of invocations."""
    return [
        without(entry, *TIMES)
        if isinstance(entry, Command)
        else attrs.evolve(entry, result=_INVOKED)
        if isinstance(entry.result, InvocationId)
        else entry
        for entry in journal
    ]


def results(journal: Sequence[Entry]) -> dict[tuple[str, str, int], object]:
    """What was answered to each command that the journal names; a race's loser may have nothing."""
    asked: dict[int, tuple[str, str, int]] = {}
    count = Counter[tuple[str, str]]()
    for entry in journal:
        completion_id = getattr(entry, "completion_id", None)
        if isinstance(entry, Command) and completion_id is not None:
            kind = type(entry).__name__, entry.name
            asked[completion_id] = *kind, count[kind]
            count[kind] += 1
    return {
        asked[entry.completion_id]: entry.result
        for entry in journal
        if isinstance(entry, Completion) and entry.completion_id in asked
    }


def forget_state(restate: RestateServer) -> None:
    """Let the next case find nothing of the one before."""
    for row in restate.query("SELECT DISTINCT service_name, service_key FROM state"):
        body: dict[str, object] = {"object_key": row["service_key"], "new_state": {}}
        restate.admin.post(f"/services/{row['service_name']}/state", json=body).raise_for_status()
    restate.until("SELECT count(*) AS n FROM state", [{"n": 0}])


def fails_with(restate: RestateServer, invocation_id: str, error: re.Pattern[str]) -> bool:
    """Whether the attempts of an invocation fail with this error."""
    return bool(error.search(restate.status(invocation_id).get("last_failure", "")))
