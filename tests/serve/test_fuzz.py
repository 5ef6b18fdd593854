"""Any bytes whatsoever: never an exception, never an event out of order, never without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from durable_trio_restate import ServerLimits
from durable_trio_restate._server._http1 import Http1Connection
from durable_trio_restate._server._http2 import PREFACE, Http2Connection
from durable_trio_restate._server._protocol import BodyEnded, BodyReceived, RequestReceived

from .pair import REQUEST, block, frame, parse

if TYPE_CHECKING:
    from durable_trio_restate._server._protocol import Event, HttpConnection

LIMITS = ServerLimits(
    max_streams=5,
    max_body_size=50_000,
    max_buffered_output=20_000,
    max_wasted_frames=200,
    max_header_size=4_000,
)


class Application:
    """Answers as it is told to, and holds every event against the protocol's promises."""

    def __init__(self, server: HttpConnection, manners: list[int]) -> None:
        self.server = server
        self.manners = manners
        self.alive: dict[int, str] = {}
        self.answered: set[int] = set()
        self.last = 0

    def take(self, events: list[Event]) -> None:
        while events:
            for event in events:
                self.one(event)
            events = self.server.resume()
        assert len(self.alive) <= 5

    def one(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            assert event.stream > self.last
            self.last = event.stream
            self.alive[event.stream] = "open"
            self.behave(event.stream, self.manners[event.stream % len(self.manners)])
        elif event.stream in self.answered:
            # It came in one piece with the request.
            assert event.stream not in self.alive
        elif isinstance(event, BodyReceived):
            assert self.alive[event.stream] == "open"
            self.server.credit(event.stream, event.size)
        elif isinstance(event, BodyEnded):
            assert self.alive[event.stream] == "open"
            self.alive[event.stream] = "complete"
            if self.manners[event.stream % len(self.manners)] == 4:
                self.behave(event.stream, 1)
        else:
            del self.alive[event.stream]

    def behave(self, stream: int, manner: int) -> None:
        server = self.server
        if manner == 0:
            server.accept(stream)
            server.begin(stream)
        elif manner == 1:
            server.respond(stream, 200, [(b"x", b"y")])
            server.write(stream, bytes(3_000))
            server.finish(stream)
            self.answered.add(stream)
            del self.alive[stream]
        elif manner == 2:
            server.respond(stream, 200, [])
            server.write(stream, b"1")
        elif manner == 3:
            server.reset(stream)
            self.answered.add(stream)
            del self.alive[stream]


headers = st.lists(
    st.tuples(
        st.sampled_from([":method", ":path", ":scheme", "te", "content-length", "x", "X", "", ":"]),
        st.sampled_from(["GET", "/", "http", "3", "trailers", "", "\r\n", "y" * 300]),
    ),
    max_size=6,
)
payloads = st.one_of(
    st.binary(max_size=40),
    st.just(block()),
    st.just(block([*REQUEST, ("content-length", "7")])),
    headers.map(block),
    st.integers(0, 5_000).map(bytes),
    st.integers(0, 2**31).map(lambda number: number.to_bytes(4, "big")),
)
requests = st.builds(
    frame, st.just(1), st.sampled_from([4, 5]), st.integers(0, 6), st.just(block())
)
requests = requests.map(lambda data: data[:8] + bytes([data[8] * 2 + 1]) + data[9:])
bodies = st.builds(
    frame, st.just(0), st.sampled_from([0, 0, 1]), st.sampled_from([1, 3, 5, 7]), payloads
)
strange = st.builds(
    frame,
    st.one_of(st.integers(0, 11), st.just(1), st.just(0)),
    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5])),
    st.one_of(st.integers(0, 13), st.sampled_from([1, 3, 5, 2**31 - 1])),
    payloads,
)
frames = st.one_of(requests, bodies, strange)
manners = st.lists(st.integers(0, 4), min_size=1, max_size=5)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes, cut at these sizes in turn."""
    found: list[bytes] = []
    position, turn = 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        found.append(data[position : position + size])
        position, turn = position + size, turn + 1
    return found


def feed(server: HttpConnection, data: list[bytes], manners: list[int], ticks: bool) -> bytes:
    application, now = Application(server, manners), 0.0
    output: list[bytes] = []
    for piece in data:
        application.take(server.receive(piece))
        output.append(server.take_output())
        if ticks:
            now += 7.0
            application.take(server.tick(now))
        if server.closed:
            break
    output.extend(iter(server.take_output, b""))
    application.take(server.receive_eof())
    assert server.closed
    assert server.receive(b"more") == []
    assert server.tick(now + 1_000) == []
    assert sum(map(len, output)) < 300_000
    return b"".join(output)


sizes = st.lists(st.one_of(st.integers(1, 60), st.just(10_000)), min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(data=st.lists(frames, max_size=40), sizes=sizes, manners=manners, ticks=st.booleans())
def test_frames(data: list[bytes], sizes: list[int], manners: list[int], ticks: bool) -> None:
    """Frames of any kind in any order; what the server says meanwhile is sound HTTP/2."""
    server = Http2Connection(LIMITS, 0.0)
    start = frame(4, 0, 0)
    output = feed(server, [PREFACE, start, *pieces(b"".join(data), sizes)], manners, ticks)

    assert parse(output)


@settings(max_examples=200, deadline=None)
@given(
    data=st.lists(st.one_of(frames, st.binary(max_size=30)), max_size=20),
    sizes=sizes,
    manners=manners,
)
def test_bytes(data: list[bytes], sizes: list[int], manners: list[int]) -> None:
    """Bytes that are no frames."""
    server = Http2Connection(LIMITS, 0.0)
    feed(server, pieces(PREFACE + b"".join(data), sizes), manners, ticks=False)


lines = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /invoke/S/h HTTP/1.1\r\n",
        b"HEAD * HTTP/1.0\r\n",
        b"GET http://x/%zz%ff?q HTTP/1.1\r\n",
        b"Host: me\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abc",
        b"PRI * HTTP/2.0\r\n",
        b": x\r\n",
        b"x" * 3_000,
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    data=st.lists(st.one_of(lines, lines, st.binary(max_size=20)), max_size=15),
    sizes=sizes,
    manners=manners,
    ticks=st.booleans(),
)
def test_lines(data: list[bytes], sizes: list[int], manners: list[int], ticks: bool) -> None:
    """HTTP/1.1 and what looks like it."""
    server: Any = Http1Connection(LIMITS, 0.0)
    feed(server, pieces(b"".join(data), sizes), manners, ticks)
