"""The server's side of the protocol, for tests: what it sends, and what it reads.

Owns builders of bytes and a decoder of what an endpoint sends.
"""

from __future__ import annotations

from typing import Any

from durable_trio.abc import Command, Entry, Input, Notification
from durable_trio_restate._entries import (
    FIRST_COMMAND,
    FIRST_NOTIFICATION,
    decode_command,
    encode_command,
    encode_notification,
)
from durable_trio_restate._frames import FrameBuffer
from durable_trio_restate._messages import (
    CONTROL_CODECS,
    SUSPENSION_TYPE,
    StartMessage,
    decode_suspension,
    encode_control,
)

RAW_ID = bytes(range(24))


def encode_entry(entry: Entry) -> bytes:
    """A journal entry as the server sends it."""
    if isinstance(entry, Notification):
        return encode_notification(entry)

    return encode_command(entry)


def start_of(*entries: Entry, **fields: Any) -> bytes:
    """A start message and a journal: an empty input if none is given."""
    journal = entries or (Input(b""),)
    known: dict[str, Any] = {"id": RAW_ID, "debug_id": "inv_1", "known_entries": len(journal)}
    message = StartMessage(**known | fields)
    return encode_control(message) + b"".join(map(encode_entry, journal))


def read(data: bytes, version: int = 6) -> list[Any]:
    """The messages that an endpoint sent: commands and control messages, a suspension's tree."""
    buffer = FrameBuffer()
    buffer.feed(data)
    found: list[Any] = []
    while (frame := buffer.next()) is not None:
        if FIRST_COMMAND <= frame.type < FIRST_NOTIFICATION:
            found.append(decode_command(frame.type, frame.payload))
        elif frame.type == SUSPENSION_TYPE:
            found.append(decode_suspension(frame.payload, version))
        else:
            found.append(CONTROL_CODECS[frame.type].decode(frame.payload))
    assert buffer.is_empty, "the endpoint sent half a message"
    return found


def commands_of(data: bytes) -> list[Command]:
    """Only the commands among the messages that an endpoint sent."""
    return [message for message in read(data) if isinstance(message, Command)]
