"""Failures: what a journal keeps of an error.

Owns how they are made of code, message and metadata.

 1. Their texts fit into every journal: what no encoding has (the lone surrogates of a file name
    that is no text) is spelled out, so that it is the same wherever it is kept and replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._journal._entries import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._exceptions import TerminalError


def spelled_out(text: str) -> str:
    r"""The text, with ``\udcff`` as six characters for each lone surrogate."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def failure(code: int, message: str, metadata: Mapping[str, str] | None = None) -> Failure:
    """A failure for good."""
    pairs = tuple(
        (spelled_out(name), spelled_out(value)) for name, value in (metadata or {}).items()
    )
    return Failure(code, spelled_out(message), pairs)


def failure_of(error: TerminalError) -> Failure:
    """An error as data."""
    return failure(error.code, error.message, error.metadata)
