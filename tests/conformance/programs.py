"""Programs of the command interpreter, and what is asked of it while one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.restate.server import eventually

if TYPE_CHECKING:
    from tests.restate.server import RestateServer

INTERPRET = "VirtualObjectCommandInterpreter"


def await_one(type_: str, **fields: object) -> dict[str, Any]:
    """The command that awaits one awaitable."""
    return {"type": "awaitOne", "command": {"type": type_, **fields}}


def awakeable(name: str) -> dict[str, Any]:
    """An awakeable."""
    return {"type": "createAwakeable", "awakeableKey": name}


def signal(name: str) -> dict[str, Any]:
    """A signal."""
    return {"type": "createSignal", "signalName": name}


def sleep(milliseconds: int) -> dict[str, Any]:
    """A timer."""
    return {"type": "sleep", "timeoutMillis": milliseconds}


def returns(value: str) -> dict[str, Any]:
    """A run that succeeds."""
    return {"type": "runReturns", "value": value}


def throws(reason: str) -> dict[str, Any]:
    """A run that fails."""
    return {"type": "runThrowTerminalException", "reason": reason}


def many(type_: str, *awaitables: dict[str, Any]) -> dict[str, Any]:
    """A command that awaits several."""
    return {"type": type_, "commands": list(awaitables)}


def interpret(restate: RestateServer, key: str, *commands: dict[str, Any]) -> Any:
    """Run a program to its end; its answer."""
    return restate.call(f"{INTERPRET}/{key}/interpretCommands", {"commands": commands})


def start(restate: RestateServer, key: str, *commands: dict[str, Any]) -> str:
    """Start a program; the id of its invocation."""
    return restate.send(f"{INTERPRET}/{key}/interpretCommands", {"commands": commands})


def until_awakeable(restate: RestateServer, key: str, name: str) -> None:
    """Return when a program on this key has created the awakeable of this name."""
    eventually(lambda: restate.call(f"{INTERPRET}/{key}/hasAwakeable", name), True)


def resolve(restate: RestateServer, key: str, name: str, value: str) -> None:
    """Resolve an awakeable by its name, once there is one."""
    until_awakeable(restate, key, name)
    request = {"awakeableKey": name, "value": value, "type": "resolveAwakeable"}
    restate.call(f"{INTERPRET}/{key}/resolveAwakeable", request)


def reject(restate: RestateServer, key: str, name: str, reason: str) -> None:
    """Reject an awakeable by its name, once there is one."""
    until_awakeable(restate, key, name)
    request = {"awakeableKey": name, "reason": reason, "type": "rejectAwakeable"}
    restate.call(f"{INTERPRET}/{key}/rejectAwakeable", request)


def awakeable_id(restate: RestateServer, key: str, name: str) -> str:
    """The id of an awakeable, which the program keeps in its state."""
    until_awakeable(restate, key, name)
    [row] = restate.query(
        f"SELECT value_utf8 FROM state WHERE service_name = '{INTERPRET}' "
        f"AND service_key = '{key}' AND key = 'awk-{name}'"
    )
    quoted: str = row["value_utf8"]
    return quoted.strip('"')
