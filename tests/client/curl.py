"""curl, the command: what a line of a shell gets from a server."""

from __future__ import annotations

import os
import shutil
from functools import cache

import anyio
import attrs
import pytest


@cache
def curl_binary() -> str:
    """Where curl is. A machine without it skips what needs it, but for CI, which installs it."""
    found = shutil.which("curl")
    if found is None:
        missing = "these tests run curl, which is not installed: apt-get install curl"
        if "DURABLE_TRIO_CI" in os.environ:
            raise RuntimeError(missing)

        pytest.skip(missing)
    return found


@attrs.frozen
class Got:
    """An answer as curl got it."""

    version: str
    """Of HTTP."""
    status: int
    headers: dict[str, str]
    body: str


async def curl(*arguments: str) -> Got:
    """What ``curl ARGUMENTS`` gets. Fails if curl does."""
    command = [curl_binary(), "--silent", "--show-error", "--include", "--noproxy", "*"]
    done = await anyio.run_process([*command, *arguments])
    text = done.stdout.decode()
    head = ""
    while text.startswith("HTTP/"):
        # Also 100 Continue has a head.
        head, _, text = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    version, status = first.split(" ")[:2]
    headers = dict(line.split(": ", 1) for line in lines)
    return Got(version, int(status), {name.lower(): value for name, value in headers.items()}, text)
