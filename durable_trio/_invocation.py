"""What an attempt starts with and how it ends, as data.

Owns the values that an adapter and an attempt exchange at the two ends of an attempt;
what happens in between is the attempt's (``_attempt.py``) and the ports' (``abc.py``).

 1. ``recorded`` starts with the Input command; nothing else is needed to replay.
 2. Exactly one ``AttemptEnd`` comes out of every attempt that is not torn down.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, TypeAlias

import attrs

from ._frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._journal._entries import AwaitTree, Entry, Failure, Value


@frozen
class InvocationStart:
    """One attempt of one invocation, as its adapter hands it over.

    ``raw_id`` is the invocation id as bytes, of which awakeable ids are made.
    ``state`` holds the object's entries; with ``partial_state`` a missing name is
    unknown rather than absent and is asked for. ``retry_count`` and ``retry_elapsed``
    (seconds) count the failed attempts since the last new entry in the journal.
    """

    invocation_id: str
    raw_id: bytes
    service: str
    handler: str
    recorded: Sequence[Entry]
    key: str = ""
    random_seed: int = 0
    state: Mapping[str, bytes] = attrs.field(factory=dict[str, bytes])
    partial_state: bool = False
    attempt: int = 1
    retry_count: int = 0
    retry_elapsed: float = 0.0
    attempt_headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None


@frozen
class AttemptCompleted:
    """The handler ended; its Output command is in the journal. ``result`` is final."""

    result: Value | Failure


@frozen
class AttemptSuspended:
    """Nothing more can happen until one of ``awaiting`` arrives."""

    awaiting: AwaitTree


@frozen
class AttemptFailed:
    """The attempt is to be retried: ``retry_after`` seconds from now, None: as the policy says.

    ``command_index`` counts commands (Input is 0) and names the one at fault, where known.
    ``error`` is the exception, for logs; ``failure`` is what may be stored of it.
    """

    failure: Failure
    error: BaseException
    retry_after: float | None = None
    command_index: int | None = None


AttemptEnd: TypeAlias = AttemptCompleted | AttemptSuspended | AttemptFailed
"""How an attempt ended, for its adapter."""

_AWAKEABLE_PREFIX = "sign_1"


def awakeable_id(raw_id: bytes, signal: int) -> str:
    """The id by which anybody resolves the awakeable ``signal`` of an invocation."""
    packed = base64.urlsafe_b64encode(raw_id + signal.to_bytes(4, "big"))
    return _AWAKEABLE_PREFIX + packed.decode("ascii").rstrip("=")


def parse_awakeable_id(text: str) -> tuple[bytes, int]:
    """The raw invocation id and the signal index of an awakeable id. ``ValueError`` if it is none."""
    body = text.removeprefix(_AWAKEABLE_PREFIX)
    if body == text:
        raise ValueError(f"an awakeable id starts with {_AWAKEABLE_PREFIX!r}, got {text!r}")

    packed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    if len(packed) <= 4:
        raise ValueError(f"an awakeable id holds an invocation's id and a number, got {text!r}")

    return packed[:-4], int.from_bytes(packed[-4:], "big")


def seed_of(raw_id: bytes) -> int:
    """The random seed of an invocation whose adapter names none: 64 bits of its id's SHA-256."""
    return int.from_bytes(hashlib.sha256(raw_id).digest()[:8], "big")
