"""ObjectInterpreterL0 to L2 and their helper: every kind of command, and random programs."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.restate.server import eventually

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

    from .conftest import Deployment

Program = dict[str, Any]
INCREMENTS = (4, 5, 9, 18)


def program(*commands: dict[str, Any]) -> Program:
    """Commands in a row."""
    return {"commands": list(commands)}


def run(restate: RestateServer, key: str, *commands: dict[str, Any], layer: int = 0) -> None:
    """Run a program to its end."""
    assert restate.call(f"ObjectInterpreterL{layer}/{key}/interpret", program(*commands)) is None


def counter(restate: RestateServer, key: str, layer: int = 0) -> Any:
    """The counter of an object."""
    return restate.call(f"ObjectInterpreterL{layer}/{key}/counter")


def test_state(restate: RestateServer) -> None:
    """Set, get and clear."""
    run(
        restate,
        "state",
        {"kind": 1, "key": 1},
        {"kind": 1, "key": 2},
        {"kind": 2, "key": 2},
        {"kind": 2, "key": 7},
        {"kind": 3, "key": 1},
    )
    rows = restate.query("SELECT key, value_utf8 FROM state WHERE service_key = 'state'")

    assert rows == [{"key": "key-2", "value_utf8": '"value-2"'}]


@pytest.mark.parametrize("kind", INCREMENTS)
def test_every_way_adds_one(restate: RestateServer, kind: int) -> None:
    """Once, and on the object that asked for it."""
    key = f"increment {kind}"
    run(restate, key, *({"kind": kind, "duration": 5} for _ in range(3)), layer=2)

    eventually(lambda: counter(restate, key, layer=2), 3)
    assert counter(restate, key) == 0


@pytest.mark.parametrize(
    "command",
    [
        {"kind": 6, "duration": 5},
        {"kind": 10},
        {"kind": 11},
        {"kind": 12},
        {"kind": 13},
        {"kind": 14},
        {"kind": 15, "index": 0},
        {"kind": 15, "index": 99},
    ],
    ids=lambda command: f"kind {command['kind']}",
)
def test_commands_without_a_promise(restate: RestateServer, command: dict[str, Any]) -> None:
    """They are over before the next one starts."""
    run(restate, "single", command, command)


@pytest.mark.parametrize("kind", [7, 8, 14, 16, 17])
def test_promises(restate: RestateServer, kind: int) -> None:
    """Awaited in any order, and only once."""
    started = {"kind": kind, "sleep": 5}
    waits = [{"kind": 15, "index": index} for index in (2, 0, 1, 1, 7)]

    run(restate, f"promise {kind}", started, started, started, *waits)


def test_a_promise_of_the_next_layer(restate: RestateServer) -> None:
    """Programs call each other down to the last layer."""
    last = program({"kind": 4}, {"kind": 5})
    middle = program(
        {"kind": 19, "key": 12, "program": last}, {"kind": 4}, {"kind": 15, "index": 0}
    )
    run(restate, "10", {"kind": 19, "key": 11, "program": middle}, {"kind": 15, "index": 0})

    assert counter(restate, "11", layer=1) == 1
    eventually(lambda: counter(restate, "12", layer=2), 2)


def test_a_call_that_nobody_awaits_goes_on(restate: RestateServer) -> None:
    """It is not given up when its program ends."""
    last = program({"kind": 6, "duration": 50}, {"kind": 4})
    run(restate, "20", {"kind": 19, "key": 21, "program": last})

    eventually(lambda: counter(restate, "21", layer=1), 1)


def test_the_helper(restate: RestateServer) -> None:
    """What the interpreters use can be called from outside."""
    helper = "ServiceInterpreterHelper"
    assert restate.call(f"{helper}/ping") is None
    assert restate.call(f"{helper}/echo", "x") == "x"
    assert restate.call(f"{helper}/echoLater", {"sleep": 5, "parameter": "y"}) == "y"
    failed = restate.post(f"{helper}/terminalFailure")
    assert (failed.status_code, "bye" in failed.json()["message"]) == (500, True)
    restate.call(f"{helper}/incrementIndirectly", {"layer": 1, "key": "helped"})
    eventually(lambda: counter(restate, "helped", layer=1), 1)


class Generator:
    """Random programs, and how often each object is to be incremented by them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.expected: dict[tuple[int, str], int] = {}

    def program(self, layer: int, key: str) -> Program:
        """A program for an object."""
        commands: list[dict[str, Any]] = []
        for index in range(self.random.randint(1, 8)):
            # The last layer has no next one; a program of the first two calls it now and then.
            nested = [19] * 3 if layer < 2 else []
            kind = self.random.choice([*range(1, 19), *nested])
            commands.append(self.command(kind, index, layer, key))
        return program(*commands)

    def command(self, kind: int, index: int, layer: int, key: str) -> dict[str, Any]:
        """A command of this kind."""
        if kind in INCREMENTS:
            self.expected[layer, key] = self.expected.get((layer, key), 0) + 1
        if kind == 15:
            return {"kind": kind, "index": self.random.randint(0, max(0, index - 1))}

        if kind == 19:
            below = self.random.randint(0, 5)
            inner = self.program(layer + 1, str(below))
            return {"kind": kind, "key": below, "program": inner}

        return {
            "kind": kind,
            "key": self.random.randint(0, 3),
            "duration": self.random.randint(0, 30),
            "sleep": self.random.randint(0, 30),
        }


def test_random_programs(deployment: Deployment) -> None:
    """Many at once, on few objects: every increment counts once."""
    restate = deployment.server
    generator = Generator(seed=7)
    # Programs of the first layer are on the even keys 0 to 4, so that they queue.
    work = [(key, generator.program(0, key)) for key in ["0", "2", "4"] * 8]

    with ThreadPoolExecutor(24) as pool:

        def interpret(item: tuple[str, Program]) -> int:
            key, program = item
            return restate.post(f"ObjectInterpreterL0/{key}/interpret", program).status_code

        assert {200} == set(pool.map(interpret, work))

    for (layer, key), expected in generator.expected.items():
        name = f"SELECT value_utf8 FROM state WHERE service_name = 'ObjectInterpreterL{layer}' "
        restate.until(
            f"{name} AND service_key = '{key}' AND key = 'counter'",
            [{"value_utf8": str(expected)}],
        )
