"""Invocations as a Restate server lists them: rows of ``sys_invocation`` as records.

Owns what each column means for a record, and the questions that choose rows. Asking is
``_reader.py``'s, what is in a journal ``_stored.py``'s.

 1. What the server does not tell is left out: the output of a completed invocation (it is in
    its journal), and the idempotency key, which it makes up where there is none.
 2. What goes into SQL is a literal that cannot end early.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from durable_trio._exceptions import StoreVersionError
from durable_trio.abc import Failure, InvocationRecord, InvocationStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_READY: Final = "ready"
"""To be attempted at once: for a record that is running."""

_FAILURE: Final = re.compile(r"\[(\d{3,5})[^\]]*\] ?(.*)", re.DOTALL)

_UNKNOWN_CODE: Final = 500


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def chosen(
    *,
    service: str | None,
    key: str | None,
    status: frozenset[InvocationStatus] | None,
    before: Mapping[str, Any] | None,
) -> str:
    """The condition for rows that match; ``before`` is the row that all of them are older than."""
    conditions = ["TRUE"]
    if service is not None:
        conditions.append(f"target_service_name = {literal(service)}")
    if key is not None:
        conditions.append(f"target_service_key = {literal(key)}")
    if status is not None:
        conditions.append(f"status IN ({', '.join(map(literal, _names(status)))})")
    if before is not None:
        created, invocation_id = literal(str(before["created_at"])), literal(str(before["id"]))
        conditions.append(
            f"(created_at < {created} OR (created_at = {created} AND id < {invocation_id}))"
        )
    return " AND ".join(conditions)


def record_of(row: Mapping[str, Any]) -> InvocationRecord:
    """The record of a row. ``StoreVersionError`` for a status that is not known here."""
    created = _seconds(row.get("created_at")) or 0.0
    last, ended = row.get("last_failure"), row.get("completion_failure")
    return InvocationRecord(
        id=str(row["id"]),
        service=str(row.get("target_service_name")),
        handler=str(row.get("target_handler_name")),
        status=_status(row),
        created_at=created,
        sequence=int(created * 1000),
        key=row.get("target_service_key"),
        parent=row.get("invoked_by_id"),
        scheduled_for=_seconds(row.get("scheduled_start_at")),
        started_at=_seconds(row.get("running_at")),
        completed_at=_seconds(row.get("completed_at")),
        retry_count=int(row.get("retry_count") or 0),
        next_attempt_at=_seconds(row.get("next_retry_at")),
        last_failure=None if last is None else _failure(str(last)),
        result=None if ended is None else _failure(str(ended)),
    )


def _names(status: Iterable[InvocationStatus]) -> list[str]:
    names = sorted(each.value for each in status)
    return [*names, _READY] if InvocationStatus.RUNNING.value in names else names


def _status(row: Mapping[str, Any]) -> InvocationStatus:
    name = str(row.get("status"))
    try:
        return InvocationStatus.RUNNING if name == _READY else InvocationStatus(name)
    except ValueError as exc:
        known = ", ".join(each.value for each in InvocationStatus)
        raise StoreVersionError(
            f"the server says that {row.get('id')} is {name!r}, expected one of {known}: it is newer "
            "than this durable_trio, upgrade"
        ) from exc


def _failure(text: str) -> Failure:
    """``[500 Internal] message``, and often a traceback below, which is not the message's."""
    match = _FAILURE.fullmatch(text)
    code, message = (_UNKNOWN_CODE, text) if match is None else (int(match[1]), match[2])
    return Failure(code, message.partition("\nTraceback (most recent call last):")[0])


def _seconds(text: object) -> float | None:
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
