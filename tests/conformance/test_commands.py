"""VirtualObjectCommandInterpreter: every command, with every awaitable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.restate.server import eventually

from .programs import (
    INTERPRET,
    awakeable,
    interpret,
    many,
    reject,
    resolve,
    returns,
    signal,
    sleep,
    start,
    throws,
    until_awakeable,
)

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

FIRST = ["awaitAny", "awaitFirstCompleted"]
FIRST_SUCCESS = ["awaitAnySuccessful", "awaitFirstSucceededOrAllFailed"]
ALL = "awaitAllSucceededOrFirstFailed"
COMPLETED = "awaitAllCompleted"
FOR_LONG = 3_600_000


def results(restate: RestateServer, key: str) -> Any:
    """What the commands on a key have given."""
    return restate.call(f"{INTERPRET}/{key}/getResults")


def message(restate: RestateServer, key: str, *commands: dict[str, Any]) -> str:
    """The error that a program fails with."""
    response = restate.post(f"{INTERPRET}/{key}/interpretCommands", {"commands": commands})
    assert response.status_code == 500, response.text
    text: str = response.json()["message"]
    return text


def test_the_example_of_the_contract(restate: RestateServer) -> None:
    """A run, then three that complete in different ways."""
    running = start(
        restate,
        "example",
        {"type": "awaitOne", "command": returns("x")},
        many(COMPLETED, awakeable("a"), throws("no"), sleep(10)),
    )
    resolve(restate, "example", "a", "v")

    assert restate.attach(running).json() == "ok:v|err:no|ok:sleep"
    assert results(restate, "example") == ["x", "ok:v|err:no|ok:sleep"]


def test_an_empty_program(restate: RestateServer) -> None:
    """It gives an empty text, and no results."""
    assert interpret(restate, "empty") == ""
    assert results(restate, "empty") == []
    assert restate.call(f"{INTERPRET}/empty/hasAwakeable", "a") is False


@pytest.mark.parametrize(
    ("awaitable", "value"), [(sleep(1), "sleep"), (sleep(0), "sleep"), (returns("v"), "v")]
)
def test_await_one(restate: RestateServer, awaitable: dict[str, Any], value: str) -> None:
    """Its value is the result."""
    assert interpret(restate, "one", {"type": "awaitOne", "command": awaitable}) == value


def test_await_one_that_fails(restate: RestateServer) -> None:
    """The program fails with its error; what was done before stays, what follows is not."""
    before = {"type": "awaitOne", "command": returns("before")}
    failing = {"type": "awaitOne", "command": throws("the reason")}

    assert "the reason" in message(restate, "fails", before, failing, before)
    assert results(restate, "fails") == ["before"]
    interpret(restate, "fails", before)
    assert results(restate, "fails") == ["before", "before"]


@pytest.mark.parametrize("command", FIRST)
def test_the_first_to_complete(restate: RestateServer, command: str) -> None:
    """In whatever way it does."""
    key = command
    assert interpret(restate, key, many(command, sleep(FOR_LONG), returns("v"))) == "v"
    assert interpret(restate, key, many(command, sleep(1), sleep(FOR_LONG))) == "sleep"
    waiting = many(command, awakeable(command), sleep(FOR_LONG), signal("s"))
    running = start(restate, key, waiting)
    resolve(restate, key, command, "first")

    assert restate.attach(running).json() == "first"
    assert "no" in message(restate, key, many(command, throws("no"), sleep(FOR_LONG)))


@pytest.mark.parametrize("command", FIRST)
def test_the_first_to_complete_was_rejected(restate: RestateServer, command: str) -> None:
    """Its error is that of the program."""
    running = start(restate, f"r-{command}", many(command, awakeable("a"), awakeable("b")))
    reject(restate, f"r-{command}", "b", "rejected first")

    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "rejected first" in failed.json()["message"]


@pytest.mark.parametrize("command", FIRST_SUCCESS)
def test_the_first_to_succeed(restate: RestateServer, command: str) -> None:
    """Failures before that are ignored."""
    key = command
    running = start(restate, key, many(command, awakeable("a"), throws("no"), awakeable("b")))
    reject(restate, key, "b", "neither")
    resolve(restate, key, "a", "yes")

    assert restate.attach(running).json() == "yes"


@pytest.mark.parametrize("command", FIRST_SUCCESS)
def test_none_succeeds(restate: RestateServer, command: str) -> None:
    """The error is that of the last one to fail."""
    key = f"n-{command}"
    running = start(restate, key, many(command, awakeable("a"), throws("no"), awakeable("b")))
    reject(restate, key, "b", "second")
    reject(restate, key, "a", "the last one")

    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "the last one" in failed.json()["message"]


def test_all_succeed(restate: RestateServer) -> None:
    """The values in the order given, whoever was first."""
    running = start(
        restate, "all", many(ALL, awakeable("a"), sleep(1), awakeable("b"), returns("r"))
    )
    resolve(restate, "all", "b", "B")
    resolve(restate, "all", "a", "A")

    assert restate.attach(running).json() == "A|sleep|B|r"


def test_one_of_all_fails(restate: RestateServer) -> None:
    """Its error at once, though the others are still pending."""
    assert "no" in message(restate, "not all", many(ALL, sleep(FOR_LONG), throws("no")))

    running = start(restate, "not all", many(ALL, awakeable("a"), awakeable("b")))
    reject(restate, "not all", "b", "not b")
    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "not b" in failed.json()["message"]


def test_all_complete(restate: RestateServer) -> None:
    """Errors are results too: the message, and nothing around it."""
    running = start(
        restate, "completed", many(COMPLETED, awakeable("a"), awakeable("b"), signal("s"))
    )
    reject(restate, "completed", "a", "a: b|c")
    resolve(restate, "completed", "b", "")
    restate.call(
        "TestUtilsService/rejectSignal",
        {"invocationId": running, "signalName": "s", "reason": "grün"},
    )

    assert restate.attach(running).json() == "err:a: b|c|ok:|err:grün"


def test_all_of_a_command_is_created_before_any_is_awaited(restate: RestateServer) -> None:
    """Its awakeables are known while it waits for the first of them."""
    names = [f"a{index}" for index in range(20)]
    running = start(restate, "created", many(COMPLETED, *map(awakeable, names)))
    for name in reversed(names):
        resolve(restate, "created", name, name)

    assert restate.attach(running).json() == "|".join(f"ok:{name}" for name in names)


def test_a_name_is_that_of_the_latest_awakeable(restate: RestateServer) -> None:
    """The first one is nobody's any more."""
    one = {"type": "awaitOne", "command": awakeable("a")}
    first = start(restate, "latest", many("awaitAny", awakeable("a"), sleep(1)), one)
    eventually(lambda: results(restate, "latest"), ["sleep"])
    running = "SELECT count(*) AS n FROM state WHERE service_key = 'latest' AND key = 'awk-a'"
    restate.until(running, [{"n": 1}])
    command = (
        f"SELECT count(*) AS n FROM sys_journal WHERE id = '{first}' "
        "AND entry_type = 'Command: SetState'"
    )
    restate.until(command, [{"n": 3}])
    resolve(restate, "latest", "a", "second")

    assert restate.attach(first).json() == "second"


def test_an_awakeable_in_time(restate: RestateServer) -> None:
    """Its value, or its error."""
    command = {
        "type": "awaitAwakeableOrTimeout",
        "awakeableKey": "a",
        "timeoutMillis": FOR_LONG,
    }
    running = start(restate, "in time", command)
    resolve(restate, "in time", "a", "v")
    assert restate.attach(running).json() == "v"

    running = start(restate, "in time too", command)
    reject(restate, "in time too", "a", "refused")
    failed = restate.attach(running)
    assert failed.status_code == 500
    assert "refused" in failed.json()["message"]


def test_an_awakeable_too_late(restate: RestateServer) -> None:
    """A terminal error that says so; the timer counts from the command, not from an attempt."""
    command = {"type": "awaitAwakeableOrTimeout", "awakeableKey": "a", "timeoutMillis": 50}

    assert "await-timeout" in message(restate, "late", command)
    assert results(restate, "late") == []


def test_commands_complete_awakeables(restate: RestateServer) -> None:
    """Also one that another program has created, on the same key; the result is empty."""
    program = [
        many("awaitAny", awakeable("a"), sleep(1)),
        {"type": "resolveAwakeable", "awakeableKey": "a", "value": "v"},
        {"type": "rejectAwakeable", "awakeableKey": "a", "reason": "r"},
    ]

    assert interpret(restate, "completes", *program) == ""
    assert results(restate, "completes") == ["sleep", "", ""]


@pytest.mark.parametrize(
    "command",
    [
        {"type": "resolveAwakeable", "awakeableKey": "none", "value": "v"},
        {"type": "rejectAwakeable", "awakeableKey": "none", "reason": "r"},
    ],
)
def test_an_awakeable_that_was_never_created(
    restate: RestateServer, command: dict[str, Any]
) -> None:
    """A terminal error, of the command and of the handler alike."""
    assert "none" in message(restate, "unknown", command)
    handler = restate.post(f"{INTERPRET}/unknown/{command['type']}", command)
    assert handler.status_code == 500


def test_a_variable_of_the_environment(restate: RestateServer) -> None:
    """Its value, or nothing."""
    known = {"type": "getEnvVariable", "envName": "CONFORMANCE_VARIABLE"}
    unknown = {"type": "getEnvVariable", "envName": "NO_SUCH_VARIABLE"}

    assert interpret(restate, "environment", known) == "a value"
    assert interpret(restate, "environment", unknown) == ""


def test_a_command_that_is_unknown(restate: RestateServer) -> None:
    """An input that cannot be read: 400, no retries."""
    body = {"commands": [{"type": "awaitNothing"}]}

    assert restate.post(f"{INTERPRET}/x/interpretCommands", body).status_code == 400


def test_shared_handlers_answer_meanwhile(restate: RestateServer) -> None:
    """They see what the program has written so far."""
    running = start(
        restate,
        "meanwhile",
        {"type": "awaitOne", "command": returns("written")},
        {"type": "awaitOne", "command": awakeable("a")},
    )
    until_awakeable(restate, "meanwhile", "a")

    assert results(restate, "meanwhile") == ["written"]
    assert restate.call(f"{INTERPRET}/meanwhile/hasAwakeable", "b") is False
    resolve(restate, "meanwhile", "a", "end")
    assert restate.attach(running).json() == "end"


def test_a_race_is_decided_once(restate: RestateServer) -> None:
    """Two that complete almost at once: the loser does not win in a later attempt."""
    race = many("awaitAny", sleep(20), sleep(20), awakeable("a"))
    after = {"type": "awaitOne", "command": sleep(1)}

    for _ in range(3):
        assert interpret(restate, "race", race, after, race) == "sleep"
