"""Who may ask: hosts, browser origins, and peers.

Owns the defence of a port on loopback against web pages, and of the operator's paths
against the network. It knows no passwords: whoever may connect and is no stranger's web
page may ask.

 1. A request to a loopback address names a loopback host, or one that was allowed. A page
    whose own name resolves to 127.0.0.1 (DNS rebinding) does not.
 2. A browser's cross-origin request comes from a loopback origin, from the host it asks, or
    from one that was allowed. Those get CORS headers; others are refused.
 3. What an operator does is asked for from this machine only.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ._messages import Response, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._messages import Request

_EXPOSED: Final = "x-restate-id, idempotency-expires, x-restate-error-source"
_METHODS: Final = "GET, POST, PATCH"
_FORBIDDEN: Final = 403
_NO_CONTENT: Final = 204


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True

    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False

    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


class Origins:
    """See the module's docstring. ``allowed`` are further host names."""

    __slots__ = ("_allowed", "_local")

    def __init__(self, address: str, allowed: Iterable[str] = ()) -> None:
        self._local = is_loopback(address)
        self._allowed = frozenset(name.lower() for name in allowed)

    def refuse(self, request: Request) -> Response | None:
        """Why a request is not answered, or None if it is."""
        host = _host_of("//" + (request.header("host") or ""))
        if self._local and host and not self._is_known(host):
            return refusal(
                _FORBIDDEN,
                f"the host {host!r} is not this machine's: ask for localhost or 127.0.0.1, or "
                "allow the name (--allow-host)",
            )

        origin = request.header("origin")
        if origin is not None and not self._is_friend(origin, host):
            return refusal(
                _FORBIDDEN,
                f"pages of {origin} may not ask here: allow their host (--allow-host)",
            )

        return None

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks whether it may ask, or None if it does not."""
        if request.method != "OPTIONS" or request.header("origin") is None:
            return None

        return Response(_NO_CONTENT).with_headers(
            ("access-control-allow-methods", _METHODS),
            ("access-control-allow-headers", request.header("access-control-request-headers")),
            ("access-control-max-age", "600"),
        )

    def finish(self, request: Request, response: Response) -> Response:
        """The answer with the headers that a browser wants to see."""
        origin = request.header("origin")
        if origin is None or response.status == _FORBIDDEN:
            return response

        return response.with_headers(
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", _EXPOSED),
            ("vary", "origin"),
        )

    def _is_known(self, host: str) -> bool:
        return is_loopback(host) or host in self._allowed

    def _is_friend(self, origin: str, host: str) -> bool:
        page = _host_of(origin)
        if not page:
            return False

        return page in self._allowed or page == host or (self._local and is_loopback(page))


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return "?"
