"""Mistakes in a handler that Python itself reports, in words that name another cause.

Owns the few errors of Python's that mean one of our own: another event loop's functions, a
future that was never awaited, a block that was entered in the wrong way. What is found while it
is made is found where it is made; what becomes of the error is the attempt's business.

 1. Only errors that would come again in every attempt are taken for a mistake.
 2. The error of Python's stays the cause, so that its traceback is told.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Final, cast

from ._exceptions import ForeignAwaitError, UsageError
from ._failures import described
from ._source import exc_info, raised_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHER: Final = {"trio": "asyncio", "asyncio": "trio"}

_NO_LOOP: Final = {
    "asyncio": "no running event loop",
    "trio": "must be called from async context",
}
"""What a function says without its own event loop, whoever it was called by."""

_ENTERED: Final = (
    "open_nursery() is entered with `async with`, and move_on_after(), fail_after() and "
    "CancelScope() with `with`"
)
_SENT: Final = (
    "ctx.send waits for nothing: leave the `await` out. The id of what was sent is "
    "`await handle.invocation_id()`; who wants its result uses ctx.call"
)
_NOT_AWAITED: Final = (
    "an operation gives a future, and its result only to who awaits it: put `await` in front of "
    "it, `(await ctx.get(...)) + 1`"
)

_FORMS: Final = (
    (re.compile(r"(Nursery|CancelScope)'? object does not support the .*context"), _ENTERED),
    (re.compile(r"\bSendHandle can't be used in 'await'"), _SENT),
    (re.compile(r"\b(DurableFuture|CallFuture|TaskHandle)\b"), _NOT_AWAITED),
)
"""How Python says it, of several versions, and what helps."""

_NO_OPERATION: Final = re.compile(r"Context has no operation '")
"""What a context says itself, with what helps: it has to be an AttributeError for ``hasattr``."""


def mistake(error: BaseException, host: str) -> UsageError | None:
    """What an error that left a handler says of its code, on this event loop; None: nothing."""
    for leaf in _leaves(error):
        if _is_of_other_loop(leaf, host):
            return _told(
                ForeignAwaitError,
                error,
                f"{_line(leaf)}: a function of {_OTHER[host]}'s was used in a handler, and this one runs on "
                f"{host} ({described(leaf)}). On neither of them would a journal record it. Do it inside "
                "`await ctx.run(...)`; for waiting use durable_trio's sleep, Event, open_nursery or a "
                "channel.",
            )

        if isinstance(leaf, TypeError | AttributeError):
            text = described(leaf)
            if _NO_OPERATION.search(text):
                return _told(UsageError, error, f"{_line(leaf)}: {text}")

            for form, remedy in _FORMS:
                if form.search(text):
                    return _told(UsageError, error, f"{_line(leaf)}: {text}: {remedy}.")

    return None


def mistake_in_step(error: Exception, host: str, name: str) -> UsageError | None:
    """The same of an error that left the body of a step, which may use any function of its loop."""
    if not _is_of_other_loop(error, host):
        return None

    other = _OTHER[host]
    return _told(
        UsageError,
        error,
        f"{_line(error)}: the body of the run {name!r} uses a function of {other}'s, and it runs on "
        f"{host} ({described(error)}). Choose the other event loop (`--backend {other}`, or "
        f"anyio.run(main, backend={other!r})), or use what works on both, as anyio does.",
    )


def _told(kind: type[UsageError], error: BaseException, text: str) -> UsageError:
    told = kind(text)
    told.__cause__ = error.with_traceback(exc_info(error)[2])
    return told


def _is_of_other_loop(error: BaseException, host: str) -> bool:
    if not isinstance(error, RuntimeError | AttributeError):
        return False

    other = _OTHER[host]
    if str(error) == _NO_LOOP[other]:
        return True

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    module = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return module.partition(".")[0] == other


def _line(error: BaseException) -> str:
    return raised_at(error) or "<unknown line>"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return

    for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
        yield from _leaves(inner)
