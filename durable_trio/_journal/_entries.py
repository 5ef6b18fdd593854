"""The entries of a journal: what a handler did and what came back.

Owns the vocabulary (commands, notifications, results) and nothing else: no order,
no comparison, no bytes on disk or on a wire.

 1. A *command* is something the handler did; a *notification* is something that came
    back. Nobody changes either, see ``_frozen.py``.
 2. Commands that are answered carry the completion id of the answer; the fields are
    those of Restate's service protocol, so that one journal replays on any adapter.
 3. Payloads are bytes. Encoding and decoding is the business of ``durable_trio.serde``.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

from durable_trio._frozen import frozen

CANCEL_SIGNAL: Final = 1
"""Signal index of the CANCEL signal."""

FIRST_AWAKEABLE_SIGNAL: Final = 17
"""Signal index of an invocation's first awakeable; 2 to 15 are reserved, 16 is unused."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Ordered name and value pairs. Order matters: it is compared on replay."""


# -- results


@frozen
class Void:
    """An answer without a value: a timer fired, a state key is absent."""


@frozen
class Value:
    """A successful result, encoded."""

    content: bytes


@frozen
class Failure:
    """A terminal failure as data: errors differ between attempts, this does not."""

    code: int
    message: str
    metadata: Headers = ()


@frozen
class InvocationId:
    """The id of the invocation that a call or a send created."""

    id: str


@frozen
class StateKeys:
    """The names of all state entries of an object, sorted."""

    keys: tuple[str, ...]


VOID: Final = Void()
"""The one answer without a value."""

Result: TypeAlias = Void | Value | Failure | InvocationId | StateKeys
"""What a completion may bring."""


# -- notifications


@frozen
class Completion:
    """The answer to the command that carries the same completion id."""

    completion_id: int
    result: Result


@frozen
class Signal:
    """A message to the invocation: CANCEL, an awakeable (by index), or a named signal."""

    signal: int | str
    result: Result


Notification: TypeAlias = Completion | Signal
"""What came back. The order of the notifications in the journal is the order of their delivery."""


# -- targets of attach and get-output


@frozen
class InvocationTarget:
    """An invocation named by its id."""

    invocation_id: str


@frozen
class IdempotentTarget:
    """An invocation named by the idempotency key it was made with.

    ``key`` is that of the object, None for a service. ``scope`` is a Restate server's.
    """

    service: str
    handler: str
    idempotency_key: str
    key: str | None = None
    scope: str | None = None


@frozen
class WorkflowTarget:
    """The one run of a workflow with this key. ``scope`` is a Restate server's."""

    workflow: str
    key: str
    scope: str | None = None


Target: TypeAlias = InvocationTarget | IdempotentTarget | WorkflowTarget
"""How an invocation may be named."""


# -- commands


@frozen
class Input:
    """Always the first entry: what the handler was called with."""

    content: bytes
    headers: Headers = ()
    name: str = ""


@frozen
class Output:
    """The handler's outcome. After a clean end it is the last command."""

    result: Value | Failure
    name: str = ""


@frozen
class Run:
    """A step with a side effect, whose result comes back as a completion."""

    completion_id: int
    name: str = ""


@frozen
class Sleep:
    """A timer that fires at an absolute time, in milliseconds since the epoch."""

    wake_up_time: int
    completion_id: int
    name: str = ""


@frozen
class Call:
    """A request to another handler. The invocation id comes back first, then the result."""

    service: str
    handler: str
    parameter: bytes
    invocation_id_completion: int
    completion_id: int
    key: str = ""
    headers: Headers = ()
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None
    name: str = ""


@frozen
class OneWayCall:
    """A send: nobody waits for the result. ``invoke_time`` in epoch milliseconds, 0 is now."""

    service: str
    handler: str
    parameter: bytes
    invocation_id_completion: int
    invoke_time: int = 0
    key: str = ""
    headers: Headers = ()
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None
    name: str = ""


@frozen
class GetState:
    """A state read that is answered by a completion (lazy state)."""

    key: str
    completion_id: int
    name: str = ""


@frozen
class GetEagerState:
    """A state read whose answer was at hand and is recorded in the command itself."""

    key: str
    result: Void | Value
    name: str = ""


@frozen
class GetStateKeys:
    """A listing of the state keys that is answered by a completion (lazy state)."""

    completion_id: int
    name: str = ""


@frozen
class GetEagerStateKeys:
    """A listing of the state keys that was at hand, sorted."""

    keys: tuple[str, ...]
    name: str = ""


@frozen
class SetState:
    """A state write."""

    key: str
    content: bytes
    name: str = ""


@frozen
class ClearState:
    """The removal of one state entry."""

    key: str
    name: str = ""


@frozen
class ClearAllState:
    """The removal of all state entries of the object."""

    name: str = ""


@frozen
class GetPromise:
    """Waiting for a workflow's durable promise."""

    key: str
    completion_id: int
    name: str = ""


@frozen
class PeekPromise:
    """Looking at a workflow's durable promise without waiting."""

    key: str
    completion_id: int
    name: str = ""


@frozen
class CompletePromise:
    """Resolving or rejecting a workflow's durable promise. A second time fails."""

    key: str
    result: Value | Failure
    completion_id: int
    name: str = ""


@frozen
class Attach:
    """Waiting for the result of an invocation that somebody else made."""

    target: Target
    completion_id: int
    name: str = ""


@frozen
class GetOutput:
    """Looking at the result of an invocation without waiting; void: not there yet."""

    target: Target
    completion_id: int
    name: str = ""


@frozen
class SendSignal:
    """A signal to another invocation, by index (1 is CANCEL) or by name."""

    target: str
    signal: int | str
    result: Void | Value | Failure
    name: str = ""


@frozen
class CompleteAwakeable:
    """Resolving or rejecting somebody's awakeable."""

    awakeable_id: str
    result: Value | Failure
    name: str = ""


Command: TypeAlias = (
    Input
    | Output
    | Run
    | Sleep
    | Call
    | OneWayCall
    | GetState
    | GetEagerState
    | GetStateKeys
    | GetEagerStateKeys
    | SetState
    | ClearState
    | ClearAllState
    | GetPromise
    | PeekPromise
    | CompletePromise
    | Attach
    | GetOutput
    | SendSignal
    | CompleteAwakeable
)
"""What a handler did."""

Entry: TypeAlias = Command | Notification
"""One entry of a journal."""


# -- what an attempt waits for


class AwaitKind(enum.Enum):
    """When a node of an await tree is satisfied. Values are the wire protocol's."""

    FIRST_COMPLETED = 1
    ALL_COMPLETED = 2
    FIRST_SUCCEEDED_OR_ALL_FAILED = 3
    ALL_SUCCEEDED_OR_FIRST_FAILED = 4


@frozen
class AwaitTree:
    """What an attempt waits for: completions and signals, combined by ``kind``.

    The leaves are notification ids. An attempt without anything left to come (all
    its tasks wait for each other) reports a tree with the CANCEL signal alone.
    """

    kind: AwaitKind
    completions: tuple[int, ...] = ()
    signals: tuple[int | str, ...] = ()
    nested: tuple[AwaitTree, ...] = ()
