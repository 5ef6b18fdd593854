"""``call``, ``attach`` and ``output``: handlers from the command line.

Owns the target's notation: SERVICE/HANDLER, or SERVICE/KEY/HANDLER. What is between the
first and the last slash is the key, as it is; it needs no encoding.
"""

from __future__ import annotations

from urllib.parse import quote

import click

from durable_trio.client._headers import checked_headers, idempotency_header
from durable_trio.client._paths import handler_path, result_path

from ._exits import USAGE, Exit, complain
from ._ingress import json_argument, request, show_body, url_option
from ._output import say
from ._progress import progress


@click.command()
@click.argument("target", metavar="SERVICE[/KEY]/HANDLER")
@click.argument("argument", metavar="[JSON]", required=False)
@click.option("--send", is_flag=True, help="Do not wait for the result: print the invocation's id.")
@click.option("--delay", metavar="TIME", help="With --send: start later, for example 90s or PT1H.")
@click.option(
    "--idempotency-key", metavar="KEY", help="A second call with it gets the result of the first."
)
@click.option(
    "--header", "headers", metavar="NAME=VALUE", multiple=True, help="A header for the handler."
)
@click.option("--content-type", metavar="TYPE", help="What the argument is, if it is not JSON.")
@url_option
def call(
    target: str,
    argument: str | None,
    headers: tuple[str, ...],
    *,
    send: bool,
    delay: str | None,
    idempotency_key: str | None,
    content_type: str | None,
    url: str,
) -> None:
    """Call a handler and print its result.

    JSON is the input; '-' reads it from stdin.
    """
    if delay is not None and not send:
        raise Exit("only a send can be delayed: say --send as well", USAGE)

    path = _path(target, send=send)
    content, extra = json_argument(argument, content_type)
    extra += checked_headers(map(_header, headers))
    extra += idempotency_header(idempotency_key)
    query = "" if delay is None else f"?delay={quote(delay, '', errors='surrogateescape')}"
    with progress(f"waiting for {target}"):
        answer = request(url, "POST", f"{path}{query}", content=content, headers=extra)
    if not send:
        show_body(answer)
        return

    sent = answer.fields()
    say(str(sent.get("invocationId")))
    if sent.get("status") == "PreviouslyAccepted":
        complain("it had been accepted before")


@click.command()
@click.argument("invocation_id", metavar="ID")
@url_option
def attach(invocation_id: str, url: str) -> None:
    """Wait for an invocation and print its result."""
    with progress(f"waiting for {invocation_id}"):
        answer = request(url, "GET", result_path(invocation_id, "attach"))
    show_body(answer)


@click.command()
@click.argument("invocation_id", metavar="ID")
@url_option
def output(invocation_id: str, url: str) -> None:
    """Print the result of an invocation, if it has one.

    Otherwise the exit code is 4: not ready.
    """
    show_body(request(url, "GET", result_path(invocation_id, "output")))


def _path(target: str, *, send: bool) -> str:
    service, first, rest = target.partition("/")
    key, second, handler = rest.rpartition("/")
    if not first or not service or not handler:
        raise Exit(f"expected SERVICE/HANDLER or SERVICE/KEY/HANDLER, got {target!r}", USAGE)

    return handler_path(service, handler, key if second else None, send=send)


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise Exit(f"a header is NAME=VALUE, got {text!r}", USAGE)

    return name, value
