"""HTTP/2, without I/O: frames (by h2), streams, windows, and what a client may not do.

Owns one connection's streams and their output. Which responses there are is the
application's business; ``_protocol.py`` says what they are told and may do.

 1. Output waits here until the client's windows let it go, and streams take turns.
 2. A body is taken as it comes, up to a limit, if somebody wants it; its bytes are given
    back to the stream's window only then, and to the connection's always.
 3. A response may end before its request: what still comes is dropped, and after a while
    the stream is reset without an error.
 4. A client is told to leave (GOAWAY) when it has no stream open, and nothing that comes after
    that is begun: a Restate server that has been told breaks all streams of a connection as
    soon as it wants another one. A connection that drains waits for a quiet moment, and when
    patience is at an end it refuses new streams until the others have ended.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import h2.events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from durable_trio_restate._http import RequestHead

from ._budget import FrameBudget
from ._h2 import ServerH2
from ._protocol import BodyEnded, BodyReceived, RequestReceived, StreamLost
from ._stream import Stream

if TYPE_CHECKING:
    from durable_trio_restate._http import RawHeaders

    from ._limits import ServerLimits
    from ._protocol import Event

_log = logging.getLogger("durable_trio.restate.server")

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_FIRST_WINDOW: Final = 65_535
_PIECE: Final = 256 * 1024
"""Bytes of output at a time, about."""
_MAX_FRAME: Final = 64 * 1024
"""Bytes of a response in one frame, however many the client takes."""
_CONGESTED: Final = 64 * 1024
"""Bytes of answers to frames that may wait before reading stops."""
_QUIET: Final = 0.5
"""Seconds without a request, after which a connection that drains is taken to be done: what
has just suspended may be resumed at once."""
_SURELY: Final = 2.0
"""Seconds after which it was quiet for sure, however seldom it was told the time."""
_PING: Final = b"durable?"


class Http2Connection:
    """See the module's docstring."""

    def __init__(self, limits: ServerLimits, now: float) -> None:
        self._limits = limits
        self._now = self._opened = self._heard_at = now
        self._budget = FrameBudget(limits.max_wasted_frames, limits.wasted_frames_per_second)
        self._streams: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}
        """Those whose client has to send more."""
        self._writable: dict[int, Stream] = {}
        """Those with output, as far as is known not blocked by their window."""
        self._blocked: dict[int, Stream] = {}
        """Those with output, blocked by their window."""
        self._buffered = 0
        self._stalled_since: float | None = None
        """Since when the connection's window lets nothing go."""
        self._established = False
        self._heard = False
        self._pinged_at: float | None = None
        self._patient_until: float | None = None
        """Until when new streams are taken; None: it does not drain."""
        self._leaving = False
        """Whether there will be no more streams."""
        self._idle_since: float | None = now
        self._closed = False
        self._h2 = ServerH2(
            max_streams=limits.max_streams,
            max_header_size=limits.max_header_size,
            window=limits.stream_window,
        )
        self._h2.initiate_connection()
        if limits.connection_window > _FIRST_WINDOW:
            self._h2.increment_flow_control_window(limits.connection_window - _FIRST_WINDOW)

    # -- the client

    def receive(self, data: bytes) -> list[Event]:
        if self._closed:
            return []

        self._heard = True
        frames = self._h2.frames
        try:
            found = self._h2.receive_data(data)
        except ProtocolError as error:
            # h2 has made the GOAWAY that says so.
            _log.debug("a client broke HTTP/2: %s", error)
            return self._end_all()

        events: list[Event] = []
        self._budget.spend(self._h2.frames - frames)
        for event in found:
            self._take(event, events)
        if self._budget.used_up and not self._closed:
            _log.warning("a client sent too many frames of no use; its connection is closed")
            self._h2.go_away(self._h2.highest_inbound_stream_id, ErrorCodes.ENHANCE_YOUR_CALM)
            events += self._end_all()
        return events

    def receive_eof(self) -> list[Event]:
        return self._end_all()

    def resume(self) -> list[Event]:
        return []

    def _take(self, event: Any, events: list[Event]) -> None:
        kind = event.__class__
        if kind is h2.events.RequestReceived:
            self._open(event, events)
        elif kind is h2.events.DataReceived:
            self._data(event, events)
        elif kind is h2.events.StreamEnded:
            self._input_ended(event.stream_id, events)
        elif kind is h2.events.StreamReset:
            if self._drop(event.stream_id) is not None:
                self._budget.spend(1)
                events.append(StreamLost(event.stream_id))
        elif kind is h2.events.WindowUpdated:
            stream = self._blocked.pop(event.stream_id, None)
            if stream is not None:
                stream.blocked_since = None
                self._writable[stream.id] = stream
        elif kind is h2.events.RemoteSettingsChanged:
            self._established = True
            if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                self._unblock()
        elif kind is h2.events.ConnectionTerminated:
            self._take_no_more()

    def _open(self, event: Any, events: list[Event]) -> None:
        number: int = event.stream_id
        refused = (
            self._leaving
            or len(self._streams) >= self._limits.max_streams
            or self._buffered > self._limits.max_buffered_output
        )
        if refused:
            self._h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            self._h2.forget(number)
            return

        self._budget.restore(1)
        head = _head(event.headers)
        stream = Stream(number, is_head=head.method == "HEAD", now=self._now)
        self._streams[number] = self._waiting[number] = stream
        self._idle_since = None
        events.append(RequestReceived(number, head))

    def _data(self, event: Any, events: list[Event]) -> None:
        size: int = event.flow_controlled_length
        self._h2.acknowledge_to_connection(size)
        if event.data or event.stream_ended is not None:
            self._budget.restore(1)
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.finished:
            return

        stream.received += size
        if stream.received > self._limits.max_body_size:
            _log.warning(
                "a request's body is larger than %d bytes; its stream is reset",
                self._limits.max_body_size,
            )
            self._reset(stream, ErrorCodes.ENHANCE_YOUR_CALM)
            events.append(StreamLost(stream.id))
            return

        if stream.waiting_since is not None:
            stream.waiting_since = self._now
        if event.data:
            events.append(BodyReceived(stream.id, event.data, size))
        else:
            self.credit(stream.id, size)

    def _input_ended(self, number: int, events: list[Event]) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return

        stream.input_ended = True
        self._waiting.pop(number, None)
        if stream.output_ended:
            self._drop(number)
        elif not stream.finished:
            events.append(BodyEnded(number))

    def tick(self, now: float) -> list[Event]:
        if self._closed:
            return []

        self._budget.pass_time(now - self._now)
        self._now = now
        if self._heard:
            self._heard, self._heard_at, self._pinged_at = False, now, None
        limits = self._limits
        idle = self._idle_since
        if not self._established and now - self._opened >= limits.handshake_timeout:
            return self._end_all()

        if self._is_silent(now) or self._is_stalled(now):
            return self._end_all()

        if self._patient_until is not None:
            self._leave_if_due()
        elif idle is not None and now - idle >= limits.idle_timeout:
            self.drain(0.0)
        return self._expire(now)

    def _is_silent(self, now: float) -> bool:
        """Whether nobody seems to be there. Asks, if it is time to."""
        if self._pinged_at is not None:
            return now - self._pinged_at >= self._limits.ping_timeout

        if self._established and now - self._heard_at >= self._limits.ping_interval:
            self._pinged_at = now
            self._h2.ping(_PING)
        return False

    def _is_stalled(self, now: float) -> bool:
        """Whether the client has not let anything go on this connection for too long."""
        if not self._writable or self._h2.outbound_flow_control_window > 0:
            self._stalled_since = None
        elif self._stalled_since is None:
            self._stalled_since = now
        return (
            self._stalled_since is not None
            and now - self._stalled_since >= self._limits.send_timeout
        )

    def _expire(self, now: float) -> list[Event]:
        """Reset the streams for which the client has had time enough."""
        events: list[Event] = []
        limits = self._limits
        for stream in tuple(self._waiting.values()):
            assert stream.waiting_since is not None
            waited = now - stream.waiting_since
            if stream.output_ended:
                if waited >= limits.linger_timeout:
                    self._reset(stream, ErrorCodes.NO_ERROR)
            elif waited >= limits.body_timeout:
                self._reset(stream, ErrorCodes.CANCEL)
                events.append(StreamLost(stream.id))
        for stream in tuple(self._blocked.values()):
            if stream.blocked_since is None:
                stream.blocked_since = now
            elif now - stream.blocked_since >= limits.send_timeout:
                self._reset(stream, ErrorCodes.CANCEL)
                events.append(StreamLost(stream.id))
        return events

    # -- the application

    def accept(self, stream: int) -> None:
        pass

    def begin(self, stream: int) -> None:
        found = self._waiting.pop(stream, None)
        if found is not None:
            found.waiting_since = None

    def credit(self, stream: int, size: int) -> None:
        if stream in self._streams and not self._closed:
            self._h2.acknowledge_to_stream(stream, size)

    def respond(self, stream: int, status: int, headers: RawHeaders) -> None:
        if stream in self._streams:
            self._h2.send_head(stream, status, tuple(headers))

    def write(self, stream: int, data: bytes) -> None:
        found = self._streams.get(stream)
        if found is None or found.finished or found.is_head or not data:
            return

        found.output.write(data)
        self._buffered += len(data)
        if stream not in self._blocked:
            self._writable[stream] = found

    def finish(self, stream: int) -> None:
        found = self._streams.get(stream)
        if found is None or found.finished:
            return

        found.finished = True
        if not found.output.size:
            self._h2.end_stream(stream)
            self._output_ended(found)

    def reset(self, stream: int) -> None:
        found = self._streams.get(stream)
        if found is not None:
            self._reset(found, ErrorCodes.INTERNAL_ERROR)

    def drain(self, patience: float) -> None:
        if self._patient_until is None:
            self._patient_until = self._now + patience
            if self._idle_since is not None and self._now - self._idle_since < _SURELY:
                self._idle_since = self._now
            self._leave_if_due()

    # -- the socket

    def take_output(self) -> bytes:
        connection = self._h2
        while (
            self._writable
            and connection.output_size < _PIECE
            and connection.outbound_flow_control_window > 0
        ):
            self._send(next(iter(self._writable.values())))
        return connection.data_to_send()

    @property
    def has_output(self) -> bool:
        return self._h2.output_size > 0 or (
            bool(self._writable) and self._h2.outbound_flow_control_window > 0
        )

    @property
    def congested(self) -> bool:
        return self._h2.output_size > _CONGESTED

    @property
    def idle_since(self) -> float | None:
        return self._idle_since

    @property
    def closed(self) -> bool:
        return self._closed

    # -- streams

    def _send(self, stream: Stream) -> None:
        """One frame of this stream, after which it is another one's turn."""
        number = stream.id
        window = self._h2.local_flow_control_window(number)
        del self._writable[number]
        if window <= 0:
            self._blocked[number] = stream
            return

        data = stream.output.take(min(window, self._h2.max_outbound_frame_size, _MAX_FRAME))
        self._buffered -= len(data)
        last = stream.finished and not stream.output.size
        self._h2.send_body(number, data, end=last)
        # The client answers with window updates, for the stream and for the connection.
        self._budget.restore(2)
        if stream.output.size:
            self._writable[number] = stream
        elif last:
            self._output_ended(stream)

    def _unblock(self) -> None:
        for stream in self._blocked.values():
            stream.blocked_since = None
        self._writable.update(self._blocked)
        self._blocked.clear()

    def _output_ended(self, stream: Stream) -> None:
        stream.output_ended = True
        if stream.input_ended:
            self._drop(stream.id)
        else:
            stream.waiting_since = self._now
            self._waiting[stream.id] = stream

    def _reset(self, stream: Stream, code: ErrorCodes) -> None:
        self._h2.reset_stream(stream.id, code)
        self._drop(stream.id)

    def _drop(self, number: int) -> Stream | None:
        """Forget a stream that has ended."""
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._waiting.pop(number, None)
            self._writable.pop(number, None)
            self._blocked.pop(number, None)
            self._buffered -= stream.output.size
            self._h2.forget(number)
            if not self._streams:
                self._idle_since = self._now
                self._close_if_done()
        return stream

    # -- the end

    def _leave_if_due(self) -> None:
        """Take no more streams, of a connection that drains, if it is time to."""
        now, idle = self._now, self._idle_since
        quiet = idle is not None and now - idle >= _QUIET
        if quiet or (self._patient_until is not None and now >= self._patient_until):
            self._take_no_more()

    def _take_no_more(self) -> None:
        self._leaving = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._leaving and not self._streams and not self._closed:
            self._h2.go_away(self._h2.highest_inbound_stream_id, ErrorCodes.NO_ERROR)
            self._closed = True

    def _end_all(self) -> list[Event]:
        """Close, whatever is under way."""
        self._closed = True
        lost: list[Event] = [StreamLost(s.id) for s in self._streams.values() if not s.finished]
        for streams in (self._streams, self._waiting, self._writable, self._blocked):
            streams.clear()
        return lost


def _head(headers: list[tuple[bytes, bytes]]) -> RequestHead:
    """A request's head, from a list of headers that h2 has found to be sound."""
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    regular = [(bytes(name), bytes(value)) for name, value in headers if name[:1] != b":"]
    authority = pseudo.get(b":authority")
    if authority is not None:
        regular.insert(0, (b"host", authority))
    path = pseudo.get(b":path", b"").partition(b"?")[0].decode("latin-1")
    method = pseudo.get(b":method", b"").decode("latin-1")
    return RequestHead(method, unquote(path) if "%" in path else path, "2", regular)
