"""HTTP/2 without sockets: requests, responses, windows both ways, draining."""

from __future__ import annotations

import h2.events
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, HeadersFrame, RstStreamFrame

from durable_trio_restate import ServerLimits
from durable_trio_restate._server._protocol import (
    BodyEnded,
    BodyReceived,
    RequestReceived,
    StreamLost,
)

from .pair import REQUEST, Pair, RawClient, block, frame

FIRST_WINDOW = 65_535


def test_a_request() -> None:
    """The application is told the head, without what belongs to HTTP/2 alone."""
    pair = Pair()
    headers = [*REQUEST[:3], (":path", "/a%20b/invoke/S/h?x=1"), ("x-one", "1"), ("x-one", "2")]
    pair.request(headers=headers)

    (begun, ended) = pair.events
    assert isinstance(begun, RequestReceived)
    head = begun.head
    assert (head.method, head.path, head.http_version) == ("POST", "/a b/invoke/S/h", "2")
    assert list(head.headers) == [(b"host", b"localhost"), (b"x-one", b"1"), (b"x-one", b"2")]
    assert ended == BodyEnded(1)


def test_a_response() -> None:
    """Head, body and end arrive in one piece of output."""
    pair = Pair()
    stream = pair.request()
    pair.server.respond(stream, 418, [(b"x-two", b"2")])
    pair.server.write(stream, b"tea")
    pair.server.write(stream, b"pot")
    pair.server.finish(stream)
    output = pair.server.take_output()
    assert pair.server.take_output() == b""
    pair.answers += pair.client.receive_data(output)

    (head,) = pair.heard(h2.events.ResponseReceived)
    assert list(map(str, dict(head.headers).values())) == ["418", "2"]
    (data,) = pair.heard(h2.events.DataReceived)
    assert data.data == b"teapot"
    assert pair.heard(h2.events.StreamEnded)
    assert pair.server.idle_since == 0.0


def test_both_directions_at_once() -> None:
    """A response goes on while its request does."""
    pair = Pair()
    stream = pair.request(end=False)
    pair.server.respond(stream, 200, [])
    for text in (b"one", b"two"):
        pair.body(stream, text)
        pair.server.write(stream, text.upper())
        pair.turn()
    pair.body(stream, b"", end=True)
    pair.server.finish(stream)
    pair.turn()

    assert pair.received() == b"onetwo"
    assert [event.data for event in pair.heard(h2.events.DataReceived)] == [b"ONE", b"TWO", b""]
    assert pair.events[-1] == BodyEnded(stream)


def test_no_body_for_head() -> None:
    """What is written to the response of a HEAD request is not sent."""
    pair = Pair()
    stream = pair.request(headers=[(":method", "HEAD"), *REQUEST[1:]])
    pair.server.respond(stream, 200, [(b"content-length", b"2")])
    pair.server.write(stream, b"ok")
    pair.server.finish(stream)
    pair.turn()

    assert [event.data for event in pair.heard(h2.events.DataReceived)] == [b""]
    assert pair.heard(h2.events.StreamEnded)


def test_a_response_that_the_client_takes_slowly() -> None:
    """Output waits for the client's windows, and goes on as they open."""
    pair = Pair()
    stream = pair.request()
    pair.server.respond(stream, 200, [])
    pair.server.write(stream, bytes(FIRST_WINDOW + 100))
    pair.server.finish(stream)
    pair.turn()
    assert pair.server.take_output() == b""
    assert not pair.server.has_output
    got = sum(len(event.data) for event in pair.heard(h2.events.DataReceived))
    assert got == FIRST_WINDOW

    pair.client.increment_flow_control_window(60, stream)
    pair.client.increment_flow_control_window(60)
    pair.turn()
    assert pair.heard(h2.events.DataReceived)[-1].data == bytes(60)
    assert not pair.heard(h2.events.StreamEnded)

    pair.client.increment_flow_control_window(60, stream)
    pair.client.increment_flow_control_window(60)
    pair.turn()
    assert pair.heard(h2.events.DataReceived)[-1].data == bytes(40)
    assert pair.heard(h2.events.StreamEnded)


def test_streams_take_turns() -> None:
    """A large response does not hold up a small one."""
    pair = Pair()
    large, small = pair.request(), pair.request()
    pair.server.respond(large, 200, [])
    pair.server.write(large, bytes(50_000))
    pair.server.respond(small, 200, [])
    pair.server.write(small, b"small")
    pair.turn()

    order = [event.stream_id for event in pair.heard(h2.events.DataReceived)]
    assert order[:2] == [large, small]


def test_one_blocked_stream() -> None:
    """A stream whose window is used up does not hold up the others."""
    pair = Pair()
    pair.client.increment_flow_control_window(1_000_000)
    blocked, free = pair.request(), pair.request()
    for stream in (blocked, free):
        pair.server.respond(stream, 200, [])
    pair.server.write(blocked, bytes(100_000))
    pair.turn()
    pair.server.write(free, b"here")
    pair.turn()

    assert pair.heard(h2.events.DataReceived)[-1].data == b"here"


def test_a_body_that_nobody_takes() -> None:
    """The client is held up at the stream's window until the application has taken its bytes."""
    pair = Pair(ServerLimits(stream_window=FIRST_WINDOW))
    stream = pair.request(end=False)
    for _ in range(4):
        pair.body(stream, bytes(16_000))
    pair.body(stream, bytes(FIRST_WINDOW - 64_000 - 1_000))
    assert pair.client.local_flow_control_window(stream) == 1_000

    for event in pair.told(BodyReceived):
        pair.server.credit(stream, event.size)
    pair.turn()
    assert pair.client.local_flow_control_window(stream) == 49_000


def test_the_connection_is_never_held_up() -> None:
    """Bodies that nobody takes use up their own windows, not the connection's."""
    pair = Pair(ServerLimits(stream_window=FIRST_WINDOW, connection_window=FIRST_WINDOW))
    for _ in range(10):
        stream = pair.request(end=False)
        for _ in range(4):
            pair.body(stream, bytes(16_000))

    assert len(pair.received()) == 640_000


@pytest.mark.parametrize("end", [True, False])
def test_an_answer_before_the_request_has_ended(end: bool) -> None:
    """The rest of the request is dropped; after a while the stream is reset without an error."""
    pair = Pair()
    stream = pair.request(end=False)
    pair.server.respond(stream, 401, [])
    pair.server.finish(stream)
    pair.turn()
    assert pair.heard(h2.events.StreamEnded)

    pair.body(stream, b"rest", end=end)
    assert pair.received() == b""
    pair.tick(4.9)
    assert not pair.heard(h2.events.StreamReset)
    pair.tick(0.2)
    resets = pair.heard(h2.events.StreamReset)
    assert [event.error_code for event in resets] == ([] if end else [ErrorCodes.NO_ERROR])
    assert pair.server.idle_since is not None


def test_a_client_that_resets() -> None:
    """The application is told once, and what it still writes goes nowhere."""
    pair = Pair()
    stream = pair.request(end=False)
    pair.client.reset_stream(stream, ErrorCodes.CANCEL)
    pair.turn()
    pair.server.respond(stream, 200, [])
    pair.server.write(stream, b"late")
    pair.server.finish(stream)
    pair.server.reset(stream)
    pair.turn()

    assert pair.told(StreamLost) == [StreamLost(stream)]
    assert not pair.heard(h2.events.ResponseReceived)


def test_a_response_that_breaks_off() -> None:
    """It is reset, so that the client does not take it for complete."""
    pair = Pair()
    stream = pair.request()
    pair.server.respond(stream, 200, [])
    pair.server.write(stream, b"half")
    pair.server.reset(stream)
    pair.turn()

    (reset,) = pair.heard(h2.events.StreamReset)
    assert reset.error_code == ErrorCodes.INTERNAL_ERROR


def test_a_client_that_is_gone() -> None:
    """All its streams are lost."""
    pair = Pair()
    streams = [pair.request(), pair.request(end=False)]
    lost = pair.server.receive_eof()

    assert lost == [StreamLost(stream) for stream in streams]
    assert pair.server.closed


# -- draining


def answer(client: RawClient, stream: int) -> None:
    client.server.respond(stream, 200, [])
    client.server.finish(stream)
    client.send(b"")


def test_draining() -> None:
    """What comes is answered, until it was quiet for a moment: then the client is told to leave."""
    client = RawClient()
    client.send(frame(0x1, 0x5, 1, block()))
    client.server.tick(0.1)
    client.server.drain(9.0)
    client.server.drain(9.0)
    client.send(frame(0x1, 0x5, 3, block()))
    client.server.tick(4.9)
    answer(client, 1)
    answer(client, 3)
    client.server.tick(5.3)
    client.send(b"")
    assert client.of(GoAwayFrame) == []
    client.send(frame(0x1, 0x5, 5, block()))
    client.server.tick(5.9)
    answer(client, 5)
    client.server.tick(6.3)
    assert not client.server.closed

    client.server.tick(6.4)
    client.send(b"")
    (goodbye,) = client.of(GoAwayFrame)
    assert (goodbye.last_stream_id, goodbye.error_code) == (5, ErrorCodes.NO_ERROR)
    assert client.server.closed
    assert client.server.receive(frame(0x1, 0x5, 7, block())) == []


def test_draining_without_patience() -> None:
    """New streams are refused; nobody is told to leave while there are others."""
    client = RawClient()
    client.send(frame(0x1, 0x5, 1, block()))
    client.server.drain(1.0)
    client.server.tick(0.9)
    client.send(frame(0x1, 0x5, 3, block()))
    client.server.tick(1.0)
    client.send(frame(0x1, 0x5, 5, block()))
    (refused,) = client.of(RstStreamFrame)
    assert (refused.stream_id, refused.error_code) == (5, ErrorCodes.REFUSED_STREAM)

    answer(client, 3)
    client.server.tick(9.0)
    client.send(b"")
    assert client.of(GoAwayFrame) == []
    answer(client, 1)
    assert [each.error_code for each in client.of(GoAwayFrame)] == [ErrorCodes.NO_ERROR]
    assert client.server.closed
    assert len(client.of(HeadersFrame)) == 2


@pytest.mark.parametrize(("idle", "rest"), [(2.0, 0.0), (1.9, 0.5)])
def test_draining_when_idle(idle: float, rest: float) -> None:
    """At once if it was quiet for long enough, which is not known to the tenth of a second."""
    client = RawClient()
    client.server.tick(idle)
    client.server.drain(5.0)
    assert client.server.closed == (not rest)
    if rest:
        client.server.tick(idle + rest - 0.1)
        assert not client.server.closed
        client.server.tick(idle + rest)
        assert client.server.closed


def test_a_client_that_goes_away() -> None:
    """GOAWAY from a client: what it has asked for is answered, then the connection closes."""
    pair = Pair()
    stream = pair.request()
    pair.client.close_connection()
    pair.turn()
    assert pair.told(StreamLost) == []
    assert not pair.server.closed

    pair.server.respond(stream, 200, [])
    pair.server.finish(stream)
    assert len(pair.server.take_output()) > 18
    assert pair.server.closed


def test_the_same_headers_again() -> None:
    """Headers that are sent time and again are the same bytes, and the client's table is its own."""
    client, pair = RawClient(), Pair()
    headers = [(b"content-type", b"text/plain"), (b"x-long", b"y" * 300)]
    for stream in (1, 3):
        client.send(frame(0x1, 0x5, stream, block()))
        client.server.respond(stream, 200, headers)
        client.server.finish(stream)
        client.send(b"")
    first, second = client.of(HeadersFrame)
    assert first.data == second.data

    for status, extra in ((200, b"1"), (404, b"z" * 20_000), (200, b"2")):
        stream = pair.request()
        pair.server.respond(stream, status, [*headers, (b"extra", extra)])
        pair.server.finish(stream)
        pair.turn()
    told = [dict[object, object](e.headers) for e in pair.heard(h2.events.ResponseReceived)]
    assert [(each[":status"], len(str(each["extra"]))) for each in told] == [
        ("200", 1),
        ("404", 20_000),
        ("200", 1),
    ]


def test_what_is_done_to_a_stream_that_has_ended() -> None:
    """Its number means nothing any more: nothing is sent, and the connection goes on."""
    pair = Pair()
    lost, other = pair.request(end=False), pair.request()
    pair.client.reset_stream(lost)
    pair.turn()
    assert StreamLost(lost) in pair.events
    server = pair.server
    server.accept(lost)
    server.begin(lost)
    server.credit(lost, 1)
    server.respond(lost, 200, [])
    server.write(lost, b"late")
    server.finish(lost)
    server.reset(lost)
    assert b"" == server.take_output()

    server.respond(other, 200, [])
    server.finish(other)
    pair.turn()
    (ended,) = pair.heard(h2.events.StreamEnded)
    assert other == ended.stream_id


def test_a_request_without_an_authority() -> None:
    """Its host header says the same, and is handed on once."""
    pair = Pair()
    regular = [each for each in REQUEST if each[0] != ":authority"]
    pair.request(headers=[*regular, ("host", "localhost")])

    (begun,) = pair.told(RequestReceived)
    assert [(b"host", b"localhost")] == list(begun.head.headers)


def test_a_stalled_stream_is_given_time_while_its_client_takes_something() -> None:
    """What counts is how long nothing went, not how long the response takes."""
    limits = ServerLimits(send_timeout=10)
    pair = Pair(limits)
    pair.client.update_settings({4: 1})
    pair.turn()
    stream = pair.request()
    pair.server.respond(stream, 200, [])
    pair.server.write(stream, b"slowly")
    for _ in range(4):
        pair.turn()
        pair.tick(6)
        pair.client.increment_flow_control_window(1, stream)
    pair.turn()

    assert [b"s", b"l", b"o", b"w", b"l"] == [
        event.data for event in pair.heard(h2.events.DataReceived)
    ]
    assert not pair.told(StreamLost)
