"""Options do on the embedded runtime what the guide's table says.

Those that have a module of their own are not repeated: ``retry_policy`` and
``on_journal_mismatch`` (``test_retries.py``), ``on_usage_error`` (``test_faults.py``),
``explicit_cancellation`` (``test_control.py``), ``workflow_retention``
(``test_workflows.py``), ``ingress_private`` (``test_calls.py``).
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from durable_trio import (
    NOT_READY,
    Context,
    ObjectContext,
    RunInfo,
    Service,
    ServiceOptions,
    TerminalError,
    VirtualObject,
    remote,
)
from durable_trio.local import LocalRuntime
from durable_trio.serde import json_serde, serde_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from durable_trio.abc import JournalStore, Serde

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

HOUR = 3600.0
DAY = 24 * HOUR
variable: ContextVar[str] = ContextVar("variable", default="unset")


class Hexadecimal:
    """A serde that nobody takes for JSON."""

    content_type = "text/x-hex"

    def serialize(self, value: int) -> bytes:
        return f"{value:x}".encode()

    def deserialize(self, data: bytes) -> int:
        return int(data, 16)


async def test_descriptions_are_at_hand_for_tools(store: JournalStore, clock: VirtualClock) -> None:
    """A handler has its own or its docstring, and labels of its own; neither is inherited."""
    service = Service("Described", description="for people", metadata={"team": "a"})

    @service.handler(metadata={"tier": "1"})
    async def one(ctx: Context) -> None:
        """From the docstring."""

    @service.handler(description="given")
    async def two(ctx: Context) -> None:
        """Not this one."""

    async with LocalRuntime([service], store, clock=clock) as runtime:
        served = runtime.services["Described"]

    assert served.description == "for people"
    assert served.options.metadata == {"team": "a"}
    found = {
        name: (each.description, each.options.metadata) for name, each in served.handlers.items()
    }
    assert found == {"one": ("From the docstring.", {"tier": "1"}), "two": ("given", None)}


async def test_a_name_takes_the_place_of_the_functions(
    store: JournalStore, clock: VirtualClock
) -> None:
    """It is the one that callers use and that is stored."""
    service = Service("Named")

    @service.handler(name="public")
    async def private(ctx: Context) -> str:
        return "called"

    async with LocalRuntime([service], store, clock=clock) as runtime:
        assert await runtime.call(remote("Named", "public", output=str)) == "called"
        receipt = await runtime.send(private)
        assert (await runtime.invocation(receipt.invocation_id)).handler == "public"


async def test_serdes_of_a_handler_are_those_of_its_payloads(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Written and read by them: from outside, from a handler, and in what is stored."""
    service = Service("Numbers")

    @service.handler(input_serde=Hexadecimal(), output_serde=Hexadecimal())
    async def double(ctx: Context, number: int) -> int:
        return number * 2

    @service.handler
    async def ask(ctx: Context, number: int) -> int:
        return await ctx.call(double, number)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        assert await runtime.call(double, 255) == 510
        assert await runtime.call(ask, 255) == 510
        assert await runtime.invoke("Numbers", "double", b"ff") == b"1fe"


async def test_a_serde_of_a_service_is_asked_for_every_annotation(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Of all its handlers, but for a handler's own serde."""
    asked: list[object] = []

    def serde(annotation: Any) -> Serde[Any]:
        asked.append(annotation)
        return Hexadecimal() if annotation is int else serde_for(annotation)

    service = Service("Numbers", serde=serde)

    @service.handler
    async def double(ctx: Context, number: int) -> int:
        return number * 2

    @service.handler(output_serde=json_serde(int))
    async def triple(ctx: Context, number: int) -> int:
        return number * 3

    async with LocalRuntime([service], store, clock=clock) as runtime:
        assert await runtime.invoke("Numbers", "double", b"ff") == b"1fe"
        assert await runtime.invoke("Numbers", "triple", b"ff") == b"765"

    assert int in asked


async def test_a_mapping_makes_errors_final(store: JournalStore, clock: VirtualClock) -> None:
    """Of handlers and of steps: the caller gets them, and nothing is tried again."""
    service = Service(
        "Strict",
        as_terminal_error=lambda error: (
            TerminalError(f"no {error}", 418) if isinstance(error, LookupError) else None
        ),
    )
    tries: list[str] = []

    def look_up() -> None:
        tries.append("step")
        raise LookupError("in a step")

    @service.handler
    async def fail(ctx: Context) -> None:
        tries.append("handler")
        raise LookupError("in the handler")

    @service.handler
    async def step(ctx: Context) -> None:
        await ctx.run(look_up, on_thread=False)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        for handler, message in ((fail, "no in the handler"), (step, "no in a step")):
            with pytest.raises(TerminalError, match=message) as caught:
                await runtime.call(handler)
            assert caught.value.code == 418

    assert tries == ["handler", "step"]
    assert clock.elapsed == 0


async def test_contexts_surround_attempts_and_tries(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The runtime's outermost; in a later attempt those of attempts are there again."""
    events: list[str] = []

    def around(name: str) -> Any:
        @asynccontextmanager
        async def make() -> AsyncGenerator[None]:
            events.append(f"enter {name}")
            token = variable.set(name)
            try:
                yield
            finally:
                variable.reset(token)
                events.append(f"leave {name}")

        return make

    @asynccontextmanager
    async def around_run(run: RunInfo) -> AsyncGenerator[None]:
        events.append(f"try {run.attempt} of {run.name}")
        yield

    service = Service("Surrounded", contexts=[around("service")], run_contexts=[around_run])

    def flaky() -> str:
        if "try 2 of flaky" not in events:
            raise OSError("once")
        return variable.get()

    @service.handler
    async def work(ctx: Context) -> list[str]:
        found = await ctx.run(flaky, on_thread=False)
        await ctx.timer(HOUR)
        return [found, variable.get()]

    defaults = ServiceOptions(contexts=(around("runtime"),))
    async with LocalRuntime(
        [service], store, clock=clock, defaults=defaults, unload_after=0
    ) as runtime:
        assert await runtime.call(work) == ["service", "service"]

    entered = ["enter runtime", "enter service"]
    left = ["leave service", "leave runtime"]
    tries = [event for event in events if event.startswith("try")]
    assert tries == ["try 1 of flaky", "try 2 of flaky"]
    rounds = [event for event in events if not event.startswith("try")]
    assert len(rounds) >= 8
    assert rounds == (entered + left) * (len(rounds) // 4)


async def test_a_journal_is_kept_as_long_as_asked(store: JournalStore, clock: VirtualClock) -> None:
    """Without an idempotency key nothing else holds the invocation: it goes with its journal."""
    service = Service("Kept", journal_retention=DAY / 2)

    @service.handler
    async def work(ctx: Context) -> str:
        return "done"

    async with LocalRuntime([service], store, clock=clock) as runtime:
        receipt = await runtime.send(work)
        await runtime.attach(receipt.invocation_id)
        await clock.advance(DAY / 4)
        assert len(await store.journal(receipt.invocation_id)) == 2
        await clock.advance(DAY / 4)

        assert await store.invocation(receipt.invocation_id) is None
        assert await store.journal(receipt.invocation_id) == ()


async def test_a_result_is_kept_under_its_idempotency_key(
    store: JournalStore, clock: VirtualClock
) -> None:
    """As long as asked; the journal no longer than that, whatever was asked for it."""
    service = Service("Idempotent", journal_retention=100 * DAY)
    ran: list[int] = []

    @service.handler(idempotency_retention=2 * DAY)
    async def work(ctx: Context) -> int:
        ran.append(1)
        return len(ran)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        first = await runtime.send(work, idempotency_key="k")
        await runtime.attach(first.invocation_id)
        record = await runtime.invocation(first.invocation_id)
        assert record.journal_expires_at == record.expires_at == clock.now() + 2 * DAY
        await clock.advance(1.5 * DAY)
        assert await runtime.call(work, idempotency_key="k") == 1
        await clock.advance(DAY / 2)
        assert await store.journal(first.invocation_id) == ()
        assert await runtime.call(work, idempotency_key="k") == 2


async def test_zero_forgets_after_everybody_was_answered(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Whoever waits gets the result, in a handler as well; then nothing of it is left."""
    service = Service("Forgetful", journal_retention=0, idempotency_retention=0)

    @service.handler
    async def work(ctx: Context) -> str:
        return await ctx.signal("go", str)

    @service.handler(journal_retention=HOUR)
    async def ask(ctx: Context, invocation_id: str) -> str:
        return await ctx.invocation(invocation_id).attach(str)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        receipt = await runtime.send(work, idempotency_key="k")
        asking = await runtime.send(ask, receipt.invocation_id)
        await clock.settle()
        assert await runtime.output(receipt.invocation_id) is NOT_READY
        await runtime.resolve_signal(receipt.invocation_id, "go", "on")

        assert await runtime.attach(asking.invocation_id, str) == "on"
        assert await store.invocation(receipt.invocation_id) is None
        assert await store.journal(receipt.invocation_id) == ()


async def test_what_is_for_a_server_changes_nothing(
    store: JournalStore, clock: VirtualClock
) -> None:
    """An invocation waits longer than any of these, and reads its state as ever."""
    counter = VirtualObject("Counter", inactivity_timeout=1, abort_timeout=1, lazy_state=True)
    attempts: list[int] = []

    @counter.handler
    async def add(ctx: ObjectContext, amount: int) -> int:
        attempts.append(1)
        ctx.set("total", await ctx.get("total", int, default=0) + amount)
        await ctx.timer(HOUR)
        return await ctx.get("total", int, default=0)

    async with LocalRuntime([counter], store, clock=clock, unload_after=2 * HOUR) as runtime:
        assert await runtime.call(add, 2, key="k") == 2
        assert await runtime.call(add, 3, key="k") == 5

    assert attempts == [1, 1]
    assert clock.elapsed == 2 * HOUR
