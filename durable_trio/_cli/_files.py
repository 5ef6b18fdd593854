"""Journal files and servers, opened by whoever knows them.

Owns the look-up. The command knows no adapter: they are found by their entry points,
``durable_trio.stores``, ``durable_trio.readers``, ``durable_trio.servers`` and
``durable_trio.endpoints``.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from durable_trio._transcript._text import plain

from ._exits import NOT_FOUND, USAGE, Exit

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from durable_trio._services import ServiceDefinition
    from durable_trio.abc import (
        Entry,
        InvocationRecord,
        InvocationStatus,
        JournalHeader,
        JournalStore,
        StateEntry,
        Timer,
    )

_FILE: Final = "file"
_SERVER: Final = "restate"


class Reader(Protocol):
    """A read-only view of a journal file, as the commands that look need it."""

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
        before: int | None = None,
        limit: int | None = None,
    ) -> Sequence[InvocationRecord]: ...

    def invocation(self, id_or_prefix: str) -> InvocationRecord | None: ...

    def journal(self, invocation_id: str) -> Sequence[Entry]: ...

    def timers(self) -> Sequence[Timer]: ...

    def state(self, service: str | None = None, key: str | None = None) -> Sequence[StateEntry]: ...


class Server(Protocol):
    """What a server tells of what it keeps, as the commands that look need it."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    async def journal(self, invocation_id: str) -> tuple[JournalHeader, Sequence[Entry]] | None: ...

    def unfinished(self) -> AsyncIterator[tuple[JournalHeader, Sequence[Entry]]]: ...

    async def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[InvocationStatus] | None = None,
        before: str | None = None,
        limit: int = ...,
    ) -> Sequence[InvocationRecord] | None: ...

    async def invocation(
        self, invocation_id: str
    ) -> tuple[InvocationRecord, Sequence[Entry]] | None: ...

    async def holder(self, service: str, key: str) -> str | None: ...

    async def state(self, service: str, key: str) -> Sequence[StateEntry]: ...


class EndpointServer(Protocol):
    """An endpoint on a port, as ``serve`` needs it."""

    def listen(self, host: str, port: int) -> list[socket.socket]: ...

    async def serve(
        self,
        sockets: Sequence[socket.socket],
        *,
        until: Callable[[], Awaitable[object]],
        grace: float,
        shared: bool,
    ) -> None: ...


journal_option: Final = click.option(
    "--journal",
    "journal",
    metavar="FILE",
    required=True,
    type=click.Path(readable=False, path_type=Path),  # the store says what is wrong, and why
    help="The journal file.",
)


def open_store(path: Path, *, synchronous: str) -> JournalStore:
    """The store that keeps its journal at ``path``, not entered yet."""
    store: JournalStore = _factory("durable_trio.stores", _FILE)(path, synchronous=synchronous)
    return store


def open_reader(path: Path) -> Reader:
    """A view of the journal at ``path``."""
    reader: Reader = _factory("durable_trio.readers", _FILE)(path)
    return reader


def find(reader: Reader, invocation_id: str, journal: Path) -> InvocationRecord:
    """The invocation with this id, or whose id begins like it."""
    record = reader.invocation(invocation_id)
    if record is None:
        raise Exit(
            f"no invocation in {journal} has an id that is or begins with "
            f"{plain(invocation_id)!r}: see durable-trio ls --journal {journal}",
            NOT_FOUND,
        )

    return record


def open_server(url: str) -> Server:
    """A view of the invocations of the server whose admin port is at ``url``."""
    server: Server = _factory("durable_trio.servers", _SERVER, "restate")(url)
    return server


def make_endpoint(services: Sequence[ServiceDefinition], **settings: Any) -> EndpointServer:
    """A server of these services for a Restate server to call."""
    endpoint: EndpointServer = _factory("durable_trio.endpoints", _SERVER, "restate")(
        services, **settings
    )
    return endpoint


def _factory(group: str, name: str, extra: str = "cli") -> Callable[..., Any]:
    for entry_point in entry_points(group=group, name=name):
        try:
            factory: Callable[..., Any] = entry_point.load()
        except ModuleNotFoundError as exc:
            if exc.name is None or exc.name.partition(".")[0].startswith("durable_trio"):
                raise

            raise Exit(
                f"this needs {exc.name}, which is not installed. "
                f'Install it with: pip install "durable-trio[{extra}]"',
                USAGE,
            ) from exc
        return factory

    raise Exit(
        f"nothing is installed for this (entry point {name!r} of {group}). "
        f'Install durable_trio again: pip install "durable-trio[{extra}]"',
        USAGE,
    )
