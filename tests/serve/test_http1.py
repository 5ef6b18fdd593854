"""HTTP/1.1 without sockets: requests, responses, and clients that break the rules."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from durable_trio_restate import ServerLimits
from durable_trio_restate._server._http1 import Http1Connection
from durable_trio_restate._server._protocol import (
    BodyEnded,
    BodyReceived,
    RequestReceived,
    StreamLost,
)

HEAD = b"POST /a%20b/invoke/S/h?x=1 HTTP/1.1\r\nHost: me\r\nX-One: 1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@attrs.define(eq=False)
class Client:
    """A client that sends bytes, and what comes of it."""

    limits: ServerLimits = attrs.field(factory=ServerLimits)
    server: Http1Connection = attrs.field(init=False)
    events: list[Any] = attrs.field(factory=list[Any])

    def __attrs_post_init__(self) -> None:
        self.server = Http1Connection(self.limits, 0.0)

    def send(self, data: bytes, size: int = 0) -> None:
        """Send bytes, in pieces of this size."""
        for start in range(0, len(data), size or len(data)):
            self.events += self.server.receive(data[start : start + (size or len(data))])

    def answer(self, stream: int, body: bytes = b"ok") -> bytes:
        """Have the application answer; what arrives."""
        server = self.server
        server.respond(stream, 200, [(b"content-length", str(len(body)).encode())])
        server.write(stream, body)
        server.finish(stream)
        self.events += server.resume()
        return self.output()

    def output(self) -> bytes:
        """What the server has to send."""
        return b"".join(iter(self.server.take_output, b""))


@pytest.mark.parametrize("size", [1, 5, 0])
def test_a_request(size: int) -> None:
    """Head, body and end, whatever the pieces."""
    client = Client()
    client.send(CHUNKED + b"3\r\none\r\n4\r\n two\r\n0\r\n\r\n", size)

    begun, *pieces, ended = client.events
    assert isinstance(begun, RequestReceived)
    head = begun.head
    assert (head.method, head.path, head.http_version) == ("POST", "/a b/invoke/S/h", "1.1")
    assert list(head.headers)[:2] == [(b"host", b"me"), (b"x-one", b"1")]
    assert b"".join(piece.data for piece in pieces) == b"one two"
    assert ended == BodyEnded(begun.stream)


def test_a_response() -> None:
    """It has a reason, a length that was given, and leaves the connection open."""
    client = Client()
    client.send(b"GET /health HTTP/1.1\r\nHost: me\r\n\r\n")

    assert client.answer(1) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    assert client.server.idle_since is not None
    assert not client.server.closed


def test_a_response_without_a_length() -> None:
    """It is chunked, and may begin before the request has ended."""
    client = Client()
    client.send(CHUNKED)
    client.server.respond(1, 200, [])
    client.server.write(1, b"one")
    assert client.output().endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    client.send(b"1\r\nx\r\n0\r\n\r\n")
    client.server.finish(1)

    assert client.output() == b"0\r\n\r\n"
    assert [type(event) for event in client.events] == [RequestReceived, BodyReceived, BodyEnded]


def test_large_output() -> None:
    """It comes in pieces of a bounded size, in order."""
    client = Client()
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    body = bytes(range(256)) * 4_000
    client.server.respond(1, 200, [(b"content-length", str(len(body)).encode())])
    for _ in range(2):
        client.server.write(1, body[:512_000] if _ == 0 else body[512_000:])
    client.server.finish(1)
    pieces = list(iter(client.server.take_output, b""))

    assert max(map(len, pieces)) <= 256 * 1024
    assert b"".join(pieces).endswith(body)


def test_pipelining() -> None:
    """A second request waits for the first one's response."""
    client = Client()
    client.send(b"GET /1 HTTP/1.1\r\nHost: me\r\n\r\nGET /2 HTTP/1.1\r\nHost: me\r\n\r\n")
    assert [event.stream for event in client.events] == [1, 1]

    client.answer(1)
    assert [event.stream for event in client.events] == [1, 1, 2, 2]
    assert client.answer(2).endswith(b"ok")


def test_no_body_for_head() -> None:
    """What is written to the response of a HEAD request is not sent."""
    client = Client()
    client.send(b"HEAD /health HTTP/1.1\r\nHost: me\r\n\r\n")

    assert client.answer(1) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


def test_an_expectation() -> None:
    """A client that asks first is told to go on, if its body is wanted."""
    client = Client()
    client.send(HEAD + b"Content-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    assert client.output() == b""
    client.server.accept(1)

    assert client.output() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_an_upgrade_that_is_not_taken() -> None:
    """A client that would rather speak HTTP/2 is answered as it asked."""
    client = Client()
    client.send(
        b"GET /health HTTP/1.1\r\nHost: me\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    )

    assert client.answer(1).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("rest", [b"", b"x" * 10_000])
def test_an_answer_before_the_request_has_ended(rest: bytes) -> None:
    """The rest is dropped, and the connection can be used on."""
    client = Client()
    client.send(HEAD + b"Content-Length: %d\r\n\r\n" % (len(rest) + 1))
    client.answer(1)
    client.send(b"x" + rest)
    client.events += client.server.resume()
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")

    assert client.events[-1] == BodyEnded(2)


def test_too_much_left_over() -> None:
    """A large rest of a request that was answered ends the connection."""
    client = Client()
    client.send(HEAD + b"Content-Length: 10000000\r\n\r\n")
    client.answer(1)
    for _ in range(11):
        client.send(bytes(100_000))

    assert client.server.closed


def test_a_client_of_old() -> None:
    """HTTP/1.0 is answered, and its connection is closed."""
    client = Client()
    client.send(b"GET /health HTTP/1.0\r\n\r\n")
    output = client.answer(1)

    assert output.startswith(b"HTTP/1.1 200 OK")
    assert client.server.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 4 + b"\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n", 400),
        (HEAD + b"Content-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000, 431),
        (CHUNKED + b"xyz\r\n", 400),
    ],
)
def test_what_is_refused(data: bytes, status: int) -> None:
    """A client that breaks the protocol is told so, and the connection is closed."""
    client = Client()
    client.send(data, 8_000)

    assert client.output().startswith(b"HTTP/1.1 %d " % status)
    assert client.server.closed
    begun = [event for event in client.events if isinstance(event, RequestReceived)]
    assert [event for event in client.events if isinstance(event, StreamLost)] == [
        StreamLost(event.stream) for event in begun
    ]


def test_a_break_after_the_response_has_begun() -> None:
    """Nothing can be said any more: the response breaks off."""
    client = Client()
    client.send(CHUNKED)
    client.server.respond(1, 200, [])
    client.output()
    client.send(b"xyz\r\n")

    assert client.output() == b""
    assert client.events[-1] == StreamLost(1)
    assert client.server.closed


def test_a_body_without_end() -> None:
    """A body above the limit is 413."""
    client = Client(ServerLimits(max_body_size=1_000))
    client.send(CHUNKED + b"3e8\r\n" + bytes(1_000) + b"\r\n")
    assert client.output() == b""
    client.send(b"1\r\nx\r\n")

    assert client.output().startswith(b"HTTP/1.1 413 ")
    assert client.events[-1] == StreamLost(1)


def test_too_much_ahead_of_time() -> None:
    """A client may send the next requests early, but not without bound."""
    client = Client()
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n" * 3_000)

    assert client.server.closed
    assert client.events[-1] == StreamLost(1)


def test_a_client_that_is_gone() -> None:
    """Its request is lost, and what the application still says goes nowhere."""
    client = Client()
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    client.events += client.server.receive_eof()

    assert client.events[-1] == StreamLost(1)
    assert client.answer(1) == b""
    assert client.server.closed


@pytest.mark.parametrize(
    "data", [b"garbage", b"GET / HTTP/1.1", HEAD, CHUNKED, CHUNKED + b"5\r\nab"]
)
def test_a_request_that_breaks_off(data: bytes) -> None:
    """A client that only ceased to send is told; whatever came of it is lost."""
    client = Client()
    client.send(data)
    begun = [event for event in client.events if isinstance(event, RequestReceived)]
    client.events += client.server.receive_eof()

    assert client.output().startswith(b"HTTP/1.1 400 ")
    assert client.server.closed
    assert [event for event in client.events if isinstance(event, StreamLost)] == [
        StreamLost(event.stream) for event in begun
    ]
    assert client.server.receive_eof() == []
    assert client.output() == b""


def test_a_client_that_leaves_in_good_order() -> None:
    """Between requests there is nothing to say."""
    client = Client()
    client.send(b"GET /health HTTP/1.1\r\nHost: me\r\n\r\n")
    client.answer(1)
    count = len(client.events)
    client.events += client.server.receive_eof()

    assert count == len(client.events)
    assert client.output() == b""
    assert client.server.closed


def test_a_response_that_breaks_off() -> None:
    """The connection is closed, so that the client does not take it for complete."""
    client = Client()
    client.send(CHUNKED)
    client.server.respond(1, 200, [])
    client.server.reset(1)

    assert client.server.closed
    assert not client.output().endswith(b"0\r\n\r\n")


# -- time and draining


def test_slow_heads() -> None:
    """From its first byte a head has ten seconds, however many pieces come."""
    client = Client()
    client.events += client.server.tick(800.0)
    assert not client.server.closed
    client.send(b"GET / HT")
    client.events += client.server.tick(805.0)
    client.send(b"TP/1.1\r\n")
    client.events += client.server.tick(810.0)

    assert client.output().startswith(b"HTTP/1.1 408 ")
    assert client.server.closed


def test_slow_bodies() -> None:
    """A body has a minute for each piece, until its attempt has begun; then all the time."""
    slow, begun = Client(), Client()
    for client in (slow, begun):
        client.send(CHUNKED)
        client.server.accept(1)
        client.events += client.server.tick(50.0)
        client.send(b"1\r\nx\r\n")
        client.events += client.server.tick(100.0)
    begun.server.begin(1)
    for client in (slow, begun):
        client.events += client.server.tick(111.0)

    assert slow.events[-1] == StreamLost(1)
    assert not begun.server.closed


def test_an_idle_connection() -> None:
    """Without a request it is closed after a while."""
    client = Client(ServerLimits(idle_timeout=100.0))
    client.server.tick(99.0)
    client.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    client.server.tick(500.0)
    client.answer(1)
    client.server.tick(599.0)
    assert not client.server.closed
    client.server.tick(600.0)
    assert client.server.closed


def test_a_rest_that_does_not_come() -> None:
    """After an early answer the client has five seconds."""
    client = Client()
    client.send(CHUNKED)
    client.answer(1)
    client.server.tick(4.9)
    assert not client.server.closed
    client.server.tick(5.0)
    assert client.server.closed


def test_draining() -> None:
    """An idle connection closes at once, a busy one after its response, which says so."""
    idle, busy = Client(), Client()
    busy.send(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    idle.server.drain(5.0)
    busy.server.drain(5.0)
    assert idle.server.closed
    assert not busy.server.closed

    assert b"connection: close" in busy.answer(1)
    assert busy.server.closed


def test_what_is_done_to_a_stream_that_has_ended() -> None:
    """Its number means nothing any more: nothing is sent, and the next request is undisturbed."""
    client = Client()
    client.send(b"GET /one HTTP/1.1\r\nHost: me\r\n\r\n")
    client.answer(1)
    client.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    use(client.server, 1)
    assert b"" == client.output()

    client.server.accept(2)
    assert client.output().startswith(b"HTTP/1.1 100 ")

    client.send(b"ok")
    assert client.answer(2).endswith(b"\r\n\r\nok")


def test_what_is_done_to_a_connection_that_has_ended() -> None:
    """Nothing is sent on it, whatever the application does."""
    client = Client()
    client.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    client.events += client.server.receive_eof()
    assert StreamLost(1) in client.events
    client.output()
    use(client.server, 1)

    assert b"" == client.output()


def use(server: Http1Connection, stream: int) -> None:
    """All that an application can do with a stream."""
    server.accept(stream)
    server.begin(stream)
    server.credit(stream, 1)
    server.respond(stream, 200, [])
    server.write(stream, b"late")
    server.finish(stream)
    server.reset(stream)
