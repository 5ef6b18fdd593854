"""The errors of durable_trio, split by whose fault they are.

DurableTrioError
|-- TerminalError              the handler's or a peer's final word: never retried
|   |-- CancelledError         409: the invocation was cancelled
|   |-- InvocationTimeoutError 408: one of its own deadlines ended the invocation
|   |-- InvalidInputError      400: the input was refused
|   `-- RefusedError           a server refused a request; its code and message
|-- UsageError                 the handler's code is wrong; it fails at its line
|   |-- ForeignAwaitError      something that is not durable was awaited
|   |-- ForeignDeadlineError   a native timeout or cancel scope surrounds a durable wait
|   |-- BusyWaitError          a loop polls for something that can only come when it waits
|   |-- NotDurableTaskError    a durable operation outside a durable task
|   |-- SerializationError     a value that cannot be encoded or decoded
|   |-- DefinitionError        a service or handler is declared wrongly
|   `-- UnknownServiceError    a service or handler nobody serves
|-- NonDeterminismError        the code does not do what its journal says it did
|-- RetryableError             the handler asks for a retry, after a delay of its choice
|-- InvocationPausedError      an awaited invocation is paused: it has no result until it is resumed
|-- FutureCancelledError       an awaited future was cancelled by its own scope
|-- FutureNotDoneError         the result of a pending future was asked for
|-- TooSlowError               a durable deadline passed (also a TimeoutError)
|-- RequestError               a server was asked and gave no answer that counts
|   |-- NoAnswerError          no connection, or it broke
|   |-- RequestTimeoutError    the time for a request passed (also a TimeoutError)
|   |-- UnavailableError       the server answered that it cannot do it now
|   `-- BadAnswerError         the answer is not one that such a server gives
|-- EndOfChannel, ClosedResourceError, BrokenResourceError, WouldBlock
|                              channels and locks, as in trio and anyio
`-- StoreError                 the journal's storage is in trouble
    |-- StoreLockedError       another process has it open
    |-- StoreCorruptError      it is not a journal, or is damaged
    |-- StoreVersionError      it was written by a newer version
    `-- StoreWriteError        it could not be written: full disk, read-only, I/O error
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


class DurableTrioError(Exception):
    """Root of every error that durable_trio raises on purpose."""


class TerminalError(DurableTrioError):
    """The invocation, run, promise or awakeable fails for good; nobody retries it.

    Raise it in a handler or a run body to fail without a retry. It is raised by the
    await of an operation that failed terminally, with the same code, message and metadata.
    """

    def __init__(
        self,
        message: str,
        code: int = 500,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What went wrong, for people."""
        self.code = code
        """What went wrong, as an HTTP status (500 unless told)."""
        self.metadata: dict[str, str] = dict(metadata or {})
        """Labels for programs, handed on with the failure."""

    def __str__(self) -> str:
        return self.message


class CancelledError(TerminalError):
    """The outcome of an invocation that was cancelled: terminal, code 409.

    It is what a *caller* sees. Inside the cancelled handler, cancellation is the
    host's own cancelled exception, which no ``except Exception`` catches.
    """

    def __init__(
        self,
        message: str = "cancelled",
        code: int = 409,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, metadata)


class InvocationTimeoutError(TerminalError):
    """The outcome of an invocation that one of its own deadlines ended: terminal, code 408."""

    def __init__(
        self,
        message: str = "timed out",
        code: int = 408,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, metadata)


class InvalidInputError(TerminalError):
    """The callee refuses its input: terminal, code 400.

    The runtime raises it for one that does not fit the handler's annotation. A handler that
    fails with code 400 itself is seen so by its caller as well.
    """

    def __init__(
        self,
        message: str,
        code: int = 400,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code, metadata)


class RefusedError(TerminalError):
    """A server refused a request, and would refuse it again: its code and its message.

    Raised by the clients of ``durable_trio.client``. There is no invocation that failed:
    404 for what is not there, 400 for what cannot be, 409 for what cannot be now.
    """


class UsageError(DurableTrioError):
    """The code uses durable_trio wrongly. The attempt fails; another one helps once it is mended.

    What becomes of the invocation says ``on_usage_error``.
    """


class ForeignAwaitError(UsageError):
    """A handler awaited something that is not durable, outside of ``ctx.run``.

    It fails the attempt and names the line; the handler cannot catch it.
    """


class ForeignDeadlineError(UsageError):
    """A native timeout or cancel scope surrounds a durable wait, so the wall clock would decide.

    It fails the attempt and names the line; the handler cannot catch it.
    """


class BusyWaitError(UsageError):
    """A handler spins without waiting for anything that could ever change.

    It polls with ``checkpoint``, or catches the cancelled exception over and over. It fails
    the attempt and names the line; the handler cannot catch it.
    """


class NotDurableTaskError(UsageError):
    """A durable operation was called where no durable task runs.

    In the body of a run, in a task or thread of the host's, or outside of any handler.
    """


class SerializationError(UsageError):
    """A value could not be encoded, or stored bytes could not be decoded to the expected type."""


class DefinitionError(UsageError):
    """A service or a handler is declared in a way that cannot work."""


class UnknownServiceError(UsageError):
    """A service or handler was named that nobody serves."""


class NonDeterminismError(DurableTrioError):
    """The code did something else than its journal records.

    The message is a report: the branch, the line, what was recorded, what the code did
    now, the last command that matched, and the likely causes. The attempt fails, and
    nothing is delivered; what becomes of the invocation says ``on_journal_mismatch``.
    """

    def __init__(self, message: str, *, branch: str = "", site: str = "") -> None:
        super().__init__(message)
        self.branch = branch
        """The path of the branch that diverged, empty for the handler itself."""
        self.site = site
        """``file:line`` of what the code does now."""


class RetryableError(DurableTrioError):
    """Raised by a handler or a run body to be retried after ``retry_after``, seconds or ``timedelta``.

    None leaves the delay to the retry policy. In a run the policy still says how often. What is no
    duration fails the attempt with a ``UsageError``.
    """

    def __init__(self, message: str, retry_after: float | timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """As it was given."""


class InvocationPausedError(DurableTrioError):
    """Whoever waits for an invocation from outside is told that it failed and is paused.

    It has not ended, and what it has done is kept. It goes on, from where it was, when it is
    resumed; one that was paused for an error of its code also when the runtime is opened
    again. Attach to ``invocation_id`` then.
    """

    def __init__(self, message: str, invocation_id: str) -> None:
        super().__init__(message)
        self.invocation_id = invocation_id
        """The invocation that is paused."""


class FutureCancelledError(DurableTrioError):
    """The awaited future was cancelled: by ``cancel()``, or with the scope or task it belongs to."""


class FutureNotDoneError(DurableTrioError):
    """The result of a future was asked for while it was still pending."""


class TooSlowError(DurableTrioError, TimeoutError):
    """The deadline of ``fail_after`` or ``fail_at`` passed. It is a ``TimeoutError``."""


class RequestError(DurableTrioError):
    """A server was asked and gave no answer that counts. Whether it did anything is not known.

    Raised by the clients of ``durable_trio.client``. What is safe to ask again, and was
    not answered in spite of the client's ``retry``, ends in one of these as well.
    """


class NoAnswerError(RequestError):
    """There was no connection, or it broke before the answer was whole."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent
        """Whether the server may have got the request. False: it has not, nothing happened."""


class RequestTimeoutError(RequestError, TimeoutError):
    """The time for a request passed, retries included. It is a ``TimeoutError``.

    An invocation that was waited for goes on.
    """


class UnavailableError(RequestError):
    """The server answered that it cannot do it now: too many requests, stopping, a proxy's 502."""

    def __init__(self, message: str, code: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        """What the server said."""
        self.code = code
        """Its HTTP status."""
        self.retry_after = retry_after
        """Seconds after which to ask again, if it said so."""


class BadAnswerError(RequestError):
    """The answer is not one that such a server gives: somebody else's page, or one too large."""


class EndOfChannel(DurableTrioError, anyio.EndOfStream):
    """All senders of the channel are closed and nothing is left to receive."""


class ClosedResourceError(DurableTrioError, anyio.ClosedResourceError):
    """This end of the channel was closed by your own code."""


class BrokenResourceError(DurableTrioError, anyio.BrokenResourceError):
    """The other end of the channel is closed."""


class WouldBlock(DurableTrioError, anyio.WouldBlock):
    """A ``_nowait`` operation could not be done at once."""


class StoreError(DurableTrioError):
    """The journal's storage cannot be opened, read or written."""


class StoreLockedError(StoreError):
    """Another process has the journal open for writing."""


class StoreCorruptError(StoreError):
    """The file is no journal, or it is damaged."""


class StoreVersionError(StoreError):
    """The journal was written by a newer version of durable_trio."""


class StoreWriteError(StoreError):
    """The journal could not be written: full disk, read-only directory, I/O error."""
