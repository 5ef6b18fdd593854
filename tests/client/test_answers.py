"""Answers that no Restate server gives, or gives on a bad day."""

from __future__ import annotations

import gzip
import socket
import struct
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from durable_trio import (
    BadAnswerError,
    CancelledError,
    NoAnswerError,
    RefusedError,
    RequestError,
    RequestTimeoutError,
    SendReceipt,
    SerializationError,
    TerminalError,
    UnavailableError,
)
from durable_trio.client import AdminClient, IngressClient

from .fake import answer, answering
from .services import greet

if TYPE_CHECKING:
    from anyio.abc import SocketStream

    from .fake import Answer

FROM_INVOCATION = "x-restate-error-source: invocation"
FROM_INGRESS = "x-restate-error-source: ingress"


def asked(backend: str, given: Answer, **options: Any) -> Any:
    """What a call returns, or raises, if this is the answer."""
    timeout = options.pop("call_timeout", None)

    async def main() -> Any:
        async with (
            answering(given) as fake,
            IngressClient(fake.url, **options) as ingress,
        ):
            return await ingress.call(greet, timeout=timeout)

    return anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (b"", NoAnswerError, "no answer"),
        (b"\x00\x01\x02 nonsense\r\n\r\n", NoAnswerError, "no answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", NoAnswerError, "no answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n12", NoAnswerError, "no answer"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12",
            NoAnswerError,
            "no answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            NoAnswerError,
            "no answer",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", NoAnswerError, "no answer"),
        (answer(301, b"", "location: http://elsewhere/"), BadAnswerError, "elsewhere"),
        (answer(304), BadAnswerError, "304"),
        (
            answer(200, gzip.compress(b'"x"', mtime=0), "content-encoding: gzip"),
            BadAnswerError,
            "gzip",
        ),
        (answer(200, b"<html>"), SerializationError, "JSON"),
        (answer(200, b"5"), SerializationError, "expected str"),
        (answer(502, b"<html>bad gateway</html>"), UnavailableError, "bad gateway"),
        (answer(404, b"<html>no</html>"), RefusedError, "<html>no</html>"),
        (answer(404), RefusedError, "an empty body"),
        (answer(400, b"\xff\xfe"), RefusedError, "\ufffd"),
        (answer(400, b"[1]"), RefusedError, r"\[1\]"),
        (answer(400, b'{"message": 5}'), RefusedError, "5"),
        (answer(400, b"x" * 100_000), RefusedError, r"x{500}\.\.\.$"),
        (answer(500, b"oops", FROM_INVOCATION), TerminalError, "oops"),
        (
            answer(500, b'{"code": "x", "message": "m", "metadata": [1]}', FROM_INVOCATION),
            TerminalError,
            "^m$",
        ),
    ],
)
def test_a_strange_answer(backend: str, given: bytes, error: type[Exception], message: str) -> None:
    """It is an error of the tree that says what came, and never anything else."""
    with pytest.raises(error, match=message):
        asked(backend, given)


def test_a_failure_says_whose_it_is(backend: str) -> None:
    """Class, code, message, metadata, and in a note the invocation to look at."""
    body = b'{"code": 409, "message": "cancelled", "metadata": {"a": 1}}'
    with pytest.raises(CancelledError) as caught:
        asked(backend, answer(409, body, FROM_INVOCATION, "x-restate-id: inv_1"))

    assert (409, {"a": "1"}) == (caught.value.code, caught.value.metadata)
    assert ["It is the outcome of the invocation inv_1."] == caught.value.__notes__


def test_a_refusal_is_no_failure(backend: str) -> None:
    """What the ingress says is a ``RefusedError``, terminal, with code and message."""
    body = b'{"code": 404, "message": "service not found", "source": "ingress"}'
    with pytest.raises(RefusedError) as caught:
        asked(backend, answer(404, body, FROM_INGRESS))

    assert (404, "service not found") == (caught.value.code, caught.value.message)
    assert isinstance(caught.value, TerminalError)
    assert not isinstance(caught.value, RequestError)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_is_not_decided_is_not_terminal(backend: str, status: int) -> None:
    """An ingress that cannot answer now says no last word."""
    body = b'{"code": 1, "message": "later", "source": "ingress"}'
    with pytest.raises(UnavailableError, match="later") as caught:
        asked(backend, answer(status, body, FROM_INGRESS, "retry-after: 7"))

    assert (status, 7.0) == (caught.value.code, caught.value.retry_after)
    assert not isinstance(caught.value, TerminalError)


@pytest.mark.parametrize("text", ["-1", "Wed, 99 Oct 2015 07:28:00 GMT", "9" * 400, "\xb2", ""])
def test_a_strange_delay_is_ignored(backend: str, text: str) -> None:
    """What is no number of whole seconds and no date."""
    with pytest.raises(UnavailableError) as caught:
        asked(backend, answer(503, b"", f"retry-after: {text}"))

    assert None is caught.value.retry_after


def test_a_delay_may_be_a_date(backend: str) -> None:
    """One that has passed is none, one to come is that far away."""
    for text, soonest, latest in (
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0, 0.0),
        ("Thu, 01 Jan 2137 00:00:00 GMT", 86_400.0, 4e9),
    ):
        with pytest.raises(UnavailableError) as caught:
            asked(backend, answer(429, b"", f"retry-after: {text}"))
        assert caught.value.retry_after is not None
        assert soonest <= caught.value.retry_after <= latest


def test_a_broken_connection_has_a_reason_and_a_remedy(backend: str) -> None:
    """Also where the host's error has no text of its own."""

    async def reset(stream: SocketStream) -> None:
        linger = struct.pack("ii", 1, 0)
        sock = stream.extra(SocketAttribute.raw_socket)  # no Django
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    for given in (b"", reset):
        with pytest.raises(NoAnswerError, match=r"to POST /\w+/greet: \w.*\. .*idempotency key"):
            asked(backend, given)


def test_a_strange_output_says_whose_it_is(backend: str) -> None:
    """The handler or the invocation, the server, and what may be wrong."""
    with pytest.raises(SerializationError, match=r"the output of \w+/greet, as http://.*version"):
        asked(backend, answer(200, b"<html>"))

    async def main() -> None:
        async with (
            answering(answer(200, b"x"), answer(200, b"x")) as fake,
            IngressClient(fake.url) as ingress,
        ):
            with pytest.raises(SerializationError, match=r"inv_1.*as http://"):
                await ingress.attach("inv_1", int)
            with pytest.raises(SerializationError, match=r"inv_1.*as http://"):
                await ingress.output("inv_1", int)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("body", [b'{"deployments": [{}]}', b'{"deployments": {"a": 1}}', b"{}"])
def test_answers_of_another_server_say_what_may_be_wrong(backend: str, body: bytes) -> None:
    """What was expected, what came (not all of a long one), and where it should have been asked."""
    long = (
        body.removesuffix(b"}")
        + (b", " if body != b"{}" else b"")
        + b'"x": "'
        + b"y" * 9_000
        + b'"}'
    )

    async def main() -> None:
        async with answering(*[answer(200, long)] * 7) as fake, AdminClient(fake.url) as admin:
            for ask in (
                admin.deployments,
                admin.services,
                admin.features,
                lambda: admin.deployment("dp_1"),
                lambda: admin.service("Greeter"),
                lambda: admin.query("SELECT 1"),
                lambda: admin.restart_as_new("inv_1"),
            ):
                with pytest.raises(BadAnswerError, match=r"admin port, of 1\.7 or newer") as caught:
                    await ask()
                assert len(str(caught.value)) < 800

    anyio.run(main, backend=backend)


def test_an_answer_that_says_it_is_too_large(backend: str) -> None:
    """It is refused before it is read."""
    with pytest.raises(BadAnswerError, match="more than 10 bytes"):
        asked(backend, b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n", max_body_size=10)

    assert "1234567" == asked(backend, answer(200, b'"1234567"'), max_body_size=9)


def test_an_answer_that_never_ends(backend: str) -> None:
    """It is cut where it gets too large, and whoever sends it is disconnected."""
    ended = False

    async def endless(stream: SocketStream) -> None:
        nonlocal ended
        await stream.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                await stream.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except anyio.BrokenResourceError:
            ended = True

    async def main() -> None:
        async with (
            answering(endless) as fake,
            IngressClient(fake.url, max_body_size=100_000) as ingress,
        ):
            with pytest.raises(BadAnswerError, match="more than 100000 bytes"):
                await ingress.call(greet)
            await fake.closed.wait()

    anyio.run(main, backend=backend)
    assert ended


def test_an_answer_that_trickles(backend: str) -> None:
    """A deadline holds for all of it, however often another byte comes."""

    async def trickle(stream: SocketStream) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.001)

    with pytest.raises(RequestTimeoutError, match=r"no answer within 0\.05 s") as caught:
        asked(backend, trickle, call_timeout=0.05)
    assert isinstance(caught.value, TimeoutError)


def test_nobody_answers(backend: str) -> None:
    """The timeout of the client bounds what does not wait for a result."""

    async def silence(stream: SocketStream) -> None:
        await anyio.sleep_forever()

    async def main() -> None:
        async with (
            answering(silence, silence) as fake,
            IngressClient(fake.url, timeout=0.05) as ingress,
            AdminClient(fake.url, timeout=0.05) as admin,
        ):
            with pytest.raises(RequestTimeoutError):
                await ingress.send(greet)
            with pytest.raises(RequestTimeoutError):
                await admin.query("SELECT 1")

    anyio.run(main, backend=backend)


def test_who_leaves_a_call_closes_its_connection(backend: str) -> None:
    """A cancelled wait leaves nothing behind, and the next request its own answer."""

    async def main() -> None:
        reached = anyio.Event()

        async def silence(stream: SocketStream) -> None:
            reached.set()
            await anyio.sleep_forever()

        async with (
            answering(silence, answer(200, b'"mine"')) as fake,
            IngressClient(fake.url) as ingress,
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(ingress.call, greet)
                await reached.wait()
                group.cancel_scope.cancel()
            assert "mine" == await ingress.call(greet)
            assert 2 == fake.connections

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"<html>", b'{"invocationId": 5}', b"\xff", b"null"]
)
def test_a_send_that_is_answered_without_an_id(backend: str, body: bytes) -> None:
    """It may have been accepted: nobody knows."""

    async def main() -> None:
        async with answering(answer(202, body)) as fake, IngressClient(fake.url) as ingress:
            with pytest.raises(BadAnswerError):
                await ingress.send(greet)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("time", [b'"soon"', b"5", b"{}"])
def test_a_send_whose_time_is_none(backend: str, time: bytes) -> None:
    """It has been accepted all the same; when it will start is not known."""
    body = b'{"invocationId": "inv_1", "status": "Accepted", "executionTime": ' + time + b"}"

    async def main() -> None:
        async with answering(answer(202, body)) as fake, IngressClient(fake.url) as ingress:
            assert SendReceipt("inv_1", False, None) == await ingress.send(greet)

    anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (answer(500, b'{"message": "Schema error"}'), RefusedError, "Schema error"),
        (answer(503, b'{"message": "not ready"}'), UnavailableError, "not ready"),
        (answer(200, b"PK\x03\x04"), BadAnswerError, "expected a JSON object"),
        (answer(200, b'{"rows": 3}'), BadAnswerError, "without rows"),
    ],
)
def test_a_query_that_fails(
    backend: str, given: bytes, error: type[Exception], message: str
) -> None:
    """500 is what the server says of the SQL; what is no answer to a query is told."""

    async def main() -> None:
        async with answering(given) as fake, AdminClient(fake.url) as admin:
            with pytest.raises(error, match=message):
                await admin.query("SELECT 1")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("row", [b'{"value": "00"}', b'{"key": "k", "value": "no"}', b"5"])
def test_state_that_is_answered_strangely(backend: str, row: bytes) -> None:
    """Rows of something else are told as such."""

    async def main() -> None:
        rows = answer(200, b'{"rows": [' + row + b"]}")
        async with answering(rows) as fake, AdminClient(fake.url) as admin:
            with pytest.raises(BadAnswerError, match=r"state was answered.*admin port"):
                await admin.get_state("Box", "k")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("body", [b"{}", b'{"id": "dp_1", "services": [5]}', b'{"services": []}'])
def test_a_registration_that_is_answered_strangely(backend: str, body: bytes) -> None:
    """It is told as such."""

    async def main() -> None:
        async with answering(answer(201, body)) as fake, AdminClient(fake.url) as admin:
            with pytest.raises(BadAnswerError, match="expected a deployment with its id"):
                await admin.register_deployment("http://127.0.0.1:9080")

    anyio.run(main, backend=backend)


def test_the_features_of_a_server(backend: str) -> None:
    """Those that are on; an answer without any is none of a server's."""
    version = b'{"version": "1.7.12", "features": {"protocol_v7": true, "vqueues": false}}'

    async def main() -> None:
        answers = (answer(200, version), answer(200, b'{"version": "1.7.12"}'))
        async with answering(*answers) as fake, AdminClient(fake.url) as admin:
            assert frozenset({"protocol_v7"}) == await admin.features()
            with pytest.raises(BadAnswerError, match="without features"):
                await admin.features()
            assert ["/version", "/version"] == [seen.target for seen in fake.seen]

    anyio.run(main, backend=backend)
