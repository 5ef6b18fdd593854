"""ASGI as it is used here: its types, and short answers.

Owns nothing but names for what a server hands over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

SERVER_NAME: Final = b"x-restate-server"


async def answer(
    receive: Receive,
    send: Send,
    status: int,
    body: bytes = b"",
    content_type: str = "text/plain; charset=utf-8",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """A whole response.

    The request's body is read to its end first and dropped: a server that answers while
    it still is being sent has to reset the stream.
    """
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return

        if not message.get("more_body", False):
            break

    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode("latin-1")),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
