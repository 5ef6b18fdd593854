"""What HTTP/2 and HTTP/1.1 have in common: events in, responses out, no I/O.

Owns the events and the port that the two implement; ``_connection.py`` is written against
it. A stream is one request and its response, known by a number.

 1. No bytes whatsoever raise: what is wrong with them ends a stream or the connection.
 2. Time comes in through ``tick``, about once a second; nothing here reads a clock.
 3. After ``StreamLost``, and after a response and its request have ended, a stream's number
    means nothing any more; whatever is done to it does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from durable_trio_restate._http import RawHeaders, RequestHead


class RequestReceived(NamedTuple):
    """A request has begun."""

    stream: int
    head: RequestHead


class BodyReceived(NamedTuple):
    """A piece of a request's body. ``size`` is what it cost of the stream's window."""

    stream: int
    data: bytes
    size: int


class BodyEnded(NamedTuple):
    """The request is complete."""

    stream: int


class StreamLost(NamedTuple):
    """The client takes no response any more, or gets none."""

    stream: int


Event: TypeAlias = RequestReceived | BodyReceived | BodyEnded | StreamLost


class HttpConnection(Protocol):
    """One connection of a client's."""

    # -- the client

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the client."""
        ...

    def receive_eof(self) -> list[Event]:
        """The client sends nothing more."""
        ...

    def tick(self, now: float) -> list[Event]:
        """Time has passed: see to what takes too long."""
        ...

    def resume(self) -> list[Event]:
        """What came while a response had to be finished first."""
        ...

    # -- the application

    def accept(self, stream: int) -> None:
        """The body of this request is wanted."""
        ...

    def credit(self, stream: int, size: int) -> None:
        """A piece of body of this size was taken: the client may send as much again."""
        ...

    def begin(self, stream: int) -> None:
        """Enough of the body has come: from now on the client may take its time."""
        ...

    def respond(self, stream: int, status: int, headers: RawHeaders) -> None:
        """Begin the response."""
        ...

    def write(self, stream: int, data: bytes) -> None:
        """Send a piece of its body."""
        ...

    def finish(self, stream: int) -> None:
        """The response is complete."""
        ...

    def reset(self, stream: int) -> None:
        """The response will never be complete."""
        ...

    def drain(self, patience: float) -> None:
        """Close when the requests that there are have ended.

        More may come for ``patience`` seconds, and are refused after that.
        """
        ...

    # -- the socket

    def take_output(self) -> bytes:
        """What is to be sent now, a bounded piece of it; empty if there is nothing."""
        ...

    @property
    def has_output(self) -> bool:
        """Whether ``take_output`` has something."""
        ...

    @property
    def congested(self) -> bool:
        """Whether nothing should be read before what there is was sent."""
        ...

    @property
    def idle_since(self) -> float | None:
        """Since when there has been no request; None while there is one."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the connection is to be closed once the output was sent."""
        ...
