"""The ASGI application: routes, negotiation, streams, disconnects, draining."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import durable_trio as dt
from durable_trio.abc import (
    VOID,
    AwaitKind,
    AwaitTree,
    Completion,
    Failure,
    Input,
    Output,
    Run,
    Signal,
    Sleep,
    Value,
)
from durable_trio_restate import endpoint
from durable_trio_restate._endpoint import _text
from durable_trio_restate._entries import encode_notification
from durable_trio_restate._exchange import Exchange
from durable_trio_restate._http import RequestHead
from durable_trio_restate._messages import (
    AwaitingOnMessage,
    EndMessage,
    ErrorMessage,
    ProposeRunCompletionAckMessage,
    ProposeRunCompletionMessage,
    encode_control,
)

from .asgi import Request, invoked, request_of, respond
from .peer import read, start_of
from .test_identity import SECRET as SECRET
from .test_identity import public_key, signed

greeter = dt.Service("Greeter")


@greeter.handler
async def greet(_ctx: dt.Context, name: str) -> str:
    """Greets."""
    return f"hello {name}"


@greeter.handler
async def nap(_ctx: dt.Context) -> None:
    """Sleeps for an hour."""
    await dt.sleep(3600)


async def _double(number: int) -> int:
    return number * 2


@greeter.handler
async def double(ctx: dt.Context, number: int) -> int:
    """Doubles in a run."""
    return await ctx.run(_double, number, name="double")


@greeter.handler
async def fail(_ctx: dt.Context) -> None:
    """Fails with an ordinary error."""
    raise ValueError("not today")


@greeter.handler
async def refuse(_ctx: dt.Context) -> None:
    """Fails for good."""
    raise dt.TerminalError("never", 418)


gates: dict[str, anyio.Event] = {}


@greeter.handler
async def work(ctx: dt.Context) -> str:
    """Is at work until the test opens the gate."""
    return await ctx.run(_work, name="work")


async def _work() -> str:
    gates["started"].set()
    await gates["go"].wait()
    return "done"


app = endpoint([greeter])


def media(version: int) -> list[tuple[str, str]]:
    """The content type of an invocation."""
    return [("content-type", f"application/vnd.restate.invocation.v{version}")]


def flat(completions: tuple[int, ...]) -> AwaitTree:
    """What an attempt waits for: these completions, or CANCEL."""
    return AwaitTree(AwaitKind.FIRST_COMPLETED, completions, (1,))


# -- routes and negotiation


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/mounted/some/where/health", 200),
        ("HEAD", "/health", 200),
        ("POST", "/health", 405),
        ("GET", "/discover", 200),
        ("POST", "/discover", 405),
        ("GET", "/invoke/Greeter/greet", 405),
        ("POST", "/invoke/Greeter/unknown", 404),
        ("POST", "/invoke/Unknown/greet", 404),
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("POST", "/invoke/Greeter", 404),
    ],
)
def test_routes(method: str, path: str, status: int, backend: str) -> None:
    """Only the end of a path counts; what is not there is 404, another method 405."""

    async def main() -> None:
        response = await respond(app, request_of(method, path, media(6)))

        assert response.status == status
        assert response.headers["x-restate-server"].startswith("durable-trio/")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "version", ["0", "1", "2", "3", "4", "8", "9" * 5_000, "06", "-6", "6.0", "6x", "6, x", "x", ""]
)
def test_unknown_protocol_versions(version: str, backend: str) -> None:
    """A version that is not spoken is 415, and so is no version at all."""

    async def main() -> None:
        headers = [("content-type", f"application/vnd.restate.invocation.v{version}")]
        response = await respond(app, request_of("POST", "/invoke/Greeter/greet", headers))
        bare = await respond(app, request_of("POST", "/invoke/Greeter/greet"))

        assert (response.status, bare.status) == (415, 415)

    anyio.run(main, backend=backend)


def test_what_is_not_there_is_not_negotiated_about(backend: str) -> None:
    """An unknown handler is 404 whatever the content type of the request."""

    async def main() -> None:
        bare = await respond(app, request_of("POST", "/invoke/Greeter/unknown"))
        newer = await respond(app, request_of("POST", "/invoke/Unknown/greet", media(99)))

        assert (bare.status, newer.status) == (404, 404)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("path", ["/discover", "/invoke/Greeter/greet", "/nothing", "/"])
def test_unsigned_requests(path: str, backend: str) -> None:
    """With identity keys an unsigned request is 401, except for the health check."""

    async def main() -> None:
        guarded = endpoint([greeter], identity_keys=[public_key(SECRET)])
        method = "GET" if path == "/discover" else "POST"
        response = await respond(guarded, request_of(method, path, media(6)))
        health = await respond(guarded, request_of("GET", "/health"))

        assert (response.status, health.status) == (401, 200)

    anyio.run(main, backend=backend)


def test_signed_requests(backend: str) -> None:
    """A signed request gets through, whatever the case of its headers."""

    async def main() -> None:
        guarded = endpoint([greeter], identity_keys=[public_key(SECRET)])
        proof = signed(aud="/discover").items()
        headers = [(key.decode().title(), value.decode()) for key, value in proof]
        response = await respond(guarded, request_of("GET", "/discover", headers))

        assert response.status == 200

    anyio.run(main, backend=backend)


def test_a_protocol_that_is_none() -> None:
    """A misspelt protocol is refused when the endpoint is made."""
    with pytest.raises(dt.DefinitionError, match="'bidi'"):
        endpoint([greeter], protocol="stream")  # type: ignore[arg-type]


def test_other_scopes(backend: str) -> None:
    """A websocket is refused."""

    async def main() -> None:
        request = request_of("GET", "/")
        request.scope["type"] = "websocket"
        with pytest.raises(dt.DefinitionError, match="websocket"):
            await app(request.scope, request.receive, request.send)

    anyio.run(main, backend=backend)


# -- attempts


@pytest.mark.parametrize("version", [5, 6, 7])
def test_an_attempt(version: int, backend: str) -> None:
    """Input in, output and End out, in one write; the media type is the request's."""

    async def main() -> None:
        async with invoked(app, "Greeter/greet", version=version) as request:
            request.write(start_of(Input(b'"you"')))
            output, end = await request.messages(2)
            assert (output, end) == (Output(Value(b'"hello you"')), EndMessage())
            assert not request.ended
            request.end()
            await request.until_ended()

        assert request.status == 200
        assert request.headers["content-type"] == f"application/vnd.restate.invocation.v{version}"
        assert request.writes == 1

    anyio.run(main, backend=backend)


def test_request_and_response(backend: str) -> None:
    """With the whole request there at once, an attempt that has to wait suspends."""

    async def main() -> None:
        async with invoked(app, "Greeter/nap") as request:
            request.end(start_of())
            sleep, suspended = await request.messages(2)
            await request.until_ended()

        assert isinstance(sleep, Sleep)
        assert suspended == flat((1,))

    anyio.run(main, backend=backend)


def test_any_handler_can_be_invoked(backend: str) -> None:
    """Whatever it is called: its name is no other route's, and has to be proven as any other."""
    names = dt.Service("Names")
    for name in ("health", "discover", "invoke"):

        @names.handler(name=name)
        async def call(_ctx: dt.Context) -> str:
            return "invoked"

    signed_only = endpoint([names], identity_keys=[public_key(SECRET)])

    async def main() -> None:
        for name in names.handlers:
            async with invoked(endpoint([names]), f"Names/{name}") as request:
                request.end(start_of())
                await request.until_ended()
            assert read(request.body) == [Output(Value(b'"invoked"')), EndMessage()]
            refused = await respond(signed_only, request_of("POST", f"/invoke/Names/{name}"))
            assert refused.status == 401

    anyio.run(main, backend=backend)


def test_a_stream_that_the_server_closes(backend: str) -> None:
    """A waiting attempt suspends when the server closes its side: the inactivity timeout."""

    async def main() -> None:
        async with invoked(app, "Greeter/nap") as request:
            request.write(start_of())
            assert isinstance((await request.messages(1))[0], Sleep)
            request.end()
            assert await request.messages(1) == [flat((1,))]
            await request.until_ended()

    anyio.run(main, backend=backend)


def test_a_run(backend: str) -> None:
    """A run is proposed, and its result counts when the server has stored it."""

    async def main() -> None:
        async with invoked(app, "Greeter/double") as request:
            request.write(start_of(Input(b"21")))
            assert await request.messages(2) == [
                Run(1, "double"),
                ProposeRunCompletionMessage(1, Value(b"42")),
            ]
            request.write(encode_notification(Completion(1, Value(b"42"))))
            assert await request.messages(2) == [Output(Value(b"42")), EndMessage()]
            request.end()

    anyio.run(main, backend=backend)


def test_a_run_in_version_7(backend: str) -> None:
    """V7 acknowledges a run, and is told what is awaited while nothing executes."""

    async def main() -> None:
        async with invoked(app, "Greeter/double", version=7) as request:
            request.write(start_of(Input(b"21")))
            await request.messages(2)
            request.write(encode_control(ProposeRunCompletionAckMessage(1)))
            found = await request.messages(1)
            if isinstance(found[0], AwaitingOnMessage):
                assert found == [AwaitingOnMessage(flat((1,)))]
                found = await request.messages(1)
            assert [*found, *await request.messages(1)] == [Output(Value(b"42")), EndMessage()]
            request.end()

    anyio.run(main, backend=backend)


def test_a_run_suspends_after_its_proposal(backend: str) -> None:
    """Without a way back for the result, the attempt suspends once its run is proposed."""

    async def main() -> None:
        async with invoked(app, "Greeter/double") as request:
            request.end(start_of(Input(b"21")))
            assert await request.messages(3) == [
                Run(1, "double"),
                ProposeRunCompletionMessage(1, Value(b"42")),
                flat((1,)),
            ]
            await request.until_ended()

    anyio.run(main, backend=backend)


def test_replay(backend: str) -> None:
    """What is recorded is not written again; a recorded output is followed by End alone."""

    async def main() -> None:
        journal = (Input(b"21"), Run(1, "double"), Completion(1, Value(b"42")))
        async with invoked(app, "Greeter/double") as request:
            request.end(start_of(*journal))
            assert await request.messages(2) == [Output(Value(b"42")), EndMessage()]
        async with invoked(app, "Greeter/double") as request:
            request.end(start_of(*journal, Output(Value(b"42"))))
            assert await request.messages(1) == [EndMessage()]
            await request.until_ended()

    anyio.run(main, backend=backend)


def test_a_mismatch(backend: str) -> None:
    """A journal of other code is code 570 and names the command."""

    async def main() -> None:
        async with invoked(app, "Greeter/double") as request:
            request.end(start_of(Input(b"21"), Run(1, "triple")))
            (error,) = await request.messages(1)

        assert (error.code, error.related_command_index) == (570, 1)
        assert error.related_command_name == "triple"

    anyio.run(main, backend=backend)


def test_cancellation(backend: str) -> None:
    """The CANCEL signal unwinds the handler: its output is a 409."""

    async def main() -> None:
        async with invoked(app, "Greeter/nap") as request:
            request.write(start_of())
            await request.messages(1)
            request.write(encode_notification(Signal(1, VOID)))
            assert await request.messages(2) == [Output(Failure(409, "cancelled")), EndMessage()]
            request.end()

    anyio.run(main, backend=backend)


def test_terminal_errors(backend: str) -> None:
    """A terminal error is an output, not a failed attempt."""

    async def main() -> None:
        async with invoked(app, "Greeter/refuse") as request:
            request.end(start_of())
            assert await request.messages(2) == [Output(Failure(418, "never")), EndMessage()]

    anyio.run(main, backend=backend)


def test_ordinary_errors(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """An ordinary error fails the attempt, and is logged with its traceback."""

    async def main() -> None:
        async with invoked(app, "Greeter/fail") as request:
            request.end(start_of())
            (error,) = await request.messages(1)

        assert (error.code, error.message) == (500, "ValueError: not today")

    anyio.run(main, backend=backend)
    (record,) = caplog.records
    assert record.getMessage() == "Greeter/fail of inv_1 failed and is to be retried"
    assert record.exc_info is not None


def test_garbage(backend: str) -> None:
    """Bytes that are no protocol are answered within the stream, and nothing runs."""

    async def main() -> None:
        async with invoked(app, "Greeter/greet") as request:
            request.end(b"\xff" * 30)
            (error,) = await request.messages(1)
            await request.until_ended()

        assert isinstance(error, ErrorMessage)
        assert error.code == 400

    anyio.run(main, backend=backend)


def test_the_limit_of_messages(backend: str) -> None:
    """A message above ``max_message_size`` is refused; one below is not."""

    async def main() -> None:
        small = endpoint([greeter], max_message_size=100)
        async with invoked(small, "Greeter/greet") as request:
            request.end(start_of(Input(b'"' + b"x" * 200 + b'"')))
            (error,) = await request.messages(1)

        assert error.code == 400

    anyio.run(main, backend=backend)


# -- the other side goes away, or this one


def test_a_client_that_goes_away(backend: str) -> None:
    """When the other side is gone the attempt is torn down, whatever it does."""

    async def main() -> None:
        gates.update(started=anyio.Event(), go=anyio.Event())
        async with invoked(app, "Greeter/work") as request:
            request.write(start_of())
            await gates["started"].wait()
            request.disconnect()
        assert not request.ended

        async with invoked(app, "Greeter/greet") as request:
            request.write(start_of()[:3])
            request.disconnect()
        assert request.status is None

    anyio.run(main, backend=backend)


def test_a_client_that_left_before_its_attempt_began(backend: str) -> None:
    """There is no attempt then: its steps would be for nothing."""
    attempts: list[str] = []
    lone = dt.Service("Lone")

    @lone.handler
    async def begin(_ctx: dt.Context) -> None:
        attempts.append("begun")

    async def main() -> None:
        named = [(key.encode(), value.encode()) for key, value in media(6)]
        head = RequestHead("POST", "/invoke/Lone/begin", "2", named)
        for leaves in (True, False):
            exchange = endpoint([lone]).respond(head)
            assert isinstance(exchange, Exchange)
            exchange.receive(start_of())
            assert exchange.ready
            if leaves:
                exchange.close()
            await exchange.run()
            assert bool(exchange.take_output()) != leaves

    anyio.run(main, backend=backend)
    assert attempts == ["begun"]


def test_a_client_that_takes_nothing_any_more(backend: str) -> None:
    """A web server may say so by an ``OSError`` when something is sent: nobody is told of an error."""

    async def gone() -> None:
        raise BrokenPipeError("the client has left")

    async def main() -> None:
        request = request_of("GET", "/health")
        request.on_send = gone
        request.end()
        await app(request.scope, request.receive, request.send)
        for handler in ("greet", "nap", "work"):
            gates.update(started=anyio.Event(), go=anyio.Event())
            request = request_of("POST", f"/invoke/Greeter/{handler}", media(6))
            request.on_send = gone
            async with invoked(app, "", request=request):
                request.write(start_of(Input(b'"you"' if handler == "greet" else b"")))
            assert request.status is None

        gates.update(started=anyio.Event(), go=anyio.Event())
        async with invoked(app, "Greeter/work") as request:
            request.write(start_of())
            await request.messages(1)
            await gates["started"].wait()
            request.on_send = gone
            gates["go"].set()
        assert not request.ended

    anyio.run(main, backend=backend)


def test_headers_are_shared_and_not_kept() -> None:
    """What all requests have is there once; what is each one's own goes with it."""

    def headers(number: int) -> dict[str, str]:
        own = [("x-restate-invocation-id", f"inv_{number}"), ("x-long", "l" * 100)]
        named = [(key.encode(), value.encode()) for key, value in [*media(6), *own]]
        exchange = app.respond(RequestHead("POST", "/invoke/Greeter/nap", "2", named))
        assert isinstance(exchange, Exchange)
        exchange.receive(start_of())
        exchange.close()
        start = exchange._connection.start
        assert start is not None
        return dict(start.attempt_headers)

    first = headers(0)
    many = [headers(number) for number in range(1, 1_000)]
    last = many[-1]

    assert first["content-type"] is last["content-type"]
    assert last == dict(media(6)) | {"x-restate-invocation-id": "inv_999", "x-long": "l" * 100}
    assert last["x-long"] is not first["x-long"]
    assert _text.cache_info().currsize <= 256


def test_draining(backend: str) -> None:
    """Waiting attempts suspend, those at work end first, and those that come go on a little."""

    async def main() -> None:
        app = endpoint([greeter])
        await app.drain()
        gates.update(started=anyio.Event(), go=anyio.Event())
        app = endpoint([greeter])
        async with (
            invoked(app, "Greeter/nap") as waiting,
            invoked(app, "Greeter/work") as working,
            anyio.create_task_group() as group,
        ):
            waiting.write(start_of())
            working.write(start_of())
            await waiting.messages(1)
            await gates["started"].wait()
            group.start_soon(app.drain)
            assert await waiting.messages(1) == [flat((1,))]
            waiting.end()
            async with invoked(app, "Greeter/nap") as late:
                late.write(start_of())
                assert (await late.messages(2))[1] == flat((1,))
                late.end()
            gates["go"].set()
            assert (await working.messages(3))[2] == flat((1,))
            working.end()

    anyio.run(main, backend=backend)


def test_lifespan(backend: str) -> None:
    """Startup is confirmed at once, shutdown when the attempts have ended."""

    async def main() -> None:
        app, sent = endpoint([greeter]), list[str]()
        incoming = ["lifespan.startup", "lifespan.shutdown"]

        async def receive() -> dict[str, Any]:
            return {"type": incoming.pop(0)}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": "lifespan"}, receive, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    anyio.run(main, backend=backend)


def test_a_slow_reader(backend: str) -> None:
    """While a write waits for the reader, what is said meanwhile leaves in one piece after it."""

    async def main() -> None:
        gate = anyio.Event()
        request = request_of("POST", "/invoke/Greeter/double", media(6))

        async def slow() -> None:
            if request.body:
                await gate.wait()

        request.on_send = slow
        async with invoked(app, "", request=request):
            request.write(start_of(Input(b"21")))
            await request.messages(1)
            request.write(encode_notification(Completion(1, Value(b"42"))))
            request.end()
            await anyio.wait_all_tasks_blocked()
            gate.set()
            assert (await request.messages(3))[1:] == [Output(Value(b"42")), EndMessage()]
            await request.until_ended()

        assert isinstance(request, Request)

    anyio.run(main, backend=backend)
