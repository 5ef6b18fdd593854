"""AWS Lambda's events as requests, and responses as results.

Owns the shapes: what a Restate server sends (that of API Gateway's version 1, without most of
its fields), version 2 as from a function URL, and lists of values as from a load balancer.

 1. An event is somebody else's: what is wrong with it is a ``PayloadError`` with a status.
 2. A result's body is always in base64: an attempt's stream is no text.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import attrs

from ._errors import BAD_REQUEST, PayloadError
from ._http import RequestHead
from ._packing import CODING, is_available, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._http import RawHeaders


@attrs.frozen
class LambdaRequest:
    """A whole request."""

    head: RequestHead
    headers: Mapping[str, str]
    body: bytes


def read_event(event: object, limit: int) -> LambdaRequest:
    """The request that an event is. ``limit``: how many bytes its body may have, unpacked."""
    fields = cast("dict[str, Any]", event if isinstance(event, dict) else {})
    path = fields.get("path", fields.get("rawPath"))
    method = fields.get("httpMethod") or _at(fields, "requestContext", "http", "method")
    if not isinstance(path, str) or not isinstance(method, str):
        found = ", ".join(sorted(map(str, fields)))
        raise PayloadError(
            "expected an event with path and httpMethod, as a Restate server sends it and API "
            f"Gateway and function URLs do, got one with {found or 'nothing'}",
            BAD_REQUEST,
        )

    headers = _headers(fields)
    body = unpack(_body(fields), headers, limit)
    raw = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
    ]
    head = RequestHead(method.upper(), unquote(path), "1.1", raw, packs=is_available())
    return LambdaRequest(head, headers, body)


def result_of(
    status: int, headers: RawHeaders, body: bytes, request: Mapping[str, str]
) -> dict[str, Any]:
    """What the function returns. ``request``: the headers of the request it answers."""
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    named.pop("content-length", None)
    packed = pack(body, request)
    if packed is not None:
        named["content-encoding"] = CODING
        body = packed
    return {
        "statusCode": status,
        "headers": named,
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def _headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """All headers, in lower case; the last of several values."""
    found: dict[str, str] = {}
    for source in ("headers", "multiValueHeaders"):
        named = fields.get(source)
        for name, value in cast("dict[str, Any]", named if isinstance(named, dict) else {}).items():
            match value:
                case None | []:
                    pass
                case [*_, last]:
                    found[str(name).lower()] = str(last)
                case _:
                    found[str(name).lower()] = str(value)
    return found


def _body(fields: Mapping[str, Any]) -> bytes:
    body = fields.get("body")
    if body is None:
        return b""

    if not isinstance(body, str):
        raise PayloadError(f"the event's body is no text but {type(body).__name__}", BAD_REQUEST)

    if not fields.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")

    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise PayloadError(f"the event's body is no base64: {exc}", BAD_REQUEST) from exc


def _at(fields: Mapping[str, Any], *names: str) -> Any:
    found: Any = fields
    for name in names:
        found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
    return found
