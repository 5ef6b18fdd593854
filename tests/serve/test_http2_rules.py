"""The rules of RFC 9113, as h2spec has them: what a client may send, and what ends what."""

from __future__ import annotations

import struct

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from durable_trio_restate import ServerLimits
from durable_trio_restate._server._http2 import PREFACE, Http2Connection
from durable_trio_restate._server._protocol import BodyEnded, RequestReceived, StreamLost

from .pair import REQUEST, RawClient, block, frame, parse

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 0x1, 0x4, 0x8, 0x20, 0x1

OPEN = frame(HEADERS, END_HEADERS, 1, block())
WHOLE = frame(HEADERS, END_HEADERS | END_STREAM, 1, block())


def setting(code: int, value: int) -> bytes:
    """A SETTINGS frame with one setting."""
    return frame(SETTINGS, 0, 0, struct.pack(">HI", code, value))


def request_with(*headers: tuple[str, str]) -> bytes:
    """A request with more headers than usual."""
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block([*REQUEST, *headers]))


def without(name: str) -> bytes:
    """A request that lacks a header."""
    return frame(
        HEADERS, END_HEADERS | END_STREAM, 1, block([pair for pair in REQUEST if pair[0] != name])
    )


P, F, S, Z, C = (
    ErrorCodes.PROTOCOL_ERROR,
    ErrorCodes.FLOW_CONTROL_ERROR,
    ErrorCodes.STREAM_CLOSED,
    ErrorCodes.FRAME_SIZE_ERROR,
    ErrorCodes.COMPRESSION_ERROR,
)

ENDS_THE_CONNECTION = {
    "data on stream 0": (frame(DATA, 0, 0, b"x"), {P}),
    "data on an idle stream": (frame(DATA, 0, 1, b"x"), {P}),
    "headers on stream 0": (frame(HEADERS, END_HEADERS, 0, block()), {P}),
    "headers on an even stream": (frame(HEADERS, END_HEADERS, 2, block()), {P}),
    "headers on a lower stream": (
        frame(HEADERS, END_HEADERS, 5, block()) + frame(HEADERS, END_HEADERS, 3, block()),
        {P, S},
    ),
    "a frame that is too large": (OPEN + frame(DATA, 0, 1, bytes(16_385)), {Z}),
    "a header block that is none": (frame(HEADERS, END_HEADERS, 1, b"\xff" * 20), {P, C}),
    "padding longer than the frame": (OPEN + frame(DATA, PADDED, 1, b"\xff" + b"x" * 9), {P}),
    "priority of a wrong length": (frame(PRIORITY, 0, 1, b"1234"), {Z, P}),
    "priority on stream 0": (frame(PRIORITY, 0, 0, b"\0\0\0\1\7"), {P}),
    "a reset of an idle stream": (frame(RST, 0, 7, b"\0\0\0\0"), {P}),
    "a reset of stream 0": (frame(RST, 0, 0, b"\0\0\0\0"), {P}),
    "a reset of a wrong length": (OPEN + frame(RST, 0, 1, b"\0\0\0"), {Z, P}),
    "settings on a stream": (frame(SETTINGS, 0, 1), {P}),
    "settings of a wrong length": (frame(SETTINGS, 0, 0, b"\0\0\0"), {Z, P}),
    "acknowledged settings with content": (frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0"), {Z, P}),
    "push enabled twice over": (setting(2, 2), {P}),
    "a window above the largest": (setting(4, 2**31), {F}),
    "frames smaller than the smallest": (setting(5, 16_383), {P}),
    "frames larger than the largest": (setting(5, 2**24), {P}),
    "a push from a client": (frame(PUSH, END_HEADERS, 1, b"\0\0\0\2" + block()), {P}),
    "a ping on a stream": (frame(PING, 0, 1, bytes(8)), {P}),
    "a ping of a wrong length": (frame(PING, 0, 0, bytes(7)), {Z, P}),
    "going away on a stream": (frame(GOAWAY, 0, 1, bytes(8)), {P}),
    "a window update of 0": (frame(WINDOW, 0, 0, bytes(4)), {P}),
    "a window update of a wrong length": (frame(WINDOW, 0, 0, bytes(3)), {Z, P}),
    "a window update of an idle stream": (frame(WINDOW, 0, 9, b"\0\0\0\1"), {P}),
    "a window that overflows": (frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), {F}),
    "a continuation of nothing": (frame(CONTINUATION, END_HEADERS, 1, block()), {P}),
    "a continuation of the end": (OPEN + frame(CONTINUATION, END_HEADERS, 1, block()), {P}),
    "a frame within a header block": (
        frame(HEADERS, 0, 1, block()) + frame(PING, 0, 0, bytes(8)),
        {P},
    ),
    "a continuation of another stream": (
        frame(HEADERS, 0, 1, block()) + frame(CONTINUATION, END_HEADERS, 3, b""),
        {P},
    ),
    "a header in upper case": (request_with(("X-Upper", "1")), {P}),
    "a connection header": (request_with(("connection", "keep-alive")), {P}),
    "a strange te": (request_with(("te", "gzip")), {P}),
    "a pseudo header after another": (request_with(("x", "1"), (":path", "/")), {P}),
    "an unknown pseudo header": (request_with((":unknown", "1")), {P}),
    "a response's header": (request_with((":status", "200")), {P}),
    "two paths": (request_with((":path", "/")), {P}),
    "no path": (without(":path"), {P}),
    "no method": (without(":method"), {P}),
    "no scheme": (without(":scheme"), {P}),
    "more body than announced": (
        frame(HEADERS, END_HEADERS, 1, block([*REQUEST, ("content-length", "1")]))
        + frame(DATA, END_STREAM, 1, b"xx"),
        {P},
    ),
    "less body than announced": (
        frame(HEADERS, END_HEADERS, 1, block([*REQUEST, ("content-length", "9")]))
        + frame(DATA, END_STREAM, 1, b"xx"),
        {P},
    ),
    "headers twice without an end": (OPEN + frame(HEADERS, END_HEADERS, 1, block()), {P}),
}


@pytest.mark.parametrize("case", ENDS_THE_CONNECTION)
def test_what_ends_the_connection(case: str) -> None:
    """A violation is answered by GOAWAY with a fitting code, and the connection closes."""
    data, codes = ENDS_THE_CONNECTION[case]
    client = RawClient()
    client.send(data)

    (gone,) = client.of(GoAwayFrame)
    assert gone.error_code in codes
    assert client.server.closed


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("case", ENDS_THE_CONNECTION)
def test_pieces(case: str, size: int) -> None:
    """It makes no difference in what pieces the bytes of a violation come."""
    data, codes = ENDS_THE_CONNECTION[case]
    client = RawClient()
    for start in range(0, len(data), size):
        client.send(data[start : start + size])

    (gone,) = client.of(GoAwayFrame)
    assert gone.error_code in codes


IS_TAKEN = {
    "a request": WHOLE,
    "a request with a priority": frame(
        HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, b"\0\0\0\3\7" + block()
    ),
    "a padded request": frame(
        HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\3" + block() + bytes(3)
    ),
    "a header block in pieces": (
        frame(HEADERS, END_STREAM, 1, block()[:3])
        + frame(CONTINUATION, 0, 1, block()[3:5])
        + frame(CONTINUATION, END_HEADERS, 1, block()[5:])
    ),
    "a priority before it": frame(PRIORITY, 0, 1, b"\0\0\0\3\7") + WHOLE,
    "an unknown frame before it": frame(0xEE, 0xFF, 0, b"anything") + WHOLE,
    "an unknown setting before it": setting(0xEEEE, 7) + WHOLE,
    "a reserved bit": frame(HEADERS, END_HEADERS | END_STREAM, 2**31 + 1, block()),
    "unknown flags": frame(HEADERS, END_HEADERS | END_STREAM | 0x42, 1, block()),
    "trailers": (
        OPEN
        + frame(DATA, 0, 1, b"x")
        + frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("x-trailer", "1")]))
    ),
    "an empty end": OPEN + frame(DATA, END_STREAM, 1),
    "te: trailers": request_with(("te", "trailers")),
}


@pytest.mark.parametrize("case", IS_TAKEN)
def test_what_is_taken(case: str) -> None:
    """What the protocol allows is a request, whatever comes with it."""
    client = RawClient()
    client.send(IS_TAKEN[case])

    assert [type(event) for event in client.events if not hasattr(event, "data")] == [
        RequestReceived,
        BodyEnded,
    ]
    assert not client.server.closed
    assert client.of(GoAwayFrame) == []


def test_settings_first() -> None:
    """The server's first frame is its settings, and the client's are acknowledged."""
    client = RawClient(ServerLimits(max_streams=77, stream_window=100_000, max_header_size=9000))

    settings, acknowledged = client.of(SettingsFrame)
    assert client.sent[0] is settings
    assert (settings.settings[3], settings.settings[4], settings.settings[6]) == (77, 100_000, 9000)
    assert set(acknowledged.flags) == {"ACK"}


def test_pings() -> None:
    """A ping is answered with its own content, and an answer with nothing."""
    client = RawClient()
    client.send(frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, b"87654321"))

    (pong,) = client.of(PingFrame)
    assert (pong.opaque_data, set(pong.flags)) == (b"12345678", {"ACK"})


def test_something_that_is_not_http2() -> None:
    """A preface that breaks off is a violation, not an exception."""
    server = Http2Connection(ServerLimits(), 0.0)
    server.take_output()
    assert server.receive(PREFACE[:20] + b"????????") == []

    assert server.closed


ENDS_THE_STREAM = {
    "a window that overflows": (OPEN + frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff"), F),
    "headers after the end": (WHOLE + frame(HEADERS, END_HEADERS, 1, block()), S),
    "data after the end": (WHOLE + frame(DATA, 0, 1, b"x"), S),
}


@pytest.mark.parametrize("case", ENDS_THE_STREAM)
def test_what_ends_a_stream(case: str) -> None:
    """The stream is reset alone, the application is told, and others go on."""
    data, code = ENDS_THE_STREAM[case]
    client = RawClient()
    client.send(data)

    (reset,) = client.of(RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (1, code)
    assert client.events[-1] == StreamLost(1)
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, block()))
    assert [event.stream for event in client.events if isinstance(event, RequestReceived)] == [1, 3]


def test_a_smaller_frame_size() -> None:
    """Responses come in frames no larger than the client's setting allows."""
    client = RawClient()
    client.send(setting(5, 20_000) + WHOLE)
    client.server.respond(1, 200, [])
    client.server.write(1, bytes(50_000))
    client.server.finish(1)
    client.send(b"")

    assert [len(each.data) for each in client.of(DataFrame)] == [20_000, 20_000, 10_000]
    assert len(client.of(HeadersFrame)) == 1


def test_a_window_that_shrinks_below_zero() -> None:
    """What was sent counts against a smaller window; sending goes on once there is room."""
    client = RawClient()
    client.send(WHOLE)
    client.server.respond(1, 200, [])
    client.server.write(1, bytes(60_000))
    client.send(b"")
    client.send(setting(4, 1_000))
    client.server.write(1, b"abc")
    client.server.finish(1)
    client.send(b"")
    assert sum(len(each.data) for each in client.of(DataFrame)) == 60_000

    client.send(frame(WINDOW, 0, 1, (59_001).to_bytes(4, "big")))
    assert client.of(DataFrame)[-1].data == b"a"
    client.send(frame(WINDOW, 0, 1, (2).to_bytes(4, "big")))
    last = client.of(DataFrame)[-1]
    assert (last.data, set(last.flags)) == (b"bc", {"END_STREAM"})


def test_parsing_frames() -> None:
    """The tests' own reading of frames is what h2 wrote."""
    client = RawClient()
    assert [type(each) for each in parse(frame(PING, 0, 0, bytes(8)))] == [PingFrame]
    assert client.server.idle_since == 0.0
