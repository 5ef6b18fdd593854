"""What is sent, what is not, and what is sent again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_trio import (
    IdempotentTarget,
    NoAnswerError,
    RequestTimeoutError,
    RetryPolicy,
    TerminalError,
    UnavailableError,
    UsageError,
    WorkflowTarget,
)
from durable_trio.client import AdminClient, IngressClient
from durable_trio.client._paths import segment
from durable_trio.client._transport import delay_before
from tests.restate.server import free_port

from .fake import answer, answering
from .services import greet, ping, shout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import SocketStream

    from .fake import Seen

Ask: TypeAlias = "Callable[[IngressClient], Awaitable[object]]"

AT_ONCE = RetryPolicy(initial_interval=0, max_attempts=3)
BUSY = answer(503, b'{"code": 503, "message": "busy", "source": "ingress"}')
OK = answer(200, b'"ok"')


@given(st.text(min_size=1))
def test_a_name_is_one_segment(name: str) -> None:
    """Whatever is in it, httpx sends it as one segment that is decoded to what it was."""
    path = httpx.URL(f"http://h/a/{segment(name, 'it')}/b").raw_path.decode()
    before, found, after = path.removeprefix("/").split("/")

    assert ("a", "b") == (before, after)
    assert name == unquote(found, errors="strict")


def sent(backend: str, ask: Ask, *answers: bytes, **options: Any) -> list[Seen]:
    """The requests that arrive when ``ask`` is done with a client."""

    async def main() -> list[Seen]:
        async with (
            answering(*(answers or (OK,))) as fake,
            IngressClient(fake.url, **options) as ingress,
        ):
            await ask(ingress)
            return fake.seen

    return anyio.run(main, backend=backend)


def test_a_body_has_a_content_type_and_no_body_has_none(backend: str) -> None:
    """A Restate server refuses either mistake."""
    [nothing] = sent(backend, lambda ingress: ingress.call(greet))
    [something] = sent(backend, lambda ingress: ingress.call(greet, "é"))
    [text] = sent(backend, lambda ingress: ingress.call(shout, b"x"))
    [raw] = sent(backend, lambda ingress: ingress.invoke("S", "h", b"{}"))

    assert (b"", None) == (nothing.body, nothing.headers.get("content-type"))
    assert ('"é"'.encode(), "application/json") == (
        something.body,
        something.headers["content-type"],
    )
    assert "text/plain" == text.headers["content-type"]
    assert "application/json" == raw.headers["content-type"]
    assert "identity" == raw.headers["accept-encoding"]


def test_the_clients_headers_go_with_every_request(backend: str) -> None:
    """And below a path of the URL."""

    async def main() -> None:
        async with answering(OK, answer(202)) as fake:
            headers = {"Authorization": "Bearer t"}
            async with (
                IngressClient(f"{fake.url}/below/", headers=headers) as ingress,
                AdminClient(fake.url, headers=headers) as admin,
            ):
                await ingress.call(greet)
                await admin.cancel("inv_1")
            assert ["/below/Desk/greet", "/invocations/inv_1/cancel"] == [
                each.target for each in fake.seen
            ]
            assert ["Bearer t"] * 2 == [each.headers["authorization"] for each in fake.seen]

    anyio.run(main, backend=backend)


def test_a_delay_is_never_shorter_than_what_was_asked_for(backend: str) -> None:
    """It is sent in whole milliseconds, with their unit."""

    def delayed(delay: float) -> Ask:
        return lambda ingress: ingress.send(greet, delay=delay)

    receipt = answer(202, b'{"invocationId": "inv_1"}')
    delays = {0: "", 0.0001: "?delay=1ms", 1.5: "?delay=1500ms", 31536000: "?delay=31536000000ms"}
    for delay, query in delays.items():
        [seen] = sent(backend, delayed(delay), receipt)
        assert f"/Desk/greet/send{query}" == seen.target


def test_a_scope_is_in_the_path_and_a_limit_key_in_a_header(backend: str) -> None:
    """Of calls and sends, by handler and by name."""
    receipt = answer(202, b'{"invocationId": "inv_1"}')
    calls: list[Ask] = [
        lambda ingress: ingress.call(greet, scope="a", limit_key="b/c"),
        lambda ingress: ingress.invoke("Desk", "greet", scope="a", limit_key="b/c"),
    ]
    sends: list[Ask] = [
        lambda ingress: ingress.send(greet, scope="a", limit_key="b/c"),
        lambda ingress: ingress.submit("Desk", "greet", scope="a", limit_key="b/c"),
    ]
    for ask in calls + sends:
        verb, reply = ("call", OK) if ask in calls else ("send", receipt)
        [seen] = sent(backend, ask, reply)
        assert f"/restate/scope/a/{verb}/Desk/greet" == seen.target
        assert "b/c" == seen.headers["x-restate-limit-key"]


def test_targets_are_named_in_paths_or_bodies(backend: str) -> None:
    """Idempotency keys and scopes are in bodies: a server decodes none in paths."""

    def output_of(target: str | WorkflowTarget | IdempotentTarget) -> Ask:
        return lambda ingress: ingress.output(target)

    looks: dict[str | WorkflowTarget | IdempotentTarget, tuple[str, str, bytes]] = {
        "inv_1/x": ("GET", "/restate/invocation/inv_1%2Fx/output", b""),
        WorkflowTarget("W", "a b"): ("GET", "/restate/workflow/W/a%20b/output", b""),
        WorkflowTarget("W", "k", "s"): (
            "POST",
            "/restate/output",
            b'{"target":"workflow","workflowName":"W","workflowKey":"k","scope":"s"}',
        ),
        IdempotentTarget("S", "h", "i/1"): (
            "POST",
            "/restate/output",
            b'{"target":"idempotentInvocation","service":"S","handler":"h","idempotencyKey":"i/1"}',
        ),
        IdempotentTarget("O", "h", "i", "k", "s"): (
            "POST",
            "/restate/output",
            (
                b'{"target":"idempotentInvocation","service":"O","handler":"h",'
                b'"idempotencyKey":"i","key":"k","scope":"s"}'
            ),
        ),
    }
    for target, expected in looks.items():
        [seen] = sent(backend, output_of(target))
        assert expected == (seen.method, seen.target, seen.body)


def test_a_function_is_registered_by_its_arn(backend: str) -> None:
    """An ARN is told from a URL, and may come with a role."""

    async def main() -> list[object]:
        found = answer(201, b'{"id": "dp_1", "services": []}')
        async with answering(found, found) as fake, AdminClient(fake.url) as admin:
            await admin.register_deployment("arn:aws:lambda:x", assume_role_arn="arn:aws:iam:y")
            await admin.register_deployment("http://h", http_11=True, headers={"x": "y"})
            return [json.loads(each.body) for each in fake.seen]

    assert [
        {
            "arn": "arn:aws:lambda:x",
            "assume_role_arn": "arn:aws:iam:y",
            "force": False,
            "dry_run": False,
        },
        {
            "uri": "http://h",
            "use_http_11": True,
            "additional_headers": {"x": "y"},
            "force": False,
            "dry_run": False,
        },
    ] == anyio.run(main, backend=backend)


@pytest.mark.parametrize(
    "options",
    [
        {"idempotency_key": " a"},
        {"idempotency_key": "é"},
        {"idempotency_key": "a\r\nx: y"},
        {"headers": {"x": "a\nb"}},
        {"headers": {"x y": "a"}},
        {"headers": {"": "a"}},
        {"headers": {"Host": "elsewhere"}},
        {"headers": {"Content-Length": "0"}},
        {"headers": {"Idempotency-Key": "a"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"timeout": -1},
        {"limit_key": ""},
        {"scope": ""},
    ],
)
def test_what_a_header_cannot_carry_is_refused_here(backend: str, options: dict[str, Any]) -> None:
    """Nothing is sent that would arrive as something else."""
    with pytest.raises(UsageError):
        sent(backend, lambda ingress: ingress.call(ping, **options))


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://h", "http://", "http://h:x", "http://h?a=b", "http://h:99999"]
)
def test_a_url_that_is_none(url: str) -> None:
    """It is refused when the client is made."""
    for client in (IngressClient, AdminClient):
        with pytest.raises(UsageError, match="is no URL"):
            client(url)


def test_a_client_is_used_inside_of_its_block(backend: str) -> None:
    """Before and afterwards it has no connections."""

    async def main() -> None:
        client = IngressClient("http://127.0.0.1:1")
        with pytest.raises(UsageError, match="async with"):
            await client.call(greet)
        async with client:
            pass
        with pytest.raises(UsageError, match="async with"):
            await client.call(greet)

    anyio.run(main, backend=backend)


def test_an_httpx_client_of_ones_own(backend: str) -> None:
    """It is used and not closed; proxies and certificates are its business."""

    async def main() -> None:
        async with answering(OK) as fake, httpx.AsyncClient(headers={"x-mine": "1"}) as http:
            async with IngressClient(fake.url, http=http) as ingress:
                await ingress.call(greet)
            assert not http.is_closed
            assert "1" == fake.seen[0].headers["x-mine"]

    anyio.run(main, backend=backend)


def test_nobody_at_the_url(backend: str) -> None:
    """Nothing was sent, which is told apart from an answer that did not come."""

    async def main() -> None:
        async with IngressClient(f"http://127.0.0.1:{free_port()}") as ingress:
            with pytest.raises(NoAnswerError, match="no connection") as caught:
                await ingress.call(greet)
            assert not caught.value.sent
        async with answering() as fake, IngressClient(fake.url) as ingress:
            with pytest.raises(NoAnswerError, match="no answer") as caught:
                await ingress.call(greet)
            assert caught.value.sent

    anyio.run(main, backend=backend)


# -- again


def test_nothing_is_repeated_unless_asked_for(backend: str) -> None:
    """Not even what is safe."""
    with pytest.raises(UnavailableError):
        sent(backend, lambda ingress: ingress.output("inv_1"), BUSY, OK)


@pytest.mark.parametrize("trouble", [BUSY, b"", b"HTTP/1.1 200 OK\r\ncontent-"])
def test_what_is_safe_is_repeated(backend: str, trouble: bytes) -> None:
    """Looking at results, and calls and sends with an idempotency key: twice, if need be."""
    receipt = answer(202, b'{"invocationId": "inv_1"}')
    asked: list[tuple[Ask, bytes]] = [
        (lambda ingress: ingress.attach("inv_1"), OK),
        (lambda ingress: ingress.output(IdempotentTarget("S", "h", "k")), OK),
        (lambda ingress: ingress.call(greet, idempotency_key="k"), OK),
        (lambda ingress: ingress.send(greet, idempotency_key="k"), receipt),
    ]
    for ask, last in asked:
        seen = sent(backend, ask, trouble, trouble, last, retry=AT_ONCE)
        assert 3 == len(seen)
        assert seen[0] == seen[1] == seen[2]


def test_what_is_not_safe_is_not_repeated(backend: str) -> None:
    """A call without an idempotency key may have been made: who knows."""

    async def main() -> None:
        async with (
            answering(BUSY, b"", BUSY) as fake,
            IngressClient(fake.url, retry=AT_ONCE) as ingress,
        ):
            with pytest.raises(UnavailableError):
                await ingress.call(greet)
            with pytest.raises(NoAnswerError):
                await ingress.send(greet)
            with pytest.raises(UnavailableError):
                await ingress.resolve_awakeable("a", 1)
            assert 3 == len(fake.seen)

    anyio.run(main, backend=backend)


def test_what_was_not_sent_is_repeated(backend: str) -> None:
    """Nothing happened, so it is safe: somebody who listens in the end gets it once."""

    async def main() -> None:
        port = free_port()
        policy = RetryPolicy(initial_interval=0.001, max_interval=0.001)
        results: list[str] = []
        async with (
            IngressClient(f"http://127.0.0.1:{port}", retry=policy) as ingress,
            anyio.create_task_group() as group,
        ):

            async def call() -> None:
                results.append(await ingress.call(greet))
                group.cancel_scope.cancel()

            group.start_soon(call)
            await anyio.wait_all_tasks_blocked()

            async def serve(stream: SocketStream) -> None:
                async with stream:
                    await stream.receive()
                    await stream.send(OK)

            listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
            async with listener:
                await listener.serve(serve)
        assert ["ok"] == results

    anyio.run(main, backend=backend)


def test_a_refusal_is_not_repeated(backend: str) -> None:
    """Nor is a failure: both are last words."""

    async def main() -> None:
        failed = answer(503, b"{}", "x-restate-error-source: invocation")
        async with (
            answering(answer(404), failed) as fake,
            IngressClient(fake.url, retry=AT_ONCE) as ingress,
        ):
            for _ in range(2):
                with pytest.raises(TerminalError) as caught:
                    await ingress.attach("inv_1")
                assert caught.value.code in {404, 503}
            assert 2 == len(fake.seen)

    anyio.run(main, backend=backend)


def test_the_policy_ends(backend: str) -> None:
    """The last error is the one that is raised."""

    async def main() -> None:
        async with (
            answering(BUSY, BUSY, b"", BUSY) as fake,
            IngressClient(fake.url, retry=AT_ONCE) as ingress,
            AdminClient(fake.url, retry=AT_ONCE) as admin,
        ):
            with pytest.raises(NoAnswerError):
                await ingress.attach("inv_1")
            assert 3 == len(fake.seen)
            with pytest.raises(UnavailableError):
                await admin.pause("inv_1")
            assert 4 == len(fake.seen)

    anyio.run(main, backend=backend)


def test_a_deadline_ends_the_retries(backend: str) -> None:
    """It holds for all of them together, and the error says what the last one was."""

    async def main() -> None:
        slow = RetryPolicy(initial_interval=3600, max_interval=3600)
        async with answering(BUSY) as fake, IngressClient(fake.url, retry=slow) as ingress:
            with pytest.raises(RequestTimeoutError, match="the last try: busy") as caught:
                await ingress.attach("inv_1", timeout=0.2)
            assert isinstance(caught.value.__cause__, UnavailableError)

    anyio.run(main, backend=backend)


def test_a_delay_before_a_retry() -> None:
    """The policy's, a little less by chance, and never less than what the server asked for."""
    policy = RetryPolicy(initial_interval=1, max_interval=10)
    nothing, busy = NoAnswerError("x"), UnavailableError("x", 503, 5)

    assert [1, 2, 10] == [delay_before(policy, nothing, count, 0) for count in (1, 2, 9)]
    assert 0.8 == delay_before(policy, nothing, 1, 1)
    assert [5, 5, 10] == [delay_before(policy, busy, count, 0) for count in (1, 2, 9)]


def test_a_message_that_is_no_unicode_is_refused_here(backend: str) -> None:
    """Nothing of it is sent."""

    async def main() -> None:
        async with answering() as fake, IngressClient(fake.url) as ingress:
            with pytest.raises(UsageError, match=r"no valid Unicode.*lone surrogates"):
                await ingress.reject_awakeable("sign_1", "\udcff")
            assert [] == fake.seen

    anyio.run(main, backend=backend)
