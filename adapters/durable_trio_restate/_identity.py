"""Request identity: the proof that a request comes from a Restate server one trusts.

Owns the verification of scheme v1, a JWT signed with Ed25519. Which keys are trusted is
said by whoever makes the endpoint.

 1. Without keys everything is let through; with keys nothing unsigned is.
 2. The audience is the path from ``/invoke`` or ``/discover`` on, whatever comes before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from durable_trio._exceptions import DefinitionError

from ._errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEME_HEADER: Final = b"x-restate-signature-scheme"
TOKEN_HEADER: Final = b"x-restate-jwt-v1"

_PREFIX: Final = "publickeyv1_"
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KEY_SIZE: Final = 32
_SIGN: Final = (
    "Give the Restate server a request identity key and let whatever stands in between pass on its "
    "headers, or make the endpoint without identity_keys"
)
_CLAIMS: Final = ["aud", "exp", "iat", "nbf"]


class IdentityVerifier:
    """Verifies requests against a set of public keys. ``DefinitionError`` for a malformed key."""

    def __init__(self, keys: Iterable[str]) -> None:
        if isinstance(keys, str):
            raise DefinitionError(
                f"identity_keys is a list of keys, got a single string: put it in brackets, [{keys!r}]"
            )

        self._keys = tuple(_public_key(key) for key in keys)

    def verify(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        """``IdentityError`` unless one of the keys has signed this request."""
        if not self._keys:
            return

        scheme = headers.get(SCHEME_HEADER, b"").decode("latin-1")
        if scheme != "v1":
            raise IdentityError(
                f"the request is not signed: expected {SCHEME_HEADER.decode()}: v1, got "
                f"{scheme or 'nothing'!r}. {_SIGN}"
            )

        token = headers.get(TOKEN_HEADER)
        if not token:
            raise IdentityError(
                f"the request says that it is signed and has no {TOKEN_HEADER.decode()} header. {_SIGN}"
            )

        problem: Exception | None = None
        for key in self._keys:
            try:
                jwt.decode(
                    token,
                    key,
                    algorithms=["EdDSA"],
                    audience=audience_of(path),
                    # That the server's clock is a little ahead of ours is no forgery: how
                    # long the token holds is said by nbf and exp, which it chose for that.
                    options={"require": _CLAIMS, "verify_iat": False},
                )
            except Exception as exc:  # of json, too, and of int, in the first versions of PyJWT
                problem = exc
            else:
                return

        raise IdentityError(
            f"the request's signature does not hold: {problem}. Expected that of one of the "
            f"{len(self._keys)} identity_keys, for {audience_of(path)}, at this time: use the key that "
            "the server prints when it starts, pass on paths and headers unchanged, and set the "
            "clocks of both"
        ) from problem


def audience_of(path: str) -> str:
    """The part of a request's path that its signature covers."""
    segments = path.split("/")
    # As requests are routed: a handler may be called "discover", too.
    invoked = len(segments) >= 3 and segments[-3] == "invoke"
    return "/" + "/".join(segments[-3:] if invoked else segments[-1:])


def _public_key(text: str) -> Ed25519PublicKey:
    encoded = text.removeprefix(_PREFIX)
    raw = _base58(encoded) if encoded != text else None
    if raw is None or len(raw) != _KEY_SIZE:
        raise DefinitionError(
            f"a request identity key looks like {_PREFIX}... with {_KEY_SIZE} bytes in base58, "
            f"got {text!r}: copy the one that the server prints when it starts"
        )

    return Ed25519PublicKey.from_public_bytes(raw)


def _base58(text: str) -> bytes | None:
    number = 0
    for character in text:
        digit = _ALPHABET.find(character)
        if digit < 0:
            return None

        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
