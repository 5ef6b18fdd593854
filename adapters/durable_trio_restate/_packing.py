"""Zstandard, where it is there: bodies that would not fit into what AWS Lambda carries.

Owns finding the library (the standard library's from Python 3.14 on), and the bounds.

 1. Whoever sends says how a body is packed, never how large it is: reading stops at a bound.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from ._errors import BAD_REQUEST, PayloadError
from ._http import accepted

if TYPE_CHECKING:
    from collections.abc import Mapping

if TYPE_CHECKING:
    from backports import zstd
elif sys.version_info >= (3, 14):
    from compression import zstd
else:
    try:
        from backports import zstd
    except ModuleNotFoundError:
        zstd = None

CODING: Final = "zstd"

_ONE_FRAME: Final = "Send all of one zstd frame, or the body as it is and without that header."

_WORTHWHILE: Final = 3 * 1024 * 1024
"""A smaller response fits as it is."""


def is_available() -> bool:
    """Whether bodies can be packed and unpacked here."""
    return zstd is not None


def unpack(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """A request's body as it was before it was packed. ``PayloadError`` with a status."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return body

    if coding != CODING or not is_available():
        known = f"{CODING!r} or 'identity'" if is_available() else "'identity', without zstd"
        raise PayloadError(
            f"the body is packed with {coding!r}, and what is read here is {known}: send it in one "
            "of them; for zstd install durable-trio[lambda]",
            415,
        )

    reader = zstd.ZstdDecompressor()
    try:
        unpacked = reader.decompress(body, max_length=limit + 1)
    except zstd.ZstdError as exc:
        raise PayloadError(
            f"the body is not packed with zstd, as its content-encoding says: {exc}. {_ONE_FRAME}",
            BAD_REQUEST,
        ) from exc

    if len(unpacked) > limit:
        raise PayloadError(
            f"the body has, unpacked, more than the {limit} bytes that are taken here: send less at "
            "once, keep large values elsewhere and their address in the journal",
            413,
        )

    if not reader.eof or reader.unused_data:
        found = f"{len(reader.unused_data)} bytes behind it" if reader.eof else "a part of it"
        raise PayloadError(
            f"the body is one zstd frame and nothing else, found {found}. {_ONE_FRAME}", BAD_REQUEST
        )

    return unpacked


def pack(body: bytes, headers: Mapping[str, str]) -> bytes | None:
    """A response's body, packed; None if it is to be sent as it is."""
    if (
        len(body) <= _WORTHWHILE
        or not is_available()
        or CODING not in accepted(headers.get("accept-encoding", ""))
    ):
        return None

    packed: Any = zstd.compress(body)
    return bytes(packed)
