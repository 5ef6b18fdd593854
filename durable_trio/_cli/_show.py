"""``show``: one invocation, its journal as a tree, and what it waits for.

Owns the page. What is in the tree is ``_tree``'s, how entries are written ``_describe``'s.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import attrs
import click

from durable_trio._records import InvocationStatus
from durable_trio._transcript._describe import Words, target_name
from durable_trio._transcript._text import duration, instant, lines, payload, plain
from durable_trio._transcript._tree import Branch, Fate, Step, build_tree, is_deadline
from durable_trio.abc import Failure

from . import _output as output
from ._ls import standing
from ._output import standard_output
from ._place import place_options
from ._view import view

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

    from durable_trio._records import InvocationRecord
    from durable_trio.abc import Entry

_OUTSIDE: Final = "an awakeable or a signal: they are in the journal only when they come"

_COLOURS: Final = {
    Fate.PENDING: "yellow",
    Fate.CANCELLED: "bright_black",
    Fate.DROPPED: "bright_black",
}


@attrs.frozen
class Glyphs:
    """What the tree is drawn with."""

    branch: str
    last: str
    line: str


_DRAWN: Final = Glyphs("├─ ", "└─ ", "│  ")
_TYPED: Final = Glyphs("|- ", "`- ", "|  ")


@click.command()
@click.argument("invocation_id", metavar="ID")
@place_options
@click.option("--full", is_flag=True, help="Do not shorten payloads and messages.")
def show(invocation_id: str, journal_file: Path | None, admin: str | None, *, full: bool) -> None:
    """Show an invocation and its journal as a tree.

    A branch is a durable task. Also while it runs: reading disturbs nobody.

    With --journal the beginning of an ID is enough, if no other begins like it.
    """
    found = view(invocation_id, journal_file, admin)
    with standard_output() as stream:
        glyphs = _glyphs(stream)
    output.page(
        page(found.record, found.entries, found.timers, found.holder, glyphs=glyphs, full=full)
    )


def page(
    record: InvocationRecord,
    entries: Sequence[Entry],
    timers: frozenset[int] | None,
    holder: str | None,
    *,
    glyphs: Glyphs,
    full: bool = False,
) -> Iterator[str]:
    """All lines, coloured."""
    words = Words(record.id, record.started_at, full)
    yield click.style(plain(record.id), bold=True)
    yield from _header(record, words)
    yield ""
    if not entries:
        yield "journal: none any more, it has expired"
        return

    ended = record.status is InvocationStatus.COMPLETED
    tree = build_tree(entries, record.status, timers)
    yield f"journal: {len(entries)} {'entries' if len(entries) > 1 else 'entry'}"
    yield from _lines(tree, words, glyphs, "")
    if not ended:
        yield ""
        yield "waits for"
        for line in _waits(record, tree, words, holder):
            yield f"  {line}"


def _header(record: InvocationRecord, words: Words) -> Iterator[str]:
    fields: list[tuple[str, str | None]] = [
        ("target", target_name(record.service, record.key, record.handler)),
        ("status", _status(record)),
        ("created", instant(record.created_at)),
        ("starts", _instant(record.scheduled_for)),
        ("started", _instant(record.started_at)),
        ("ended", _ended(record)),
        ("idempotency key", record.idempotency_key),
        ("called by", record.parent),
        ("kept until", _instant(record.expires_at)),
    ]
    result, failure = record.result, record.last_failure
    if isinstance(result, Failure):
        fields.append(("failure", f"{result.code} {result.message}"))
        fields += [(f"  {name}", value) for name, value in result.metadata]
    elif result is not None:
        fields.append(("result", payload(result.content, full=words.full)))
    elif failure is not None:
        fields.append(("last failure", f"{failure.code} {failure.message}"))
    for name, value in fields:
        if value is not None:
            yield f"  {name:16} {lines(value, indent=19)}"


def _status(record: InvocationRecord) -> str:
    text = ", ".join(part for part in [standing(record), "cancelled" * record.cancelled] if part)
    return f"{record.status.value} ({text})" if text else record.status.value


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else instant(seconds)


def _ended(record: InvocationRecord) -> str | None:
    if record.completed_at is None:
        return None

    began = record.started_at if record.started_at is not None else record.created_at
    return f"{instant(record.completed_at)} (after {duration(record.completed_at - began)})"


def _lines(branch: Branch, words: Words, glyphs: Glyphs, indent: str) -> Iterator[str]:
    # An explicit stack: branches may be nested more deeply than calls can be.
    stack = [(item, indent, item is branch.items[-1]) for item in reversed(branch.items)]
    while stack:
        item, margin, last = stack.pop()
        here = f"{margin}{glyphs.last if last else glyphs.branch}"
        if isinstance(item, Step):
            yield f"{here}{_step_line(item, words)}"
            continue

        mark = click.style("  cancelled", fg="red") if item.cancelled else ""
        yield f"{here}{click.style(plain(item.name), bold=True)}{mark}"
        below = f"{margin}{'   ' if last else glyphs.line}"
        stack += [(each, below, each is item.items[-1]) for each in reversed(item.items)]


def _step_line(step: Step, words: Words) -> str:
    text = words.step(step)
    came = f"  (#{step.result_order})" if step.result_order is not None else ""
    colour = "red" if isinstance(step.result, Failure) else _COLOURS.get(step.fate)
    return f"#{step.order} {click.style(text, fg=colour) if colour else text}{came}"


def _waits(
    record: InvocationRecord, tree: Branch, words: Words, holder: str | None
) -> Iterator[str]:
    match record.status:
        case InvocationStatus.SCHEDULED:
            yield "its time to start"
            return
        case InvocationStatus.PENDING:
            yield f"its turn: {holder or 'another invocation'} holds the key"
            return
        case InvocationStatus.BACKING_OFF:
            yield "its next attempt"
            return
        case InvocationStatus.PAUSED:
            mended = "mended code, at the next start, or " if record.waits_for_code else ""
            yield f"{mended}an operator: durable-trio resume {record.id}"
            return
        case _:
            pass
    pending = [(branch, step) for branch, step in tree.steps() if step.fate is Fate.PENDING]
    for branch, step in pending:
        where = f"{plain(branch.path)}: " if branch.path else ""
        yield f"{where}#{step.order} {words.action(step)}"
    if record.status is InvocationStatus.SUSPENDED:
        # Nobody waits for a deadline alone.
        if all(is_deadline(step) for _, step in pending):
            yield _OUTSIDE
    elif not pending:
        yield "nothing: its code runs"


def _glyphs(stream: TextIO) -> Glyphs:
    try:
        _DRAWN.branch.encode(stream.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return _TYPED

    return _TYPED if os.environ.get("TERM") == "dumb" else _DRAWN
