"""Slow and hostile clients of HTTP/2: each is bounded, and told so where it can be."""

from __future__ import annotations

import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, RstStreamFrame

from durable_trio import UsageError
from durable_trio_restate import ServerLimits
from durable_trio_restate._server._http2 import PREFACE
from durable_trio_restate._server._protocol import RequestReceived, StreamLost

from .pair import REQUEST, Pair, RawClient, block, frame

CALM = ErrorCodes.ENHANCE_YOUR_CALM

FEW = ServerLimits(max_wasted_frames=100)


@pytest.mark.parametrize(
    "junk",
    [
        frame(0x6, 0, 0, b"12345678"),  # pings
        frame(0x6, 1, 0, b"12345678"),  # answers to none
        frame(0x4, 0, 0),  # settings
        frame(0x2, 0, 3, b"\0\0\0\1\7"),  # priorities
        frame(0x8, 0, 0, b"\0\0\0\1"),  # window updates
        frame(0x8, 0, 1, b"\0\0\0\1"),
        frame(0xEE, 0, 0, b"?"),  # unknown ones
        frame(0x0, 0, 1),  # empty data
        frame(0x0, 0x8, 1, b"\xff" + bytes(255)),  # nothing but padding
    ],
)
def test_floods(junk: bytes) -> None:
    """Frames that ask for nothing are taken for a while, then the connection is closed."""
    client = RawClient(FEW)
    client.send(frame(0x1, 0x4, 1, block()))
    client.send(junk * 90)
    assert not client.server.closed

    client.send(junk * 20)
    assert [each.error_code for each in client.of(GoAwayFrame)] == [CALM]
    assert client.server.closed
    assert client.events[-1] == StreamLost(1)


def test_time_forgives() -> None:
    """A client that wastes little, for ever, is left alone."""
    client = RawClient(FEW)
    for second in range(20):
        client.send(frame(0x6, 0, 0, b"12345678") * 90)
        client.server.tick(float(second + 1))

    assert not client.server.closed


def test_rapid_reset() -> None:
    """Requests that are reset at once are as little use as pings."""
    client = RawClient(FEW)
    for number in range(1, 400, 2):
        client.send(frame(0x1, 0x5, number, block()) + frame(0x3, 0, number, b"\0\0\0\x08"))

    assert client.server.closed
    assert 40 < len([e for e in client.events if isinstance(e, RequestReceived)]) < 70


def test_requests_are_no_waste() -> None:
    """Requests that get their answer can be as many as the client likes."""
    pair = Pair(FEW)
    for _ in range(500):
        stream = pair.request()
        pair.server.respond(stream, 200, [])
        pair.server.write(stream, b"x")
        pair.server.finish(stream)
        pair.turn()

    assert not pair.server.closed


def test_continuations_without_end() -> None:
    """A header block in ever more pieces is refused, without keeping them all."""
    client = RawClient()
    client.send(frame(0x1, 0, 1, block()))
    for _ in range(100):
        client.send(frame(0x9, 0, 1))

    assert len(client.of(GoAwayFrame)) == 1
    assert client.server.closed


def test_too_many_headers() -> None:
    """Headers above the limit end the connection, however small they were packed."""
    client = RawClient(ServerLimits(max_header_size=2_000))
    client.send(frame(0x1, 0x5, 1, block([*REQUEST, ("x", "y" * 1_000)])))
    assert not client.server.closed

    client.send(frame(0x1, 0x5, 3, block([*REQUEST, ("x", "y" * 2_000)])))
    assert client.server.closed


def test_a_header_bomb() -> None:
    """One large header that is referred to again and again is counted each time."""
    client = RawClient()
    again = bytes([0x80 | 62])
    packed = block([*REQUEST, ("x", "y" * 4_000)]) + again * 10_000
    assert len(packed) < 14_000
    client.send(frame(0x1, 0x5, 1, packed))

    assert client.server.closed


def test_too_many_streams() -> None:
    """Above the limit streams are refused, which is safe to repeat; the others go on."""
    client = RawClient(ServerLimits(max_streams=2))
    for number in (1, 3, 5):
        client.send(frame(0x1, 0x5, number, block()))
    refused = client.of(RstStreamFrame)

    assert [(each.stream_id, each.error_code) for each in refused] == [
        (5, ErrorCodes.REFUSED_STREAM)
    ]
    client.server.respond(1, 200, [])
    client.server.finish(1)
    client.send(frame(0x1, 0x5, 7, block()))
    begun = [event.stream for event in client.events if isinstance(event, RequestReceived)]
    assert begun == [1, 3, 7]


def test_a_body_without_end() -> None:
    """A body above the limit has its stream reset, and the application is told."""
    pair = Pair(ServerLimits(max_body_size=100_000))
    stream = pair.request(end=False)
    for _ in range(6):
        pair.body(stream, bytes(16_000))
    assert pair.told(StreamLost) == []
    pair.body(stream, bytes(16_000))

    assert pair.told(StreamLost) == [StreamLost(stream)]
    assert [event.error_code for event in pair.heard(h2.events.StreamReset)] == [CALM]


def test_responses_that_nobody_reads() -> None:
    """With too much waiting for the client, new requests are refused."""
    pair = Pair(ServerLimits(max_buffered_output=200_000))
    pair.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    pair.turn()
    for _ in range(4):
        stream = pair.request()
        pair.server.respond(stream, 200, [])
        pair.server.write(stream, bytes(100_000))
        pair.server.finish(stream)
        pair.turn()

    assert len(pair.requests()) == 3
    (refused,) = pair.heard(h2.events.StreamReset)
    assert refused.error_code == ErrorCodes.REFUSED_STREAM
    pair.tick(1.0)
    pair.tick(60.0)
    assert pair.told(StreamLost) == [StreamLost(stream) for stream in pair.requests()]
    pair.request()
    assert len(pair.requests()) == 4


def test_a_client_that_lets_nothing_go() -> None:
    """A connection whose own window stays used up is closed."""
    pair = Pair()
    first = pair.request()
    pair.server.respond(first, 200, [])
    pair.server.write(first, bytes(70_000))
    pair.turn()
    pair.tick(1.0)
    assert not pair.server.closed
    pair.tick(61.0)

    assert pair.server.closed
    assert pair.told(StreamLost) == [StreamLost(first)]


def test_congestion() -> None:
    """Answers to pings pile up when nobody takes them; until then nothing more is to be read."""
    client = RawClient()
    client.server.receive(frame(0x6, 0, 0, b"12345678") * 3_000)
    assert not client.server.congested
    client.server.receive(frame(0x6, 0, 0, b"12345678") * 1_000)
    assert client.server.congested
    client.server.take_output()
    assert not client.server.congested


# -- time


def test_a_handshake_that_does_not_come() -> None:
    """A client has ten seconds for its settings."""
    client = RawClient(first=PREFACE)
    client.server.tick(9.9)
    assert not client.server.closed
    client.server.tick(10.0)
    assert client.server.closed


def test_an_idle_connection() -> None:
    """Without a request it is drained after a while, whatever else the client sends."""
    client = RawClient(ServerLimits(idle_timeout=100.0))
    for second in range(1, 100):
        client.send(frame(0x6, 0, 0, b"12345678"))
        client.server.tick(float(second))
    client.send(b"")
    assert client.of(GoAwayFrame) == []

    client.server.tick(100.0)
    client.send(b"")
    assert [each.error_code for each in client.of(GoAwayFrame)] == [ErrorCodes.NO_ERROR]


def test_a_connection_with_a_request_is_not_idle() -> None:
    """An attempt may wait for days, as long as somebody is there."""
    pair = Pair()
    stream = pair.request(end=False)
    pair.server.begin(stream)
    for _ in range(1_000):
        pair.tick(1_000.0)

    assert not pair.server.closed
    assert not pair.heard(h2.events.StreamReset)


def test_a_request_that_makes_no_progress() -> None:
    """A journal has to arrive; each piece of it gives it more time."""
    pair = Pair()
    stream = pair.request(end=False)
    for _ in range(5):
        pair.tick(50.0)
        pair.body(stream, b"x")
    assert pair.told(StreamLost) == []
    pair.tick(60.0)

    assert pair.told(StreamLost) == [StreamLost(stream)]


def test_a_client_that_vanished() -> None:
    """A silent connection is asked for a sign of life; without one its streams are lost."""
    client = RawClient()
    client.send(frame(0x1, 0x4, 1, block()))
    client.server.begin(1)
    client.server.tick(1.0)
    client.server.tick(31.0)
    client.send(b"")
    pings = [each for each in client.sent if each.type == 0x6]
    assert len(pings) == 1
    client.send(frame(0x6, 1, 0, pings[0].opaque_data))
    assert client.server.tick(32.0) == []
    assert client.server.tick(62.0) == []
    assert client.server.tick(81.9) == []

    assert client.server.tick(82.0) == [StreamLost(1)]
    assert client.server.closed


def test_limits_that_make_no_sense() -> None:
    """A limit that is not positive, or a window that HTTP/2 does not have, is a usage error."""
    with pytest.raises(UsageError, match="max_streams must be > 0, got 0"):
        ServerLimits(max_streams=0)
    with pytest.raises(UsageError, match="stream_window must be between 65535"):
        ServerLimits(stream_window=100)
