"""h2's connection, with what it leaves to a server.

Owns everything that touches h2's insides, so that the rest uses nothing but its methods.

 1. GOAWAY, sent or received, does not end the streams that there are: h2 takes it for the
    end of the connection, whereas a server that drains sends it first of all.
 2. h2 looks at all streams whenever one is opened, to count them and to clear away those
    that have ended. Thousands of attempts may wait, so both is done as streams end.
 3. Frames are counted, whether h2 makes an event of them or not.
 4. What is done for every request is done here if that is much cheaper: h2 describes each
    frame for a log that nobody keeps, and builds and validates what never changes.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, RequestReceived, TrailersReceived
from h2.exceptions import StreamClosedError, StreamIDTooLowError
from h2.settings import SettingCodes, Settings
from h2.stream import StreamInputs
from hpack import Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame, WindowUpdateFrame

from ._headers import checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from h2.events import Event
    from hyperframe.frame import HeadersFrame

    _Take: TypeAlias = Callable[[Frame], tuple[list[Frame], list[Event]]]

_DATA: Final = 0
_HEADERS: Final = 1
_END_STREAM: Final = 1
_END_HEADERS: Final = 4
_FRAME: Final = struct.Struct(">HBBBI")
"""The length as 16 and 8 bits, the type, the flags, the stream."""

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    # What is sent is made here: lower case, no connection headers.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    # What is received is checked in _headers.py.
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
)


@lru_cache(maxsize=64)
def _header_block(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Headers, encoded without reference to any other block and without a trace in the table."""
    fields = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
    return Encoder().encode([NeverIndexedHeaderTuple(b":status", b"%d" % status), *fields])


def _frame(kind: int, flags: int, stream_id: int, size: int) -> bytes:
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, stream_id)


class ServerH2(H2Connection):
    """See the module's docstring."""

    MAX_CLOSED_STREAMS = 4096
    _data_to_send: bytearray

    def __init__(self, *, max_streams: int, max_header_size: int, window: int) -> None:
        super().__init__(_CONFIG)
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_header_size,
                SettingCodes.INITIAL_WINDOW_SIZE: window,
            },
        )
        self.decoder.max_header_list_size = max_header_size
        self._table = cast("dict[type[Frame], _Take]", self._frame_dispatch_table)  # pyright: ignore[reportUnknownMemberType]
        self.frames = 0
        """How many frames were received."""

    def send_head(
        self, stream_id: int, status: int, headers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        """Begin a response. The same headers are encoded once: they leave the table alone."""
        encoded = _header_block(status, headers)
        if len(encoded) > self.max_outbound_frame_size:
            self.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
            return

        self.streams[stream_id].state_machine.process_input(StreamInputs.SEND_HEADERS)
        self._data_to_send += _frame(_HEADERS, _END_HEADERS, stream_id, len(encoded)) + encoded

    def send_body(self, stream_id: int, data: bytes, *, end: bool) -> None:
        """A piece of a response's body, of no more than the windows and the frame size allow."""
        stream = self.streams[stream_id]
        size = len(data)
        stream.state_machine.process_input(StreamInputs.SEND_DATA)
        if end:
            stream.state_machine.process_input(StreamInputs.SEND_END_STREAM)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        self._data_to_send += _frame(_DATA, _END_STREAM if end else 0, stream_id, size)
        self._data_to_send += data

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.closed:
            del self.streams[stream_id]
            self._closed_streams[stream_id] = stream.closed_by

    def go_away(self, last_stream: int, code: ErrorCodes) -> None:
        """Announce that nothing after ``last_stream`` will be answered."""
        frame = GoAwayFrame(0)
        frame.last_stream_id = last_stream
        frame.error_code = code
        self._prepare_for_sending([frame])

    def acknowledge_to_connection(self, size: int) -> None:
        """Bytes were dropped: the connection may send as much again, their stream may not."""
        increment = self._inbound_flow_control_window_manager.process_bytes(size)
        if increment:
            frame = WindowUpdateFrame(0)
            frame.window_increment = increment
            self._prepare_for_sending([frame])

    def acknowledge_to_stream(self, stream_id: int, size: int) -> None:
        """Bytes were taken: their stream may send as much again."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.open:
            self._prepare_for_sending(stream.acknowledge_received_data(size))

    @property
    def output_size(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._data_to_send)

    def _open_streams(self, remainder: int) -> int:  # noqa: ARG002  # h2's signature
        return 0

    def _receive_frame(self, frame: Frame) -> list[Event]:
        self.frames += 1
        try:
            answers, events = self._table[frame.__class__](frame)
        except StreamIDTooLowError as error:
            if self._stream_is_closed_by_reset(error.stream_id):
                return self._refuse(error.stream_id, ErrorCodes.STREAM_CLOSED)

            if self._stream_is_closed_by_end(error.stream_id):
                raise StreamClosedError(error.stream_id) from error

            raise
        except StreamClosedError as error:
            if not self._stream_is_closed_by_reset(error.stream_id):
                raise

            self._refuse(error.stream_id, error.error_code)
            told: Any = error._events  # pyright: ignore[reportUnknownMemberType]
            return told  # type: ignore[no-any-return]
        if answers:
            self._prepare_for_sending(answers)
        return events

    def _refuse(self, stream_id: int, code: ErrorCodes) -> list[Event]:
        """Answer a frame of a stream that was reset: the client may not have known of that."""
        frame = RstStreamFrame(stream_id)
        frame.error_code = code
        self._prepare_for_sending([frame])
        return []

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        answers, events = super()._receive_headers_frame(frame)
        for event in events:
            if isinstance(event, RequestReceived):
                event.headers = checked(event.headers, trailers=False)
            elif isinstance(event, TrailersReceived):
                event.headers = checked(event.headers, trailers=True)
        return answers, events

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]
