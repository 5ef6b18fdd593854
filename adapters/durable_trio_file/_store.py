"""``FileJournal``: a ``JournalStore`` in one SQLite file.

Owns the event loop's side: what may be called when, and the way of a question to the
writer's thread and back. The thread is in ``_writer``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import anyio

from durable_trio._exceptions import StoreLockedError, UsageError
from durable_trio._loop import current_call_soon

from . import _queries
from ._plan import ops_of
from ._schema import Synchronous
from ._writer import Question, Writer

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from durable_trio import abc

T = TypeVar("T")


class FileJournal:
    """Keeps everything the embedded runtime knows in one SQLite file.

    ``path`` is created if it does not exist; its directory must. Beside it live, while
    it is open, SQLite's ``-wal`` and ``-shm`` files, and always a ``.lock`` file. It needs
    a local disk. One process at a time may have it open for writing; others may look at it
    meanwhile with ``FileJournalReader`` or with the ``sqlite3`` shell.

    ``synchronous`` says what a commit waits for:

    ``"full"``
        The disk has the data. What was released survives a crash of the process, of the
        operating system, and a power cut.
    ``"normal"``
        The operating system has the data. A crash of the process loses nothing; a crash of
        the operating system or a power cut may lose the last commits, although their
        results were released: steps run again whose effects have been seen. The file
        itself stays sound.
    ``"off"``
        As ``"normal"``, but a crash of the operating system or a power cut may also leave
        the file damaged. Only for data that can be thrown away.

    Entering raises ``StoreLockedError`` if another ``FileJournal`` has the file open,
    ``StoreCorruptError`` if it is damaged or no journal, ``StoreVersionError`` if a newer
    version wrote it, and ``StoreWriteError`` if it cannot be created or written. Files up to
    64 MB are checked whole when they are opened; damage in a larger one shows when it is
    read. Leaving writes what is queued, and raises the ``StoreError`` if that failed and no
    other exception is on its way. It may be entered again afterwards.

    ``write`` raises ``SerializationError``, and queues nothing, for ids, keys and names
    that are no valid Unicode. A write that is not urgent waits 10 ms at most for one that is.
    """

    def __init__(self, path: str | os.PathLike[str], *, synchronous: Synchronous = "full") -> None:
        if synchronous not in get_args(Synchronous):
            raise UsageError(
                f"synchronous must be one of {', '.join(map(repr, get_args(Synchronous)))},"
                f" found {synchronous!r}."
            )
        self.path: Path = Path(path).absolute()
        self.synchronous: Synchronous = synchronous
        self._writer: Writer | None = None

    def __repr__(self) -> str:
        return f"FileJournal({str(self.path)!r}, synchronous={self.synchronous!r})"

    async def __aenter__(self) -> Self:
        if self._writer is not None:
            raise StoreLockedError(
                f"{self.path}: this FileJournal is open already. Leave the first `async with`"
                " block before entering another one."
            )
        self._writer = writer = Writer(self.path, self.synchronous, current_call_soon())
        try:
            with anyio.CancelScope(shield=True):
                await writer.open()
        except BaseException:
            self._writer = None
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        writer = self._open_writer()
        self._writer = None
        with anyio.CancelScope(shield=True):
            await writer.close()
        if writer.error is not None and exc is None:
            raise writer.error

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise UsageError(f"{self!r} is not open. Enter it with `async with` first.")
        return self._writer

    def write(
        self,
        writes: Sequence[abc.Write],
        on_commit: Callable[[], object] | None = None,
        *,
        urgent: bool = True,
    ) -> None:
        self._open_writer().put((ops_of(writes), on_commit), urgent=urgent)

    async def failed(self) -> Exception:
        writer = self._open_writer()
        while writer.error is None:
            await writer.failed.wait()
        return writer.error

    async def sync(self) -> None:
        await self._ask(lambda _: None)

    async def _ask(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        answered = anyio.Event()
        question = Question(ask, answered.set)
        self._open_writer().put(question)
        await answered.wait()
        return question.result()

    async def invocation(self, invocation_id: str) -> abc.InvocationRecord | None:
        return await self._ask(lambda file: _queries.invocation(file, invocation_id))

    async def journal(self, invocation_id: str) -> Sequence[abc.Entry]:
        return await self._ask(lambda file: _queries.journal(file, invocation_id))

    async def find(
        self, service: str, key: str | None, handler: str, idempotency_key: str | None
    ) -> abc.InvocationRecord | None:
        return await self._ask(
            lambda file: _queries.find(file, service, key, handler, idempotency_key)
        )

    async def queued(self, service: str, key: str) -> abc.InvocationRecord | None:
        return await self._ask(lambda file: _queries.queued(file, service, key))

    async def unfinished(self) -> Sequence[abc.InvocationRecord]:
        return await self._ask(_queries.unfinished)

    async def holders(self) -> Sequence[abc.InvocationRecord]:
        return await self._ask(_queries.holders)

    async def backlog(self) -> Sequence[tuple[str, str]]:
        return await self._ask(_queries.backlog)

    async def invocations(
        self,
        *,
        service: str | None = None,
        key: str | None = None,
        status: frozenset[abc.InvocationStatus] | None = None,
        limit: int | None = None,
    ) -> Sequence[abc.InvocationRecord]:
        return await self._ask(
            partial(_queries.invocations, service=service, key=key, status=status, limit=limit)
        )

    async def last_sequence(self) -> int:
        return await self._ask(_queries.last_sequence)

    async def state(self, service: str, key: str) -> Mapping[str, bytes]:
        return await self._ask(lambda file: _queries.state(file, service, key))

    async def timers(self, *, due_by: float, limit: int) -> Sequence[abc.Timer]:
        return await self._ask(partial(_queries.timers, due_by=due_by, limit=limit))

    async def next_timer(self, *, after: float) -> abc.Timer | None:
        return await self._ask(partial(_queries.next_timer, after=after))

    async def waiters(self, target: str) -> Sequence[abc.Waiter]:
        return await self._ask(lambda file: _queries.waiters(file, target))

    async def promise(self, service: str, key: str, name: str) -> abc.Value | abc.Failure | None:
        return await self._ask(lambda file: _queries.promise(file, service, key, name))

    async def promise_waiters(self, service: str, key: str, name: str) -> Sequence[abc.Waiter]:
        return await self._ask(lambda file: _queries.promise_waiters(file, service, key, name))
