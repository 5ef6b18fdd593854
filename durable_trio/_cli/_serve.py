"""``serve``: handlers as an endpoint that a Restate server calls.

Owns the options, the order of starting and stopping, and what is told about it.

 1. What can be wrong is found before anything is served: services, keys, certificates, the
    port.
 2. Stopping: no more connections; attempts that wait suspend, those at work may end within
    the grace period. The server makes new attempts elsewhere, or here at the next start.
 3. With workers this process serves nothing itself.
"""

from __future__ import annotations

import ipaddress
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import attrs
import click

from durable_trio.client._transport import checked_url

from ._backend import backend_option
from ._exits import USAGE, Exit, complain
from ._files import make_endpoint
from ._load import load_services
from ._logs import configure_logs
from ._output import announce
from ._registration import register
from ._run import contents
from ._stop import StopSignals, leave_threads
from ._workers import Supervisor, Worker

if TYPE_CHECKING:
    import socket

    from durable_trio._services import ServiceDefinition

    from ._files import EndpointServer

_log = logging.getLogger("durable_trio.serve")

_WORKER_STREAMS: Final = 100
"""Requests at once on one connection if there are several workers: beyond it the server
opens another connection, and that is how work is spread over them."""


@attrs.frozen
class Plan:
    """What is to be served, and how."""

    services: list[ServiceDefinition]
    host: str
    port: int
    backend: str
    workers: int
    grace: float
    admin: str | None
    uri: str | None
    force: bool
    identity_keys: tuple[str, ...]
    certificate: str | None
    key: str | None
    max_streams: int | None


@click.command()
@click.pass_context
@click.argument("services", metavar="MODULE:SERVICES")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9080,
    show_default=True,
    help="Where it listens; 0: any free port.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address it listens on.")
@backend_option
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Processes that share the port.",
)
@click.option(
    "--register",
    "admin",
    metavar="URL",
    help="Register with the Restate server of this admin port.",
)
@click.option(
    "--uri",
    metavar="URL",
    help="With --register: where the server reaches this endpoint, if not where it listens.",
)
@click.option("--force", is_flag=True, help="With --register: replace a deployment of that URL.")
@click.option(
    "--identity-key",
    "identity_keys",
    metavar="KEY",
    multiple=True,
    envvar="DURABLE_TRIO_IDENTITY_KEY",
    help="Answer only a server that signs with the key of this name (publickeyv1_...).",
)
@click.option(
    "--tls-cert", "certificate", metavar="FILE", help="Serve over TLS: a PEM certificate."
)
@click.option("--tls-key", "key", metavar="FILE", help="Its private key, if in another file.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=86_400),
    default=10.0,
    show_default=True,
    help="Seconds that attempts at work get to end when stopped.",
)
@click.option(
    "--max-streams",
    type=click.IntRange(1, 1_000_000),
    help="Requests at once on one connection.  [default: 10000, with workers 100]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is logged, on stderr.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How: lines for people, or one JSON object a line.",
)
def serve(
    context: click.Context, /, services: str, log_level: str, log_format: str, **options: object
) -> None:
    """Serve handlers to a Restate server until stopped.

    MODULE is the name of a module or the path of a .py file, SERVICES a service in it or a
    list of services. HTTP/2 and HTTP/1.1 are spoken on one port. SIGTERM or Ctrl-C stops
    gracefully, a second one at once; everything goes on at the next start.
    """
    configure_logs(log_level, log_format)
    plan = Plan(load_services(services), **options)  # type: ignore[arg-type]
    _check(plan)
    endpoint = make_endpoint(
        plan.services,
        identity_keys=plan.identity_keys,
        certificate=plan.certificate,
        key=plan.key,
        max_streams=plan.max_streams or (_WORKER_STREAMS if plan.workers > 1 else None),
    )
    worker = Worker.current()
    if worker is None:
        main = partial(_serve, plan, endpoint)
    else:
        main = partial(_work, plan, endpoint, worker)
    failed = anyio.run(main, backend=plan.backend)
    if failed is not None:
        complain(str(failed))
    code = 0 if failed is None else failed.code
    leave_threads(code)
    context.exit(code)


def _check(plan: Plan) -> None:
    """``Exit`` for options that say nothing without another one, which was not given."""
    for option, given, other, there in (
        ("--uri", plan.uri is not None, "--register URL", plan.admin is not None),
        ("--force", plan.force, "--register URL", plan.admin is not None),
        ("--tls-key", plan.key is not None, "--tls-cert FILE", plan.certificate is not None),
    ):
        if given and not there:
            raise Exit(f"{option} goes with {other}, found it alone", USAGE)

    if plan.admin is not None:
        checked_url(plan.admin)


async def _serve(plan: Plan, endpoint: EndpointServer) -> Exit | None:
    sockets = endpoint.listen(plan.host, plan.port)
    supervisor = Supervisor(plan.workers, sockets, plan.grace)
    notice = f"stopping, within {plan.grace:g} s (again: at once)"
    with StopSignals(notice, at_once=supervisor.kill) as stop:
        _announce(plan, sockets)
        registration = Registration(plan, _url(plan, sockets))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(registration.run, stop.received)
            if plan.workers == 1:
                await endpoint.serve(
                    sockets, until=stop.received.wait, grace=plan.grace, shared=False
                )
            else:
                await supervisor.run(stop.received)
            tasks.cancel_scope.cancel()
    if supervisor.failed is not None:
        return Exit("a worker cannot start: see above", supervisor.failed)

    return registration.failed


async def _work(plan: Plan, endpoint: EndpointServer, worker: Worker) -> Exit | None:
    with StopSignals(None) as stop:
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                await worker.until_orphaned()
                stop.received.set()

            tasks.start_soon(follow)
            _log.info("worker %d serves", worker.number)
            await endpoint.serve(
                worker.open_sockets(), until=stop.received.wait, grace=plan.grace, shared=True
            )
            tasks.cancel_scope.cancel()
    return None


class Registration:
    """The registration that was asked for, if any. If it fails, everything stops."""

    def __init__(self, plan: Plan, uri: str) -> None:
        self._plan = plan
        self._uri = uri
        self.failed: Exit | None = None

    async def run(self, stop: anyio.Event) -> None:
        """Register; set ``stop`` if that is refused."""
        if self._plan.admin is None:
            return

        try:
            await register(self._plan.admin, self._plan.uri or self._uri, force=self._plan.force)
        except Exit as error:
            self.failed = error
            stop.set()


def _announce(plan: Plan, sockets: list[socket.socket]) -> None:
    if not plan.identity_keys and not _is_local(plan.host):
        complain(
            f"warning: {plan.host} is open to the network, and no --identity-key is set: whoever "
            "reaches it can run every handler"
        )
    workers = f", {plan.workers} workers" if plan.workers > 1 else ""
    where = f"Serving on {_url(plan, sockets)}, {plan.backend}{workers}"
    announce([where, *contents(plan.services)])


def _url(plan: Plan, sockets: list[socket.socket]) -> str:
    scheme = "http" if plan.certificate is None else "https"
    port: int = sockets[0].getsockname()[1]
    host = plan.host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # what it means, not where it binds
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
