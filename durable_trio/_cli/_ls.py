"""``ls``: the invocations of a journal file or of a server.

Owns the table and its JSON Lines form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from durable_trio import _json
from durable_trio._records import InvocationRecord, InvocationStatus
from durable_trio._transcript._describe import target_name
from durable_trio._transcript._text import instant, moment, payload, plain, shortened
from durable_trio.abc import Failure

from ._output import page
from ._place import place_options
from ._view import Chosen, view_all

if TYPE_CHECKING:
    from pathlib import Path

_HEADINGS: Final = ("ID", "STATUS", "CREATED", "TARGET", "")
_FAILING: Final = frozenset({InvocationStatus.BACKING_OFF, InvocationStatus.PAUSED})


@click.command()
@place_options
@click.option(
    "--status",
    "statuses",
    type=click.Choice([status.value for status in InvocationStatus]),
    multiple=True,
    help="Only those with this status; may be given several times.",
)
@click.option("--service", metavar="NAME", help="Only those of this service.")
@click.option("--key", metavar="KEY", help="Only those of this object or workflow key.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("--before", metavar="ID", help="Only older ones than this: the next page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def ls(
    journal_file: Path | None,
    admin: str | None,
    statuses: tuple[str, ...],
    service: str | None,
    key: str | None,
    limit: int,
    before: str | None,
    *,
    as_json: bool,
) -> None:
    """List invocations, the newest first.

    Also while they run: reading disturbs nobody.
    """
    wanted = frozenset(InvocationStatus(each) for each in statuses) or None
    # One more tells whether there are more.
    chosen = Chosen(service, key, wanted, before, limit + 1)
    records = view_all(chosen, journal_file, admin)
    if as_json:
        page(_json.write(_fields(record)).decode() for record in records[:limit])
        return

    rows = [_row(record) for record in records[:limit]]
    widths = [max(len(row[i]) for row in [_HEADINGS, *rows]) for i in range(len(_HEADINGS) - 1)]
    page(_line(row, widths) for row in ([_HEADINGS, *rows] if rows else []))
    if not rows:
        click.echo("no invocations", err=True)
    elif len(records) > limit:
        last = records[limit - 1].id
        click.echo(
            f"... and older ones: --limit shows more than {limit}, --before {last} the next",
            err=True,
        )


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
    return "  ".join([*cells, row[-1]]).rstrip()


def _row(record: InvocationRecord) -> tuple[str, str, str, str, str]:
    return (
        record.id,
        record.status.value,
        moment(record.created_at),
        target_name(record.service, record.key, record.handler),
        _remark(record),
    )


def _remark(record: InvocationRecord) -> str:
    """What is worth saying of an invocation on its line."""
    result, failure = record.result, record.last_failure
    if isinstance(result, Failure):
        return f"! {result.code} {shortened(result.message)}"

    if result is not None:
        return f"= {payload(result.content)}"

    where = standing(record) or "cancelled" * record.cancelled
    if failure is None or record.status not in _FAILING:
        return where

    return f"{where}: {failure.code} {shortened(failure.message)}"


def standing(record: InvocationRecord) -> str:
    """Where an invocation stands, beyond its status; often there is nothing to say."""
    if record.status is InvocationStatus.SCHEDULED and record.scheduled_for is not None:
        return f"starts {instant(record.scheduled_for)}"

    if record.status not in _FAILING:
        return ""

    count = record.retry_count
    tries = "1 failed attempt" if count == 1 else f"{count} failed attempts"
    next_at = record.next_attempt_at
    return tries if next_at is None else f"{tries}, next {instant(next_at)}"


def _fields(record: InvocationRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": record.id,
        "status": record.status.value,
        "service": record.service,
        "handler": record.handler,
        "key": record.key,
        "created_at": record.created_at,
        "scheduled_for": record.scheduled_for,
        "started_at": record.started_at,
        "completed_at": record.completed_at,
        "idempotency_key": record.idempotency_key,
        "parent": record.parent,
        "retry_count": record.retry_count or None,
        "next_attempt_at": record.next_attempt_at,
        "cancelled": record.cancelled or None,
        "expires_at": record.expires_at,
    }
    if record.last_failure is not None:
        fields["last_failure"] = _failure(record.last_failure)
    if isinstance(record.result, Failure):
        fields["failure"] = _failure(record.result)
    elif record.result is not None:
        try:
            fields["value"] = record.result.content.decode()
        except UnicodeDecodeError:
            fields["value_hex"] = record.result.content.hex()
    return {name: value for name, value in fields.items() if value is not None}


def _failure(failure: Failure) -> dict[str, object]:
    return {"code": failure.code, "message": plain(failure.message)}
