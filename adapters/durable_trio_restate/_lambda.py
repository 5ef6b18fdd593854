"""The entry point for AWS Lambda: one event is one attempt, in request/response mode.

Owns the event loop of the process, in a thread of its own: Lambda calls a plain function, and
what handlers keep (clients, pools) lives in a loop and survives from one event to the next.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, final

import anyio
from anyio.from_thread import BlockingPortal

from durable_trio._exceptions import DefinitionError
from durable_trio._failures import spelled_out

from ._errors import PayloadError
from ._http import TEXT, Answer
from ._lambda_event import read_event, result_of

if TYPE_CHECKING:
    from ._endpoint import Endpoint
    from ._lambda_event import LambdaRequest

_MAX_BODY_SIZE: Final = 128 * 1024 * 1024
"""Of an unpacked request, in bytes. A function has at most 6 MB of it packed."""


@final
class LambdaHandler:
    """What ``lambda_handler`` makes: the function that AWS Lambda calls."""

    def __init__(self, app: Endpoint, backend: str) -> None:
        if app.protocol == "bidi":
            raise DefinitionError(
                "AWS Lambda has no streams, and this endpoint says protocol='bidi': leave it out"
            )

        self._app = app
        self._backend = backend
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None

    def __call__(self, event: object, context: object = None) -> dict[str, Any]:
        """Answer one event."""
        del context
        try:
            request = read_event(event, _MAX_BODY_SIZE)
        except PayloadError as error:
            headers = [(b"content-type", TEXT.encode()), *self._app.headers]
            return result_of(error.status, headers, spelled_out(str(error)).encode(), {})

        answer = self._running_portal().call(self._answer, request)
        return result_of(answer.status, answer.headers, answer.body, request.headers)

    async def _answer(self, request: LambdaRequest) -> Answer:
        answered = self._app.respond(request.head)
        if isinstance(answered, Answer):
            return answered

        exchange = answered
        try:
            exchange.receive(request.body)
            exchange.receive_eof()
            if exchange.ready:
                await exchange.run()
            headers = [(b"content-type", exchange.content_type), *self._app.headers]
            return Answer(200, headers, exchange.take_output())
        finally:
            exchange.close()

    def _running_portal(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                self._portal = _start(self._backend)
            return self._portal


def _start(backend: str) -> BlockingPortal:
    """An event loop that runs until the process ends."""
    started = threading.Event()
    found: list[BlockingPortal] = []

    async def main() -> None:
        async with BlockingPortal() as portal:
            found.append(portal)
            started.set()
            await portal.sleep_until_stopped()

    # A daemon: nothing but the end of the process ends it, and it must not delay that.
    threading.Thread(
        target=lambda: anyio.run(main, backend=backend), name="durable_trio", daemon=True
    ).start()
    started.wait()
    return found[0]


def lambda_handler(app: Endpoint, *, backend: str = "asyncio") -> LambdaHandler:
    """The function that AWS Lambda calls, for the services of an endpoint.

    ``handler = lambda_handler(endpoint([...]))``, and ``MODULE.handler`` in Lambda's
    configuration. Identity keys, options and versions are the endpoint's. Attempts are in
    request/response mode: one ends when it can only wait, and steps have to fit into the
    function's timeout. Bodies are packed with zstd if ``durable-trio[lambda]`` is installed. ``backend``
    is the event loop, ``"asyncio"`` or ``"trio"``; one serves all events of a process.

    ``DefinitionError`` for an endpoint that insists on streams.
    """
    return LambdaHandler(app, backend)
