"""One request of HTTP/2 and its response.

Owns what the connection has to remember of it.
"""

from __future__ import annotations

from ._output import OutputBuffer


class Stream:
    """A request that was received. ``_http2.py`` reads and writes its attributes."""

    __slots__ = (
        "blocked_since",
        "finished",
        "id",
        "input_ended",
        "is_head",
        "output",
        "output_ended",
        "received",
        "waiting_since",
    )

    def __init__(self, id: int, *, is_head: bool, now: float) -> None:  # noqa: A002  # its name
        self.id = id
        self.is_head = is_head
        """Whether the response has no body, whatever is written."""
        self.received = 0
        """Bytes of body that came, with their padding."""
        self.input_ended = False
        self.output = OutputBuffer()
        self.finished = False
        """Whether ``output`` is all there will be."""
        self.output_ended = False
        """Whether all of it was sent."""
        self.waiting_since: float | None = now
        """Since when the client has to send more; None if it need not."""
        self.blocked_since: float | None = None
        """Since when the client does not let us send."""
