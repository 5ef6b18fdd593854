"""The one thread that writes a journal file: group commit.

Owns the thread, the SQLite connection, the lock, and the queue between the event loop and
the thread. What the writes mean is in ``_plan``, what the reads ask in ``_queries``.

 1. Only the thread touches the connection. Only the event loop puts into the queue.
 2. Everything that is queued when a commit begins is one transaction, in queue order. A
    read in it is answered from within the transaction, so it sees what was queued before.
 3. Nothing of a group (callbacks, answers) is released before its commit has succeeded
    and the file is still the one that was opened; then all of it, in queue order and in
    one hop to the event loop.
 4. A group of writes that are not urgent waits for ``PATIENCE`` seconds at most for
    something urgent to come along.
 5. After a failure nothing is written any more, and every question is answered with it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

import anyio
import attrs

from durable_trio._exceptions import StoreError, StoreWriteError
from durable_trio._loop import CallSoon, call_all

from ._errors import translated, translating
from ._lock import JournalLock
from ._plan import Op, Plan
from ._queries import last_sequence
from ._schema import Synchronous, connect_for_writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE: Final = 0.010

T = TypeVar("T")


@attrs.define(eq=False)
class Question(Generic[T]):
    """A read on its way to the thread and back."""

    ask: Callable[[sqlite3.Connection], T]
    on_answer: Callable[[], object]
    answer: T | None = None
    error: Exception | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return cast("T", self.answer)


_Write: TypeAlias = "tuple[list[Op], Callable[[], object] | None]"
_Item: TypeAlias = "_Write | Question[Any]"


class Writer:
    """Writes to ``path`` from a thread of its own, between ``open`` and ``close``."""

    def __init__(self, path: Path, synchronous: Synchronous, call_soon: CallSoon) -> None:
        self.path = path
        self._name = str(path)
        self.error: StoreError | None = None
        self.failed = anyio.Event()
        self._synchronous: Synchronous = synchronous
        self._call_soon = call_soon
        self._lock = JournalLock(path)
        self._identity: tuple[int, int] | None = None
        self._opened = anyio.Event()
        self._closed = anyio.Event()
        self._closing = False
        self._queue: deque[_Item] = deque()
        self._urgent = False
        self._asleep = False
        # A binary semaphore: released by the event loop, acquired by the thread.
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread = threading.Thread(
            target=self._run, name=f"journal writer of {path.name}", daemon=True
        )

    # -- the event loop's side

    async def open(self) -> None:
        """Raises the ``StoreError`` that opening met; then nothing is left open."""
        self._thread.start()
        await self._opened.wait()
        if self.error is not None:
            self._thread.join()
            raise self.error

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        self._closing = True
        self._wake_up()
        await self._closed.wait()
        self._thread.join()

    def put(self, item: _Item, *, urgent: bool = True) -> None:
        self._queue.append(item)
        if urgent:
            self._wake_up()
        elif self._asleep:
            self._release()

    def _wake_up(self) -> None:
        self._urgent = True
        self._release()

    def _release(self) -> None:
        if self._wake.locked():
            self._wake.release()

    # -- the thread's side

    def _run(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._call_soon, self._closed.set)
            stack.callback(self._lock.release)
            try:
                with translating(self.path, "opening"):
                    self._lock.acquire()
                    connection = connect_for_writing(self.path, self._synchronous)
                    stack.callback(connection.close)
                    plan = Plan(last_sequence(connection))
                    self._identity = _identity(self._name)
            except Exception as exc:
                self.error = self._store_error(exc, "opening")
                return
            finally:
                self._call_soon(self._opened.set)
            self._serve(connection, plan)

    def _serve(self, connection: sqlite3.Connection, plan: Plan) -> None:
        while not (self._closing and not self._queue):
            self._wait()
            group = self._take_all()
            if group and not self._commit(connection, plan, group):
                return

    def _wait(self) -> None:
        """Return when there is something to commit, or to close."""
        if not self._urgent:
            # The next step of a workflow usually comes soon after the commit of the last.
            # Being awake for it, the thread need not be woken for what is not urgent.
            self._wake.acquire(timeout=PATIENCE)
        if self._urgent or self._queue:
            return
        self._asleep = True
        while not (self._urgent or self._queue):
            self._wake.acquire()
        self._asleep = False
        if not self._urgent:
            self._wake.acquire(timeout=PATIENCE)

    def _take_all(self) -> list[_Item]:
        self._wake.acquire(blocking=False)
        self._urgent = False
        queue = self._queue
        return [queue.popleft() for _ in range(len(queue))]

    def _commit(self, connection: sqlite3.Connection, plan: Plan, group: list[_Item]) -> bool:
        """Commit and release a group. False if the event loop has ended: nobody is left."""
        if self.error is None:
            try:
                self._execute(connection, plan, group)
            except Exception as exc:
                self._fail(connection, exc)
        released: list[Callable[[], object]] = []
        for item in group:
            if isinstance(item, Question):
                item.error = self.error or item.error
                released.append(item.on_answer)
            elif item[1] is not None and self.error is None:
                released.append(item[1])
        if not released:
            return True
        return self._call_soon(partial(call_all, self._call_soon, released))

    def _execute(self, connection: sqlite3.Connection, plan: Plan, group: list[_Item]) -> None:
        begun = False
        for item in group:
            if not isinstance(item, Question):
                plan.add(item[0])
                continue
            statements = plan.take()
            if statements and not begun:
                connection.execute("BEGIN IMMEDIATE")
                begun = True
            for statement in statements:
                connection.execute(*statement)
            self._answer(connection, item)
            if begun and not connection.in_transaction:
                raise item.error or sqlite3.OperationalError("the transaction was rolled back")
        statements = plan.take()
        if begun or len(statements) > 1:
            if not begun:
                connection.execute("BEGIN IMMEDIATE")
            for statement in statements:
                connection.execute(*statement)
            connection.execute("COMMIT")
        elif statements:
            # One statement is a transaction by itself.
            connection.execute(*statements[0])
        else:
            return
        self._check_identity()

    def _answer(self, connection: sqlite3.Connection, question: Question[Any]) -> None:
        try:
            with translating(self.path, "reading"):
                question.answer = question.ask(connection)
        except Exception as exc:
            # It concerns only whoever asked: the file may well be sound elsewhere.
            question.error = exc

    def _check_identity(self) -> None:
        try:
            found = _identity(self._name)
        except FileNotFoundError:
            found = None
        if found != self._identity:
            raise StoreWriteError(
                f"{self.path}: the file was {'replaced' if found else 'removed'} while it was"
                " open, and what is written now would be lost. Stop whatever did that, bring"
                " the file back with its -wal file if you can, and open the journal again."
            )

    def _fail(self, connection: sqlite3.Connection, exc: Exception) -> None:
        error = self._store_error(exc, "writing")
        with suppress(sqlite3.Error):
            # SQLite has often rolled back already.
            connection.execute("ROLLBACK")
        self.error = error
        self._call_soon(self.failed.set)

    def _store_error(self, exc: Exception, doing: str) -> StoreError:
        """Whatever happens ends as an error that somebody gets, or everybody would wait for ever."""
        if isinstance(exc, StoreError):
            return exc
        if isinstance(exc, (sqlite3.Error, OSError)):
            error = translated(exc, self.path, doing)
        else:
            error = StoreWriteError(
                f"{self.path}: {doing} failed: {exc!r}. This is unexpected: please report it."
            )
        error.__cause__ = exc
        return error


def _identity(path: str) -> tuple[int, int]:
    found = os.stat(path)  # noqa: PTH116 - once a commit, and a Path takes longer
    return found.st_dev, found.st_ino
