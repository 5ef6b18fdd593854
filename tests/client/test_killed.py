"""A server is killed and started again: what those see who wait for it, on either server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import IdempotentTarget, NoAnswerError, RequestError, RetryPolicy
from durable_trio.client import AdminClient, IngressClient

from .lives import EmbeddedLives, RestateLives
from .services import add, buy, desk, taken

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from .lives import Lives

STUBBORN = RetryPolicy(initial_interval=0.01, max_interval=0.1)


@pytest.fixture(params=["embedded", "restate"])
def lives(request: pytest.FixtureRequest, tmp_path: Path, backend: str) -> Lives:
    """A server that is not started yet."""
    return (EmbeddedLives if request.param == "embedded" else RestateLives)(tmp_path, backend)


def test_a_server_that_is_killed(backend: str, lives: Lives) -> None:
    """Asked again is what has a key; whoever asks once is told that nobody knows. All goes on."""
    found: dict[str, Any] = {}

    async def ask(name: str, answer: Awaitable[Any], seen: anyio.Event) -> None:
        try:
            found[name] = await answer
        except RequestError as error:
            found[name] = error
        seen.set()

    async def main() -> None:
        told, asked = [anyio.Event() for _ in range(3)], [anyio.Event() for _ in range(2)]
        async with (
            IngressClient(lives.ingress) as once,
            IngressClient(lives.ingress, retry=STUBBORN) as again,
            AdminClient(lives.admin, retry=STUBBORN) as admin,
            anyio.create_task_group() as group,
        ):
            same = IdempotentTarget(desk.name, buy.name, "again")
            calls: list[tuple[str, Awaitable[Any], anyio.Event]] = [
                ("once", once.call(buy, "once", idempotency_key="once"), told[0]),
                ("keyless", again.call(buy, "keyless"), told[1]),
                ("again", again.call(buy, "again", idempotency_key="again"), asked[0]),
            ]
            for call in calls:
                group.start_soon(ask, *call)
            awakeables = [await once.call(taken, key=name) for name, _, _ in calls]
            group.start_soon(ask, "attached once", once.attach(same), told[2])
            group.start_soon(ask, "attached", again.attach(same, str), asked[1])
            await anyio.wait_all_tasks_blocked()

            await anyio.to_thread.run_sync(lives.kill)
            for event in told:
                await event.wait()
            for name in ("once", "keyless", "attached once"):
                error = found[name]
                assert isinstance(error, NoAnswerError), error
                assert error.sent or name == "attached once"
            with pytest.raises(NoAnswerError) as caught:
                await once.call(add, 1, key="nobody")
            assert not caught.value.sent
            assert {"once", "keyless", "attached once"} == set(found)

            await anyio.to_thread.run_sync(lives.start)
            for awakeable in awakeables:
                await again.resolve_awakeable(awakeable, "delivered")
            for event in asked:
                await event.wait()
            assert ["again delivered, 1 bought"] * 2 == [found["again"], found["attached"]]
            # The same call once more: it is the one that was made.
            twice = await once.call(buy, "once", idempotency_key="once")
            assert "once delivered, 1 bought" == twice
            assert "again delivered, 1 bought" == await once.attach(same, str)
            # What nobody waits for any more goes on as well, and nothing is bought twice.
            assert "delivered" == await once.call(taken, key="keyless delivered")
            for name in ("once", "again", "keyless"):
                assert 1 == await once.call(add, 0, key=name)
            assert 0 == await once.call(add, 0, key="nobody")
            if lives.admin != lives.ingress:
                made = await admin.query(
                    "SELECT id FROM sys_invocation WHERE target_handler_name = 'buy'"
                )
                assert 3 == len(made)

    with lives:
        anyio.run(main, backend=backend)
