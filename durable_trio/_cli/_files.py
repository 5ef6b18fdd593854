"""Journal files, opened by whoever knows their format.

Owns the look-up. The command knows no adapter: stores and readers are found by their entry
points, ``durable_trio.stores`` and ``durable_trio.readers``.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from ._exits import USAGE, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from durable_trio.abc import (
        Entry,
        InvocationRecord,
        InvocationStatus,
        JournalStore,
        Timer,
    )

_NAME: Final = "file"


class Reader(Protocol):
    """A read-only view of a journal, as ``ls``, ``show`` and ``export`` need it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[InvocationStatus] | None = None,
        limit: int | None = None,
    ) -> Sequence[InvocationRecord]: ...

    def invocation(self, id_or_prefix: str) -> InvocationRecord | None: ...

    def journal(self, invocation_id: str) -> Sequence[Entry]: ...

    def timers(self) -> Sequence[Timer]: ...


journal_option: Final = click.option(
    "--journal",
    "journal",
    metavar="FILE",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The journal file.",
)


def open_store(path: Path, *, synchronous: str) -> JournalStore:
    """The store that keeps its journal at ``path``, not entered yet."""
    store: JournalStore = _factory("durable_trio.stores")(path, synchronous=synchronous)
    return store


def open_reader(path: Path) -> Reader:
    """A view of the journal at ``path``."""
    reader: Reader = _factory("durable_trio.readers")(path)
    return reader


def _factory(group: str) -> Callable[..., Any]:
    for entry_point in entry_points(group=group, name=_NAME):
        factory: Callable[..., Any] = entry_point.load()
        return factory

    raise Exit(
        f"nothing is installed that opens a journal file (entry point {_NAME!r} of {group}). "
        'Install durable_trio again: pip install "durable-trio[cli]"',
        USAGE,
    )
