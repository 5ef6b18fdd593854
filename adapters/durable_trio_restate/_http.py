"""HTTP as the endpoint sees it: what is asked, and what is answered at once.

Owns two values. Whoever moves the bytes, ASGI or a server of this adapter's own, makes the
one and sends the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from durable_trio._frozen import frozen

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

SERVER_NAME: Final = b"x-restate-server"

TEXT: Final = "text/plain; charset=utf-8"


@frozen
class RequestHead:
    """What a request begins with. ``path`` is percent-decoded and has no query."""

    method: str
    path: str
    http_version: str
    """"1.1" or "2"."""
    headers: RawHeaders
    packs: bool = False
    """Whether bodies may come and go packed with zstd: only AWS Lambda's do."""


@frozen
class Answer:
    """A whole response."""

    status: int
    headers: RawHeaders
    body: bytes
