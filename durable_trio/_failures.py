"""Failures: what a journal keeps of an error.

Owns how they are made of code, message and metadata, and what an error says of itself.

 1. Their texts fit into every journal: what no encoding has (the lone surrogates of a file name
    that is no text) is spelled out, so that it is the same wherever it is kept and replayed.
 2. Their codes do, too: what no journal holds is a ``UsageError``, where it would be written.
 3. Any error whatsoever can be described, also one that fails at that.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

from ._exceptions import UsageError
from ._journal._entries import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._exceptions import TerminalError

_CODES: Final = range(1 << 32)
"""What every journal holds."""


def described(error: BaseException) -> str:
    """An error's class and text, on any number of lines."""
    try:
        text = str(error)
    except Exception as problem:
        text = f"<its text cannot be had: {type(problem).__name__} in __str__>"
    return f"{type(error).__name__}: {text}"


def spelled_out(text: str) -> str:
    r"""The text, with ``\udcff`` as six characters for each lone surrogate."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def failure(code: int, message: str, metadata: Mapping[str, str] | None = None) -> Failure:
    """A failure for good. ``UsageError`` for a code that is no number, and for texts that are none."""
    pairs = tuple(
        (_text("a name in its metadata", name), _text(f"its metadata {name!r}", value))
        for name, value in (metadata or {}).items()
    )
    return Failure(_code(code), _text("its message", message), pairs)


def _code(code: object) -> int:
    # HTTPStatus and the like are numbers, too.
    number = operator.index(code) if isinstance(code, int) else -1
    if number not in _CODES:
        raise UsageError(
            f"the code of a failure is a number from 0 to {_CODES[-1]}, best an HTTP status, got "
            f"{code!r}: give TerminalError, or whatever rejects, such a code"
        )

    return number


def _text(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise UsageError(
            f"a failure consists of texts, and {what} is {type(text).__name__}, got {text!r}: "
            "make it a str where the error is made"
        )

    return spelled_out(text)


def failure_of(error: TerminalError) -> Failure:
    """An error as data."""
    return failure(error.code, error.message, error.metadata)
