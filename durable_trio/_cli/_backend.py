"""The option that chooses the event loop, of every command that runs handlers."""

from __future__ import annotations

from typing import Final

import click

backend_option: Final = click.option(
    "--backend",
    type=click.Choice(["trio", "asyncio"]),
    default="trio",
    show_default=True,
    help="The event loop that handlers run on.",
)
