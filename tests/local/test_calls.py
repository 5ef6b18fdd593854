"""Calls and sends: from outside, from handlers, and what they may not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from durable_trio import (
    NOT_READY,
    Context,
    IdempotentTarget,
    InvalidInputError,
    InvocationPausedError,
    ObjectContext,
    Service,
    TerminalError,
    UnknownServiceError,
    UsageError,
    VirtualObject,
    gather,
    remote,
    sleep,
)
from durable_trio.abc import InvocationStatus
from durable_trio.local import LocalRuntime

if TYPE_CHECKING:
    from durable_trio.abc import JournalStore

    from .virtual_time import VirtualClock

pytestmark = pytest.mark.anyio


class App:
    """A service and an object, with a log of what ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.service = service = Service("Text")
        self.log = log = VirtualObject("Log")
        ran = self.ran

        @service.handler
        async def shout(ctx: Context, text: str) -> str:
            ran.append(text)
            return text.upper()

        @service.handler
        async def refuse(ctx: Context) -> None:
            raise TerminalError("not today", 418, {"why": "tea"})

        @service.handler(ingress_private=True)
        async def secret(ctx: Context) -> str:
            return "secret"

        @service.handler
        async def headers(ctx: Context) -> dict[str, str]:
            return dict(ctx.request.headers)

        @service.handler
        async def through(ctx: Context, text: str) -> str:
            return await ctx.call(shout, text) + await ctx.call(secret)

        @service.handler
        async def in_order(ctx: Context) -> list[str]:
            ctx.send(add, "1", key="k")
            ctx.send(add, "2", key="k", idempotency_key="second")
            ctx.send(add, "3", key="k")
            return await ctx.call(add, "4", key="k")

        @service.handler
        async def twice(ctx: Context) -> tuple[str, str]:
            first = ctx.call(shout, "a", idempotency_key="same")
            second = ctx.call(shout, "b", idempotency_key="same")
            results = await gather(first, second)
            assert await first.invocation_id() == await second.invocation_id()
            return results[0], results[1]

        @service.handler
        async def look(ctx: Context, how: str) -> str:
            nobody = ctx.invocation(IdempotentTarget("Text", "shout", "x"))
            return str(await (nobody.attach(str) if how == "attach" else nobody.output(str)))

        @service.handler
        async def watch(ctx: Context) -> tuple[bool, str]:
            sent = ctx.send(shout, "a", delay=60)
            handle = ctx.invocation(await sent.invocation_id())
            before = await handle.output(str)
            await sleep(120)
            return before is NOT_READY, str(await handle.output(str))

        @service.handler
        async def scoped(ctx: Context) -> str:
            return await ctx.call(shout, "a", scope="s")

        @log.handler
        async def add(ctx: ObjectContext, line: str) -> list[str]:
            lines = [*await ctx.get("lines", list[str], default=list[str]()), line]
            ctx.set("lines", lines)
            return lines

        self.shout, self.refuse, self.secret, self.headers = shout, refuse, secret, headers
        self.through, self.in_order, self.twice, self.add = through, in_order, twice, add
        self.look, self.watch, self.scoped = look, watch, scoped

    def runtime(self, store: JournalStore, clock: VirtualClock) -> LocalRuntime:
        return LocalRuntime([self.service, self.log], store, clock=clock)


async def test_a_call_returns_the_output(store: JournalStore, clock: VirtualClock) -> None:
    """The handler runs with the input, and its output comes back as its type."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.shout, "hello") == "HELLO"


async def test_a_terminal_error_reaches_the_caller(
    store: JournalStore, clock: VirtualClock
) -> None:
    """With its message, code and metadata."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(TerminalError, match="not today") as caught:
            await runtime.call(app.refuse)

    assert caught.value.code == 418
    assert caught.value.metadata == {"why": "tea"}


async def test_an_input_that_does_not_fit_is_told_as_such(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The caller catches the class that the handler's side raised, and reads the place in it."""
    app = App()
    shout = remote("Text", "shout", input=int, output=str)
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvalidInputError, match="expected str") as caught:
            await runtime.call(shout, 5)

    assert caught.value.code == 400


async def test_what_can_never_be_called_is_refused(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Unknown names, a missing or a superfluous key, an empty idempotency key, a private handler."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(UnknownServiceError, match=r"'Txt'.*mean 'Text'"):
            await runtime.call(remote("Txt", "shout"), "a")
        with pytest.raises(UnknownServiceError, match="no handler 'shot'"):
            await runtime.invoke("Text", "shot")
        with pytest.raises(UsageError, match="one per key"):
            await runtime.call(app.add, "a")
        with pytest.raises(UsageError, match="one per key"):
            await runtime.invoke("Log", "add", b'"a"', key="")
        with pytest.raises(UsageError, match="no keys"):
            await runtime.invoke("Text", "shout", b'"a"', key="k")
        with pytest.raises(UsageError, match=r"idempotency key .* is empty"):
            await runtime.call(app.shout, "a", idempotency_key="")
        with pytest.raises(UsageError, match="no valid Unicode"):
            await runtime.call(app.add, "a", key="\ud800")
        with pytest.raises(TerminalError, match="private") as caught:
            await runtime.call(app.secret)

        assert caught.value.code == 400
        assert await store.last_sequence() == 0


async def test_a_handler_calls_handlers(store: JournalStore, clock: VirtualClock) -> None:
    """Private ones as well."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.through, "a") == "Asecret"


async def test_headers_reach_the_handler(store: JournalStore, clock: VirtualClock) -> None:
    """Those of the call, in order."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.headers, headers={"b": "1", "a": "2"}) == {"b": "1", "a": "2"}


async def test_an_idempotency_key_names_one_invocation(
    store: JournalStore, clock: VirtualClock
) -> None:
    """The second call gets the first one's result, and nothing runs."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        first = await runtime.call(app.shout, "a", idempotency_key="k")
        second = await runtime.call(app.shout, "b", idempotency_key="k")
        receipt = await runtime.send(app.shout, "c", idempotency_key="k")
        other = await runtime.call(app.shout, "d", idempotency_key="other")
        attached = await runtime.attach(IdempotentTarget("Text", "shout", "k"), str)

        assert (first, second, other, attached) == ("A", "A", "D", "A")
        assert receipt.previously_accepted
        assert app.ran == ["a", "d"]


async def test_a_send_returns_at_once(store: JournalStore, clock: VirtualClock) -> None:
    """With an id to attach to."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        receipt = await runtime.send(app.shout, "a")

        assert not receipt.previously_accepted
        assert receipt.execution_time is None
        assert await runtime.attach(receipt.invocation_id, str) == "A"
        assert await runtime.output(receipt.invocation_id, str) == "A"


async def test_a_delayed_send_starts_when_it_is_due(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Not earlier; until then it is scheduled."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        clock.stopped = True
        receipt = await runtime.send(app.shout, "a", delay=3600)
        record = await runtime.invocation(receipt.invocation_id)

        assert record.status is InvocationStatus.SCHEDULED
        assert receipt.execution_time == clock.time + 3600
        assert app.ran == []

        clock.stopped = False
        assert await runtime.attach(receipt.invocation_id, str) == "A"
        assert clock.elapsed >= 3600


async def test_by_name_and_in_bytes(store: JournalStore, clock: VirtualClock) -> None:
    """What an ingress uses: names, encoded input, encoded output."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.invoke("Text", "shout", b'"a"') == b'"A"'
        receipt = await runtime.submit("Text", "shout", b'"b"')
        assert await runtime.attach(receipt.invocation_id, bytes) == b'"B"'


async def test_calls_to_one_object_arrive_in_order(
    store: JournalStore, clock: VirtualClock
) -> None:
    """In the order in which a handler makes them, even if one has to be looked up first."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.in_order) == ["1", "2", "3", "4"]


async def test_a_handler_shares_an_idempotent_call(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Two calls with one key are one invocation with two waiters."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        assert await runtime.call(app.twice) == ("A", "A")
        assert app.ran == ["a"]


async def test_attaching_to_nobody_says_so(store: JournalStore, clock: VirtualClock) -> None:
    """From outside and from a handler it is a 404."""
    app = App()
    nobody = "inv_1AAAAAAAAAAAAAAAAAAAAAA"
    async with app.runtime(store, clock) as runtime:
        for attempt in (
            runtime.attach(nobody),
            runtime.output(nobody),
            runtime.attach(IdempotentTarget("Text", "shout", "x")),
            runtime.cancel(nobody),
            runtime.kill(nobody),
            runtime.pause(nobody),
            runtime.resume(nobody),
            runtime.purge(nobody),
            runtime.resolve_signal(nobody, "x"),
        ):
            with pytest.raises(TerminalError) as caught:
                await attempt
            assert caught.value.code == 404
        for how in ("attach", "output"):
            with pytest.raises(TerminalError) as caught:
                await runtime.call(app.look, how)
            assert caught.value.code == 404
        with pytest.raises(UsageError, match="no invocation id"):
            await runtime.attach("inv_1short")


async def test_a_handler_looks_whether_another_one_has_ended(
    store: JournalStore, clock: VirtualClock
) -> None:
    """Without waiting for it."""
    app = App()
    found: list[tuple[bool, str]] = []
    async with app.runtime(store, clock) as runtime, anyio.create_task_group() as tasks:

        async def watch() -> None:
            found.append(await runtime.call(app.watch))

        tasks.start_soon(watch)
        await clock.settle()
        await clock.advance(60)
        await clock.advance(60)
    assert found == [(True, "A")]


async def test_scopes_are_a_restate_server_s(store: JournalStore, clock: VirtualClock) -> None:
    """The embedded runtime says so: the invocation is paused, and nobody is called."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with pytest.raises(InvocationPausedError, match="leave out scope='s'"):
            await runtime.call(app.scoped)
    assert app.ran == []


async def test_a_wait_that_is_given_up_leaves_the_invocation_alone(
    store: JournalStore, clock: VirtualClock
) -> None:
    """It goes on, and nobody observes it any more."""
    app = App()
    async with app.runtime(store, clock) as runtime:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await runtime.call(app.shout, "a", idempotency_key="k")
        result = await runtime.call(app.shout, "b", idempotency_key="k")

        assert result in {"A", "B"}
        assert len(app.ran) == 1
