"""Requests and answers, as the ingress sees them: no sockets, no bytes on the wire.

Owns both, and the one form of an error: JSON with ``code``, ``message`` and ``source``, as a
Restate server of version 1.7 answers.

 1. ``source`` tells apart what an invocation ended with (``invocation``) from what the
    ingress itself says (``ingress``): only the latter may be tried again.
 2. A header that cannot be sent is left out; it never breaks the connection.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl

import attrs

from durable_trio import _json

if TYPE_CHECKING:
    from durable_trio._journal._entries import Failure

HeaderList: TypeAlias = tuple[tuple[str, str], ...]

JSON: Final = "application/json"
NOT_READY: Final = 470
"""Restate's status for an output that is asked for too early."""

_PHRASES: Final = {NOT_READY: "Not Ready"}
_DIRECTORIES: Final = re.compile(r"(?<![\w./:~-])/(?:[^\s/:\"'][^/:\n\"']*/)+(?=[^/\s])")
_SENDABLE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")


@attrs.frozen
class Request:
    """The head of a request. ``path`` is as sent, still percent-encoded."""

    method: str
    path: str
    query: str = ""
    headers: HeaderList = ()

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case), or None."""
        for each, value in self.headers:
            if each == name:
                return value

        return None

    def parameter(self, name: str) -> str | None:
        """The first query parameter of this name, in any case, or None."""
        for each, value in parse_qsl(self.query, keep_blank_values=True, errors="replace"):
            if each.lower() == name:
                return value

        return None

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        return f"{self.path}?{self.query}" if self.query else self.path


@attrs.frozen
class Response:
    """An answer. The connection adds length, date and connection headers."""

    status: int
    body: bytes = b""
    headers: HeaderList = ()

    def with_headers(self, *headers: tuple[str, str | None]) -> Response:
        """The same with more headers; those that are None or cannot be sent are left out."""
        more = tuple(
            (name, value) for name, value in headers if value and _SENDABLE.fullmatch(value)
        )
        return attrs.evolve(self, headers=self.headers + more)

    @property
    def reason(self) -> str:
        """The phrase that goes with the status."""
        phrase = _PHRASES.get(self.status)
        if phrase is not None:
            return phrase

        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""


def json_response(status: int, value: Any) -> Response:
    """An answer in JSON."""
    return Response(status, _json.write(value), (("content-type", JSON),))


def refusal(status: int, message: str, /, **more: str) -> Response:
    """An error of the ingress's own. ``more`` are further fields."""
    return _error(status, {"code": status, "message": message, "source": "ingress", **more})


def failure_response(failure: Failure) -> Response:
    """What an invocation failed with. A code that is no error status is sent as 500."""
    body: dict[str, Any] = {
        "code": failure.code,
        "message": failure.message,
        "source": "invocation",
    }
    if failure.metadata:
        body["metadata"] = dict(failure.metadata)
    return _error(failure.code if 400 <= failure.code <= 999 else 500, body)


def without_directories(message: str) -> str:
    """A message about files of the server, with their names only."""
    return _DIRECTORIES.sub("", message)


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339, in UTC and milliseconds."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _error(status: int, body: dict[str, Any]) -> Response:
    source = body["source"]
    try:
        response = json_response(status, body)
    except UnicodeEncodeError:
        # A message with a lone surrogate is still worth answering.
        response = json_response(status, {**body, "message": ascii(body["message"])})
    return response.with_headers(("x-restate-error-source", source))
