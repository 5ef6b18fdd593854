"""HTTP as the endpoint sees it: what is asked, and what is answered at once.

Owns two values, and how a list of what is accepted is read. Whoever moves the bytes, ASGI or a
server of this adapter's own, makes the one and sends the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from durable_trio._frozen import frozen

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

SERVER_NAME: Final = b"x-restate-server"

TEXT: Final = "text/plain; charset=utf-8"

_REFUSED: Final = re.compile(r"q\s*=\s*0(\.0*)?")
"""The weight of what is not wanted at all."""


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


def accepted(header: str) -> list[str]:
    """What an ``accept`` or ``accept-encoding`` names, in lower case; without what it refuses."""
    names: list[str] = []
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name and not any(map(_REFUSED.fullmatch, parameters)):
            names.append(name)
    return names
