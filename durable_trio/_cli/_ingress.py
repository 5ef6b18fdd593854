"""The client of an ingress: one request, and what its answer means for the command.

Owns the URL, the request and the exit code of an answer. It works with the embedded
runtime's ingress and with Restate's; only what an operator does has another port there.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

import click
import httpx
import orjson

from ._exits import FAILED, NO_ANSWER, NOT_FOUND, NOT_READY, USAGE, Exit
from ._text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

url_option: Final = click.option(
    "--url",
    envvar="DURABLE_TRIO_URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    show_envvar=True,
    help="Where the ingress is.",
)

_CONNECT: Final = 10.0

_STATUSES: Final = {404: NOT_FOUND, 470: NOT_READY, 503: NO_ANSWER}


def request(
    url: str,
    method: str,
    path: str,
    *,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> httpx.Response:
    """The answer, if it is a success; otherwise the command ends with what it says."""
    timeout = httpx.Timeout(_CONNECT, read=None)
    try:
        with httpx.Client(timeout=timeout, trust_env=False) as client:
            response = client.request(
                method, f"{url.rstrip('/')}{path}", content=content, headers=headers, params=params
            )
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
        raise Exit(f"{url!r} is no URL of an ingress: {exc}", USAGE) from exc
    except httpx.HTTPError as exc:
        raise Exit(
            f"no answer from {url}: {exc or type(exc).__name__}. Is `durable-trio run` at work "
            "there? Otherwise say --url, or set DURABLE_TRIO_URL.",
            NO_ANSWER,
        ) from exc

    if response.is_success:
        return response

    raise _failure(response)


def quoted(segment: str) -> str:
    """A segment of a path, percent-encoded."""
    return quote(segment, "", errors="surrogateescape")


def text_body(text: str) -> bytes:
    """A text argument as it was typed."""
    return text.encode(errors="surrogateescape")


def json_argument(text: str | None, content_type: str | None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a payload that was given as an argument; ``-`` is stdin."""
    if text is None:
        return b"", {}

    body = sys.stdin.buffer.read() if text == "-" else text_body(text)
    if content_type is None:
        try:
            orjson.loads(body)
        except orjson.JSONDecodeError as exc:
            raise Exit(
                f"the argument is no JSON: {exc}. A text needs quotes: '\"text\"'. For anything "
                "but JSON say --content-type.",
                USAGE,
            ) from exc

    return body, {"content-type": content_type or "application/json"}


def show_body(response: httpx.Response) -> None:
    """The body on stdout, with a line end if it is text."""
    body = response.content
    is_text = response.headers.get("content-type", "").startswith(("application/json", "text/"))
    sys.stdout.buffer.write(body)
    if body and (is_text or sys.stdout.isatty()) and not body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _failure(response: httpx.Response) -> Exit:
    body: object
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        body = None

    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    message = plain(str(fields.get("message") or response.text or response.reason_phrase))
    if fields.get("source") == "invocation":
        code = fields.get("code", response.status_code)
        metadata = cast("dict[str, object]", fields.get("metadata") or {})
        details = "".join(f" [{plain(str(k))}: {plain(str(v))}]" for k, v in metadata.items())
        return Exit(f"the invocation failed: {code} {message}{details}", FAILED)

    status = response.status_code
    usage = USAGE if 400 <= status < 500 else FAILED
    return Exit(f"refused: {status} {message}", _STATUSES.get(status, usage))
