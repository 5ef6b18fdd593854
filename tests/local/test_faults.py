"""An error of the code: the invocation is paused, who waits is told, mended code goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from durable_trio import (
    CancelledError,
    Context,
    InvocationPausedError,
    InvocationRetryPolicy,
    Service,
    ServiceOptions,
    TerminalError,
    open_nursery,
    remote,
)
from durable_trio.abc import Failure, InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from durable_trio._services import ServiceDefinition
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio

ONCE = InvocationRetryPolicy(max_attempts=1)


class App:
    """A handler that is wrong until it is mended."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.attempts = 0
        self.mended = False
        self.wrong: Callable[[Context], Awaitable[None]] = foreign_await
        self.service = service = Service("Faulty")

        @service.handler
        async def work(ctx: Context) -> str:
            self.attempts += 1
            await ctx.run(lambda: self.ran.append("step"), name="step", on_thread=False)
            if not self.mended:
                await self.wrong(ctx)
            return "done"

        @service.handler
        async def ask(ctx: Context) -> str:
            return await ctx.call(work)

        self.work, self.ask = work, ask

    def runtime(self, store: JournalStore, clock: VirtualClock, **options: Any) -> LocalRuntime:
        services: list[ServiceDefinition] = [self.service]
        return LocalRuntime(
            services, store, clock=clock, unload_after=0, defaults=ServiceOptions(**options)
        )


async def foreign_await(ctx: Context) -> None:
    """Wait for the host."""
    await anyio.sleep(1)


async def busy_wait(ctx: Context) -> None:
    """Wait for what never comes."""
    from durable_trio import checkpoint

    while True:
        await checkpoint()


async def foreign_deadline(ctx: Context) -> None:
    """Have the host's clock decide."""
    with anyio.move_on_after(1):
        await ctx.timer(10)


async def unserializable(ctx: Context) -> None:
    """Write what cannot be written."""
    await ctx.run(object, name="object", on_thread=False)


async def unknown_service(ctx: Context) -> None:
    """Call nobody."""
    await ctx.call(remote("Nobody", "here"))


async def durable_operation_in_a_body(ctx: Context) -> None:
    """Nest what cannot be nested."""
    await ctx.run(lambda: ctx.uuid4().hex, name="uuid", on_thread=False)


async def no_int(ctx: Context) -> None:
    """Call somebody with what cannot be written."""
    ctx.call(remote("Faulty", "work", input=int), object())


async def in_a_branch(ctx: Context) -> None:
    """Do it in a nursery: the error is a group."""
    async with open_nursery() as nursery:
        nursery.start_soon(unserializable, ctx)


async def wait_for_a_signal(ctx: Context) -> None:
    """Do what a handler may."""
    await ctx.signal("go")


def nothing() -> None:
    """A step."""


async def divergence(ctx: Context) -> None:
    """Do another thing in every attempt."""
    divergence.attempt += 1  # type: ignore[attr-defined]
    name = f"attempt {divergence.attempt}"  # type: ignore[attr-defined]
    await ctx.run(nothing, name=name, on_thread=False)
    raise RuntimeError("try again")


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (foreign_await, "ForeignAwaitError"),
        (busy_wait, "BusyWaitError"),
        (foreign_deadline, "ForeignDeadlineError"),
        (unserializable, "SerializationError"),
        (unknown_service, "UnknownServiceError"),
        (no_int, "SerializationError"),
        (durable_operation_in_a_body, "NotDurableTaskError"),
        (in_a_branch, "SerializationError"),
        (divergence, "the code does not do what its journal says"),
    ],
)
async def test_who_waits_is_told_at_once(
    store: JournalStore,
    clock: VirtualClock,
    wrong: Callable[[Context], Awaitable[None]],
    name: str,
) -> None:
    """With the error, the id and the remedy; the invocation is paused after one attempt."""
    divergence.attempt = 0  # type: ignore[attr-defined]
    app = App()
    app.wrong = wrong
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError, match=name) as caught:
            await runtime.call(app.work)
        error = caught.value
        record = await runtime.invocation(error.invocation_id)

        assert record.status is InvocationStatus.PAUSED
        assert f"{__file__}:" in str(error)
        assert "mend it, and start again whatever serves it" in str(error)
        assert f"durable-trio resume {record.id}" in str(error)
        assert app.attempts == (2 if wrong is divergence else 1)
        # A divergence takes a second attempt to show.
        assert clock.elapsed == pytest.approx(0.05 if wrong is divergence else 0)


async def test_whoever_comes_later_is_told_as_well(
    store: JournalStore, clock: VirtualClock
) -> None:
    """To attach, or to call with the same idempotency key, does not wait for an operator."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError) as caught:
            await runtime.call(app.work, idempotency_key="k")
        with pytest.raises(InvocationPausedError, match="ForeignAwaitError"):
            await runtime.attach(caught.value.invocation_id)
        with pytest.raises(InvocationPausedError, match="ForeignAwaitError"):
            await runtime.call(app.work, idempotency_key="k")

    assert app.attempts == 1


async def test_it_goes_on_when_it_is_resumed(store: JournalStore, clock: VirtualClock) -> None:
    """With what it has done, as the same invocation; whoever attaches then has the result."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError) as caught:
            await runtime.call(app.work)
        app.mended = True
        await runtime.resume(caught.value.invocation_id)

        assert await runtime.attach(caught.value.invocation_id, str) == "done"
        assert app.ran == ["step"]
        assert (await runtime.invocation(caught.value.invocation_id)).last_failure is None


async def test_mended_code_goes_on_when_it_is_started(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Opening the runtime attempts it again; code that is not mended pauses it again."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError) as caught:
            await runtime.call(app.work)
    async with app.runtime(store, clock) as runtime:
        await clock.settle()
        record = await runtime.invocation(caught.value.invocation_id)
        assert record.status is InvocationStatus.PAUSED
    assert app.attempts == 2
    app.mended = True
    async with app.runtime(store, clock) as runtime:
        assert await runtime.attach(caught.value.invocation_id, str) == "done"

    assert app.ran == ["step"]


async def test_what_an_operator_paused_stays_paused(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Over openings too; and whoever waits for it is not sent away: nothing is wrong with it."""
    service = Service("Patient")

    @service.handler
    async def wait(ctx: Context) -> str:
        return await ctx.signal("go", str)

    async with LocalRuntime([service], store, clock=clock) as runtime:
        receipt = await runtime.send(wait)
        await clock.settle()
        await runtime.pause(receipt.invocation_id)
    async with LocalRuntime([service], store, clock=clock) as runtime:
        await clock.settle()
        record = await runtime.invocation(receipt.invocation_id)
        assert record.status is InvocationStatus.PAUSED

        results: list[str] = []

        async def attach() -> None:
            results.append(await runtime.attach(receipt.invocation_id, str))

        async with anyio.create_task_group() as group:
            group.start_soon(attach)
            await clock.settle()
            assert results == []
            await runtime.resume(receipt.invocation_id)
            await runtime.resolve_signal(receipt.invocation_id, "go", "on")

        assert results == ["on"]


async def test_used_up_attempts_tell_who_waits(store: JournalStore, clock: VirtualClock) -> None:
    """What pauses is the policy; opening the runtime again does not resume it."""
    app = App()

    async def fail(ctx: Context) -> None:
        raise RuntimeError("out of order")

    app.wrong = fail
    async with app.runtime(store, clock, retry_policy=ONCE) as runtime:
        with pytest.raises(InvocationPausedError, match="RuntimeError: out of order") as caught:
            await runtime.call(app.work)
    app.mended = True
    async with app.runtime(store, clock, retry_policy=ONCE) as runtime:
        await clock.settle()
        with pytest.raises(InvocationPausedError, match="RuntimeError: out of order"):
            await runtime.attach(caught.value.invocation_id)

    assert app.attempts == 1


async def test_a_cancelled_one_is_not_called_paused(
    store: JournalStore, clock: VirtualClock
) -> None:
    """CANCEL wakes it: whoever attaches after that waits for the end of it."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError) as caught:
            await runtime.call(app.work)
        app.wrong = wait_for_a_signal
        await runtime.cancel(caught.value.invocation_id)

        with pytest.raises(CancelledError):
            await runtime.attach(caught.value.invocation_id)


async def test_a_handler_that_waits_goes_on_waiting(
    store: JournalStore, clock: VirtualClock
) -> None:
    """A pause is no result: the caller in a handler gets the one that comes after it."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.ask)
        await clock.settle()
        (paused,) = await store.invocations(status=frozenset({InvocationStatus.PAUSED}))
        assert paused.handler == "work"
        app.mended = True
        await runtime.resume(paused.id)

        assert await runtime.attach(receipt.invocation_id, str) == "done"


async def test_usage_errors_can_be_final(store: JournalStore, clock: VirtualClock) -> None:
    """``on_usage_error="fail"``: the caller, in a handler too, gets a terminal failure."""
    app = App()
    async with app.runtime(store, clock, on_usage_error="fail") as runtime:
        with pytest.raises(TerminalError, match="ForeignAwaitError") as caught:
            await runtime.call(app.ask)

        assert caught.value.code == 500
        assert caught.value.metadata == {}


async def test_usage_errors_can_be_retried(store: JournalStore, clock: VirtualClock) -> None:
    """``on_usage_error="retry"``: as any error, by the policy."""
    app = App()
    policy = InvocationRetryPolicy(initial_interval=1, max_attempts=3, on_max_attempts="kill")
    async with app.runtime(store, clock, on_usage_error="retry", retry_policy=policy) as runtime:
        receipt = await runtime.send(app.work)
        with pytest.raises(TerminalError, match="ForeignAwaitError"):
            await runtime.attach(receipt.invocation_id)
        record = await runtime.invocation(receipt.invocation_id)

    assert app.attempts == 3
    assert isinstance(record.result, Failure)
