"""A closed loop of HTTP/2 requests on one connection: so many at a time, each with a body.

Owns the client's side only, and is meant to cost next to nothing, because it shares the machine
with what is measured: a request's frames are made once and only numbered.
"""

from __future__ import annotations

import socket
import struct

from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_LARGE = 2**30
_HEADER = struct.Struct(">HBBBI")
"""The length as 16 and 8 bits, the type, the flags, the stream."""


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


class Client:
    """One connection. ``half_closed``: the request ends when its response has a body."""

    def __init__(self, port: int, path: str, body: bytes, *, half_closed: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        media = "application/vnd.restate.invocation.v6"
        # As the server's HTTP/2 library has it: what is the same in every request goes into the
        # table with the first one, and is a number from then on.
        headers = [
            HeaderTuple(":method", "POST"),
            HeaderTuple(":scheme", "http"),
            HeaderTuple(":authority", f"127.0.0.1:{port}"),
            HeaderTuple(":path", path),
            HeaderTuple("content-type", media),
            HeaderTuple("accept", media),
            HeaderTuple("user-agent", "restate/1.7.12"),
            NeverIndexedHeaderTuple(
                "x-restate-invocation-id", "inv_1gqoh7mRm6Vn4C2mFaSeBPYl8h5Dn0"
            ),
            NeverIndexedHeaderTuple("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b-01"),
        ]
        encoder = Encoder()
        self._first_block = encoder.encode(headers)
        self._block = encoder.encode(headers)
        self._body = body
        self._half_closed = half_closed
        self._next = 1
        self._buffer = b""
        settings = struct.pack(">HIHI", 4, _LARGE, 3, 0)
        self._send(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW, 0, 0, _LARGE.to_bytes(4, "big"))
        )

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def run(self, count: int, concurrency: int) -> None:
        """Have ``count`` requests answered, ``concurrency`` at a time."""
        left, open_streams = count, 0
        while left or open_streams:
            out: list[bytes] = []
            while left and open_streams < concurrency:
                out.append(self._request())
                left -= 1
                open_streams += 1
            if out:
                self._send(b"".join(out))
            open_streams -= self._answers()

    def _request(self) -> bytes:
        stream, self._next = self._next, self._next + 2
        block = self._first_block if stream == 1 else self._block
        head = _frame(_HEADERS, _END_HEADERS, stream, block)
        flags = 0 if self._half_closed else _END_STREAM
        return head + _frame(_DATA, flags, stream, self._body)

    def _answers(self) -> int:
        """Take in what came; how many responses have ended."""
        data = self._socket.recv(262_144)
        if not data:
            raise RuntimeError("the server closed the connection")

        data = self._buffer + data
        position, ended, out = 0, 0, list[bytes]()
        while position + 9 <= len(data):
            high, low, kind, flags, stream = _HEADER.unpack_from(data, position)
            end = position + 9 + (high << 8 | low)
            if end > len(data):
                break

            if kind == _DATA and end > position + 9 and self._half_closed:
                out.append(_frame(_DATA, _END_STREAM, stream))
            if kind in {_DATA, _HEADERS}:
                ended += flags & _END_STREAM
            elif kind == _PING and not flags & _ACK:
                out.append(_frame(_PING, _ACK, 0, data[position + 9 : end]))
            elif kind == _SETTINGS and not flags & _ACK:
                out.append(_frame(_SETTINGS, _ACK, 0))
            elif kind in {_RESET, _GOAWAY}:
                raise RuntimeError(f"the server refused: {data[position:end]!r}")
            position = end
        self._buffer = data[position:]
        if out:
            self._send(b"".join(out))
        return ended

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)
