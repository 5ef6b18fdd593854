"""Control messages: what server and endpoint tell each other about the attempt itself.

Owns their classes and their tables of fields. Commands and notifications, the entries of
the journal, are in ``_entries.py``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import attrs

from durable_trio._frozen import frozen
from durable_trio.abc import AwaitKind, AwaitTree, Failure, Value

from ._fields import (
    FAILURE,
    Codec,
    Opaque,
    blob,
    flag,
    messages,
    oneof,
    optional_text,
    optional_uint,
    state_entries,
    text,
    texts,
    uint,
    uints,
)
from ._frames import encode_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

SUSPENSION_TYPE: Final = 0x0001


class Behavior(enum.IntEnum):
    """What the server does about a failed attempt (V7)."""

    RETRY = 0
    PAUSE = 1
    FAIL = 2


@frozen(kw_only=True)
class StartMessage:
    """The first message of an attempt, from the server. Durations in milliseconds."""

    id: bytes
    debug_id: str
    known_entries: int
    state_map: Mapping[str, bytes] = attrs.field(factory=dict[str, bytes])
    partial_state: bool = False
    key: str = ""
    retry_count: int = 0
    retry_duration: int = 0
    random_seed: int = 0
    scope: str | None = None
    limit_key: str | None = None
    idempotency_key: str | None = None


@frozen(kw_only=True)
class ErrorMessage:
    """The attempt failed and is to be retried. Delay in milliseconds."""

    code: int
    message: str
    stacktrace: str = ""
    related_command_index: int | None = None
    related_command_name: str | None = None
    related_command_type: int | None = None
    next_retry_delay: int | None = None
    behavior: Behavior = Behavior.RETRY


@frozen
class EndMessage:
    """The attempt is over; its Output command was sent."""


@frozen
class ProposeRunCompletionMessage:
    """A run body ended with this result."""

    completion_id: int
    result: Value | Failure


@frozen
class ProposeRunCompletionAckMessage:
    """The server has stored a proposal (V7)."""

    completion_id: int


@frozen
class AwaitingOnMessage:
    """What the attempt waits for, while it does (V7)."""

    awaiting: AwaitTree
    executing: bool = False


def _encode_tree(tree: AwaitTree) -> bytes:
    return _TREE.encode(_flat(tree))


def _decode_tree(data: bytes) -> AwaitTree:
    node = _TREE.decode(data)
    return AwaitTree(
        AwaitKind(node.kind), node.completions, (*node.signals, *node.named), node.nested
    )


@frozen
class _Node:
    """An await tree's node as it is written: signals by index and by name apart."""

    completions: tuple[int, ...] = ()
    signals: tuple[int, ...] = ()
    named: tuple[str, ...] = ()
    nested: tuple[AwaitTree, ...] = ()
    kind: int = 0


def _flat(tree: AwaitTree) -> _Node:
    return _Node(
        tree.completions,
        tuple(signal for signal in tree.signals if isinstance(signal, int)),
        tuple(signal for signal in tree.signals if isinstance(signal, str)),
        tree.nested,
        tree.kind.value,
    )


_AWAIT_TREE: Final = Opaque(AwaitTree, _encode_tree, _decode_tree)

_TREE: Final = Codec(
    _Node,
    uints("completions", 1),
    uints("signals", 2),
    texts("named", 3),
    messages("nested", 4, lambda: _AWAIT_TREE),
    uint("kind", 5),
)

_LEAVES: Final = Codec(_Node, uints("completions", 1), uints("signals", 2), texts("named", 3))

_RAW_VALUE: Final = Opaque(Value, lambda value: value.content, Value)
"""A proposal holds the value's bytes where other messages have a message around them."""

_CONTROL: Final[tuple[tuple[int, Codec[Any]], ...]] = (
    (
        0x0000,
        Codec(
            StartMessage,
            blob("id", 1),
            text("debug_id", 2),
            uint("known_entries", 3),
            state_entries("state_map", 4),
            flag("partial_state", 5),
            text("key", 6),
            uint("retry_count", 7),
            uint("retry_duration", 8),
            uint("random_seed", 9),
            optional_text("scope", 10),
            optional_text("limit_key", 11),
            optional_text("idempotency_key", 12),
        ),
    ),
    (
        0x0002,
        Codec(
            ErrorMessage,
            uint("code", 1),
            text("message", 2),
            text("stacktrace", 3),
            optional_uint("related_command_index", 4),
            optional_text("related_command_name", 5),
            optional_uint("related_command_type", 6),
            optional_uint("next_retry_delay", 8),
            uint("behavior", 9),
        ),
    ),
    (0x0003, Codec(EndMessage)),
    (
        0x0005,
        Codec(
            ProposeRunCompletionMessage,
            uint("completion_id", 1),
            oneof("result", {14: _RAW_VALUE, 15: FAILURE}),
        ),
    ),
    (
        0x0006,
        Codec(AwaitingOnMessage, oneof("awaiting", {1: _AWAIT_TREE}), flag("executing", 2)),
    ),
    (0x0007, Codec(ProposeRunCompletionAckMessage, uint("completion_id", 1))),
)
_CODECS: Final[Mapping[type, tuple[int, Codec[Any]]]] = {
    codec.kind: (type_, codec) for type_, codec in _CONTROL
}

CONTROL_CODECS: Final[Mapping[int, Codec[Any]]] = dict(_CONTROL)
"""The codecs of control messages, by message type."""


def encode_control(message: Any, flags: int = 0) -> bytes:
    """A control message's frame; a suspension's is made by ``encode_suspension``."""
    type_, codec = _CODECS[type(message)]
    return encode_frame(type_, codec.encode(message), flags)


def encode_suspension(tree: AwaitTree, version: int) -> bytes:
    """The frame that ends an attempt which waits. Before V7 a tree is flattened to its leaves."""
    if version >= 7:
        return encode_frame(SUSPENSION_TYPE, _SUSPENSION.encode(_Suspension(tree)))

    return encode_frame(SUSPENSION_TYPE, _LEAVES.encode(_flat(flattened(tree))))


def decode_suspension(data: bytes, version: int) -> AwaitTree:
    """What a suspended attempt waits for."""
    if version >= 7:
        return _SUSPENSION.decode(data).awaiting

    node = _LEAVES.decode(data)
    return AwaitTree(AwaitKind.FIRST_COMPLETED, node.completions, (*node.signals, *node.named))


@frozen
class _Suspension:
    awaiting: AwaitTree


_SUSPENSION: Final = Codec(_Suspension, oneof("awaiting", {4: _AWAIT_TREE}))


def flattened(tree: AwaitTree) -> AwaitTree:
    """The leaves of a tree, the first of which wakes the invocation."""
    completions: dict[int, None] = {}
    signals: dict[int | str, None] = {}
    pending = [tree]
    while pending:
        node = pending.pop()
        completions |= dict.fromkeys(node.completions)
        signals |= dict.fromkeys(node.signals)
        pending.extend(reversed(node.nested))
    return AwaitTree(AwaitKind.FIRST_COMPLETED, tuple(completions), tuple(signals))
