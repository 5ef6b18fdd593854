"""What the end of a handler means: an output, a failure for good, or another attempt.

Owns the table from how a handler ended to what is journaled. Errors become data here:
code, message, metadata; never a traceback, which differs between attempts.

| the handler                               | outcome                                        |
| ----------------------------------------- | ---------------------------------------------- |
| returns                                   | output                                         |
| raises ``TerminalError``                  | failure with its code and metadata             |
| was sent CANCEL, and returns or unwinds   | failure 409 "cancelled"                        |
| raises ``TooSlowError``                   | failure 408: it would replay for ever          |
| raises an ``ExceptionGroup``              | any retryable leaf: retry; else the first      |
|                                           | leaf's code, all leaves named                  |
| raises ``RetryableError``                 | retry, after its own delay                     |
| raises anything else                      | retry, as the policy says                      |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from ._duration import to_seconds
from ._exceptions import (
    CancelledError,
    InvocationTimeoutError,
    RetryableError,
    TerminalError,
    TooSlowError,
    UsageError,
)
from ._failures import described, failure, failure_of
from ._source import raised_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._journal._entries import Failure
    from ._options import ErrorMapping


@attrs.frozen
class Retry:
    """The attempt failed and another one is to be made."""

    error: BaseException
    retry_after: float | None = None


def outcome_of_error(
    error: BaseException, *, cancelled: bool, mapping: ErrorMapping | None
) -> Failure | Retry:
    """What an error that left the handler means. ``cancelled``: CANCEL was delivered to it.

    ``UsageError`` for an error that no journal can hold.
    """
    if not _speaks(error):
        # The host's cancelled exception: the only other one that the attempt hands over.
        return failure_of(CancelledError()) if cancelled else Retry(_stray(error))

    leaves = list(_leaves(error))
    terminal = [_terminal(leaf, mapping) for leaf in leaves]
    for leaf, final in zip(leaves, terminal, strict=True):
        if final is None:
            return Retry(error, retry_after(leaf))

    finals = [final for final in terminal if final is not None]
    if not finals:
        return failure_of(CancelledError()) if cancelled else Retry(_stray(error))

    first = finals[0]
    if len(finals) == 1:
        return failure_of(first)

    message = "; ".join(map(described, leaves))
    code = 409 if cancelled else first.code
    return failure(code, f"{len(finals)} errors: {message}", first.metadata)


def retry_after(error: BaseException) -> float | None:
    """The delay in seconds that an error asks for. ``UsageError`` if it is none."""
    if not isinstance(error, RetryableError) or error.retry_after is None:
        return None

    return to_seconds(error.retry_after, "the retry_after of a RetryableError")


def _speaks(error: BaseException) -> bool:
    """Whether it is an error, and not only the host's cancelled exception."""
    return isinstance(error, (Exception, BaseExceptionGroup))


def _stray(error: BaseException) -> UsageError:
    stray = UsageError(
        "the handler raised the host's cancelled exception, but nobody cancelled it. Do not keep "
        "that exception to raise it later; use CancelScope.cancel() or raise TerminalError."
    )
    stray.__cause__ = error
    return stray


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return

    group = cast("BaseExceptionGroup[BaseException]", error)
    for inner in group.exceptions:
        # A cancelled leaf says that a sibling failed or the scope ended, nothing more.
        if _speaks(inner):
            yield from _leaves(inner)


def _terminal(error: BaseException, mapping: ErrorMapping | None) -> TerminalError | None:
    if isinstance(error, TerminalError):
        return error

    if mapping is not None and isinstance(error, Exception):
        mapped = mapping(error)
        if mapped is not None:
            return mapped

    if isinstance(error, TooSlowError):
        return InvocationTimeoutError(str(error))

    return None


def is_usage_error(error: BaseException) -> bool:
    """Whether it is a ``UsageError``, or a group with one in it."""
    return any(isinstance(leaf, UsageError) for leaf in _leaves(error))


def retry_failure(error: BaseException) -> Failure:
    """What is stored of the error that an attempt failed with, of a group all that is in it."""
    return failure(500, "; ".join(map(_described, _leaves(error))) or _described(error))


def _described(error: BaseException) -> str:
    text = described(error)
    # An error of the code is looked for by its line; most tell it themselves.
    line = raised_at(error) if isinstance(error, UsageError) else ""
    return f"{text} ({line})" if line and line not in text else text
