"""What a request's headers may be: the quick look never takes what h2 would refuse."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from h2.exceptions import ProtocolError
from h2.utilities import HeaderValidationFlags, normalize_inbound_headers, validate_headers

from durable_trio_restate._server._headers import checked, is_usual

if TYPE_CHECKING:
    from collections.abc import Iterator

Header = tuple[bytes, bytes]
PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/x")]
USUAL = [*PSEUDO, (b"content-type", b"a/b"), (b"x-empty", b""), (b"te-x", b"a b\tc\xff")]

PSEUDO_NAMES = (*dict(PSEUDO), b":status", b":protocol", b":x")
FORBIDDEN = (b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"transfer-encoding")
NAMES = (*PSEUDO_NAMES, *FORBIDDEN, b"te", b"host", b"cookie", b"X", b"x", b"")
VALUES = (b"", b"a", b"trailers", b"CONNECT", b"a; b", b" a", b"a\t")


def altered() -> Iterator[list[Header]]:
    """The usual request with every header taken away, moved, added or replaced."""
    for place in range(len(USUAL)):
        rest = USUAL[:place] + USUAL[place + 1 :]
        yield rest
        for header in [*product(NAMES, VALUES), *USUAL]:
            yield [*rest[:place], header, *rest[place:]]
            yield [*USUAL[:place], header, *USUAL[place:]]
        for other in range(len(rest)):
            yield [*rest[:other], USUAL[place], *rest[other:]]


def judged_by_h2(headers: list[Header], *, trailers: bool = False) -> list[Header] | None:
    """The headers as h2 hands them out; None if it refuses them."""
    flags = HeaderValidationFlags(
        is_client=False, is_trailer=trailers, is_response_header=False, is_push_promise=False
    )
    try:
        return list(validate_headers(normalize_inbound_headers(headers, flags), flags))
    except ProtocolError:
        return None


def test_nothing_is_usual_that_h2_would_refuse_or_change() -> None:
    """Whatever is done to a usual request, it is judged as h2 judges it."""
    for headers in altered():
        judgement = judged_by_h2(headers)
        assert not is_usual(headers) or judgement == headers, headers
        if judgement is None:
            with pytest.raises(ProtocolError):
                checked(headers, trailers=False)
        else:
            assert checked(headers, trailers=False) == judgement


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_is_judged_as_h2_does(byte: int) -> None:
    """In a name and in a value, at either end and in the middle."""
    one = bytes([byte])
    for mark in (one, one + b"x", b"x" + one, b"x" + one + b"x"):
        for header in ((mark, b"1"), (b"x", mark)):
            headers = [*PSEUDO, header]
            assert is_usual(headers) == (judged_by_h2(headers) == headers), header


def test_the_usual_request_is_usual() -> None:
    """Or the quick look would be for nothing."""
    assert is_usual(USUAL)
    assert not is_usual(USUAL[1:])


@pytest.mark.parametrize("header", [(b":path", b"/"), (b"x ", b"1"), (b"x", b"1\r")])
def test_trailers_are_judged_by_h2(header: Header) -> None:
    """They have no pseudo-headers, and no other rules for names and values."""
    assert checked([(b"x", b"1")], trailers=True) == [(b"x", b"1")]
    with pytest.raises(ProtocolError):
        checked([header], trailers=True)
