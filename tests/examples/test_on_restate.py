"""Every pattern through a real Restate server, unchanged, however server and endpoint talk."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import pytest

from durable_trio import TerminalError
from durable_trio.abc import Command, Completion, Run, SendSignal
from durable_trio.local import LocalRuntime
from durable_trio.testing import MemoryStore
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
def test_on_restate(asked: Case, restate: RestateServer, load: Callable[[str], ModuleType]) -> None:
    """The handler gives what the example says, and leaves the journal that it leaves elsewhere."""
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
    embedded = anyio.run(journal_of, module, handler, argument)
    assert by_branch(kept) == by_branch(embedded)
    ours, theirs = results(embedded), results(kept)
    assert {name: ours[name] for name in ours.keys() & theirs.keys()} == {
        name: theirs[name] for name in ours.keys() & theirs.keys()
    }


async def kept_by(restate: RestateServer, invocation_id: str) -> Sequence[Entry]:
    """The journal that the server keeps of an invocation."""
    async with RestateReader(str(restate.admin.base_url)) as reader:
        read = await reader.journal(invocation_id)
    assert read is not None
    return read[1]


async def journal_of(
    module: ModuleType, handler: AnyHandler, argument: tuple[Any, ...]
) -> Sequence[Entry]:
    """The journal that the same call leaves in the embedded runtime."""
    store = MemoryStore()
    async with LocalRuntime(module.services, store) as runtime:
        sent = await runtime.send(handler, *argument)
        with suppress(TerminalError):
            await runtime.attach(sent.invocation_id)
    return store.committed.journal(sent.invocation_id)


def by_branch(journal: Sequence[Entry]) -> dict[str, list[str]]:
    """What each branch did, in order.

    Which branch is first may differ, and which callee has not ended when a race is decided,
    so that it is sent CANCEL: there time decides.
    """
    branches: dict[str, list[str]] = {}
    for command in journal:
        if isinstance(command, Command) and not isinstance(command, SendSignal):
            kind = type(command).__name__.replace("Eager", "")
            branch, _, name = command.name.rpartition("/")
            branches.setdefault(branch, []).append(f"{kind} {name}")
    return branches


def results(journal: Sequence[Entry]) -> dict[str, object]:
    """What the runs gave, by name; a race's loser may have none."""
    runs = {each.completion_id: each.name for each in journal if isinstance(each, Run)}
    return {
        runs[each.completion_id]: each.result
        for each in journal
        if isinstance(each, Completion) and each.completion_id in runs
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
