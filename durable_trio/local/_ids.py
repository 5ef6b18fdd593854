"""Invocation ids: 16 random bytes, and how they are written.

1. The text form is ``inv_1`` and the bytes in unpadded base64url; both ways are exact.
2. An id tells nothing about its invocation: not its service, not its age.
"""

from __future__ import annotations

import base64
import os
from typing import Final

from durable_trio._exceptions import UsageError

_PREFIX: Final = "inv_1"
RAW_SIZE: Final = 16
"""Bytes of an id."""


def new_raw_id() -> bytes:
    """An id that nobody has."""
    return os.urandom(RAW_SIZE)


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
