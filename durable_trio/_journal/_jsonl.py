"""The portable form of a journal: JSON Lines, one entry a line.

Owns the lines: the header, the entries, and what is wrong with a line that cannot be
read. How an entry is spelled is in ``_spelling``; where lines are kept is the store's.

 1. Reading is strict. What this version cannot have written is either newer
    (``StoreVersionError``) or damaged (``StoreCorruptError``); it is never skipped.
 2. Every entry has a form and every form leads back to the same entry. Text that is no
    valid Unicode takes a slower way, not another form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs

from durable_trio import _json
from durable_trio._exceptions import StoreCorruptError, StoreVersionError

from ._spelling import (
    ABSENT,
    BY_TAG,
    KINDS,
    SHAPES,
    NewerVocabulary,
    Object,
    is_object,
    put_one,
    shape_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ._entries import Entry, Failure, Value

FORMAT: Final = "durable_trio journal"
VERSION: Final = 1

T = TypeVar("T")

_DAMAGED: Final = "The journal is damaged or was edited by hand: restore it from a copy, or remove the invocation."
_NEWER: Final = "It was written by a newer version of durable_trio: upgrade to read it."


@attrs.frozen
class JournalHeader:
    """The first line of an exported journal: whose it is. All fields are optional.

    ``raw_id`` (of which awakeable ids are made) and ``random_seed`` are given where they do
    not follow from the id, as those of a Restate server do not. With the former alone the
    latter is not known.
    """

    invocation_id: str | None = None
    service: str | None = None
    handler: str | None = None
    key: str | None = None
    idempotency_key: str | None = None
    scope: str | None = None
    limit_key: str | None = None
    raw_id: bytes | None = None
    random_seed: int | None = None


_HEADER: Final = shape_of(JournalHeader, {"format": FORMAT, "version": VERSION})
_OUTCOME: Final = KINDS["Value | Failure"]


def _encode(out: Object) -> bytes:
    try:
        return _json.write(out)
    except UnicodeEncodeError:
        # Lone surrogates: file names that are no text.
        return json.dumps(out, separators=(",", ":")).encode()


def _read_entry(raw: Any) -> Entry:
    if not is_object(raw):
        raise ValueError(f"expected a JSON object, found {raw!r:.60}")
    for family, shapes in BY_TAG.items():
        tag = raw.pop(family, ABSENT)
        if type(tag) is str:
            if tag not in shapes:
                raise NewerVocabulary(f"unknown {family} {tag!r}")
            return cast("Entry", shapes[tag].load(raw))
        if tag is not ABSENT:
            raise ValueError(f"{family!r} must be a string, found {tag!r}")
    raise ValueError("expected 'command' or 'notification', found neither")


def _read_header(raw: Any) -> JournalHeader:
    if not is_object(raw) or raw.get("format") != FORMAT:
        raise ValueError(f'expected a header with "format":"{FORMAT}", found {raw!r:.60}')
    del raw["format"]
    version = raw.pop("version", None)
    if type(version) is not int or version < 1:
        raise ValueError(f"'version' must be a positive integer, found {version!r}")
    if version > VERSION:
        raise NewerVocabulary(f"format version {version}, expected {VERSION} at most")
    return _HEADER.load(raw)


def _read_outcome(raw: Any) -> Value | Failure:
    if not is_object(raw):
        raise ValueError(f"expected a JSON object, found {raw!r:.60}")
    outcome = _OUTCOME.take(raw, "")
    if raw:
        raise NewerVocabulary(f"unknown field {next(iter(raw))!r}")
    if outcome is ABSENT:
        raise ValueError("expected 'value' or 'failure', found neither")
    return cast("Value | Failure", outcome)


def _decode(read: Callable[[Any], T], line: bytes | str, where: str) -> T:
    try:
        return read(_json.read(line))
    except ValueError:
        # Perhaps only something that it refuses and ``_encode`` wrote another way.
        pass
    try:
        return read(json.loads(line))
    except NewerVocabulary as exc:
        raise StoreVersionError(f"{where}: {exc}. {_NEWER}") from exc
    except (ValueError, RecursionError) as exc:
        raise StoreCorruptError(f"{where}: {exc}. {_DAMAGED}") from exc


def _lines(data: bytes | str) -> Sequence[bytes | str]:
    if isinstance(data, bytes):
        return data.split(b"\n")
    return data.split("\n")


def dump_entry(entry: Entry) -> bytes:
    """One entry as one line of JSON, without the line end."""
    return _encode(SHAPES[type(entry)].dump(entry))


def load_entry(line: bytes | str, number: int | None = None) -> Entry:
    """The entry that ``dump_entry`` wrote as ``line``.

    ``number`` is the line's position in its journal, for the error message. Raises
    ``StoreVersionError`` for an entry or a field that this version does not know, and
    ``StoreCorruptError`` for anything else that it cannot have written.
    """
    return _decode(_read_entry, line, "journal entry" if number is None else f"line {number}")


def dump_outcome(outcome: Value | Failure) -> bytes:
    """A result or a failure as JSON, spelled as within an entry."""
    out: Object = {}
    put_one(out, "", outcome)
    return _encode(out)


def load_outcome(line: bytes | str) -> Value | Failure:
    """What ``dump_outcome`` wrote. Raises ``StoreVersionError`` or ``StoreCorruptError``."""
    return _decode(_read_outcome, line, "stored result")


def dump_journal(entries: Iterable[Entry], header: JournalHeader | None = None) -> bytes:
    """A whole journal: the header line, then one line an entry, each with a line end."""
    lines = [_encode(_HEADER.dump(header or JournalHeader()))]
    lines.extend(map(dump_entry, entries))
    lines.append(b"")
    return b"\n".join(lines)


def load_journal(data: bytes | str) -> tuple[JournalHeader, tuple[Entry, ...]]:
    """The header and the entries of what ``dump_journal`` wrote; empty lines are ignored.

    Raises ``StoreVersionError`` for a newer format and ``StoreCorruptError`` for text
    that is no journal or is cut off; both name the line.
    """
    lines = _lines(data)
    header = _decode(_read_header, lines[0], "line 1")
    entries = tuple(
        load_entry(line, number)
        for number, line in enumerate(lines[1:], start=2)
        if line and not line.isspace()
    )
    return header, entries
