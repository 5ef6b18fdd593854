"""``run``: serve handlers over a journal until stopped.

Owns the order of starting and stopping, and what is told about it.

 1. Signals are taken before the journal is opened, so that none is lost.
 2. Stopping: no more requests, run bodies may finish within the grace period, everything
    else suspends, whoever waits is told, the journal is closed.
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import click

from durable_trio._services import ServiceKind
from durable_trio._transcript._text import plain
from durable_trio.local import LocalRuntime
from durable_trio.local.http import HttpIngress

from ._backend import backend_option
from ._exits import complain
from ._files import journal_option, open_store
from ._load import load_services
from ._output import announce
from ._progress import progress
from ._stop import StopSignals, leave_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from durable_trio._services import ServiceDefinition

_KINDS: Final = {
    ServiceKind.SERVICE: "service",
    ServiceKind.VIRTUAL_OBJECT: "object",
    ServiceKind.WORKFLOW: "workflow",
}

_SECONDS: Final = click.FloatRange(min=0, max=86_400)


@attrs.frozen
class Plan:
    """What is to be served, and how."""

    services: list[ServiceDefinition]
    journal: Path
    host: str
    port: int
    allowed_hosts: tuple[str, ...]
    backend: str
    grace: float
    unload_after: float
    synchronous: str


@click.command()
@click.argument("services", metavar="MODULE:SERVICES")
@journal_option
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8080,
    show_default=True,
    help="Where the HTTP ingress listens; 0: any free port.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address it listens on. Anything but this machine's own is open to the network.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="A host name, beside localhost, that requests and web pages may come from.",
)
@backend_option
@click.option(
    "--grace",
    type=_SECONDS,
    default=10.0,
    show_default=True,
    help="Seconds that running steps get to finish when stopped.",
)
@click.option(
    "--unload-after",
    type=_SECONDS,
    default=1.0,
    show_default=True,
    help="Seconds after which a waiting invocation leaves memory.",
)
@click.option(
    "--synchronous",
    type=click.Choice(["full", "normal", "off"]),
    default="full",
    show_default=True,
    help="What a commit waits for: the disk, or only the operating system.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged, on stderr.",
)
def run(services: str, log_level: str, backend: str, **options: object) -> None:
    """Serve handlers over a journal file until stopped.

    MODULE is the name of a module or the path of a .py file, SERVICES a service in it or a
    list of services. Requests come in over HTTP, with Restate's paths. SIGTERM or Ctrl-C
    stops gracefully, a second one at once; everything goes on at the next start.
    """
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    plan = Plan(load_services(services), backend=backend, **options)  # type: ignore[arg-type]
    anyio.run(partial(_serve, plan), backend=backend)
    leave_threads()


async def _serve(plan: Plan) -> None:
    store = open_store(plan.journal, synchronous=plan.synchronous)
    runtime = LocalRuntime(
        plan.services, store, unload_after=plan.unload_after, shutdown_grace=plan.grace
    )
    ingress = HttpIngress(runtime, host=plan.host, port=plan.port, allowed_hosts=plan.allowed_hosts)
    notice = f"stopping, within {plan.grace:g} s (again: at once)"
    with StopSignals(notice) as stop, ExitStack() as opening:
        opening.enter_context(progress(f"opening {plan.journal}"))
        async with runtime, ingress:
            opening.close()
            _announce(plan, ingress)
            await stop.received.wait()
            await ingress.close_listeners()
            await runtime.drain()


def _announce(plan: Plan, ingress: HttpIngress) -> None:
    if not ingress.is_local:
        complain(
            f"warning: {plan.host} is open to the network, and there is no authentication: "
            "whoever reaches it can call every handler"
        )
    where = f"Listening on {ingress.url}, journal {plan.journal}, {plan.backend}"
    announce([where, *contents(plan.services)])


def contents(services: Sequence[ServiceDefinition]) -> Iterator[str]:
    """Services with their kinds and handlers, a line each."""
    width = max(len(service.name) for service in services)
    for service in services:
        handlers = ", ".join(service.handlers)
        yield f"  {plain(service.name):{width}}  {_KINDS[service.kind]}: {handlers}"
