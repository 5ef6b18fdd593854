"""What headers can carry: the caller's own, and an idempotency key.

Owns the checks that are made before anything is sent.

 1. What would arrive changed, or would break the request, is a ``UsageError``: a value that
    loses its spaces at the ends would be another idempotency key.
 2. What a caller passes is copied, never changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from durable_trio._exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

HeaderList: TypeAlias = list[tuple[str, str]]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?")
_TAKEN: Final = {
    "connection": "it is the client's own business",
    "content-length": "it is the client's own business",
    "expect": "it is the client's own business",
    "host": "it is the client's own business",
    "idempotency-key": "say idempotency_key=",
    "transfer-encoding": "it is the client's own business",
}


def checked_headers(headers: Iterable[tuple[str, str]]) -> HeaderList:
    """The headers. ``UsageError`` for one that cannot be sent as it is."""
    checked: HeaderList = []
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise UsageError(f"a header's name has letters, digits and dashes only, got {name!r}")

        taken = _TAKEN.get(name.lower())
        if taken is not None:
            raise UsageError(f"the header {name} cannot be passed: {taken}")

        checked.append((name.lower(), _checked_value(f"the header {name}", value)))
    return checked


def idempotency_header(idempotency_key: str | None) -> HeaderList:
    """The header of an idempotency key, if there is one. ``UsageError`` as above."""
    return _named("idempotency-key", "the idempotency key", idempotency_key)


def limit_header(limit_key: str | None) -> HeaderList:
    """The header of a limit key, if there is one. ``UsageError`` as above."""
    return _named("x-restate-limit-key", "the limit key", limit_key)


def _named(name: str, what: str, value: str | None) -> HeaderList:
    if value is None:
        return []

    if not value:
        raise UsageError(f"{what} is empty: pass a string that is not, or none at all")

    return [(name, _checked_value(what, value))]


def _checked_value(what: str, value: str) -> str:
    if _VALUE.fullmatch(value):
        return value

    raise UsageError(
        f"{what} is sent in a header, which carries printable ASCII without spaces at its ends, "
        f"got {value!r}"
    )
