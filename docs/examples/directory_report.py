"""The main job: a report on all files of a directory, which survives ``kill -9``.

    python docs/examples/directory_report.py DIRECTORY

It lists the directory, reads every file (so many at a time) for its hash, size and lines,
and prints what it found. Kill it anywhere and start it again: it goes on where it was, and
no file that was done is read again. Once the report is printed, the next start makes a
fresh one. It needs ``pip install 'durable-trio[cli]'``, for the progress bar.

The file has three parts. *Steps* are ordinary functions that touch the disk; their results
are what is journaled. *The handler* says in which order and how many at once: it is
replayed after a crash, so it touches nothing itself. *The program* opens a journal file,
asks for the report, and prints it.
"""

import argparse
import hashlib
import os
import re
import stat
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

import anyio
import attrs
from anyio.from_thread import check_cancelled
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from durable_trio import (
    InvocationRetryPolicy,
    ObjectContext,
    RetryPolicy,
    RunInfo,
    StoreError,
    StoreLockedError,
    TerminalError,
    VirtualObject,
    amap,
    first_success,
    move_on_after,
)
from durable_trio.local import LocalRuntime
from durable_trio_file import FileJournal

CHUNK = 1 << 20
LARGEST = 5
SHOWN = 10


@attrs.frozen
class Order:
    """What is asked for. Paths are spelled as ``spell`` does it."""

    directory: str
    journal: str
    """It is no part of the report, should it lie in the directory."""
    limit: int = 8
    """How many files are read at a time."""
    big: int = 8 << 20
    """From how many bytes on lines are counted by whoever is fastest, in limited time."""
    patience: float = 60.0
    """How many seconds that may take. A restart does not begin them anew."""


@attrs.frozen
class ListedFile:
    path: str
    """Relative to the directory, spelled."""
    size: int


@attrs.frozen
class NotRead:
    path: str
    reason: str


@attrs.frozen
class Listing:
    files: list[ListedFile]
    not_read: list[NotRead]


@attrs.frozen
class Facts:
    path: str
    size: int
    modified: int
    sha256: str
    lines: int | None


@attrs.frozen
class Duplicates:
    size: int
    paths: list[str]


@attrs.frozen
class Report:
    directory: str
    files: int
    size: int
    """In bytes, of all files."""
    lines: int
    not_counted: int
    """How many files have more lines than could be counted in time."""
    largest: list[ListedFile]
    duplicates: list[Duplicates]
    not_read: list[NotRead]
    files_before: int | None = None
    size_before: int | None = None


# Steps: ordinary functions that touch the disk. What they return is journaled.


def spell(path: Path) -> str:
    """A path as text that every journal and terminal takes: odd bytes and ``%`` as ``%XX``."""
    odd = r"[%\x00-\x1f\x7f\udc80-\udcff]"
    return re.sub(odd, lambda found: f"%{ord(found[0]) & 0xFF:02X}", str(path))


def located(*spelled: str) -> Path:
    """The path again."""
    return Path(*(os.fsdecode(unquote_to_bytes(part)) for part in spelled))


def list_files(order: Order) -> Listing:
    """All regular files below the directory, sorted; links are not followed."""
    root, journal = located(order.directory), located(order.journal)
    own = {journal.with_name(journal.name + end) for end in ("", "-wal", "-shm", ".lock")}
    files: list[ListedFile] = []
    not_read: list[NotRead] = []

    def leave_out(path: Path, reason: str | None) -> None:
        not_read.append(NotRead(spell(path.relative_to(root)), reason or "unreadable"))

    def unreadable(error: OSError) -> None:
        leave_out(Path(error.filename), error.strerror)

    for folder, folders, names in os.walk(root, onerror=unreadable):
        for path in (Path(folder, name) for name in (*folders, *names)):
            check_cancelled()
            try:
                status = path.lstat()
            except OSError as error:
                unreadable(error)
                continue

            if stat.S_ISLNK(status.st_mode):
                leave_out(path, "symbolic link")
            elif stat.S_ISREG(status.st_mode):
                if path not in own:
                    files.append(ListedFile(spell(path.relative_to(root)), status.st_size))
            elif not stat.S_ISDIR(status.st_mode):
                leave_out(path, "no regular file")
    by_path = attrgetter("path")
    return Listing(sorted(files, key=by_path), sorted(not_read, key=by_path))


class FileChanged(Exception):
    """Somebody writes to the file. It may have come to rest on a second try."""


@contextmanager
def open_file(path: Path, known: Facts | None = None) -> Generator[BinaryIO]:
    """Open a file that may be gone or something else by now, or change while it is read.

    What cannot be read fails for good, with the reason. ``known``: it has to be still that.
    """
    # A pipe may stand there by now, and opening one without O_NONBLOCK waits for a writer.
    flags = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | flags), "rb", buffering=0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise TerminalError("no regular file any more")
            if known and (before.st_size, before.st_mtime_ns) != (known.size, known.modified):
                raise TerminalError("changed after it was hashed")

            yield file
            after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise FileChanged("written to while it was read")
    except OSError as error:
        raise TerminalError(error.strerror or str(error)) from error


def chunks_of(file: BinaryIO) -> Iterator[bytes]:
    """The content, piece by piece. A thread cannot be aborted, but it can ask whether it should."""
    while chunk := file.read(CHUNK):
        yield chunk
        check_cancelled()


def read_file(directory: str, listed: ListedFile, count: bool) -> Facts:
    """Size and hash of a file, and its lines if they are to be counted."""
    digest, size, lines = hashlib.sha256(), 0, 0
    with open_file(located(directory, listed.path)) as file:
        modified = os.fstat(file.fileno()).st_mtime_ns
        for chunk in chunks_of(file):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
    return Facts(listed.path, size, modified, digest.hexdigest(), lines if count else None)


def count_in_chunks(directory: str, facts: Facts) -> int:
    """Strategy one: count the lines here, in a thread."""
    with open_file(located(directory, facts.path), facts) as file:
        return sum(chunk.count(b"\n") for chunk in chunks_of(file))


def count_range(file: BinaryIO, start: int, end: int) -> int:
    """The lines of a part of a file."""
    lines = 0
    for offset in range(start, end, CHUNK):
        check_cancelled()
        lines += os.pread(file.fileno(), min(CHUNK, end - offset), offset).count(b"\n")
    return lines


async def count_in_parts(directory: str, facts: Facts) -> int:
    """Strategy two: four threads, a quarter each. Inside of a step any concurrency is fine."""
    quarter = max(1, -(-facts.size // 4))
    counts: list[int] = []

    async def count(start: int) -> None:
        end = min(start + quarter, facts.size)
        counts.append(await anyio.to_thread.run_sync(count_range, file, start, end))

    with open_file(located(directory, facts.path), facts) as file:
        async with anyio.create_task_group() as group:
            for start in range(0, facts.size, quarter):
                group.start_soon(count, start)
    return sum(counts)


def summarize(
    order: Order, before: Report | None, read: list[Facts | NotRead], not_read: list[NotRead]
) -> Report:
    """Reduce: one report out of what is known of every file."""
    facts = [file for file in read if isinstance(file, Facts)]
    copies: dict[str, list[Facts]] = defaultdict(list)
    for file in facts:
        copies[file.sha256].append(file)
    largest = sorted(facts, key=lambda file: (-file.size, file.path))[:LARGEST]
    duplicates = [
        Duplicates(same[0].size, [file.path for file in same])
        for same in copies.values()
        if len(same) > 1 and same[0].size
    ]
    return Report(
        directory=order.directory,
        files=len(facts),
        size=sum(file.size for file in facts),
        lines=sum(file.lines or 0 for file in facts),
        not_counted=sum(file.lines is None for file in facts),
        largest=[ListedFile(file.path, file.size) for file in largest],
        duplicates=sorted(duplicates, key=lambda same: -same.size * (len(same.paths) - 1)),
        not_read=sorted(
            [*not_read, *(file for file in read if isinstance(file, NotRead))],
            key=lambda file: file.path,
        ),
        files_before=before.files if before else None,
        size_before=before.size if before else None,
    )


# The progress. It is no part of what is durable: a replay puts it back to where it was.


class Display:
    """A progress bar on stderr for every directory that is worked on."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._bars: dict[str, TaskID] = {}
        self.executed = False

    def listed(self, directory: str, files: int) -> None:
        """So many files are to be read."""
        if directory not in self._bars:
            self._bars[directory] = self.bars.add_task(directory, total=files)
        self.bars.reset(self._bars[directory], total=files)

    def file_done(self, directory: str) -> None:
        """One of them is done, now or in an earlier life."""
        self.bars.advance(self._bars[directory])

    @asynccontextmanager
    async def executing(self, _run: RunInfo) -> AsyncGenerator[None]:
        """Surrounds every step that is executed, and none that is replayed."""
        if self._bars and not self.executed:
            done = sum(int(bar.completed) for bar in self.bars.tasks)
            total = sum(int(bar.total or 0) for bar in self.bars.tasks)
            self.say(f"going on where it was: {done} of {total} files done")
        self.executed = True
        yield

    def say(self, text: str) -> None:
        """A line on stderr, above the bar."""
        self.console.print(text)


display = Display()


# The handler: which steps, in which order, how many at once.

ONCE = RetryPolicy(max_attempts=1)
TWICE = RetryPolicy(max_attempts=2)

directories = VirtualObject(
    "Directories",
    run_contexts=[display.executing],
    # Somebody waits at a terminal: fail, rather than try again for hours.
    retry_policy=InvocationRetryPolicy(max_attempts=3, on_max_attempts="kill"),
    on_journal_mismatch="fail",
)
services = [directories]


@directories.handler
async def build(ctx: ObjectContext, order: Order) -> Report:
    """Make the report on the directory, and keep it as the state of this object."""
    before = await ctx.get("report", Report)
    listing = await ctx.run(list_files, order)
    display.listed(ctx.key, len(listing.files))

    async def file(listed: ListedFile) -> Facts | NotRead:
        try:
            return await facts_of(ctx, order, listed)
        except TerminalError as error:
            return NotRead(listed.path, str(error))
        finally:
            display.file_done(ctx.key)

    read = await amap(file, listing.files, limit=order.limit)
    report = await ctx.run(summarize, order, before, read, listing.not_read)
    ctx.set("report", report, type=Report)
    return report


async def facts_of(ctx: ObjectContext, order: Order, listed: ListedFile) -> Facts:
    """What there is to know of one file. The lines of a big one are counted by a race."""
    big = listed.size >= order.big
    name = f"read {listed.path}"
    facts = await ctx.run(read_file, order.directory, listed, not big, name=name, retry=TWICE)
    return attrs.evolve(facts, lines=await lines_of(ctx, order, facts)) if big else facts


async def lines_of(ctx: ObjectContext, order: Order, facts: Facts) -> int | None:
    """Two strategies race against each other and the clock. The loser is aborted."""
    with move_on_after(order.patience):
        return await first_success(
            ctx.run(count_in_chunks, order.directory, facts, retry=ONCE),
            ctx.run(count_in_parts, order.directory, facts, retry=ONCE),
        )
    return None


# The program.


async def show_report(order: Order, journal: Path) -> None:
    """Ask for the report, or go on with one that was not finished, and print it."""
    async with LocalRuntime(services, FileJournal(journal), shutdown_grace=1) as runtime:
        # Under this key an unfinished report is found again. Purging it says it was shown.
        receipt = await runtime.send(
            build, order, key=order.directory, idempotency_key=f"report on {order.directory}"
        )
        try:
            with display.bars:
                report: Report = await runtime.attach(receipt.invocation_id, Report)
            if receipt.previously_accepted and not display.executed:
                display.say("it was finished, but not shown; start again for a fresh report")
            # A terminal that cannot show a name gets an escape instead.
            text = as_text(report).encode(sys.stdout.encoding, "backslashreplace")
            print(text.decode(sys.stdout.encoding), flush=True)
        except TerminalError:
            await runtime.purge(receipt.invocation_id)
            raise

        await runtime.purge(receipt.invocation_id)


def as_text(report: Report) -> str:
    """The report as a table."""

    def change(now: int, before: int | None) -> str:
        return f"   {now - before:+,} since the last report" if before not in (None, now) else ""

    missing = f"   without {report.not_counted} files, for lack of time"
    saved = sum(same.size * (len(same.paths) - 1) for same in report.duplicates)
    reasons: dict[str, list[str]] = defaultdict(list)
    for file in report.not_read:
        reasons[file.reason].append(file.path)
    table = {
        report.directory: [
            f"files {report.files:>16,}{change(report.files, report.files_before)}",
            f"bytes {report.size:>16,}{change(report.size, report.size_before)}",
            f"lines {report.lines:>16,}{missing if report.not_counted else ''}",
        ],
        "largest": [f"{file.size:>22,}   {file.path}" for file in report.largest],
        f"duplicates, {saved:,} bytes": [
            f"{same.size:>22,}   {first(same.paths)}" for same in report.duplicates
        ],
        "not read": [f"{reason}: {first(paths)}" for reason, paths in sorted(reasons.items())],
    }
    return "\n".join(
        line
        for title, rows in table.items()
        if rows
        for line in (title, *(f"  {row}" for row in rows))
    )


def first(paths: Sequence[str]) -> str:
    """The first few of many paths."""
    rest = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="A report on all files of a directory. Killed anywhere and started again, "
        "it goes on where it was."
    )
    parser.add_argument("directory", type=Path, metavar="DIRECTORY")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="where it keeps its progress")
    parser.add_argument("--backend", choices=["trio", "asyncio"], default="trio")
    parser.add_argument("--limit", type=int, default=8, help="how many files at a time")
    parser.add_argument("--big", type=int, default=8 << 20, help="from how many bytes on to race")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds that a race may take")
    parsed = parser.parse_args(arguments)
    if parsed.limit < 1 or not parsed.patience >= 0:
        parser.error("--limit has to be 1 or more and --patience 0 or more")
    return parsed


def default_journal(directory: Path) -> Path:
    """A file of its own for every directory, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "durable_trio"
    cache.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return cache / f"directory_report-{name}.journal"


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse(arguments)
    try:
        directory = parsed.directory.resolve(strict=True)
        if not directory.is_dir():
            raise NotADirectoryError(f"{spell(directory)} is no directory")

        journal = (parsed.journal or default_journal(directory)).resolve()
        order = Order(spell(directory), spell(journal), parsed.limit, parsed.big, parsed.patience)
        anyio.run(show_report, order, journal, backend=parsed.backend)
    except KeyboardInterrupt:
        display.say("interrupted; start it again to go on")
        return 130
    except StoreLockedError as error:
        display.say(f"somebody is at work on it: {error}")
        return 1
    except (StoreError, TerminalError, OSError) as error:
        display.say(f"failed: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
