"""Invocation ids: 16 bytes, where they come from, and how they are written.

1. The text form is ``inv_1`` and the bytes in unpadded base64url; both ways are exact.
2. An id tells nothing about its invocation: not its service, not its age, not its caller.
   Who knows one can cancel its invocation and complete its awakeables, so they are random.
3. With a seed the same program has the same ids, whatever the host's order of tasks: a
   callee's come from its caller's id and its place there, others are counted. No id comes
   twice in the life of a store. Ids are all that is random in the runtime: awakeable ids
   and the seeds of ``ctx.random`` are made of them, and backoff has no jitter.
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING, Final

from durable_trio._exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX: Final = "inv_1"
RAW_SIZE: Final = 16
"""Bytes of an id."""


class Ids:
    """Makes ids: random ones, or with a ``seed`` the same ones in every run of a program."""

    __slots__ = ("_opening", "_outside", "_requests", "_seed")

    def __init__(
        self, seed: int | None = None, outside: Callable[[], object] | None = None
    ) -> None:
        """``outside`` tells apart what is asked for from outside; by default it is counted."""
        self._seed = seed
        self._outside = outside
        self._opening = 0
        self._requests = 0

    def opened(self, sequence: int) -> None:
        """The store has been opened, and ``sequence`` invocations were ever created in it."""
        self._opening = sequence

    def new(self, caller: str | None = None, completion_id: int = 0) -> bytes:
        """An id that nobody has, for whom this caller calls, or nobody inside of the runtime."""
        if self._seed is None:
            return os.urandom(RAW_SIZE)

        if caller is not None:
            place = f"{self._seed} {caller} {completion_id}"
        elif self._outside is not None:
            place = f"{self._seed} outside {self._outside()}"
        else:
            self._requests += 1
            place = f"{self._seed} {self._opening} {self._requests}"
        return hashlib.blake2b(place.encode(), digest_size=RAW_SIZE).digest()


def to_text(raw_id: bytes) -> str:
    """The text form of an id."""
    return _PREFIX + base64.urlsafe_b64encode(raw_id).decode("ascii").rstrip("=")


def to_raw(invocation_id: str) -> bytes:
    """The bytes of an id. ``UsageError`` if the text is none."""
    body = invocation_id.removeprefix(_PREFIX)
    try:
        raw_id = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw_id = b""
    if len(raw_id) != RAW_SIZE or to_text(raw_id) != invocation_id:
        raise UsageError(
            f"{invocation_id!r} is no invocation id: it is {_PREFIX!r} and 22 characters, as "
            "send(), invocation_id() and the listings give it"
        )

    return raw_id
