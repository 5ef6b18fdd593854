"""A recorded journal, sent to an endpoint as a Restate server does: over HTTP/2, on one stream.

Owns the server's side of one attempt: the start message with the journal, and the end of
the stream once the endpoint has ended the attempt. Uses the library h2 on a plain socket.
"""

from __future__ import annotations

import socket

import h2.config
import h2.connection
import h2.events

from durable_trio.abc import Completion, Entry, Input, Notification, Run, Value
from durable_trio_restate._entries import encode_command, encode_notification
from durable_trio_restate._frames import FrameBuffer
from durable_trio_restate._messages import StartMessage, encode_control

VERSION = 6
"""Of the service protocol: what server 1.7 speaks unless told otherwise."""

_END_TYPE = 0x0003


def sequential(count: int) -> list[Entry]:
    """The journal of ``sequential(count)``, but for its output."""
    journal: list[Entry] = [Input(str(count).encode())]
    for number in range(1, count + 1):
        journal += [Run(number, "step"), Completion(number, Value(b"1"))]
    return journal


def fan_out(count: int) -> list[Entry]:
    """The journal of ``fan_out(count)``, but for its output."""
    numbers = range(1, count + 1)
    return [
        Input(str(count).encode()),
        *(Run(number, "step") for number in numbers),
        *(Completion(number, Value(b"1")) for number in numbers),
    ]


def start_of(journal: list[Entry]) -> bytes:
    """What the server sends at first."""
    start = StartMessage(
        id=bytes(range(24)),
        debug_id="inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz",
        known_entries=len(journal),
        random_seed=1,
    )
    return encode_control(start) + b"".join(
        encode_notification(entry) if isinstance(entry, Notification) else encode_command(entry)
        for entry in journal
    )


class Peer:
    """A connection to an endpoint."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration())
        self._connection.initiate_connection()
        self._authority = f"127.0.0.1:{port}"
        self._flush()

    def close(self) -> None:
        """Close it."""
        self._connection.close_connection()
        self._flush()
        self._socket.close()

    def attempt(self, target: str, body: bytes) -> None:
        """Have the endpoint run an attempt of ``SERVICE/HANDLER``; return when it has ended well."""
        connection = self._connection
        stream = connection.get_next_available_stream_id()
        connection.send_headers(
            stream,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", self._authority),
                (":path", f"/invoke/{target}"),
                ("content-type", f"application/vnd.restate.invocation.v{VERSION}"),
            ],
        )
        answer, last, closed = FrameBuffer(), -1, False
        while True:
            size = min(
                len(body),
                connection.local_flow_control_window(stream),
                connection.max_outbound_frame_size,
            )
            if size:
                connection.send_data(stream, body[:size])
                body = body[size:]
                continue

            self._flush()
            data = self._socket.recv(65_536)
            if not data:
                raise RuntimeError("the endpoint closed the connection")

            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    status = dict(event.headers or ()).get(b":status")
                    if status != b"200":
                        raise RuntimeError(f"the endpoint answered {status!r}")
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                    answer.feed(event.data or b"")
                    while (frame := answer.next()) is not None:
                        last = frame.type
                    if last == _END_TYPE and not closed:
                        closed = True
                        connection.end_stream(stream)
                elif isinstance(event, h2.events.StreamEnded):
                    self._flush()
                    if last != _END_TYPE:
                        raise RuntimeError(f"the attempt did not end, but with 0x{last:04X}")

                    return
                elif type(event) in {h2.events.StreamReset, h2.events.ConnectionTerminated}:
                    raise RuntimeError(f"the endpoint gave the stream up: {event}")

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data:
            self._socket.sendall(data)
