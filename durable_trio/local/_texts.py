"""Texts that every store can keep.

Owns the check of names, keys and headers. It is made before anything is decided, so that
no store refuses half of what was decided.
"""

from __future__ import annotations

from durable_trio._exceptions import UsageError


def check_texts(*texts: str | None) -> None:
    """``UsageError`` for a text with lone surrogates, which no encoding has."""
    for text in texts:
        if text is None or text.isascii():
            continue

        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{text!r} is no valid Unicode ({error.reason}), so it cannot be kept as a name, "
                "key or header; decode it with the encoding that it really has"
            ) from error
