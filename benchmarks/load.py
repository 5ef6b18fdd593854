"""A closed loop of HTTP/1.1 requests: as many connections as wanted, each one request at a time.

Owns the client's side only, and is meant to be cheap: it shares the machine with what is measured.
"""

from __future__ import annotations

import asyncio
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def _request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 2") or length is None:
        raise RuntimeError(f"the ingress answered {head.decode('latin-1')}")

    return await reader.readexactly(int(length[1]))


async def _run(port: int, request: bytes, count: int, concurrency: int) -> list[bytes]:
    remaining = iter(range(count))
    answers = [b""] * count

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in remaining:
            answers[number] = await _request(reader, writer, request)
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(count, concurrency)):
            group.create_task(client())
    return answers


def requests(
    port: int, path: str, body: bytes | None, *, count: int, concurrency: int
) -> list[bytes]:
    """POST ``body`` as JSON to ``path``, ``count`` times; the bodies of the answers."""
    lines = [f"POST /{path} HTTP/1.1", f"host: 127.0.0.1:{port}"]
    if body is not None:
        lines += ["content-type: application/json"]
    lines += [f"content-length: {len(body or b'')}", "", ""]
    request = "\r\n".join(lines).encode() + (body or b"")
    return asyncio.run(_run(port, request, count, concurrency))
