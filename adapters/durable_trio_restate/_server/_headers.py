"""The headers of a request: whether they are as HTTP/2 wants them (RFC 9113, 8.2 and 8.3).

Owns a quick look, which knows the usual request and nothing else. Whatever it does not know
is judged by h2, whose checks take six passes: a twentieth of a small request.

 1. What ``is_usual`` accepts, h2 accepts as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from h2.utilities import HeaderValidationFlags, normalize_inbound_headers, validate_headers

if TYPE_CHECKING:
    from hpack.struct import Header

_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_UNUSUAL: Final = frozenset(
    {
        b"",
        b"connection",
        b"cookie",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_IN_NAMES: Final = bytes(
    byte for byte in range(0x21, 0x7F) if byte not in b":ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
_NOT_IN_VALUES: Final = b"\0\r\n"
_SPACE: Final = b" \t"


def is_usual(headers: list[Header]) -> bool:
    """Whether these are four pseudo-headers of an ordinary request, and then others without any risk."""
    first, rest = dict(headers[:4]), headers[4:]
    if first.keys() != _PSEUDO or first[b":method"] == b"CONNECT" or not first[b":path"]:
        return False

    values = b"".join([value for _, value in headers])
    stripped = b"".join([value.strip(_SPACE) for _, value in headers])
    names = [name for name, _ in rest]
    return (
        _UNUSUAL.isdisjoint(names)
        and not b"".join(names).translate(None, _IN_NAMES)
        and stripped.translate(None, _NOT_IN_VALUES) == values
    )


def checked(headers: list[Header], *, trailers: bool) -> list[Header]:
    """The headers as the application gets them. h2's ``ProtocolError`` if they are not allowed."""
    if not trailers and is_usual(headers):
        return headers

    flags = HeaderValidationFlags(
        is_client=False, is_trailer=trailers, is_response_header=False, is_push_promise=False
    )
    return list(validate_headers(normalize_inbound_headers(headers, flags), flags))
