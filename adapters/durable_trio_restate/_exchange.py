"""One request of the server's: an attempt, and the stream that it reads and writes.

Owns when the attempt runs and how it ends. What the bytes mean is the connection's
business, moving them is done by whoever serves it: ``_asgi.py`` or ``_server``.

 1. Bytes are taken all the time until the request ends: nothing here waits for the other
    side.
 2. An attempt runs once, after ``ready``; ``run`` returns when the last message was made.
 3. An exchange that is closed while its attempt runs ends it: nobody is there any more to be
    told, and the server makes another attempt.
 4. An attempt that waits for a signal's second coming is let go a little later: the server, which
    knows of the first, makes the next attempt at once, and so on until it comes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from durable_trio._attempt import Attempt
from durable_trio._source import exc_info
from durable_trio.abc import AttemptFailed

from ._connection import Connection
from ._errors import ProtocolError
from ._versions import protocol_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from durable_trio._handler import AnyHandler
    from durable_trio._options import ServiceOptions
    from durable_trio.abc import Clock

_PAUSE: Final = 0.5
"""Seconds."""

_log = logging.getLogger("durable_trio.restate")


class Exchange:
    """See the module's docstring.

    ``on_output``, to be set by whoever serves it, is called when there are bytes to send.
    ``release`` is called once, by ``close``.
    """

    __slots__ = (
        "_attempt",
        "_clock",
        "_closed",
        "_connection",
        "_drained",
        "_handler",
        "_options",
        "_release",
        "content_type",
    )

    def __init__(
        self,
        handler: AnyHandler,
        options: ServiceOptions,
        clock: Clock,
        *,
        version: int,
        headers: Mapping[str, str],
        max_message_size: int,
        release: Callable[[Exchange], object],
    ) -> None:
        self.content_type: bytes = protocol_type(version).encode()
        """The media type of the response."""
        self._handler = handler
        self._options = options
        self._clock = clock
        self._release = release
        self._drained = False
        self._closed = False
        self._attempt: Attempt | None = None
        self._connection = Connection(
            version,
            handler.service_name,
            handler.name,
            headers=headers,
            on_mismatch=options.on_journal_mismatch,
            on_usage_error=options.on_usage_error,
            max_message_size=max_message_size,
        )

    # -- whoever serves it

    def set_on_output(self, on_output: Callable[[], object]) -> None:
        """What to call when there are bytes to send."""
        self._connection.on_output = on_output

    def receive(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        self._connection.receive(data)

    def receive_eof(self) -> None:
        """The request's body has ended."""
        self._connection.receive_eof()

    @property
    def ready(self) -> bool:
        """Whether the attempt can run: its journal has arrived and is sound."""
        return self._connection.start is not None

    @property
    def over(self) -> bool:
        """Whether the last message was made. It may not have been taken yet."""
        return self._connection.closed

    def take_output(self) -> bytes:
        """What is to be sent now; empty if there is nothing."""
        return self._connection.take_output()

    def close(self) -> None:
        """Nobody serves it any more: an attempt that runs is ended. Nothing happens the second time."""
        if not self._closed:
            self._closed = True
            self._release(self)
            if self._attempt is not None:
                self._attempt.abort(ProtocolError("the server has left this attempt's stream"))

    # -- the attempt

    def drain(self) -> None:
        """Suspend as soon as no run body executes."""
        self._drained = True
        if self._attempt is not None:
            self._attempt.close_input()

    async def run(self) -> None:
        """Run the attempt, which was ``ready``. Raises nothing but what the host raises."""
        connection = self._connection
        if connection.start is None or self._closed:
            # What came since it was ready has ended it before it began.
            return

        attempt = self._attempt = Attempt(
            connection.start, self._handler, connection, self._clock, self._options
        )
        connection.attach(attempt)
        if self._drained:
            attempt.close_input()
        end = await attempt.run()
        if connection.is_resumed_at_once(end):
            await self._clock.sleep_until(self._clock.now() + _PAUSE)
        if self._closed:
            return

        if isinstance(end, AttemptFailed):
            _log.warning(
                "%s/%s of %s failed and is to be retried",
                self._handler.service_name,
                self._handler.name,
                connection.start.invocation_id,
                exc_info=exc_info(end.error),
            )
        connection.finish(end)
