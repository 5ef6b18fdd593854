"""One request: sent, answered in time, and repeated where that is safe.

Owns the connections (by httpx), deadlines, limits and retries, and turns httpx's errors into
those of the tree. What is asked for is the clients' business.

 1. An answer is read whole or it is none; it has at most ``max_body_size`` bytes.
 2. A deadline holds for all of a request: connecting, waiting, reading, retries, delays.
 3. Repeated is, if a policy was given: what has not been sent, and what is ``safe`` and got
    no answer or an ``UnavailableError``. Nothing else, ever.
 4. A cancellation or a deadline closes the connection; an answer cannot be mistaken for
    that of the next request.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
import httpx

from durable_trio._duration import to_seconds
from durable_trio._exceptions import (
    BadAnswerError,
    NoAnswerError,
    RequestError,
    RequestTimeoutError,
    UnavailableError,
    UsageError,
)

from ._answers import Answer, error_of_answer
from ._headers import checked_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from durable_trio._duration import Duration
    from durable_trio._retry import RetryPolicy

CONNECT_TIMEOUT: Final = 10.0
MAX_BODY_SIZE: Final = 64 * 1024 * 1024

_JITTER: Final = 0.2
"""By how much of itself a delay may be shorter: clients of one server do not come in step."""

_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def checked_url(url: str) -> str:
    """A URL to which paths can be appended. ``UsageError`` for anything else."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        extra = parts.query or parts.fragment
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        usable, extra = None, ""
    if not usable or extra:
        meant = "http://127.0.0.1:8080" if "://" in url or ":" not in url else f"http://{url}"
        raise UsageError(f"{url!r} is no URL of a server: it looks like {meant}")

    return url.rstrip("/")


def may_repeat(
    policy: RetryPolicy, error: RequestError, failures: int, elapsed: float, *, safe: bool
) -> bool:
    """Whether a request is made again after ``failures`` of them in ``elapsed`` seconds."""
    unsent = isinstance(error, NoAnswerError) and not error.sent
    return (safe or unsent) and not policy.exhausted(failures, elapsed)


def delay_before(policy: RetryPolicy, error: RequestError, failures: int, chance: float) -> float:
    """Seconds until a request is made again. ``chance``: from 0 to 1, spreads clients in time."""
    asked = error.retry_after if isinstance(error, UnavailableError) else None
    return max(policy.delay(failures) * (1 - _JITTER * chance), asked or 0.0)


class Transport:
    """See the module's docstring. An async context manager; may be entered once."""

    __slots__ = ("_headers", "_http", "_max_body_size", "_owned", "_retry", "_unavailable", "url")

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        max_body_size: int = MAX_BODY_SIZE,
        http: httpx.AsyncClient | None = None,
        unavailable: frozenset[int],
    ) -> None:
        self.url = checked_url(url)
        self._headers = checked_headers((headers or {}).items())
        self._retry = retry
        self._max_body_size = max_body_size
        self._http = http
        self._owned: httpx.AsyncClient | None = None
        self._unavailable = unavailable

    async def __aenter__(self) -> Self:
        if self._http is None:
            self._http = self._owned = httpx.AsyncClient(
                # Calls wait for as long as handlers take; none may keep others from starting.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=False,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        owned, self._owned = self._owned, None
        if owned is not None:
            self._http = None
            with anyio.CancelScope(shield=True):
                await owned.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        timeout: Duration | None,
        safe: bool,
    ) -> Answer:
        """The answer, if it is a success or 470. ``timeout``: None waits for as long as it takes.

        ``safe``: the request may be made twice.
        """
        limit = None if timeout is None else to_seconds(timeout, "timeout")
        policy = self._retry
        last: RequestError | None = None
        with anyio.CancelScope() as scope:
            if limit is not None:
                scope.deadline = anyio.current_time() + limit
            began, failures = anyio.current_time(), 0
            while True:
                try:
                    return await self._once(method, path, body, headers)
                except (NoAnswerError, UnavailableError) as error:
                    failures += 1
                    last = error
                    elapsed = anyio.current_time() - began
                    if policy is None or not may_repeat(
                        policy, error, failures, elapsed, safe=safe
                    ):
                        raise
                await anyio.sleep(delay_before(policy, last, failures, random.random()))  # noqa: S311
        raise RequestTimeoutError(
            f"{method} {self.url}{path}: no answer within {limit:g} s"
            + (f"; the last try: {last}" if last is not None else "")
        ) from last

    async def _once(
        self, method: str, path: str, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> Answer:
        if self._http is None:
            raise UsageError("a client is used inside of its `async with` block only")

        try:
            answer = await self._exchange(self._http, method, path, body, headers)
        except _NOTHING_SENT as exc:
            raise NoAnswerError(
                f"no connection to {self.url}: {_reason(exc)}. Is the server at work there?",
                sent=False,
            ) from exc
        except httpx.TransportError as exc:
            raise NoAnswerError(
                f"no answer from {self.url} to {method} {path}: {_reason(exc)}. Whether it "
                "did anything is not known: look, or ask again if that is safe (with an "
                "idempotency key a call is). If it is always so, another program listens there."
            ) from exc

        error = error_of_answer(answer, self._unavailable)
        if error is not None:
            raise error

        return answer

    async def _exchange(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
    ) -> Answer:
        # What is asked for is not to be packed: how much it holds would not be known.
        own = [("accept-encoding", "identity")]
        stream = http.stream(
            method,
            f"{self.url}{path}",
            content=body,
            headers=[*self._headers, *headers, *own],
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT),
            follow_redirects=False,
        )
        answer: Answer | None = None
        async with stream as response:
            found = {name.lower(): value for name, value in response.headers.items()}
            self._check_coding(found)
            self._check_size(_length(found))
            pieces: list[bytes] = []
            size = 0
            with anyio.CancelScope() as scope:
                async for piece in response.aiter_raw():
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._max_body_size:
                        # httpx's generators are ended by a cancellation, not by leaving them.
                        scope.cancel()
            self._check_size(size)
            answer = Answer(response.status_code, found, b"".join(pieces))
        assert answer is not None  # httpx swallows no exception
        return answer

    def _check_size(self, size: int) -> None:
        if size > self._max_body_size:
            raise BadAnswerError(
                f"the answer of {self.url} has more than {self._max_body_size} bytes: raise "
                "max_body_size if that is what you expect"
            )

    def _check_coding(self, headers: dict[str, Any]) -> None:
        coding = headers.get("content-encoding", "identity")
        if coding != "identity":
            raise BadAnswerError(
                f"the answer of {self.url} is packed ({coding}), which was not asked for: "
                "is this the URL of the server itself?"
            )


def _reason(exc: httpx.TransportError) -> str:
    """What httpx says, or the kind of its error: many a broken connection has no text."""
    return str(exc).rstrip(".") or type(exc).__name__


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
