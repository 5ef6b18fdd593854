"""One code for every ``Ingress`` and ``Admin``: the runtime, its HTTP ingress, a Restate server.

Keys and names hold the backend's name: the Restate server is one for all of these tests.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    NOT_READY,
    IdempotentTarget,
    InvalidInputError,
    TerminalError,
    UsageError,
    WorkflowTarget,
    remote,
)

from .services import (
    Order,
    add,
    double,
    fail,
    fail_with_labels,
    greet,
    header,
    name_of,
    ping,
    private,
    put,
    shout,
    taken,
    wait,
    wait_for_ever,
)

if TYPE_CHECKING:
    from .conftest import Anywhere

KEYS = [
    "a/b",
    "a%2Fb",
    "a b+c",
    ".",
    "..",
    "../..",
    "?x=1#y",
    "send",
    "é€𝄞",
    "\n\t\x00",
    "%",
    "//",
]


def test_calls_are_typed(backend: str, anywhere: Anywhere) -> None:
    """Inputs and outputs are values of the handler's types; either may be missing."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            assert Order("x", [2, 4]) == await ingress.call(double, Order("x", [1, 2]))
            assert "hello you" == await ingress.call(greet)
            assert "hello Ann" == await ingress.call(greet, "Ann")
            await ingress.call(ping)
            assert b"LOUD" == await ingress.call(shout, b"loud")
            stranger = remote("Desk", "double", output=Order)
            assert Order("y", []) == await ingress.call(stranger, {"id": "y", "amounts": []})

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_may_be_anything(backend: str, anywhere: Anywhere, key: str) -> None:
    """It arrives as it was passed, whatever it would mean in a path."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            assert key == await ingress.call(name_of, key=key)

    anyio.run(main, backend=backend)


def test_what_is_wrong_here_is_not_sent(backend: str, anywhere: Anywhere) -> None:
    """A missing, an empty and a superfluous key, an empty idempotency key, a wrong delay."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            with pytest.raises(UsageError, match="pass key="):
                await ingress.call(name_of)
            with pytest.raises(UsageError, match="pass key="):
                await ingress.call(name_of, key="")
            with pytest.raises(UsageError, match="has no keys"):
                await ingress.call(ping, key="k")
            with pytest.raises(UsageError, match="empty"):
                await ingress.call(ping, idempotency_key="")
            with pytest.raises(UsageError, match="delay"):
                await ingress.send(ping, delay=-1)
            with pytest.raises(UsageError, match="Unicode"):
                await ingress.call(name_of, key="\udcff")

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("code", [400, 409, 422, 500, 503, 599, 1000, 10])
def test_a_failure_is_raised_as_it_was(backend: str, anywhere: Anywhere, code: int) -> None:
    """Its class, code and message, also where no HTTP status is like it."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            with pytest.raises(TerminalError) as caught:
                await ingress.call(fail, code)
        kind = InvalidInputError if code == 400 else TerminalError
        assert (kind, code, "nö") == (
            type(caught.value),
            caught.value.code,
            str(caught.value),
        )

    anyio.run(main, backend=backend)


def test_a_failure_keeps_its_labels(backend: str, anywhere: Anywhere) -> None:
    """Metadata crosses every boundary."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            with pytest.raises(TerminalError) as caught:
                await ingress.call(fail_with_labels)
        assert {"field": "é"} == caught.value.metadata

    anyio.run(main, backend=backend)


def test_refusals_are_terminal(backend: str, anywhere: Anywhere) -> None:
    """A private handler, an input that does not fit, an unknown invocation: 400, 400, 404."""

    async def main() -> None:
        wrong = remote("Desk", "double", input=int, output=Order)
        unknown = IdempotentTarget("Counter", "add", "never", "a/b")
        codes: list[int] = []
        async with anywhere() as (ingress, _admin):
            with pytest.raises(TerminalError) as caught:
                await ingress.call(private)
            codes.append(caught.value.code)
            with pytest.raises(TerminalError, match="double") as caught:
                await ingress.call(wrong, 3)
            codes.append(caught.value.code)
            with pytest.raises(TerminalError) as caught:
                await ingress.attach(unknown)
            codes.append(caught.value.code)
            with pytest.raises(TerminalError) as caught:
                await ingress.output(WorkflowTarget("Box", "never"))
            codes.append(caught.value.code)

        assert [400, 400, 404, 404] == codes

    anyio.run(main, backend=backend)


def test_an_idempotency_key_calls_once(backend: str, anywhere: Anywhere) -> None:
    """A second call gets the first result, a send names the first invocation."""

    async def main() -> None:
        key, once = f"once {backend}/", f"k/ %{backend}"
        async with anywhere() as (ingress, _admin):
            assert 3 == await ingress.call(add, 3, key=key, idempotency_key=once)
            assert 3 == await ingress.call(add, 4, key=key, idempotency_key=once)
            sent = await ingress.send(add, 5, key=key, idempotency_key=once)
            target = IdempotentTarget("Counter", "add", once, key)
            results = [
                await ingress.attach(sent.invocation_id, int),
                await ingress.attach(target, int),
                await ingress.output(target, int),
                await ingress.attach(target, bytes),
            ]
            assert sent.previously_accepted
            assert [3, 3, 3, b"3"] == results

    anyio.run(main, backend=backend)


def test_headers_reach_the_handler(backend: str, anywhere: Anywhere) -> None:
    """And the caller's mapping is left as it was."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            headers = {"x-tenant": "acme=1"}
            assert "acme=1" == await ingress.call(header, "x-tenant", headers=headers)
            assert {"x-tenant": "acme=1"} == headers

    anyio.run(main, backend=backend)


def test_a_send_may_be_delayed(backend: str, anywhere: Anywhere) -> None:
    """It has a time and no output yet; cancelled before, it never starts."""

    async def main() -> None:
        async with anywhere() as (ingress, admin):
            before = time.time()
            late = await ingress.send(
                add, 1, key=f"late {backend}", delay=3600.0005, idempotency_key="late"
            )
            assert late.execution_time is not None
            assert before + 3600 <= late.execution_time <= time.time() + 3601
            assert NOT_READY is await ingress.output(late.invocation_id, int)
            soon = await ingress.send(greet, delay=0.01)
            assert "hello you" == await ingress.attach(soon.invocation_id, str)
            await admin.cancel(late.invocation_id)
            with pytest.raises(TerminalError) as caught:
                await ingress.attach(late.invocation_id)
            # A Restate server forgets what it has not started.
            assert caught.value.code in {409, 404}

    anyio.run(main, backend=backend)


def test_a_workflow_is_submitted_once(backend: str, anywhere: Anywhere) -> None:
    """A second submission names the first run, a call is refused with 409."""

    async def main() -> None:
        key = f"submitted {backend}/1"
        target = WorkflowTarget("Box", key)
        async with anywhere() as (ingress, _admin):
            first = await ingress.send(taken, key=key)
            again = await ingress.send(taken, key=key)
            with pytest.raises(TerminalError) as caught:
                await ingress.call(taken, key=key)
            early = await ingress.output(target, str)
            await ingress.call(put, "something", key=key)
            results = [await ingress.attach(target, str), await ingress.output(target, str)]

        assert (False, True) == (first.previously_accepted, again.previously_accepted)
        assert first.invocation_id == again.invocation_id
        assert 409 == caught.value.code
        assert NOT_READY is early
        assert ["something", "something"] == results

    anyio.run(main, backend=backend)


def test_awakeables_are_completed(backend: str, anywhere: Anywhere) -> None:
    """With a value, with a message; a second completion changes nothing."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            good = await ingress.send(wait, f"good {backend}")
            bad = await ingress.send(wait, f"bad {backend}")
            awakeable = await ingress.call(taken, key=f"good {backend}")
            await ingress.resolve_awakeable(awakeable, "é", type=str)
            await ingress.reject_awakeable(awakeable, "too late")
            await ingress.reject_awakeable(await ingress.call(taken, key=f"bad {backend}"), "nö")
            assert "é" == await ingress.attach(good.invocation_id, str)
            with pytest.raises(TerminalError, match="nö") as caught:
                await ingress.attach(bad.invocation_id)
            assert 500 == caught.value.code

    anyio.run(main, backend=backend)


def test_an_operator_ends_invocations(backend: str, anywhere: Anywhere) -> None:
    """Cancelled and killed they fail with 409; afterwards they are left alone, and purged."""

    async def main() -> None:
        async with anywhere() as (ingress, admin):
            for end, message in ((admin.cancel, "cancelled"), (admin.kill, "killed")):
                sent = await ingress.send(wait_for_ever, f"{message} {backend}")
                await ingress.call(taken, key=f"{message} {backend}")
                await end(sent.invocation_id)
                with pytest.raises(TerminalError) as caught:
                    await ingress.attach(sent.invocation_id)
                assert (409, message) == (caught.value.code, caught.value.message)
                await admin.cancel(sent.invocation_id)
                await admin.kill(sent.invocation_id)
                await admin.purge(sent.invocation_id)
                with pytest.raises(TerminalError) as caught:
                    await admin.purge(sent.invocation_id)
                assert 404 == caught.value.code
                with pytest.raises(TerminalError) as caught:
                    await ingress.output(sent.invocation_id)
                assert 404 == caught.value.code

    anyio.run(main, backend=backend)


def test_by_name_and_in_bytes(backend: str, anywhere: Anywhere) -> None:
    """``invoke`` and ``submit`` take names, a body as it is, and pairs of headers."""

    async def main() -> None:
        async with anywhere() as (ingress, _admin):
            text = (("content-type", "text/plain"),)
            assert b"LOUD" == await ingress.invoke("Desk", "shout", b"loud", headers=text)
            assert b"1" == await ingress.invoke("Counter", "add", b"1", key=f"raw {backend}")
            sent = await ingress.submit("Counter", "add", b"2", key=f"raw {backend}")
            assert b"3" == await ingress.attach(sent.invocation_id, bytes)

    anyio.run(main, backend=backend)
