"""The explaining codecs' way through items and fields: all errors, each with its place.

Owns the loops that go on after an error and note where each was, in the notes and groups of
cattrs, as its generated code for classes does. ``_paths`` reads them.

 1. Every error of every item or field is reported, not only the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ._paths import Step


def convert_items(
    convert: Callable[[Any], Any], items: Iterable[tuple[Step, Any]], annotation: Any
) -> list[Any]:
    """Convert each item. Raises cattrs' ``IterableValidationError`` that has the places."""
    from cattrs.errors import IterableValidationError, IterableValidationNote

    converted: list[Any] = []
    errors: list[Exception] = []
    for step, item in items:
        try:
            converted.append(convert(item))
        except Exception as exc:
            exc.add_note(IterableValidationNote(f"item {step!r}", step, annotation))
            errors.append(exc)
    if errors:
        raise IterableValidationError("items that do not fit", errors, annotation)  # pyright: ignore[reportCallIssue]

    return converted


def convert_fields(
    converters: Mapping[str, Callable[[Any], Any]], get: Callable[[str], Any], annotation: Any
) -> dict[str, Any]:
    """Convert what ``get`` finds for each key. Raises cattrs' ``ClassValidationError``."""
    from cattrs.errors import AttributeValidationNote, ClassValidationError

    converted: dict[str, Any] = {}
    errors: list[Exception] = []
    for key, convert in converters.items():
        try:
            converted[key] = convert(get(key))
        except Exception as exc:
            exc.add_note(AttributeValidationNote(f"field {key!r}", key, annotation))
            errors.append(exc)
    if errors:
        raise ClassValidationError("fields that do not fit", errors, annotation)  # pyright: ignore[reportCallIssue]

    return converted
