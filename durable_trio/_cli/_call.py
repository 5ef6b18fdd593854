"""``call``, ``attach`` and ``output``: handlers from the command line.

Owns the target's notation: SERVICE/HANDLER, or SERVICE/KEY/HANDLER. What is between the
first and the last slash is the key, as it is; it needs no encoding.
"""

from __future__ import annotations

import re
from typing import Final

import click

from ._exits import USAGE, Exit
from ._ingress import json_argument, quoted, request, show_body, url_option
from ._progress import progress

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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

    content, extra = json_argument(argument, content_type)
    extra.update(_header(text) for text in headers)
    if idempotency_key is not None:
        extra["idempotency-key"] = _value("the idempotency key", idempotency_key)
    path = f"{_path(target)}/send" if send else _path(target)
    params = {} if delay is None else {"delay": delay}
    with progress(f"waiting for {target}"):
        response = request(url, "POST", path, content=content, headers=extra, params=params)
    if not send:
        show_body(response)
        return

    sent = response.json()
    click.echo(sent["invocationId"])
    if sent.get("status") == "PreviouslyAccepted":
        click.echo("durable-trio: it had been accepted before", err=True)


@click.command()
@click.argument("invocation_id", metavar="ID")
@url_option
def attach(invocation_id: str, url: str) -> None:
    """Wait for an invocation and print its result."""
    with progress(f"waiting for {invocation_id}"):
        response = request(url, "GET", f"/restate/invocation/{quoted(invocation_id)}/attach")
    show_body(response)


@click.command()
@click.argument("invocation_id", metavar="ID")
@url_option
def output(invocation_id: str, url: str) -> None:
    """Print the result of an invocation, if it has one.

    Otherwise the exit code is 4: not ready.
    """
    show_body(request(url, "GET", f"/restate/invocation/{quoted(invocation_id)}/output"))


def _path(target: str) -> str:
    service, first, rest = target.partition("/")
    key, second, handler = rest.rpartition("/")
    if not first or not service or not handler:
        raise Exit(f"expected SERVICE/HANDLER or SERVICE/KEY/HANDLER, got {target!r}", USAGE)

    parts = [service, key, handler] if second else [service, handler]
    return "".join(f"/{quoted(part)}" for part in parts)


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not _NAME.fullmatch(name):
        raise Exit(f"a header is NAME=VALUE, got {text!r}", USAGE)

    return name.lower(), _value(f"the header {name}", value)


def _value(what: str, value: str) -> str:
    if value.isascii() and (value.isprintable() or not value):
        return value

    raise Exit(f"{what} must be printable ASCII, got {value!r}", USAGE)
