"""One request to a server, and what its answer means for the command.

Owns the exit code of an answer, and payloads as arguments; how it is asked is the client's. It
works with the embedded runtime's ingress and with Restate's; only what an operator does has
another port there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import anyio
import click

from durable_trio import _json
from durable_trio._exceptions import (
    DurableTrioError,
    InvocationPausedError,
    RefusedError,
    TerminalError,
    UnavailableError,
    UsageError,
)
from durable_trio._transcript._text import lines, plain
from durable_trio.client._answers import INGRESS_UNAVAILABLE
from durable_trio.client._answers import NOT_READY as NOT_READY_STATUS
from durable_trio.client._transport import Transport

from ._exits import FAILED, NO_ANSWER, NOT_READY, USAGE, Exit, refused
from ._output import standard_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from durable_trio.client._answers import Answer

DEFAULT_URL: Final = "http://127.0.0.1:8080"

url_option: Final = click.option(
    "--url",
    envvar="DURABLE_TRIO_URL",
    default=DEFAULT_URL,
    show_default=True,
    show_envvar=True,
    help="Where the ingress is.",
)


def request(
    url: str,
    method: str,
    path: str,
    *,
    content: bytes = b"",
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    """The answer, if it is a success; otherwise the command ends with what it says."""

    async def ask() -> Answer:
        async with Transport(url, unavailable=INGRESS_UNAVAILABLE) as transport:
            return await transport.request(
                method, path, body=content, headers=headers, timeout=None, safe=False
            )

    try:
        answer = anyio.run(ask)
    except UsageError as error:
        raise Exit(str(error), USAGE) from error
    except DurableTrioError as error:
        raise _exit(error) from error

    if answer.status == NOT_READY_STATUS:
        message = plain(str(answer.fields().get("message")))
        raise Exit(f"refused: {answer.status} {message}", NOT_READY)

    return answer


def text_body(text: str) -> bytes:
    """A text argument as it was typed."""
    return text.encode(errors="surrogateescape")


def json_argument(
    text: str | None, content_type: str | None
) -> tuple[bytes, list[tuple[str, str]]]:
    """Body and headers of a payload that was given as an argument; ``-`` is stdin."""
    if text is None:
        return b"", []

    body = sys.stdin.buffer.read() if text == "-" else text_body(text)
    if content_type is None:
        try:
            _json.read(body)
        except ValueError as exc:
            raise Exit(
                f"the argument is no JSON: {exc}. A text needs quotes: '\"text\"'. For anything "
                "but JSON say --content-type.",
                USAGE,
            ) from exc

    return body, [("content-type", content_type or "application/json")]


def show_body(answer: Answer) -> None:
    """The body on stdout, with a line end if it is text."""
    body = answer.body
    is_text = answer.headers.get("content-type", "").startswith(("application/json", "text/"))
    with standard_output() as stream:
        stream.buffer.write(body)
        if body and (is_text or stream.isatty()) and not body.endswith(b"\n"):
            stream.buffer.write(b"\n")


def _exit(error: DurableTrioError) -> Exit:
    match error:
        case RefusedError() | UnavailableError():
            message = f"refused: {error.code} {lines(error.message, indent=2)}"
            return Exit(message, refused(error.code))
        case TerminalError():
            labels = "".join(f" [{plain(k)}: {plain(v)}]" for k, v in error.metadata.items())
            message = f"{error.code} {lines(error.message, indent=2)}{labels}"
            return Exit(f"the invocation failed: {message}", FAILED)
        case InvocationPausedError():
            return Exit(plain(str(error)), NO_ANSWER)
        case _:
            return Exit(
                f"{plain(str(error))} `durable-trio run` serves one; otherwise say --url, or set "
                "DURABLE_TRIO_URL.",
                NO_ANSWER,
            )
