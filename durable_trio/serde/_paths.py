"""Where in a value an error is, and how an error message says it.

Owns ``Mismatch``, the one error that codecs raise, and the words in which it is reported.
It does not raise ``SerializationError``: that is the edge's business, in ``_json``.

 1. A codec raises ``Mismatch`` without knowing where it is. The explaining codecs add the
    place on the way out, as the notes and groups of cattrs do.
 2. A path is written as in JSONPath: ``$.items[3].price``.
 3. What was found is shown short, and is never converted: a message cannot fail.
"""

from __future__ import annotations

import json
import reprlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Step: TypeAlias = str | int
"""A key of an object or an index of an array."""

UNKNOWN_STEP: Final = "..."
"""A key or an index that is not known."""

_SHOWN_ERRORS: Final = 3
_SHOWN_STEPS: Final = 20
_SHOWN_KEYS: Final = 5
_SHOWN_CHARACTERS: Final = 60

_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _SHOWN_CHARACTERS


class Mismatch(ValueError):
    """A value does not fit. ``trail`` leads to it from the codec that raised this."""

    def __init__(
        self, expected: str, found: object, *, remedy: str = "", trail: tuple[Step, ...] = ()
    ) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.trail = trail


class Missing(Mismatch):
    """A required field is not there. The last step of ``trail`` is its key."""

    def __init__(self, trail: tuple[Step, ...]) -> None:
        super().__init__("a field", None, trail=trail)


class Rejected(Mismatch):
    """Another library's verdict, in its words. It may not say what it found."""

    def __init__(self, verdict: str, *found: object, trail: tuple[Step, ...] = ()) -> None:
        super().__init__(verdict, found[0] if found else None, trail=trail)
        self.shows_found = bool(found)


def path_text(path: tuple[Step, ...]) -> str:
    """``("items", 3, "unit price")`` is ``$.items[3]["unit price"]``. A long one is cut in the middle."""
    if len(path) > _SHOWN_STEPS:
        path = (*path[: _SHOWN_STEPS // 2], UNKNOWN_STEP, *path[-_SHOWN_STEPS // 2 :])
    parts = ["$"]
    for step in path:
        if isinstance(step, int) or step == UNKNOWN_STEP:
            parts.append(f"[{step}]")
        elif step.isidentifier():
            parts.append(f".{step}")
        else:
            parts.append(f"[{json.dumps(step)}]")
    return "".join(parts)


def json_found(value: object) -> str:
    """A decoded JSON value, as an error message shows it."""
    if isinstance(value, list):
        return f"an array of {len(value)}"  # pyright: ignore[reportUnknownArgumentType]

    if isinstance(value, dict):
        keys = [json.dumps(key) for key in value]  # pyright: ignore[reportUnknownVariableType]
        more = ", ..." if len(keys) > _SHOWN_KEYS else ""
        listed = ", ".join(_cut(key) for key in keys[:_SHOWN_KEYS])
        return f"an object with the keys {listed}{more}" if keys else "an empty object"

    if isinstance(value, int) and abs(value) >= 10**_SHOWN_CHARACTERS:
        return "a number of very many digits"

    return _cut(json.dumps(value, ensure_ascii=False))


def python_found(value: object) -> str:
    """A Python value, as an error message shows it: its type, and a short repr."""
    try:
        shown = _SHORT.repr(value)
    except Exception:
        shown = "not printable"
    name = type(value).__qualname__
    return shown if shown.startswith((name, "<")) or value is None else f"{name} {shown}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def describe_errors(error: BaseException, found: Callable[[object], str]) -> str:
    """What is wrong, with the place of each error: the first few, and how many more there are."""
    texts = [_sentence(leaf, path, found) for leaf, path in _leaves(error, ())]
    more = len(texts) - _SHOWN_ERRORS
    shown = "; ".join(texts[:_SHOWN_ERRORS])
    return f"{shown}; and {more} more" if more > 0 else shown


def _sentence(error: BaseException, path: tuple[Step, ...], found: Callable[[object], str]) -> str:
    if isinstance(error, Missing) or (isinstance(error, KeyError) and error.args == path[-1:]):
        return f"missing field {path_text(path)}"

    if isinstance(error, Rejected):
        shown = f", found {found(error.found)}" if error.shows_found else ""
        return f"{error.expected} at {path_text(path)}{shown}"

    if isinstance(error, Mismatch):
        remedy = f": {error.remedy}" if error.remedy else ""
        return f"expected {error.expected} at {path_text(path)}, found {found(error.found)}{remedy}"

    return f"rejected at {path_text(path)} with {type(error).__name__}: {error}"


def _leaves(
    error: BaseException, path: tuple[Step, ...]
) -> Iterator[tuple[BaseException, tuple[Step, ...]]]:
    if isinstance(error, Mismatch):
        yield error, path + error.trail
        return

    from cattrs.errors import ClassValidationError, IterableValidationError

    if isinstance(error, ClassValidationError):
        fields, others = error.group_exceptions()
        noted: list[tuple[Any, Step]] = [(inner, note.name) for inner, note in fields]
    elif isinstance(error, IterableValidationError):
        items, others = error.group_exceptions()
        noted = [(inner, note.index) for inner, note in items]
    else:
        yield error, path
        return

    for inner, step in noted:
        yield from _leaves(inner, (*path, step))
    for inner in others:
        yield from _leaves(inner, path)
