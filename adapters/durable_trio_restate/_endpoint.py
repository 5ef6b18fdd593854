"""The endpoint: an ASGI 3 application that serves handlers to a Restate server.

Owns routing, negotiation, and what lives as long as the process: the registry, and the
attempts that are under way. It works below any path: only the end of a path counts.

| request                            | answer                                              |
| ---------------------------------- | --------------------------------------------------- |
| GET  .../health                    | 200, without proof of identity                      |
| GET  .../discover                  | the manifest; 415 if no version of it is in common  |
| POST .../invoke/SERVICE/HANDLER    | an attempt's stream; 404, then 415                  |
| anything else                      | 404, or 405 for another method                      |

401 comes before the others wherever identity keys are set.
"""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

import anyio

from durable_trio._exceptions import DefinitionError, UnknownServiceError
from durable_trio._failures import spelled_out
from durable_trio._options import ServiceOptions
from durable_trio._registry import ServiceRegistry

from ._asgi import send_answer, serve_exchange
from ._errors import IdentityError
from ._exchange import Exchange
from ._frames import DEFAULT_MAX_MESSAGE_SIZE
from ._http import SERVER_NAME, TEXT, Answer, RequestHead
from ._manifest import encode_manifest
from ._versions import manifest_of, manifest_type, protocol_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from durable_trio._services import ServiceDefinition

    from ._asgi import Receive, Scope, Send
    from ._http import RawHeaders
    from ._identity import IdentityVerifier
    from ._manifest import ProtocolMode

ProtocolOption: TypeAlias = Literal["bidi", "request_response"]

_log = logging.getLogger("durable_trio.restate")

_SHARED: Final = 64
"""Bytes of a header that may well be the same as another request's."""

_MODES: Final[dict[ProtocolOption, ProtocolMode]] = {
    "bidi": "BIDI_STREAM",
    "request_response": "REQUEST_RESPONSE",
}


def _version() -> str:
    try:
        return metadata.version("durable-trio")
    except metadata.PackageNotFoundError:
        return "source"


def _verifier(keys: Sequence[str]) -> IdentityVerifier | None:
    # "" is a mistake that it refuses, and not the same as no keys.
    if not keys and not isinstance(keys, str):
        return None

    # PyJWT and cryptography take longer to import than all of this adapter.
    from ._identity import IdentityVerifier

    return IdentityVerifier(keys)


@lru_cache(maxsize=256)
def _text(raw: bytes) -> str:
    # Nearly all are the same in every request, and an attempt that waits keeps them. Interned they
    # would stay for ever, in the first releases of Python 3.12.
    return raw.decode("latin-1")


def _header(raw: bytes) -> str:
    return _text(raw) if len(raw) <= _SHARED else raw.decode("latin-1")


@final
class SystemClock:
    """The time of this machine. Waiting here is only for a run's retry."""

    def now(self) -> float:
        """The current time, in seconds since the epoch."""
        return time.time()

    async def sleep_until(self, deadline: float) -> None:
        """Return at ``deadline``."""
        await anyio.sleep(max(0, deadline - time.time()))


@final
class Endpoint:
    """What ``endpoint`` makes: an ASGI application."""

    def __init__(
        self,
        services: Iterable[ServiceDefinition],
        identity_keys: Sequence[str],
        protocol: ProtocolOption | None,
        defaults: ServiceOptions | None,
        max_message_size: int,
    ) -> None:
        if protocol is not None and protocol not in _MODES:
            raise DefinitionError(
                f"protocol is 'bidi', 'request_response', or None for what the server's discovery "
                f"came with, got {protocol!r}"
            )

        self._defaults = defaults or ServiceOptions()
        self._registry = ServiceRegistry(services, self._defaults)
        self._identity = _verifier(identity_keys)
        self.protocol: ProtocolOption | None = protocol
        """How a server talks to it, None for what its discovery comes with."""
        self._max_message_size = max_message_size
        self._clock = SystemClock()
        self._draining = False
        self._exchanges: set[Exchange] = set()
        self._quiet: anyio.Event | None = None
        self.headers: RawHeaders = [(SERVER_NAME, f"durable-trio/{_version()}".encode())]
        """What every response has."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 has it: ``http`` and ``lifespan``."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            raise DefinitionError(f"an endpoint speaks HTTP, not {scope['type']!r}")

    async def drain(self) -> None:
        """End all attempts without failing any: return when they have ended.

        Those that wait suspend at once; those in which run bodies execute do when the bodies
        have ended. Attempts that come meanwhile go as far as they can without waiting. Call
        it before the web server is stopped, within a timeout of your choice.
        """
        self._draining = True
        for exchange in tuple(self._exchanges):
            exchange.drain()
        if self._exchanges:
            self._quiet = self._quiet or anyio.Event()
            await self._quiet.wait()

    def reopen(self) -> None:
        """Take attempts as before ``drain``. Whoever serves it does so when it starts."""
        self._draining = False

    # -- ASGI

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.reopen()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.drain()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(scope["method"], scope["path"], scope["http_version"], scope["headers"])
        answer = self.respond(head)
        if isinstance(answer, Answer):
            await send_answer(answer, receive, send)
            return

        try:
            await serve_exchange(answer, self.headers, receive, send)
        finally:
            answer.close()

    # -- requests, whoever moves their bytes

    def respond(self, head: RequestHead) -> Answer | Exchange:
        """The answer to a request, or the attempt that makes it, to be closed in the end."""
        segments = head.path.split("/")
        name = segments[-1]
        invoked = len(segments) >= 3 and segments[-3] == "invoke"
        if name == "health" and not invoked:
            return self._refuse_method("GET", head) or self._answer(200, b"ok")

        headers = {bytes(key).lower(): bytes(value) for key, value in head.headers}
        if self._identity is not None:
            try:
                self._identity.verify(head.path, headers)
            except IdentityError as error:
                text = spelled_out(str(error))
                _log.warning("%s: %s", spelled_out(head.path), text)
                return self._refuse(401, text)

        if not invoked and name != "discover":
            return self._refuse(404, "there is nothing here; see /discover")

        refused = self._refuse_method("POST" if invoked else "GET", head)
        if refused is not None:
            return refused

        if invoked:
            return self._invoke(segments[-2], name, headers)

        return self._discover(head, headers)

    def _answer(
        self, status: int, body: bytes, content_type: str = TEXT, *extra: tuple[bytes, bytes]
    ) -> Answer:
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *extra,
            *self.headers,
        ]
        return Answer(status, headers, body)

    def _refuse(self, status: int, text: str) -> Answer:
        # A path may hold what has no encoding: that of an event, which comes as JSON.
        return self._answer(status, spelled_out(text).encode())

    def _refuse_method(self, method: str, head: RequestHead) -> Answer | None:
        if head.method == method or (method == "GET" and head.method == "HEAD"):
            return None

        return self._answer(
            405, f"this is for {method}".encode(), TEXT, (b"allow", method.encode())
        )

    def _discover(self, head: RequestHead, headers: dict[bytes, bytes]) -> Answer:
        accept = headers.get(b"accept", b"").decode("latin-1")
        version = manifest_of(accept)
        if version is None:
            text = f"no endpoint manifest of these versions: {accept}. There are versions 2 to 4."
            return self._refuse(415, text)

        protocol = self.protocol
        if protocol is None:
            protocol = "bidi" if head.http_version in {"2", "3"} else "request_response"
        try:
            manifest = encode_manifest(
                self._registry, self._defaults, _MODES[protocol], version, packs=head.packs
            )
        except DefinitionError as error:
            _log.error("%s", error)
            return self._refuse(500, str(error))

        return self._answer(200, manifest, manifest_type(version))

    def _invoke(self, service: str, name: str, headers: dict[bytes, bytes]) -> Answer | Exchange:
        try:
            handler = self._registry.find(service, name)
        except UnknownServiceError as error:
            return self._refuse(404, str(error))

        content_type = headers.get(b"content-type", b"").decode("latin-1")
        version = protocol_of(content_type)
        if version is None:
            text = f"no service protocol {content_type!r}. There are versions 5 to 7."
            return self._refuse(415, text)

        exchange = Exchange(
            handler,
            self._registry.options(handler),
            self._clock,
            version=version,
            headers={_header(key): _header(value) for key, value in headers.items()},
            max_message_size=self._max_message_size,
            release=self._released,
        )
        self._exchanges.add(exchange)
        if self._draining:
            exchange.drain()
        return exchange

    def _released(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)
        if self._quiet is not None and not self._exchanges:
            self._quiet.set()
            self._quiet = None


def endpoint(
    services: Iterable[ServiceDefinition],
    *,
    identity_keys: Sequence[str] = (),
    protocol: ProtocolOption | None = None,
    defaults: ServiceOptions | None = None,
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
) -> Endpoint:
    """An ASGI 3 application that serves ``services`` to a Restate server.

    With ``identity_keys`` (``publickeyv1_...``) only requests signed by a server that has
    one of them are answered. ``protocol`` says how the server talks to it: ``"bidi"`` streams
    over HTTP/2, ``"request_response"`` over HTTP/1.1; None takes what the server's discovery
    came with. ``defaults`` are options that all services fall back to. ``max_message_size``
    is in bytes, and to be raised together with the server's limit.

    Mount it anywhere, or run it with ``serve``. ``DefinitionError`` for services that cannot
    be served and for malformed keys.
    """
    return Endpoint(services, identity_keys, protocol, defaults, max_message_size)
