"""The state of an object, as one attempt sees it.

Owns the local view: what the adapter handed over, overlaid with what this attempt has
written. Commands are issued by the context.

 1. Writes are seen by later reads of the same attempt at once, also on replay.
 2. With ``partial`` an unknown name may exist at the adapter: it has to be asked for.
    After ``clear_all`` nothing is unknown any more.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unknown(enum.Enum):
    """The type of ``UNKNOWN``."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
"""The view cannot tell; the adapter can."""

Known: TypeAlias = bytes | Literal[Unknown.UNKNOWN] | None


class StateView:
    """See the module's docstring."""

    __slots__ = ("_entries", "_partial")

    def __init__(self, entries: Mapping[str, bytes], *, partial: bool) -> None:
        self._entries: dict[str, bytes | None] = dict(entries)
        """None: it is known that there is none."""
        self._partial = partial

    def get(self, name: str) -> Known:
        """The entry, None if there is none, or ``UNKNOWN``."""
        return self._entries.get(name, UNKNOWN if self._partial else None)

    def keys(self) -> tuple[str, ...] | None:
        """All names, sorted; None when they are not all known."""
        if self._partial:
            return None

        return tuple(sorted(name for name, content in self._entries.items() if content is not None))

    def set(self, name: str, content: bytes) -> None:
        """A write."""
        self._entries[name] = content

    def clear(self, name: str) -> None:
        """The removal of one entry."""
        self._entries[name] = None

    def clear_all(self) -> None:
        """The removal of all entries, known or not."""
        self._entries.clear()
        self._partial = False
