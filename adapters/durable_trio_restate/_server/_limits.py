"""What a client may use of the server before it is refused or left.

Owns the numbers and what they mean. Sizes are bytes, times are seconds.

 1. Every wait for a client has an end, but for an attempt that waits for its server: that
    connection is asked for a sign of life instead.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from durable_trio._exceptions import UsageError

_MIB: Final = 1024 * 1024

_SMALLEST_WINDOW: Final = 65_535
_LARGEST_WINDOW: Final = 2**31 - 1


def _positive(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value > 0:
        raise UsageError(f"{type(instance).__name__}: {attribute.name} must be > 0, got {value!r}")


def _window(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not _SMALLEST_WINDOW <= value <= _LARGEST_WINDOW:
        raise UsageError(
            f"{type(instance).__name__}: {attribute.name} must be between {_SMALLEST_WINDOW} and "
            f"{_LARGEST_WINDOW}, as HTTP/2 has it, got {value!r}"
        )


@attrs.frozen
class ServerLimits:
    """What a client may use of ``serve``'s server before it is refused or left.

    Sizes are bytes, times are seconds; times are kept to the second. The defaults suit a
    Restate server that sends as much as it is let.
    """

    max_connections: int = attrs.field(default=1_000, validator=_positive)
    """At once. One more takes the place of the longest idle one, or is closed."""
    max_streams: int = attrs.field(default=10_000, validator=_positive)
    """Requests at once on one connection, most of them attempts that wait; more are refused."""
    max_header_size: int = attrs.field(default=64 * 1024, validator=_positive)
    """Of a request's headers together; more ends the connection, over HTTP/1.1 with 431."""
    max_body_size: int = attrs.field(default=512 * _MIB, validator=_positive)
    """Of a request: an attempt's journal and all that arrives while it runs. Then it is reset."""
    max_buffered_output: int = attrs.field(default=64 * _MIB, validator=_positive)
    """Of responses that a connection's client does not read; above it new requests are refused."""
    max_wasted_frames: int = attrs.field(default=10_000, validator=_positive)
    """Frames in a row that ask for nothing: resets, pings, settings, empty ones. Then the
    connection is closed."""
    wasted_frames_per_second: float = attrs.field(default=100.0, validator=_positive)
    """How fast such frames are forgotten."""
    stream_window: int = attrs.field(default=_MIB, validator=_window)
    """What a client may send on one stream before it hears from the server."""
    connection_window: int = attrs.field(default=16 * _MIB, validator=_window)
    """The same, for all streams of a connection together."""
    handshake_timeout: float = attrs.field(default=10.0, validator=_positive)
    """From the connection, and over HTTP/1.1 from the first byte of each request, to the end
    of the headers."""
    idle_timeout: float = attrs.field(default=900.0, validator=_positive)
    """Without a request; then the connection is closed."""
    body_timeout: float = attrs.field(default=60.0, validator=_positive)
    """For a request that makes no progress before its attempt can begin."""
    send_timeout: float = attrs.field(default=60.0, validator=_positive)
    """For a client that does not read what is sent to it."""
    linger_timeout: float = attrs.field(default=5.0, validator=_positive)
    """For the rest of a request that was answered before it had ended."""
    ping_interval: float = attrs.field(default=30.0, validator=_positive)
    """After which a silent connection is asked whether anybody is there."""
    ping_timeout: float = attrs.field(default=20.0, validator=_positive)
    """For the answer to that; then the connection is closed and its attempts are torn down."""
