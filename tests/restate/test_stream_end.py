"""How a stream ends: whoever closes it first, and when; with one last message."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trio.testing

import durable_trio as dt
from durable_trio.abc import (
    VOID,
    AttemptCompleted,
    AttemptFailed,
    AttemptSuspended,
    AwaitKind,
    AwaitTree,
    Completion,
    Failure,
    Input,
    Output,
    Run,
    Signal,
    Value,
)
from durable_trio_restate import endpoint
from durable_trio_restate._connection import Connection
from durable_trio_restate._entries import encode_notification
from durable_trio_restate._frames import encode_frame
from durable_trio_restate._messages import EndMessage, ErrorMessage

from .asgi import Request, invoked
from .peer import read, start_of
from .test_connection import Recorder, never
from .test_hostile import frames_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio.abc import AttemptEnd

LEAVE = 5.0
"""Seconds, for which the server drains a stream after the last message."""

greeter = dt.Service("Greeter")


@greeter.handler
async def greet(_ctx: dt.Context) -> str:
    """Greets."""
    return "hello"


app = endpoint([greeter])


class _Jumping(selectors.SelectSelector):
    """Nobody waits for a timer: time jumps to it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(None if timeout is None else 0)
        if timeout and not found:
            self.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(main: Callable[[], Awaitable[None]], backend: str) -> None:
    """Run it in a time that jumps."""
    options: dict[str, Any] = (
        {"clock": trio.testing.MockClock(autojump_threshold=0)}
        if backend == "trio"
        else {"loop_factory": _Loop}
    )
    anyio.run(main, backend=backend, backend_options=options)


async def answered(request: Request) -> None:
    """Return when something of a body has come."""
    while not request.body:
        await request._changed.wait()


@pytest.mark.parametrize(("target", "status"), [("Greeter/greet", 200), ("Greeter/none", 404)])
@pytest.mark.parametrize(("ends_after", "expected"), [(0, 0), (3, 3), (None, LEAVE), (60, LEAVE)])
def test_the_request_is_closed_first(
    backend: str, target: str, status: int, ends_after: float | None, expected: float
) -> None:
    """What is said is said at once; then the server has 5 seconds to close its side before ours."""

    async def main() -> None:
        async with invoked(app, target) as request:
            began = anyio.current_time()
            request.write(start_of())
            await answered(request)
            assert (request.status, anyio.current_time() - began) == (status, 0)
            if ends_after is not None and ends_after < 10:
                await anyio.sleep(ends_after)
                assert not request.ended
                request.end()
            await request.until_ended()
            assert anyio.current_time() - began == pytest.approx(expected)

    run(main, backend)


@pytest.mark.parametrize("target", ["Greeter/greet", "Greeter/none"])
def test_a_client_that_leaves_is_not_waited_for(backend: str, target: str) -> None:
    """It gets no end: there is nobody to see it."""

    async def main() -> None:
        async with invoked(app, target) as request:
            request.write(start_of())
            await answered(request)
            request.disconnect()
        assert not request.ended
        assert anyio.current_time() < LEAVE

    run(main, backend)


ENDS: list[AttemptEnd] = [
    AttemptCompleted(Value(b"1")),
    AttemptSuspended(AwaitTree(AwaitKind.FIRST_COMPLETED, (1,))),
    AttemptFailed(Failure(500, "x"), ValueError("x")),
]


@pytest.mark.parametrize("version", [5, 6, 7])
@pytest.mark.parametrize("end", ENDS, ids=["completed", "suspended", "failed"])
def test_nothing_comes_after_the_last_message(end: AttemptEnd, version: int) -> None:
    """Whatever either side does then: there is one last message, and it is the last."""
    told: list[None] = []
    connection, recorder = Connection(version, "S", "h"), Recorder()
    connection.receive(start_of())
    connection.attach(recorder)
    connection.append(Run(1))
    connection.finish(end)
    connection.on_output = lambda: told.append(None)
    *_, last = read(connection.take_output(), version)
    assert isinstance(last, EndMessage | AwaitTree | ErrorMessage)

    for other in ENDS:
        connection.propose(1, Value(b"1"))
        connection.flush(never, executing=False)
        connection.receive(encode_notification(Completion(1, VOID)) + start_of() + b"\xff" * 9)
        connection.receive_eof()
        connection.finish(other)

    assert (connection.take_output(), told, recorder.told) == (b"", [], [])


def test_a_violation_before_anything_began_is_the_last_message() -> None:
    """It is told once, and what comes after it is neither read nor answered."""
    connection = Connection(6, "S", "h")
    for data in (b"\xff" * 9, start_of(), b"\xff" * 9):
        connection.receive(data)
    connection.receive_eof()

    (error,) = read(connection.take_output())
    assert isinstance(error, ErrorMessage)


@pytest.mark.parametrize("version", [5, 6, 7])
def test_flags_say_nothing(backend: str, version: int) -> None:
    """Those of the server's frames: only an endpoint asks for anything by them."""
    bare = start_of(Input(b""), Signal(1, VOID))
    flagged = [encode_frame(each.type, each.payload, 0xFFFF) for each in frames_of(bare)]

    async def main() -> None:
        answers: list[list[Any]] = []
        for stream in (bare, b"".join(flagged)):
            async with invoked(app, "Greeter/greet", version=version) as request:
                request.end(stream)
                await request.until_ended()
            answers.append(read(request.body, version))
        assert answers[0] == answers[1] == [Output(Value(b'"hello"')), EndMessage()]

    run(main, backend)
