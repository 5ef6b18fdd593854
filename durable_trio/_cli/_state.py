"""``state``: what an object or a workflow remembers under one key.

Owns the table and its JSON Lines form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from durable_trio import _json
from durable_trio._transcript._text import payload, plain

from ._exits import USAGE, Exit
from ._output import page
from ._place import place_options
from ._view import view_state

if TYPE_CHECKING:
    from pathlib import Path

    from durable_trio.abc import StateEntry


@click.command()
@click.argument("target", metavar="SERVICE/KEY")
@place_options
@click.option("--full", is_flag=True, help="Do not shorten values.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def state(
    target: str, journal_file: Path | None, admin: str | None, *, full: bool, as_json: bool
) -> None:
    """Show the state of an object or workflow key.

    Also while it is served: reading disturbs nobody. What a handler that runs has set is seen
    once it is written.
    """
    service, separator, key = target.partition("/")
    if not (service and separator and key):
        raise Exit(f"expected SERVICE/KEY, for example Counter/ada, got {plain(target)!r}", USAGE)

    entries = view_state(service, key, journal_file, admin)
    if as_json:
        page(_json.write(_fields(entry)).decode() for entry in entries)
        return

    width = max((len(plain(entry.name)) for entry in entries), default=0)
    page(f"{plain(entry.name):{width}}  {payload(entry.content, full=full)}" for entry in entries)
    if not entries:
        click.echo(
            f"{plain(target)} has no state: it never had any, it was cleared, or a name is "
            "another one (`durable-trio ls` shows services and keys)",
            err=True,
        )


def _fields(entry: StateEntry) -> dict[str, object]:
    try:
        return {"name": entry.name, "value": entry.content.decode()}
    except UnicodeDecodeError:
        return {"name": entry.name, "value_hex": entry.content.hex()}
