"""h2's connection, with what it leaves to a server.

Owns everything that touches h2's insides, so that the rest uses nothing but its methods.

 1. GOAWAY, sent or received, does not end the streams that there are: h2 takes it for the
    end of the connection, whereas a server that drains sends it first of all.
 2. h2 looks at all streams whenever one is opened, to count them and to clear away those
    that have ended. Thousands of attempts may wait, so both is done as streams end.
 3. Frames are counted, whether h2 makes an event of them or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame, WindowUpdateFrame

if TYPE_CHECKING:
    from h2.errors import ErrorCodes
    from h2.events import Event

_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=None,
    # What is sent is made here: lower case, no connection headers.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class ServerH2(H2Connection):
    """See the module's docstring."""

    MAX_CLOSED_STREAMS = 4096

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
        self.frames = 0
        """How many frames were received."""

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
        return super()._receive_frame(frame)

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]
