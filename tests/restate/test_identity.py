"""Request identity: what is signed passes, everything else does not."""

from __future__ import annotations

import base64
import math
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from durable_trio import Context, DefinitionError, RefusedError, Service
from durable_trio_restate import IdentityError
from durable_trio_restate._identity import IdentityVerifier, audience_of

from .conftest import ONE_WORKER
from .served import serving

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Servers

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def public_key(secret: Ed25519PrivateKey) -> str:
    """A key as the server prints it."""
    raw = secret.public_key().public_bytes_raw()
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "publickeyv1_" + "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def signed(
    secret: Any = SECRET, *, algorithm: str = "EdDSA", without: str = "", **changed: object
) -> dict[bytes, bytes]:
    """The headers of a request for /invoke/S/h, signed now."""
    now = int(time.time())
    claims = {"aud": "/invoke/S/h", "iat": now, "nbf": now - 60, "exp": now + 60, **changed}
    claims.pop(without, None)
    token = jwt.encode(claims, secret, algorithm=algorithm)
    return {b"x-restate-signature-scheme": b"v1", b"x-restate-jwt-v1": token.encode()}


def signing(folder: Path) -> dict[str, str]:
    """The settings of a server that signs with ``SECRET``."""
    pem = folder / "identity.pem"
    pem.write_bytes(
        SECRET.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return {"RESTATE_REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE": str(pem)}


def verify(headers: dict[bytes, bytes], path: str = "/invoke/S/h") -> None:
    """Verify with the key of ``SECRET`` only."""
    IdentityVerifier([public_key(SECRET)]).verify(path, headers)


def test_a_signed_request_passes() -> None:
    """A request signed with the key passes, below any path."""
    verify(signed())
    verify(signed(), "/some/where/invoke/S/h")
    verify(signed(aud="/discover"), "/some/where/discover")


def test_without_keys_everything_passes() -> None:
    """No keys, no proof."""
    IdentityVerifier([]).verify("/invoke/S/h", {})


def test_one_of_several_keys_is_enough() -> None:
    """While keys are rotated several of them are trusted."""
    verifier = IdentityVerifier([public_key(OTHER), public_key(SECRET)])
    verifier.verify("/invoke/S/h", signed())


def test_a_server_whose_clock_is_ahead() -> None:
    """``iat`` in our future is no forgery, as long as nbf and exp hold."""
    verify(signed(iat=int(time.time()) + 30))


@pytest.mark.parametrize("scheme", [None, b"", b"unsigned", b"v2"])
def test_an_unsigned_request(scheme: bytes | None) -> None:
    """Without the scheme v1 there is no proof, whatever else there is."""
    headers = signed()
    del headers[b"x-restate-signature-scheme"]
    if scheme is not None:
        headers[b"x-restate-signature-scheme"] = scheme
    with pytest.raises(IdentityError, match="not signed"):
        verify(headers)


def test_a_missing_token() -> None:
    """The scheme alone proves nothing."""
    with pytest.raises(IdentityError, match="no x-restate-jwt-v1"):
        verify({b"x-restate-signature-scheme": b"v1"})


@pytest.mark.parametrize("token", [b"x", b"a.b.c", b"\xff\xfe", b"e30.e30.e30"])
def test_a_malformed_token(token: bytes) -> None:
    """What is no JWT is refused, never an error of another kind."""
    with pytest.raises(IdentityError, match="does not hold"):
        verify({b"x-restate-signature-scheme": b"v1", b"x-restate-jwt-v1": token})


_DEEP = b"[" * 100_000 + b"]" * 100_000


def encoded(content: bytes) -> bytes:
    """A part of a token."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"EdDSA","x":%b}' % _DEEP,
        b'{"alg":%b}' % (b"9" * 5_000),
        b'{"alg":["EdDSA"]}',
        b'{"alg":"none"}',
        b'{"alg":"\\ud800"}',
        b'{"alg":"EdDSA","kid":5}',
        b'{"alg":"EdDSA","crit":["b64"],"b64":false}',
        b"null",
        b"\xff",
        b"",
    ],
    ids=range(10),
)
def test_an_absurd_header(header: bytes) -> None:
    """Nobody has signed it, and anybody can send it."""
    token = b"%b.%b.%b" % (encoded(header), encoded(b"{}"), encoded(bytes(64)))
    with pytest.raises(IdentityError, match="does not hold"):
        verify({b"x-restate-signature-scheme": b"v1", b"x-restate-jwt-v1": token})


@pytest.mark.parametrize(
    "claims", [b'{"x":%b}' % _DEEP, b"[]", b"null", b"\xff", b""], ids=range(5)
)
def test_absurd_claims(claims: bytes) -> None:
    """However well they are signed."""
    token = jwt.api_jws.encode(claims, SECRET, algorithm="EdDSA").encode()
    with pytest.raises(IdentityError, match="does not hold"):
        verify({b"x-restate-signature-scheme": b"v1", b"x-restate-jwt-v1": token})


@pytest.mark.parametrize("name", ["exp", "nbf", "aud"])
@pytest.mark.parametrize("value", [None, "x", [1], {}, math.nan, -math.inf, [["/invoke/S/h"]]])
def test_an_absurd_claim(name: str, value: Any) -> None:
    """It is not what it has to be."""
    with pytest.raises(IdentityError, match="does not hold"):
        verify(signed(**{name: value}))


def test_a_changed_token() -> None:
    """A token with another payload than was signed is refused."""
    headers = signed()
    head, _, tail = headers[b"x-restate-jwt-v1"].split(b".")
    other = signed(aud="/discover")[b"x-restate-jwt-v1"].split(b".")[1]
    headers[b"x-restate-jwt-v1"] = b".".join([head, other, tail])
    with pytest.raises(IdentityError):
        verify(headers, "/discover")


def test_another_key() -> None:
    """A token of another server is refused."""
    with pytest.raises(IdentityError):
        verify(signed(OTHER))


@pytest.mark.parametrize("claim", ["aud", "iat", "nbf", "exp"])
def test_a_missing_claim(claim: str) -> None:
    """All four claims are needed."""
    with pytest.raises(IdentityError):
        verify(signed(without=claim))


@pytest.mark.parametrize(
    "changed", [{"exp": 1}, {"nbf": 2**33}, {"aud": "/invoke/S/other"}, {"aud": "/discover"}]
)
def test_a_token_for_something_else(changed: dict[str, Any]) -> None:
    """A token that has expired, is for later, or for another handler, is refused."""
    with pytest.raises(IdentityError):
        verify(signed(**changed))


FOREIGN: dict[str, Any] = {
    "none": "",
    "HS256": "0" * 32,
    # The public key is no secret: whoever knows it may sign with it, in another algorithm.
    "HS512": SECRET.public_key().public_bytes_raw() * 2,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
    "EdDSA": Ed448PrivateKey.generate(),
}


@pytest.mark.parametrize("algorithm", FOREIGN)
def test_another_algorithm(algorithm: str) -> None:
    """Only Ed25519 counts: no other curve, no shared secret, and not none at all."""
    with pytest.raises(IdentityError):
        verify(signed(FOREIGN[algorithm], algorithm=algorithm))


def test_a_token_that_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was good once is so for its time only, and for its handler only."""
    headers = signed(exp=int(time.time()) + 60)
    verify(headers)
    verify(headers)
    with pytest.raises(IdentityError):
        verify(headers, "/invoke/S/other")

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Self:
            return super().now(tz) + timedelta(seconds=61)

    monkeypatch.setattr(jwt.api_jwt, "datetime", Later)
    with pytest.raises(IdentityError, match="expired"):
        verify(headers)


@pytest.mark.parametrize("key", ["", "x", "publickeyv1_", "publickeyv1_0OIl", "publickeyv1_abc"])
def test_a_malformed_key(key: str) -> None:
    """A key that is none is refused when the endpoint is made."""
    with pytest.raises(DefinitionError, match="publickeyv1_"):
        IdentityVerifier([key])


def test_a_single_key_is_given_in_a_list() -> None:
    """A string instead of a list of them is the likely mistake."""
    with pytest.raises(DefinitionError, match="list"):
        IdentityVerifier(public_key(SECRET))


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        ("/invoke/S/h", "/invoke/S/h"),
        ("/a/invoke/S/h", "/invoke/S/h"),
        ("/a/b/discover", "/discover"),
        ("/discover", "/discover"),
        ("/a/invoke/S/discover", "/invoke/S/discover"),
        ("/invoke/discover", "/discover"),
    ],
)
def test_the_audience(path: str, audience: str) -> None:
    """What counts is the end of the path."""
    assert audience_of(path) == audience


@ONE_WORKER
def test_a_real_server_signs(
    backend: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One with the trusted key is served, anybody else is not: neither discovers nor invokes."""
    vault = Service("Vault")

    @vault.handler
    async def secret(ctx: Context) -> str:
        return "42"

    async def main() -> None:
        signs = servers(signing(tmp_path_factory.getbasetemp()))
        async with serving(signs, vault, identity_keys=[public_key(SECRET)]) as served:
            assert "42" == await served.ingress.call(secret)
        for keys, server in (
            ([public_key(OTHER)], signs),
            ([public_key(SECRET)], servers({})),
        ):
            with pytest.raises(RefusedError, match="401"):
                async with serving(server, vault, identity_keys=keys):
                    raise AssertionError("it was discovered")

    anyio.run(main, backend=backend)
