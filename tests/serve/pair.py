"""A client's connection and a server's, joined without sockets.

Owns moving bytes between h2's client side and the connection under test, and raw frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Encoder
from hyperframe.frame import Frame

from durable_trio_restate import ServerLimits
from durable_trio_restate._server._http2 import PREFACE, Http2Connection
from durable_trio_restate._server._protocol import BodyReceived, RequestReceived

if TYPE_CHECKING:
    from collections.abc import Iterable

    import h2.events

    from durable_trio_restate._server._protocol import Event

E = TypeVar("E")

REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    (":path", "/invoke/S/h"),
]


def block(headers: Iterable[tuple[str, str]] = REQUEST) -> bytes:
    """A header block that needs no table of what came before."""
    return Encoder().encode([(name.encode(), value.encode()) for name, value in headers])


def parse(data: bytes) -> list[Any]:
    """The frames that the server sent, as far as they are whole."""
    found: list[Any] = []
    position = 0
    while position + 9 <= len(data):
        frame, length = Frame.parse_frame_header(memoryview(data[position : position + 9]))
        position += 9
        if position + length > len(data):
            break
        frame.parse_body(memoryview(data[position : position + length]))
        position += length
        found.append(frame)
    return found


@attrs.define(eq=False)
class Pair:
    """A client of h2's and the server's connection. ``turn`` moves what both have to say."""

    limits: ServerLimits = attrs.field(factory=ServerLimits)
    now: float = 0.0
    server: Http2Connection = attrs.field(init=False)
    client: H2Connection = attrs.field(init=False)
    events: list[Event] = attrs.field(factory=list[Any])
    """What the server's application was told."""
    answers: list[h2.events.Event] = attrs.field(factory=list[Any])
    """What the client was told."""

    def __attrs_post_init__(self) -> None:
        self.server = Http2Connection(self.limits, self.now)
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.client.initiate_connection()
        self.turn()

    def turn(self) -> None:
        """Move bytes until neither side has any."""
        while True:
            sent = self.client.data_to_send()
            if sent:
                self.events += self.server.receive(sent)
            answered = self.server.take_output()
            if answered:
                self.answers += self.client.receive_data(answered)
            if not sent and not answered:
                return

    def tick(self, seconds: float) -> None:
        """Let time pass, and move what comes of it."""
        self.now += seconds
        self.events += self.server.tick(self.now)
        self.turn()

    def request(self, *, end: bool = True, headers: Iterable[tuple[str, str]] = REQUEST) -> int:
        """Send a request's head; its stream."""
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, list(headers), end_stream=end)
        self.turn()
        return stream

    def body(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a piece of a request's body."""
        self.client.send_data(stream, data, end_stream=end)
        self.turn()

    def told(self, kind: type[E]) -> list[E]:
        """What the application was told of this kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def heard(self, kind: type[E]) -> list[E]:
        """What the client was told of this kind."""
        return [event for event in self.answers if isinstance(event, kind)]

    def received(self) -> bytes:
        """All bytes of bodies that the application was given."""
        return b"".join(event.data for event in self.told(BodyReceived))

    def requests(self) -> list[int]:
        """The streams of all requests."""
        return [event.stream for event in self.told(RequestReceived)]


@attrs.define(eq=False)
class RawClient:
    """A client that sends any frame whatsoever, after a proper preface."""

    limits: ServerLimits = attrs.field(factory=ServerLimits)
    first: bytes = PREFACE + b"\0\0\0\4\0\0\0\0\0"
    """What it sends at once: the preface and its settings."""
    server: Http2Connection = attrs.field(init=False)
    events: list[Event] = attrs.field(factory=list[Any])
    sent: list[Any] = attrs.field(factory=list[Any])
    """The server's frames."""

    def __attrs_post_init__(self) -> None:
        self.server = Http2Connection(self.limits, 0.0)
        self.send(self.first)

    def send(self, data: bytes) -> None:
        """Send bytes and take in the answer."""
        self.events += self.server.receive(data)
        while output := self.server.take_output():
            self.sent += parse(output)

    def of(self, kind: type[E]) -> list[E]:
        """The server's frames of this kind."""
        return [frame for frame in self.sent if isinstance(frame, kind)]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame's bytes, sound or not."""
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )
