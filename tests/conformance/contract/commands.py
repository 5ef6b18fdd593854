"""The programs of ``VirtualObjectCommandInterpreter``, as JSON has them.

A command says by its ``type`` what it is; so do the awaitables inside of it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs


@attrs.frozen
class CreateAwakeable:
    """An awakeable, whose id is kept in the state."""

    type: Literal["createAwakeable"]
    awakeableKey: str


@attrs.frozen
class Sleep:
    """A timer."""

    type: Literal["sleep"]
    timeoutMillis: int


@attrs.frozen
class RunReturns:
    """A run that gives a value."""

    type: Literal["runReturns"]
    value: str


@attrs.frozen
class RunThrows:
    """A run that fails for good."""

    type: Literal["runThrowTerminalException"]
    reason: str


@attrs.frozen
class CreateSignal:
    """A named signal of the invocation that runs the program."""

    type: Literal["createSignal"]
    signalName: str


Awaitable: TypeAlias = CreateAwakeable | Sleep | RunReturns | RunThrows | CreateSignal


@attrs.frozen
class AwaitOne:
    """Waits for one."""

    type: Literal["awaitOne"]
    command: Awaitable


@attrs.frozen
class AwaitMany:
    """Waits for several, in one of the ways there are."""

    type: Literal[
        "awaitAny",
        "awaitFirstCompleted",
        "awaitAnySuccessful",
        "awaitFirstSucceededOrAllFailed",
        "awaitAllSucceededOrFirstFailed",
        "awaitAllCompleted",
    ]
    commands: list[Awaitable]


@attrs.frozen
class AwaitAwakeableOrTimeout:
    """Waits for an awakeable, and not for long."""

    type: Literal["awaitAwakeableOrTimeout"]
    awakeableKey: str
    timeoutMillis: int


@attrs.frozen
class ResolveAwakeable:
    """Resolves an awakeable that an earlier command, or program, has created."""

    type: Literal["resolveAwakeable"]
    awakeableKey: str
    value: str


@attrs.frozen
class RejectAwakeable:
    """Rejects one."""

    type: Literal["rejectAwakeable"]
    awakeableKey: str
    reason: str


@attrs.frozen
class GetEnvVariable:
    """Reads a variable of the environment."""

    type: Literal["getEnvVariable"]
    envName: str


Command: TypeAlias = (
    AwaitOne
    | AwaitMany
    | AwaitAwakeableOrTimeout
    | ResolveAwakeable
    | RejectAwakeable
    | GetEnvVariable
)


@attrs.frozen
class Program:
    """Commands, to be executed one after the other."""

    commands: list[Command]
