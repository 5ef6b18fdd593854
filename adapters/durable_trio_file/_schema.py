"""The tables of a journal file and the way a file is opened and recognised.

Owns the schema, its version, the pragmas, and every check that tells a sound journal from
a foreign, newer or damaged file. What the rows mean is in ``_rows``.

 1. The application id says that a file is a journal, ``user_version`` which schema it has.
    Both are set in the transaction that creates the tables: a file has all or nothing.
 2. A file is never changed before it is recognised.
 3. Damage that opening cannot see cheaply is found by the read that meets it. Files up to
    ``CHECKED_SIZE`` bytes are checked whole when they are opened for writing.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from durable_trio._exceptions import (
    StoreCorruptError,
    StoreError,
    StoreVersionError,
    StoreWriteError,
)

from ._errors import translating

if TYPE_CHECKING:
    from pathlib import Path

Synchronous: TypeAlias = Literal["full", "normal", "off"]

APPLICATION_ID: Final = 0x44546A6C
SCHEMA_VERSION: Final = 1
CHECKED_SIZE: Final = 64 << 20

_MAGIC: Final = b"SQLite format 3\0"
_BUSY_SECONDS: Final = 5.0
_A_DIRECTORY: Final = "it is a directory. Name a file in it."
# A WAL that is used again is much faster to sync than one that grows.
_CHECKPOINT_PAGES: Final = 1000
_WAL_SIZE_LIMIT: Final = 64 << 20

TABLES: Final[dict[str, str]] = {
    "meta": """CREATE TABLE meta (
  name TEXT NOT NULL PRIMARY KEY,
  value
) WITHOUT ROWID""",
    "invocation": """CREATE TABLE invocation (
  id TEXT NOT NULL PRIMARY KEY,
  service TEXT NOT NULL,
  handler TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at REAL NOT NULL,
  sequence INTEGER NOT NULL,
  key TEXT,
  exclusive INTEGER NOT NULL,
  idempotency_key TEXT,
  headers TEXT,
  parent TEXT,
  scheduled_for REAL,
  started_at REAL,
  completed_at REAL,
  retry_count INTEGER NOT NULL,
  first_failed_at REAL,
  next_attempt_at REAL,
  last_failure TEXT,
  result TEXT,
  cancelled INTEGER NOT NULL,
  journal_expires_at REAL,
  expires_at REAL
)""",
    "entry": """CREATE TABLE entry (
  number INTEGER PRIMARY KEY,
  invocation_id TEXT NOT NULL,
  line TEXT NOT NULL
)""",
    "state": """CREATE TABLE state (
  service TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (service, key, name)
) WITHOUT ROWID""",
    "timer": """CREATE TABLE timer (
  number INTEGER PRIMARY KEY,
  due REAL NOT NULL,
  invocation_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  completion_id INTEGER NOT NULL,
  UNIQUE (invocation_id, kind, completion_id)
)""",
    "waiter": """CREATE TABLE waiter (
  number INTEGER PRIMARY KEY,
  target TEXT NOT NULL,
  invocation_id TEXT NOT NULL,
  completion_id INTEGER NOT NULL,
  UNIQUE (target, invocation_id, completion_id)
)""",
    "promise": """CREATE TABLE promise (
  service TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  result TEXT NOT NULL,
  PRIMARY KEY (service, key, name)
)""",
    "promise_waiter": """CREATE TABLE promise_waiter (
  number INTEGER PRIMARY KEY,
  service TEXT NOT NULL,
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  invocation_id TEXT NOT NULL,
  completion_id INTEGER NOT NULL,
  UNIQUE (service, key, name, invocation_id, completion_id)
)""",
}

INDEXES: Final[tuple[str, ...]] = (
    "CREATE INDEX IF NOT EXISTS invocation_by_sequence ON invocation (sequence)",
    (
        "CREATE INDEX IF NOT EXISTS invocation_by_target"
        " ON invocation (service, handler, key, idempotency_key, sequence)"
    ),
    (
        "CREATE INDEX IF NOT EXISTS invocation_queue ON invocation (service, key, sequence)"
        " WHERE exclusive = 1 AND status = 'pending'"
    ),
    (
        "CREATE INDEX IF NOT EXISTS invocation_to_recover ON invocation (sequence)"
        " WHERE status IN ('running', 'backing-off', 'paused')"
    ),
    (
        "CREATE INDEX IF NOT EXISTS invocation_holder ON invocation (sequence)"
        " WHERE exclusive = 1 AND status IN ('running', 'backing-off', 'suspended', 'paused')"
    ),
    "CREATE INDEX IF NOT EXISTS entry_by_invocation ON entry (invocation_id)",
    "CREATE INDEX IF NOT EXISTS timer_by_due ON timer (due)",
    "CREATE INDEX IF NOT EXISTS waiter_by_who ON waiter (invocation_id, completion_id)",
    (
        "CREATE INDEX IF NOT EXISTS promise_waiter_by_who"
        " ON promise_waiter (invocation_id, completion_id)"
    ),
)


_MAY_NOT_MAKE_FILES: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


def connect_for_writing(path: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """Open the journal at ``path``, creating it if there is none.

    Raises ``StoreCorruptError``, ``StoreVersionError``, ``StoreLockedError`` or
    ``StoreWriteError``; the file is then as it was.
    """
    with translating(path, "opening"):
        _check_place(path)
        _check_header(path)
        connection = _connect(path, "rwc")
        try:
            connection.execute("PRAGMA cell_size_check = ON")
            if not _is_blank(connection):
                _recognise(connection, path, blank=False)
                _check_whole(connection, path)
            _configure(connection, path, synchronous)
            _create_missing(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing journal read-only, whether or not somebody writes to it.

    Raises ``StoreError``, ``StoreCorruptError`` or ``StoreVersionError``.
    """
    with translating(path, "opening"):
        if path.is_dir():
            raise StoreError(f"{path}: {_A_DIRECTORY}")
        if not path.is_file():
            raise StoreError(f"{path}: there is no such file. Check the path.")
        try:
            _check_header(path)
        except PermissionError as exc:
            raise StoreError(f"{path}: reading it is not allowed. Make it readable.") from exc
        connection = _connect(path, "ro")
        try:
            try:
                blank = _is_blank(connection)
            except sqlite3.OperationalError as exc:
                # Readers of a WAL file make its -shm file. Where they may not, the file can
                # still be read if all of it is in the file itself.
                if exc.sqlite_errorcode & 0xFF not in _MAY_NOT_MAKE_FILES:
                    raise
                if _size(_wal(path)):
                    raise StoreError(
                        f"{path}: a part of it is in {_wal(path).name}, and to read that a file"
                        " has to be made beside it, which is not allowed. Make the directory"
                        " writable for this user, or copy both files to one that is."
                    ) from exc
                connection.close()
                connection = _connect(path, "ro&immutable=1")
                blank = _is_blank(connection)
            _recognise(connection, path, blank=blank)
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        cached_statements=256,
    )


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise StoreWriteError(f"{path}: {_A_DIRECTORY}")


def _check_header(path: Path) -> None:
    size, wal_size = _size(path), _size(_wal(path))
    if size == 0:
        if wal_size:
            # SQLite would silently delete what may hold all the data.
            raise StoreCorruptError(
                f"{path}: the file is missing or empty, but {_wal(path).name} has data that"
                " belongs to it. Bring the file back, or remove the -wal file to start anew."
            )
        return
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC[: len(header)]) or len(header) < 100:
        raise StoreCorruptError(
            f"{path}: expected a SQLite file, found something else. Name another path, or move"
            " the file away."
        )
    page_size = int.from_bytes(header[16:18], "big")
    expected = int.from_bytes(header[28:32], "big") * (65536 if page_size == 1 else page_size)
    # With a WAL the rest may still be in there.
    if size < expected and not wal_size:
        raise StoreCorruptError(
            f"{path}: the file is cut off: expected {expected} bytes, found {size}. Restore it"
            " from a copy."
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _is_blank(connection: sqlite3.Connection) -> bool:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return False
    return _pragma(connection, "application_id") == 0


def _recognise(connection: sqlite3.Connection, path: Path, *, blank: bool) -> None:
    if blank:
        raise StoreError(f"{path}: the journal is empty: nothing was ever written to it.")
    found = _pragma(connection, "application_id")
    if found != APPLICATION_ID:
        raise StoreCorruptError(
            f"{path}: expected a durable_trio journal (application id {APPLICATION_ID}), found"
            f" another program's SQLite file (application id {found}). Choose another path."
        )
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"{path}: expected schema version {SCHEMA_VERSION} at most, found {version}: a newer"
            " durable_trio wrote it. Upgrade, or use another path."
        )
    if version != SCHEMA_VERSION:
        raise StoreCorruptError(
            f"{path}: expected schema version {SCHEMA_VERSION}, found {version}, which never"
            " existed. Restore the file from a copy."
        )
    for table, columns in _expected_columns().items():
        found_columns = _columns(connection, table)
        if not columns <= found_columns:
            what = f"column {min(columns - found_columns)}" if found_columns else "table"
            raise StoreCorruptError(
                f"{path}: {what} of {table!r} is missing: the file was changed by something"
                " else. Restore it from a copy."
            )


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return {name for (name,) in rows}


def _expected_columns() -> dict[str, set[str]]:
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in TABLES.values():
            model.execute(statement)
        return {table: _columns(model, table) for table in TABLES}


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    if _size(path) + _size(_wal(path)) > CHECKED_SIZE:
        return
    complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if complaint != "ok":
        raise StoreCorruptError(
            f"{path}: the file is damaged: {complaint}. Restore it from a copy."
        )


def _configure(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreWriteError(
            f"{path}: write-ahead logging is not possible here (journal mode {mode!r}). Put the"
            " journal on a local disk."
        )
    connection.execute(f"PRAGMA synchronous = {synchronous.upper()}")
    # On macOS fsync alone leaves the data in the drive's cache.
    connection.execute(f"PRAGMA fullfsync = {int(synchronous == 'full')}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT}")
    connection.execute("PRAGMA cache_size = -32768")
    connection.execute("PRAGMA temp_store = MEMORY")


def _create_missing(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _is_blank(connection):
        for statement in TABLES.values():
            connection.execute(statement)
        connection.execute(
            "INSERT INTO meta (name, value) VALUES ('created_at', ?), ('last_sequence', 0)",
            (time.time(),),
        )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    # Always written: a read-only file or a full disk shows now and not at the first commit.
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    for statement in INDEXES:
        connection.execute(statement)
    connection.execute("COMMIT")
